import { bare as test, expect } from "../support/test.ts";

test("the second start finds everything where it was", async ({ startProduct, browser }) => {
  const product = await startProduct();
  const context = await browser.newContext({ baseURL: product.url });
  const page = await context.newPage();
  await page.goto(product.link);
  await expect(page.getByTestId("machine-row")).toHaveCount(1);
  const machine = await page.getByTestId("machine-row").getAttribute("data-machine-id");
  await product.process.stop("SIGINT");

  await product.startAgain();
  await page.goto("/");
  await expect(page.getByTestId("machine-row"), "the sign-in holds").toHaveCount(1);
  await expect(page.getByTestId("machine-row")).toHaveAttribute("data-machine-id", machine ?? "");
  await expect(page.getByTestId("sidebar-worker")).toHaveCount(1);
  await context.close();
});
