import type { Page } from "@playwright/test";

import { Chat, counted, watchGrowth } from "../support/chat.ts";
import { expect, signedIn, test } from "../support/test.ts";

/** A chat session in one more page of the same browser. */
async function beside(page: Page): Promise<Chat> {
  const other = await page.context().newPage();
  await other.goto(page.url());
  return new Chat(other);
}

// A browser opens six connections to a host; eight pages with two each would need sixteen.
test("eight pages of one browser stream, and each can send", async ({ page, picture }) => {
  const chats: Chat[] = [];
  for (let index = 0; index < 4; index += 1) {
    const first = await Chat.start(index === 0 ? page : await page.context().newPage());
    // It does not end by itself: whatever works here works beside four streams.
    await (await first.send("slow 100")).reaches("sheep");
    chats.push(first, await beside(first.page));
  }
  for (const chat of chats) await chat.turn(0).reaches("sheep");
  for (const [index, chat] of chats.entries()) await chat.queue(`count ${31 + index}`);
  for (const [index, chat] of chats.entries()) {
    const pair = index - (index % 2);
    await expect(chat.page.getByTestId("queued-turn")).toHaveText([`count ${31 + pair}`, `count ${32 + pair}`].map((text) => new RegExp(text)));
    await chat.turn(0).isIn("streaming");
    await expect(chat.page.getByTestId("connection")).toHaveAttribute("data-connection", "live");
  }
  await picture(page, "eight-pages");
  for (const chat of chats.filter((_, index) => index % 2 === 1)) await chat.stop();
  for (const [index, chat] of chats.entries()) {
    await chat.turn(0).isIn("cancelled");
    const pair = index - (index % 2);
    for (const turn of [1, 2]) {
      await chat.turn(turn).completes();
      expect(await chat.turn(turn).text()).toBe(counted(30 + pair + turn));
    }
  }
  for (const [index, chat] of chats.entries()) {
    const other = chats[index + 1];
    if (index % 2 === 1 || !other) continue;
    await expect.poll(() => other.turn(0).text(), { message: "both pages show the same of what was stopped" }).toBe(await chat.turn(0).text());
    await chat.end();
  }
});

test("the page that was first goes away in the middle, and the others lose and double nothing", async ({ page, chat, product }) => {
  const first = await page.context().newPage();
  const turn = await chat.send("count 400 60");
  await first.goto(page.url());
  await page.goto("about:blank");
  // Now nobody but `first` is there; what comes after it shares with it.
  await new Chat(first).turn(0).reaches(20);
  await page.goto(first.url());
  const others = [page, (await beside(first)).page];
  const growths: (() => Promise<string[]>)[] = [];
  for (const other of others) {
    await new Chat(other).turn(0).reaches(40);
    growths.push(await watchGrowth(other, 0));
  }
  await first.close();
  await turn.reaches(120);
  // One of those that are left dies without a word.
  const crashed = await page.context().newPage();
  await crashed.goto(page.url());
  await new Chat(crashed).turn(0).reaches(120);
  const session = await page.context().newCDPSession(crashed);
  const gone = crashed.waitForEvent("crash");
  void session.send("Page.crash").catch(() => undefined);
  await gone;
  for (const [index, other] of others.entries()) {
    const there = new Chat(other);
    await there.turn(0).completes();
    expect(await there.turn(0).text()).toBe(counted(400));
    const seen = ((await growths[index]?.()) ?? []).filter((text) => text !== "");
    expect(seen.length, "it was seen to grow").toBeGreaterThan(product.growthSeen);
    for (const text of seen) expect(counted(400).startsWith(text), `a beginning of the answer: ${text}`).toBe(true);
  }
});

test("a sign-out in one page is one in all, and so is the sign-in after it", async ({ startProduct, browser }) => {
  const product = await startProduct();
  const context = await signedIn(browser, product.link);
  const pages = [await context.newPage(), await context.newPage(), await context.newPage()];
  for (const each of pages) {
    await each.goto("/settings");
    await expect(each.getByTestId("settings")).toBeVisible();
  }
  await pages[0]?.getByTestId("sign-out").click();
  for (const each of pages) await expect(each.getByTestId("sign-in-page")).toBeVisible();
  await pages[1]?.goto(await product.newLink());
  for (const each of pages) {
    await expect(each.getByTestId("sign-in-page")).toBeHidden();
    await expect(each.getByTestId("connection")).toHaveAttribute("data-connection", "live");
  }
  await context.close();
});
