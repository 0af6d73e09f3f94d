import type { Browser, Page } from "@playwright/test";

import { Chat, counted } from "../support/chat.ts";
import type { Product } from "../support/product.ts";
import { bare as test, expect, signedIn } from "../support/test.ts";

async function open(browser: Browser, product: Product): Promise<{ page: Page; chat: Chat }> {
  const context = await signedIn(browser, product.link);
  const page = await context.newPage();
  return { page, chat: await Chat.start(page) };
}

test("the agent is killed in the middle of a turn", async ({ startProduct, browser, picture }) => {
  const product = await startProduct();
  const { page, chat } = await open(browser, product);
  const turn = await chat.send("count 400 60");
  await turn.reaches(30);
  await chat.queue("say what waited");
  const opencodes = product.opencodes;
  expect(opencodes.length).toBeGreaterThan(0);
  const agent = product.agentPid;
  const shown = await turn.text();

  process.kill(agent, "SIGKILL");
  await turn.isIn("interrupted");
  await expect.poll(() => product.opencodes.filter((pid) => opencodes.includes(pid)), { message: "the opencode of the killed agent ends with it" }).toEqual([]);
  const kept = await turn.text();
  expect(kept.startsWith(shown), `what was streamed is kept: ${kept}`).toBe(true);
  expect(counted(400).startsWith(kept)).toBe(true);
  await expect(turn.root.getByTestId("turn-reason")).toContainText("Interrupted: ");
  await picture(page, "turn-interrupted");

  // What waited is delivered by itself, once the machine's process is back.
  const waited = chat.turn(1);
  await waited.completes();
  await expect(waited.texts).toHaveText("what waited");
  expect(product.agentPid).not.toBe(agent);

  const before = await chat.turns.count();
  await turn.root.getByTestId("continue-turn").click();
  await expect(chat.turns).toHaveCount(before + 1);
  await chat.turn(before).completes();

  const recalled = await chat.asked("recall");
  await expect(recalled.texts).toContainText("count 400 60");
  await expect(recalled.texts).toContainText("say what waited");
  await picture(page, "after-the-crash");

  await page.reload();
  await turn.isIn("interrupted");
  expect(await turn.text()).toBe(kept);
  await page.context().close();
});

test("everything is killed and started again", async ({ startProduct, browser, picture }) => {
  const product = await startProduct();
  const { page, chat } = await open(browser, product);
  await chat.asked("say before the crash");
  const turn = await chat.send("count 400 60");
  await turn.reaches(25);
  await chat.queue("say what waited");
  const shown = await turn.text();

  await product.killAll();
  await expect.poll(() => product.home.living, { message: "nothing outlives a killed product" }).toEqual([]);
  await expect(page.getByTestId("connection-banner")).toContainText("Reconnecting");
  await picture(page, "page-cut-off");

  await product.startAgain();
  await expect(page.getByTestId("connection-banner"), "the open page finds it again").toHaveCount(0);
  await expect(page.getByTestId("sidebar-worker")).toHaveCount(1);
  const first = chat.turn(0);
  await expect(first.texts).toHaveText("before the crash");
  const broken = chat.turn(1);
  await broken.isIn("interrupted");
  const kept = await broken.text();
  expect(kept.startsWith(shown), `what was streamed is kept: ${kept}`).toBe(true);
  expect(counted(400).startsWith(kept)).toBe(true);
  await chat.turn(2).completes();
  await expect(chat.turn(2).texts).toHaveText("what waited");
  const recalled = await chat.asked("recall");
  await expect(recalled.texts).toContainText("say before the crash");
  await expect(recalled.texts).toContainText("count 400 60");
  await page.context().close();
});
