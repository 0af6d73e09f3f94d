import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import type { Page } from "@playwright/test";

import { Chat, counted } from "../support/chat.ts";
import { Joined } from "../support/machine.ts";
import { startRemote } from "../support/remote.ts";
import { bare as test, expect, signedIn } from "../support/test.ts";

const PHONE = { width: 390, height: 844 };

/** A figure of the tab "Health", as a number. */
async function figure(page: Page, name: string): Promise<number> {
  const text = await page.getByTestId(`health-${name}`).locator("dd > span").first().innerText();
  expect(text, `${name} is a number`).toMatch(/^\d+$/);
  return Number(text);
}

/** Whether what opencode keeps of a chat session has these words. */
function opencodeKnows(home: string, chat: Chat, words: string): boolean {
  return readdirSync(home, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.startsWith(`${chat.id}.db`))
    .some((entry) => readFileSync(join(entry.parentPath, entry.name)).includes(words));
}

test("a machine's health: its lease, epoch, queues and errors; a lost backend and a new process count", async ({ backend, newHome, browser, picture }) => {
  const remote = await startRemote(backend, newHome);
  const context = await browser.newContext({ baseURL: new URL(remote.link).origin });
  const page = await context.newPage();
  await page.goto(remote.link);
  await expect(page.getByTestId("add-machine")).toBeVisible();
  const machine = await Joined.start(page, newHome(), "far-away", { withModel: true });
  const chat = await machine.startChat("app");
  const turn = await chat.send("slow 200");
  await turn.isIn("streaming");
  await chat.queue("say what waited");

  await page.goto(machine.url);
  await page.getByTestId("tab-health").click();
  const health = page.getByTestId("health");
  await expect(health).toHaveAttribute("data-presence", "online");
  await expect(page.getByTestId("health-lease")).toContainText(/until .*\d\d:\d\d:\d\d/);
  await expect(page.getByTestId("health-turns")).toContainText("Messages2");
  await expect(page.getByTestId("health-asks")).toContainText("Asks0");
  // It tells how it is with each sign of life.
  await expect(page.getByTestId("health-processes")).toContainText(/1 of \d+/);
  await expect(page.getByTestId("health-memory")).toContainText(/ [KMG]iB of /);
  await expect(page.getByTestId("health-spooled")).toContainText(/B/);
  await expect(page.getByTestId("health-errors")).toContainText("Nothing since its process started");
  const epoch = await figure(page, "epoch");
  expect(await figure(page, "reconnects")).toBe(0);
  await figure(page, "calls");
  await picture(page, "health");
  await page.setViewportSize(PHONE);
  await picture(page, "health-phone");
  await page.setViewportSize({ width: 1280, height: 800 });

  if (backend === "hub") {
    // Convex's own client gets over a short break by itself, and the machine need not hear of it.
    await remote.die();
    await machine.process.says("stderr", /lost: .* trying again/);
    await remote.comeBack();
    await machine.process.says("stderr", /Reconnected to /);
    await expect.poll(() => figure(page, "reconnects"), { message: "it counts that it lost the backend" }).toBe(1);
    expect(await figure(page, "epoch"), "the process has held on to its connection's epoch").toBe(epoch);
    await expect(page.getByTestId("health-errors").getByRole("listitem").first(), "it says what it lost").toBeVisible();
    await picture(page, "health-after-the-hub");
  }

  const before = await figure(page, "epoch");
  await machine.process.kill();
  machine.startProcess();
  await expect.poll(() => figure(page, "epoch"), { message: "each connection has a higher epoch" }).toBeGreaterThan(before);
  await expect(health).toHaveAttribute("data-presence", "online");
  await expect.poll(() => figure(page, "reconnects"), { message: "counted since its process started" }).toBe(0);
  await context.close();
});

test("an agent is killed in mid-answer and started again: soon the page tells what became of the turn", async ({ startProduct, newHome, browser }, info) => {
  const product = await startProduct();
  const context = await signedIn(browser, product.link);
  const page = await context.newPage();
  const machine = await Joined.start(page, newHome(), "second-box", { withModel: true });
  const chat = await machine.startChat("app");
  const turn = await chat.send("count 400 60");
  await turn.reaches(30);
  const shown = await turn.text();

  await machine.process.kill();
  machine.startProcess();
  await machine.process.says("stderr", /onnected to /);
  const connectedAt = Date.now();
  await turn.isIn("interrupted");
  await expect(page.getByTestId("chat-state")).toHaveAttribute("data-state", /^(ready|hibernated)$/);
  // Told and not asserted: most of it is opencode's start, which takes as long as the computer is slow.
  info.annotations.push({ type: "told after", description: `${Date.now() - connectedAt} ms` });
  const kept = await turn.text();
  expect(kept.startsWith(shown), `what was streamed is kept: ${kept}`).toBe(true);
  expect(counted(400).startsWith(kept)).toBe(true);
  await expect(turn.root.getByTestId("turn-reason")).toContainText("Interrupted: The agent was restarted while this turn ran.");
  await expect(page.getByTestId("sidebar-chat")).toHaveCount(1);

  await turn.root.getByTestId("continue-turn").click();
  await chat.turn(1).completes();
  await context.close();
});

