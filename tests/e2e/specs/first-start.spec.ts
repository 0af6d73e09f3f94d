import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { Product } from "../support/product.ts";
import { bare as test, expect } from "../support/test.ts";

const PASSWORD = "correct horse battery";

test("the link signs in once, then the password does", async ({ newHome, browser, picture }) => {
  const product = await Product.start(newHome());
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

test("the second start finds everything where it was", async ({ newHome, browser }) => {
  const home = newHome();
  const product = await Product.start(home);
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

test("what keeps it from starting is one clear line", async ({ newHome }) => {
  const home = newHome();
  const product = await Product.start(home);

  const again = await home.run(["up", "--demo", "--listen", "127.0.0.1:0"]);
  expect(again.code).toBe(12);
  expect(again.stderr.trim().split("\n")).toHaveLength(1);
  expect(again.stderr).toContain("A hub runs already with the data directory");

  const other = newHome();
  const taken = await other.run(["up", "--demo", "--listen", new URL(product.url).host]);
  expect(taken.code).toBe(10);
  expect(taken.stderr.trim().split("\n")).toHaveLength(1);
  expect(taken.stderr).toContain(new URL(product.url).port);

  writeFileSync(join(other.path, "a-file"), "");
  const inFile = await other.run(["up", "--demo", "--listen", "127.0.0.1:0", "--data-dir", "a-file"]);
  expect(inFile.code).toBe(11);
  expect(inFile.stderr.trim().split("\n")).toHaveLength(1);
  expect(inFile.stderr).toContain("--data-dir");

  const noRoot = await other.run(["up", "--listen", "127.0.0.1:0", "--root", join(other.path, "nowhere")]);
  expect(noRoot.code).toBe(13);
  expect(noRoot.stderr).toContain("nowhere");
  const rootFile = await other.run(["up", "--listen", "127.0.0.1:0", "--root", join(other.path, "a-file")]);
  expect(rootFile.code).toBe(13);

  for (const { stdout } of [again, taken, inFile, noRoot, rootFile]) expect(stdout, "no data without success").toBe("");
});
