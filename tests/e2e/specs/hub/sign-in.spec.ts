import { bare as test, expect } from "../../support/test.ts";

// Links that work once and passwords are the hub's; how people sign in on Convex: ../convex/sign-in.spec.ts.

const PASSWORD = "correct horse battery";

test("the link signs in once, then the password does", async ({ startProduct, browser, picture }) => {
  const product = await startProduct();
  expect(product.process.stdout.trim().split("\n"), "one line of data").toHaveLength(1);

  const context = await browser.newContext({ baseURL: product.url });
  const page = await context.newPage();
  await page.goto(product.link);
  await expect(page.getByTestId("machine-list").getByTestId("presence")).toHaveAttribute("data-presence", "online");
  expect(page.url(), "the token leaves the address").not.toContain("token");
  await picture(page, "first-home");

  const stranger = await (await browser.newContext()).newPage();
  await stranger.goto(product.link);
  await expect(stranger.getByTestId("sign-in-error")).toContainText("This sign-in link was used or has expired");
  await picture(stranger, "link-used");
  await stranger.getByTestId("sign-in-password").fill(PASSWORD);
  await stranger.getByTestId("sign-in-submit").click();
  await expect(stranger.getByTestId("sign-in-error"), "no password is set yet").toBeVisible();
  await stranger.context().close();

  await page.getByTestId("password-hint").getByRole("link", { name: "Set a password" }).click();
  await page.getByTestId("new-password").fill(PASSWORD);
  await page.getByTestId("password-submit").click();
  await expect(page.getByText("Password set", { exact: true })).toBeVisible();
  await expect(page.getByTestId("current-password")).toBeVisible();
  await picture(page, "settings");

  await page.getByTestId("sign-out").click();
  await expect(page.getByTestId("sign-in-page")).toBeVisible();
  await page.goto("/");
  await expect(page.getByTestId("sign-in-page")).toBeVisible();
  await page.getByTestId("sign-in-password").fill("not the password");
  await page.getByTestId("sign-in-submit").click();
  await expect(page.getByTestId("sign-in-error")).toBeVisible();
  await picture(page, "sign-in-refused");
  await page.getByTestId("sign-in-password").fill(PASSWORD);
  await page.getByTestId("sign-in-submit").click();
  await expect(page.getByTestId("machine-list")).toBeVisible();
  await expect(page.getByTestId("password-hint")).toBeHidden();

  const link = await product.newLink();
  await page.getByTestId("nav-settings").click();
  await page.getByTestId("sign-out").click();
  await expect(page.getByTestId("sign-in-page")).toBeVisible();
  await page.goto(link);
  await expect(page.getByTestId("machine-list")).toBeVisible();
  await context.close();

  const end = await product.process.stop("SIGINT");
  expect(end.code).toBe(0);
  await product.home.isQuiet();
});