test("opencode is killed in mid-answer: its turn says so, and the chat goes on from its own storage", async ({ startProduct, browser, picture }) => {
  const product = await startProduct();
  const context = await signedIn(browser, product.link);
  const page = await context.newPage();
  const chat = await Chat.start(page);
  await chat.asked("say before it was killed");
  const turn = await chat.send("count 400 60");
  await turn.reaches(30);
  await chat.queue("say what waited");
  const shown = await turn.text();
  const opencodes = product.opencodes;
  expect(opencodes.length).toBeGreaterThan(0);
  for (const pid of opencodes) process.kill(pid, "SIGKILL");

  await turn.isIn("interrupted");
  const kept = await turn.text();
  expect(kept.startsWith(shown), `what was streamed is kept: ${kept}`).toBe(true);
  expect(counted(400).startsWith(kept)).toBe(true);
  await expect(turn.root.getByTestId("turn-reason")).toContainText("Interrupted: ");
  await expect(turn.root.getByTestId("continue-turn")).toBeVisible();
  await chat.turn(2).completes();
  await expect(chat.turn(2).texts).toHaveText("what waited");
  await picture(page, "opencode-killed");
  const recalled = await chat.asked("recall");
  await expect(recalled.texts).toContainText("say before it was killed");
  await expect(page.getByRole("main").getByTestId("presence-dot").first()).toHaveAttribute("data-presence", "online");
  await context.close();
});

test("a machine is lost: its turn is settled, and the chat goes on elsewhere with what was said", async ({ startProduct, newHome, browser, picture }) => {
  const product = await startProduct();
  const context = await signedIn(browser, product.link);
  const page = await context.newPage();
  const machine = await Joined.start(page, newHome(), "old-box", { withModel: true });
  const chat = await machine.startChat("playground");
  const oldUrl = page.url();
  await chat.asked("count 12");
  const turn = await chat.send("count 400 60");
  await turn.reaches(30);
  await chat.queue("say what waited");

  await machine.process.kill();
  await expect(page.getByTestId("chat-away")).toContainText("old-box is unknown since", { timeout: product.lossShownMs });
  await expect(turn.status).toContainText("Was working when its machine was last seen");
  const shown = await turn.text();
  await picture(page, "chat-away");
  await turn.root.getByTestId("cancel-turn").click();
  await turn.isIn("cancelled");
  await expect(turn.root.getByTestId("turn-reason")).toContainText("Stopped while the machine was away");
  expect(await turn.text()).toBe(shown);

  await page.reload();
  await turn.isIn("cancelled");
  await expect.poll(() => turn.text(), { message: "what was streamed is there after a reload" }).toBe(shown);
  await picture(page, "chat-away-stopped");

  await page.getByTestId("away-continue").click();
  const dialog = page.getByTestId("continue-dialog");
  await expect(dialog.getByTestId("handed-over")).toContainText("in playground on old-box");
  await expect(dialog.getByTestId("continue-machine")).toHaveCount(2);
  const chosen = dialog.locator("label", { has: page.locator("[data-testid=continue-target]:checked") });
  await expect(chosen, "the folder of the same name on the machine that is there").toContainText("same name");
  await picture(page, "continue-elsewhere");
  await page.setViewportSize(PHONE);
  await picture(page, "continue-elsewhere-phone");
  await page.setViewportSize({ width: 1280, height: 800 });
  await dialog.getByTestId("continue-submit").click();
  await page.waitForURL((url) => url.href !== oldUrl);

  const mark = page.getByTestId("continues");
  await expect(mark).toContainText("on old-box");
  await expect(page.getByTestId("empty-chat")).toContainText("The conversation so far goes to opencode with your first message here");
  await picture(page, "continued-empty");
  const next = new Chat(page);
  const first = await next.asked("Please go on.");
  // The scripted model quotes how the message that it was given begins.
  await expect(first.texts).toContainText("What follows up to the line was said in an earlier conversation");
  await expect(first.texts).toContainText(/Person\s+count 12/);
  await expect(first.root.getByTestId("person-message")).toHaveText("Please go on.");
  expect(opencodeKnows(product.home.path, next, counted(12)), "the earlier answer was handed over").toBe(true);
  await picture(page, "continued-elsewhere");

  await mark.getByRole("link").click();
  await page.waitForURL((url) => url.href === oldUrl);
  const back = page.getByTestId("continued-by");
  await expect(back.getByRole("link")).toBeVisible();
  await page.setViewportSize(PHONE);
  await picture(page, "continued-by-phone");
  await page.setViewportSize({ width: 1280, height: 800 });

  // It was not lost for good: what waited there goes on, and the stopped turn stays as it was.
  machine.startProcess();
  await chat.turn(2).completes();
  await expect(chat.turn(2).texts).toHaveText("what waited");
  await turn.isIn("cancelled");
  expect(await turn.text()).toContain(shown);
  await context.close();
});
