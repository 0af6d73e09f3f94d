import { Chat, counted, watchGrowth } from "../support/chat.ts";
import { expect, test } from "../support/test.ts";

test("an answer streams in, each word once, and stands verified at the end", async ({ page, chat, product, picture }) => {
  const samples = await watchGrowth(page, 0);
  const turn = await chat.send("count 200");
  await expect(page.getByTestId("chat-state")).toHaveAttribute("data-state", "busy");
  await turn.isIn("streaming");
  await turn.reaches(50);
  await picture(page, "chat-streaming");
  await turn.completes();
  expect(await turn.text()).toBe(counted(200));
  const seen = (await samples()).filter((text) => text !== "");
  expect(seen.length, "it was seen to grow").toBeGreaterThan(product.growthSeen);
  for (const text of seen) expect(counted(200).startsWith(text), `a beginning of the answer: ${text}`).toBe(true);
  await expect(page.getByTestId("chat-state")).toHaveAttribute("data-state", "ready");
  await expect(page.getByTestId("chat-title")).toHaveText("count 200");
  await picture(page, "chat-complete");
});

test("a reload in the middle loses and doubles nothing", async ({ page, chat }) => {
  await chat.send("count 200 60");
  for (const number of [20, 70, 120]) {
    const turn = chat.turn(0);
    await turn.reaches(number);
    await page.reload();
    await expect(turn.texts.last()).toContainText("1 2 3");
    expect(counted(200).startsWith(await turn.text())).toBe(true);
  }
  const turn = chat.turn(0);
  await turn.completes();
  expect(await turn.text()).toBe(counted(200));
  await page.reload();
  await turn.completes();
  expect(await turn.text()).toBe(counted(200));
});

test("a second browser sees the same, from the middle on", async ({ page, chat, another }) => {
  const turn = await chat.send("count 200");
  await turn.reaches(40);
  const second = await another();
  await second.goto(page.url());
  const mirrored = new Chat(second).turn(0);
  await mirrored.reaches(60);
  expect(counted(200).startsWith(await mirrored.text())).toBe(true);
  await turn.completes();
  await mirrored.completes();
  expect(await mirrored.text()).toBe(counted(200));
  expect(await turn.text()).toBe(counted(200));

  await new Chat(second).asked("say from the second browser");
  await expect(chat.turn(1).texts).toHaveText("from the second browser");
});

test("three sessions of one worker work at the same time", async ({ page, product, picture }) => {
  const ids: string[] = [];
  for (let index = 0; index < 3; index += 1) {
    const chat = await Chat.start(page);
    ids.push(chat.id);
    // None of these ends by itself, so that all three must be under way at once.
    const turn = await chat.send("slow 100");
    await turn.reaches("sheep");
  }
  // One real opencode each; one more may be kept warm for the next session.
  const opencodes = product.opencodes;
  expect(opencodes.length).toBeGreaterThanOrEqual(3);
  await expect(page.getByTestId("sidebar-chat").locator('[data-state="busy"]')).toHaveCount(3);
  await picture(page, "three-sessions");

  const chat = new Chat(page);
  const open = async (id: string) => {
    await page.locator(`[data-testid="sidebar-chat"][data-chat-id="${id}"]`).click();
    await expect(page).toHaveURL(new RegExp(id));
    await expect(chat.turns.first()).toBeVisible();
  };
  for (const id of ids) {
    await open(id);
    await chat.turn(0).isIn("streaming");
  }
  for (const id of ids) {
    await open(id);
    await page.getByTestId("stop-turn").click();
    await chat.turn(0).isIn("cancelled");
    await chat.send("count 100");
  }
  for (const id of ids) {
    await open(id);
    await chat.turn(1).completes();
    expect(await chat.turn(1).text()).toBe(counted(100));
    await chat.end();
  }
  await expect.poll(() => product.opencodes.filter((pid) => opencodes.includes(pid)).length, { message: "an ended session's opencode ends" }).toBeLessThanOrEqual(opencodes.length - 3);
  await picture(page, "chat-ended");
});

