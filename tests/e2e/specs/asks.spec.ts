import { Chat } from "../support/chat.ts";
import { expect, test } from "../support/test.ts";

test("a permission is asked for, allowed once, and the tool's card tells the rest", async ({ page, chat, picture }) => {
  const turn = await chat.send("run echo from the tool");
  const ask = chat.asks;
  await expect(ask).toHaveAttribute("data-kind", "permission");
  await expect(ask.getByTestId("ask-title")).toHaveText("Run this command?");
  await expect(ask.getByTestId("ask-patterns")).toContainText("echo from the tool");
  await expect(turn.status).toContainText("Waiting for your answer");
  await expect(page.getByTestId("sidebar").getByTestId("ask-badge")).toHaveText("1");
  await expect(page.getByTestId("status-line")).toContainText("waits for your answer");
  await picture(page, "ask-permission");

  await page.reload();
  await ask.getByTestId("ask-allow-once").click();
  await expect(ask).toHaveCount(0);
  await turn.completes();
  await expect(turn.tools).toHaveAttribute("data-state", "completed");
  await expect(turn.tools.getByTestId("tool-name")).toHaveText("bash");
  await turn.tools.getByRole("button").first().click();
  await expect(turn.tools.getByTestId("tool-input").first()).toContainText("echo from the tool");
  await expect(turn.tools.getByTestId("tool-output")).toHaveText("from the tool");
  await expect(turn.texts.last()).toContainText("The command said:");
  await picture(page, "tool-card");

  const again = await chat.send("run echo once is once");
  await expect(ask, "once is once").toHaveCount(1);
  await ask.getByTestId("ask-allow-always").click();
  await again.completes();
  const always = await chat.asked("run echo not asked any more");
  await always.tools.getByRole("button").first().click();
  await expect(always.tools.getByTestId("tool-output")).toHaveText("not asked any more");
});

test("a permission is denied: with a reason it goes on, without one the turn ends", async ({ page, chat, product, picture }) => {
  const told = await chat.send("write denied.txt never written");
  await expect(chat.asks.getByTestId("ask-title")).toHaveText("Change this file?");
  await expect(chat.asks).toContainText("denied.txt");
  await picture(page, "ask-edit");
  await chat.asks.getByTestId("ask-deny").click();
  await page.getByTestId("ask-deny-reason").fill("Leave that file alone, please");
  await page.getByTestId("ask-deny-confirm").click();
  await told.completes();
  await expect(told.tools).toHaveAttribute("data-state", "failed");
  await expect(told.texts.last(), "the model was told why").toContainText("Leave that file alone, please");
  await picture(page, "ask-denied");

  const ended = await chat.send("run echo never run");
  await chat.asks.getByTestId("ask-deny").click();
  await page.getByTestId("ask-deny-confirm").click();
  await expect(ended.status).toHaveAttribute("data-state", /completed|cancelled|interrupted|failed/);
  await expect(ended.root).not.toContainText("The command said");
  await expect(chat.asks).toHaveCount(0);
  expect(product.home.living.filter(({ command }) => command.includes("never run"))).toEqual([]);
  await chat.asked("say we go on");
});

test("questions are answered, from another browser too", async ({ page, chat, another, picture }) => {
  const turn = await chat.send("ask");
  await expect(chat.asks).toHaveAttribute("data-kind", "question");
  const questions = chat.asks.getByTestId("ask-question");
  await expect(questions).toHaveCount(2);
  await expect(chat.asks.getByTestId("ask-answer")).toBeDisabled();
  await questions.nth(0).getByText("Red", { exact: true }).click();
  await questions.nth(1).getByText("Stars", { exact: true }).click();
  await questions.nth(1).getByText("Stripes", { exact: true }).click();
  await picture(page, "ask-question");
  await chat.asks.getByTestId("ask-answer").click();
  await turn.completes();
  await expect(turn.texts.last()).toContainText(/Red/);
  await expect(turn.texts.last()).toContainText(/Stars.*Stripes/);

  await chat.send("ask");
  await expect(chat.asks).toHaveCount(1);
  const second = await another();
  await second.goto("/");
  await second.getByTestId("waiting-chats").getByTestId("chat-row").click();
  const there = new Chat(second);
  await there.asks.getByTestId("ask-question").nth(0).getByTestId("ask-custom").fill("Ultraviolet");
  await there.asks.getByTestId("ask-question").nth(1).getByText("Stripes", { exact: true }).click();
  await there.asks.getByTestId("ask-answer").click();
  await expect(chat.asks, "gone here too").toHaveCount(0);
  await chat.turn(1).completes();
  await expect(chat.turn(1).texts.last()).toContainText("Ultraviolet");
});

test("an ask that nobody needs any more goes away with its turn", async ({ page, chat }) => {
  const turn = await chat.send("run echo stopped before");
  await expect(chat.asks).toHaveCount(1);
  await page.getByTestId("stop-turn").click();
  await turn.isIn("cancelled");
  await expect(chat.asks).toHaveCount(0);
  await expect(page.getByTestId("ask-badge")).toHaveCount(0);
});
