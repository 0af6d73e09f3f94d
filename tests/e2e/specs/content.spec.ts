import type { Page } from "@playwright/test";

import { expect, test } from "../support/test.ts";

/** The page is not wider than the window: nothing of an answer breaks out. */
async function fits(page: Page): Promise<void> {
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true);
}

test("Markdown takes shape while it streams", async ({ page, chat, picture }) => {
  const turn = await chat.send("long");
  const answer = turn.texts.last();
  await expect(answer.getByRole("table")).toBeVisible();
  await turn.isIn("streaming");
  await picture(page, "markdown-streaming");
  await turn.completes();
  await expect(answer.getByRole("heading", { level: 1 })).toHaveText("A long answer");
  await expect(answer.getByRole("heading", { level: 2 }).filter({ hasText: "Paragraph" })).toHaveCount(12);
  await expect(answer.locator("ol > li")).toHaveCount(3);
  await expect(answer.locator("ol > li ul > li")).toHaveCount(2);
  await expect(answer.getByRole("row")).toHaveCount(4);
  await expect(answer.getByRole("cell", { name: "95" })).toBeVisible();
  const code = answer.getByTestId("code-block");
  await expect(code.locator("figcaption")).toContainText("rust");
  await expect(code.locator("code")).toContainText('println!("Hello, {planet}!");');
  await expect(code.locator("code span[class*=hljs]").first(), "coloured").toBeVisible();
  await expect(answer.locator("blockquote")).toHaveText("That was all.");
  await expect(answer.locator("strong").first()).toHaveText("headings");
  await fits(page);
  const scroll = page.getByTestId("transcript-scroll");
  await expect.poll(() => scroll.evaluate((element) => element.scrollHeight - element.clientHeight - element.scrollTop), { message: "the end is in view" }).toBeLessThan(2);
  await scroll.evaluate((element) => element.scrollTo(0, 0));
  await expect(page.getByTestId("jump-to-latest")).toBeVisible();
  await picture(page, "markdown");
  await page.emulateMedia({ colorScheme: "dark" });
  await picture(page, "markdown-dark");
  await page.setViewportSize({ width: 390, height: 844 });
  await fits(page);
  await picture(page, "markdown-phone");
});

test("reasoning folds away once the answer begins", async ({ page, chat, picture }) => {
  const turn = await chat.send("think about tea");
  const reasoning = turn.root.getByTestId("reasoning");
  await expect(reasoning).toHaveAttribute("data-state", "live");
  await expect(reasoning).toHaveAttribute("data-open", "true");
  await expect(reasoning).toContainText("The person wants me to think about tea");
  await turn.completes();
  await expect(reasoning).toHaveAttribute("data-open", "false");
  await expect(turn.texts).toHaveText("I have thought about tea. My conclusion: it depends.");
  await reasoning.getByRole("button").click();
  await expect(reasoning).toContainText("Let me write it down.");
  await picture(page, "reasoning");
});

test("nothing that a model writes acts on the page", async ({ page, chat, picture }) => {
  const asked: string[] = [];
  page.on("dialog", (dialog) => void dialog.dismiss());
  page.on("dialog", () => asked.push("a dialog"));
  page.on("request", (request) => {
    if (new URL(request.url()).host !== new URL(page.url()).host) asked.push(request.url());
  });
  const turn = await chat.asked("hostile");
  const answer = turn.texts.last();
  await expect(answer).toContainText("<script>document.title = 'pwned'</script>");
  await expect(answer).toContainText("The end.");
  await expect(page).not.toHaveTitle(/pwned/);
  await expect(answer.locator("script, iframe, img, object, embed, svg[onload], [onerror], [onload]")).toHaveCount(0);
  for (const link of await answer.locator("a").all()) expect(await link.getAttribute("href")).toMatch(/^(https?|mailto):/);
  await expect(answer.getByText("a script link")).toBeVisible();
  await expect(answer.getByRole("link", { name: "a script link" })).toHaveCount(0);
  const text = (await answer.textContent()) ?? "";
  expect(text).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u202a-\u202e]/);
  await fits(page);
  await picture(page, "hostile");
  await page.getByTestId("transcript-scroll").evaluate((element) => element.scrollTo(0, 0));
  await picture(page, "hostile-top");
  await answer.getByText("a script link").click();
  await answer.getByText("a data link").click();
  await expect(page).not.toHaveTitle(/pwned/);
  expect(asked, "nothing is asked for elsewhere").toEqual([]);
});

test("an answer that breaks off is told again, once", async ({ chat }) => {
  const turn = await chat.asked("cut");
  await expect(turn.texts).toHaveText(["The first try was cut off; this is the second one, and it is whole."]);
});

test("a failure says why, and can be sent again", async ({ page, chat, picture }) => {
  const turn = await chat.send("fail 400");
  await turn.isIn("failed");
  await expect(turn.root.getByTestId("turn-reason")).toContainText("The script says to fail with 400");
  await picture(page, "turn-failed");
  await turn.root.getByTestId("send-as-new").click();
  await chat.turn(1).isIn("failed");
  await chat.asked("say it still works");
});

test("a sub-agent's work is one card", async ({ chat }) => {
  const turn = await chat.asked("task say hello from below");
  await expect(turn.tools).toHaveCount(1);
  await expect(turn.tools).toHaveAttribute("data-state", "completed");
  await expect(turn.texts.last()).toContainText("hello from below");
});