test("a running turn stops, and the next one works", async ({ page, chat, picture }) => {
  const turn = await chat.send("slow 100");
  await turn.reaches("sheep");
  await page.getByTestId("stop-turn").click();
  await turn.isIn("cancelled");
  await expect(turn.status).toContainText("Stopped");
  expect(await turn.text(), "what was said stays").toContain("still here, still counting sheep,");
  await picture(page, "chat-stopped");
  const next = await chat.asked("say all is well");
  await expect(next.texts).toHaveText("all is well");
});

test("messages queue while it works, keep their order, and can be cancelled", async ({ page, chat, picture }) => {
  const running = await chat.send("count 120 60");
  await running.reaches(3);
  await chat.queue("say first in the queue");
  const second = await chat.queue("say never said");
  await chat.queue("say last in the queue");
  await expect(page.getByTestId("queued-turn")).toHaveText([/first in the queue/, /never said/, /last in the queue/]);
  await picture(page, "chat-queue");
  await second.getByTestId("cancel-turn").click();
  await expect(page.getByTestId("queued-turn")).toHaveText([/first in the queue/, /last in the queue/]);
  await running.completes();
  expect(await running.text()).toBe(counted(120));
  await expect(page.getByTestId("person-message")).toHaveText(["count 120 60", "say first in the queue", "say never said", "say last in the queue"]);
  const [first, cancelled, last] = [chat.turn(1), chat.turn(2), chat.turn(3)];
  await last.completes();
  await first.completes();
  await cancelled.isIn("cancelled");
  await expect(first.texts).toHaveText("first in the queue");
  await expect(last.texts).toHaveText("last in the queue");
  await expect(page.getByTestId("queue")).toBeHidden();
});

test("an ended session keeps its transcript and takes nothing more", async ({ page, chat, product }) => {
  await chat.asked("say goodbye");
  const opencodes = product.opencodes;
  await chat.end();
  await expect.poll(() => product.opencodes.filter((pid) => opencodes.includes(pid)).length).toBeLessThan(opencodes.length);
  await expect(page.getByTestId("composer")).toBeHidden();
  await page.reload();
  await expect(chat.turn(0).texts).toHaveText("goodbye");
  await expect(page.getByTestId("chat-ended")).toBeVisible();
});

test("a worker is added for a directory, and its chats work there", async ({ page, product, picture }) => {
  product.home.directory(".local/share/opencode-orchestrator-demo/projects/repos/api");
  await page.goto("/");
  await page.getByTestId("machine-row").first().click();
  await page.getByTestId("add-worker").click();
  await page.getByTestId("worker-directory").fill("../outside");
  await expect(page.getByTestId("worker-create")).toBeDisabled();
  await page.getByTestId("worker-directory").fill("repos/api");
  await picture(page, "add-worker");
  await page.getByTestId("worker-create").click();
  const card = page.getByTestId("worker-card").filter({ hasText: "repos/api" });
  await expect(card.getByTestId("worker-state")).toHaveAttribute("data-state", "ready");
  await card.getByTestId("start-chat").click();
  const chat = new Chat(page);
  const turn = await chat.send("run pwd");
  await page.getByTestId("ask-allow-once").click();
  await turn.completes();
  await expect(turn.texts.last()).toContainText(/projects\/repos\/api/);
  await chat.end();

  await page.getByTestId("sidebar-machine").getByRole("link").first().click();
  await page.getByTestId("add-worker").click();
  await page.getByTestId("worker-directory").fill("no/such/place");
  await page.getByTestId("worker-create").click();
  const missing = page.getByTestId("worker-card").filter({ hasText: "no/such/place" });
  await expect(missing.getByTestId("worker-state")).toHaveAttribute("data-state", "unavailable");
  await expect(missing.getByTestId("worker-reason")).not.toBeEmpty();
  await picture(page, "machine-page");
  for (const gone of [missing, card]) {
    await gone.getByTestId("worker-menu").click();
    await page.getByTestId("worker-remove").click();
    await page.getByTestId("confirm").click();
    await expect(gone).toHaveCount(0);
  }
});
