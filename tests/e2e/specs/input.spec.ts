import { expect, test } from "../support/test.ts";

test("a message over the limit is not sent, one at the limit is", async ({ page, chat, picture }) => {
  const limit = 256 * 1024;
  await chat.input.fill(`say ${"word ".repeat(limit / 5 + 1)}`);
  await expect(page.getByTestId("composer-size")).toContainText("too long");
  await expect(page.getByTestId("composer-send")).toBeDisabled();
  await chat.input.press("Enter");
  await expect(chat.turns).toHaveCount(0);
  await picture(page, "message-too-long");
  // "ü" is two bytes: characters, of which there are few enough here, are not what is counted.
  await chat.input.fill(`say ${"über ".repeat(limit / 6 + 1)}`);
  await expect(page.getByTestId("composer-send")).toBeDisabled();
// The model quotes the first lines only.
  await chat.input.fill(`one\ntwo\nthree\nfour\nfive\n${"word ".repeat(limit / 5)}`.slice(0, limit - 3) + "end");
  await expect(page.getByTestId("composer-send")).toBeEnabled();
  await chat.input.press("Enter");
  await expect(chat.turns).toHaveCount(1);
  await chat.turn(0).completes();
});

test("without a session there is nothing to see", async ({ product, browser }) => {
  const context = await browser.newContext({ baseURL: product.url, storageState: { cookies: [], origins: [] } });
  const page = await context.newPage();
  for (const path of ["/", "/settings", "/chat?id=cht_01m852f153ec1atf3jjcw8tre8", "/machine?id=mch_01m852f153ec1atf3jjcw8tre8"]) {
    await page.goto(path);
    await expect(page.getByTestId("sign-in-page")).toBeVisible();
  }
  await context.close();
});

test("what does not exist is not found", async ({ page }) => {
  await page.goto("/chat?id=cht_01m852f153ec1atf3jjcw8tre8");
  await expect(page.getByTestId("not-found")).toContainText("This chat does not exist, or is not yours.");
  await page.goto("/machine?id=mch_01m852f153ec1atf3jjcw8tre8");
  await expect(page.getByTestId("not-found")).toBeVisible();
  await page.goto("/machine?id=..%2f..%2fetc%2fpasswd");
  await expect(page.getByTestId("not-found")).toBeVisible();
});
