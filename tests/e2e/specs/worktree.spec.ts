import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Page } from "@playwright/test";

import { Chat } from "../support/chat.ts";
import { expect, test } from "../support/test.ts";

/** Makes a repository with one commit. */
function repository(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const git = (...args: string[]) => execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@t.test", ...args], { cwd: directory, stdio: "pipe" });
  git("init", "--quiet", "--initial-branch=main");
  writeFileSync(join(directory, "README.md"), "# A project\n");
  git("add", ".");
  git("commit", "--quiet", "--message", "Begin");
}

/** Starts a chat session with a worktree of its own; gives where that is. */
async function startWithWorktree(page: Page, machineUrl: string): Promise<{ chat: Chat; directory: string }> {
  await page.goto(machineUrl);
  const card = page.getByTestId("worker-card").filter({ hasText: "project" });
  await card.getByTestId("start-chat-options").click();
  await page.getByTestId("own-worktree").check();
  await page.getByTestId("start-chat-submit").click();
  await page.waitForURL(/\/chat\?id=/);
  await expect(page.getByTestId("worktree")).toHaveAttribute("data-state", "present");
  const link = (await page.getByTestId("worktree").getAttribute("href")) ?? "";
  return { chat: new Chat(page), directory: new URL(link, page.url()).searchParams.get("dir") ?? "" };
}

test("a chat works in its own worktree, which goes with it unless work would be lost", async ({ page, picture }) => {
  await page.goto("/");
  await page.getByTestId("machine-row").first().click();
  await expect(page.getByTestId("machine-title")).toBeVisible();
  const machineUrl = page.url();
  const root = (await page.getByTestId("machine-facts").locator("dt", { hasText: "Root" }).locator("xpath=following-sibling::dd").getAttribute("title")) ?? "";
  repository(join(root, "project"));

  await page.getByTestId("tab-files").click();
  const row = page.locator('[data-testid="tree-row"][data-path="project"]');
  await expect(row.getByTestId("git-state")).toHaveAttribute("data-state", "clean");
  await row.click({ button: "right" });
  await page.getByTestId("row-add-worker").click();
  await page.getByTestId("worker-create").click();
  await expect(row.getByTestId("row-worker")).toBeVisible();

  const first = await startWithWorktree(page, machineUrl);
  await first.chat.asked("Hello");
  expect(existsSync(join(root, first.directory, "README.md")), "a checkout of its own").toBe(true);
  await picture(page, "chat-worktree");
  await first.chat.end();
  await expect(page.getByTestId("worktree"), "nothing was in it that is nowhere else").toHaveCount(0);
  await expect.poll(() => existsSync(join(root, first.directory))).toBe(false);

  const second = await startWithWorktree(page, machineUrl);
  await second.chat.asked("Hello");
  writeFileSync(join(root, second.directory, "unsaved.txt"), "a day of work\n");
  await second.chat.end();
  await expect(page.getByTestId("worktree")).toHaveAttribute("data-state", "kept");
  expect(existsSync(join(root, second.directory, "unsaved.txt"))).toBe(true);
  await page.getByTestId("worktree-remove").click();
  await picture(page, "worktree-kept");
  await page.getByTestId("confirm").click();
  await expect(page.getByTestId("worktree")).toHaveCount(0);
  await expect.poll(() => existsSync(join(root, second.directory))).toBe(false);

  await page.goto(machineUrl);
  const card = page.getByTestId("worker-card").filter({ hasText: "project" });
  await card.getByTestId("worker-menu").click();
  await page.getByTestId("worker-remove").click();
  await page.getByTestId("confirm").click();
  await expect(card).toHaveCount(0);
});
