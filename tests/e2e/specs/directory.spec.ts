import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Locator, Page } from "@playwright/test";

import { GitServer } from "../support/git-server.ts";
import { Joined } from "../support/machine.ts";
import { expect, test as base } from "../support/test.ts";

const MANY = 1_200;

const test = base.extend<{ machine: Joined; git: GitServer }>({
  machine: async ({ page, newHome }, use, info) => {
    const home = newHome();
    fill(home.directory("projects"));
    const machine = await Joined.start(page, home, `box-${info.line}`);
    await page.getByTestId("tab-files").click();
    await use(machine);
    await machine.revoke();
  },
  git: async ({ machine }, use) => {
    const server = await GitServer.start(join(machine.home.path, "git"));
    await use(server);
    await server.stop();
  },
});

function fill(root: string): void {
  for (const path of ["repos/docs", "empty", ".config", "many"]) mkdirSync(join(root, path), { recursive: true });
  writeFileSync(join(root, ".profile"), "export A=1\n");
  writeFileSync(join(root, "notes.txt"), "Ask Anna about the runner.\n");
  writeFileSync(join(root, "page.html"), "<h1>Hello</h1><script>document.title = 'owned'</script>\n");
  writeFileSync(join(root, "logo.png"), Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0, 1]));
  writeFileSync(join(root, "repos/docs/index.md"), "# Docs\n");
  symlinkSync("/etc", join(root, "outside"));
  for (let index = 0; index < MANY; index += 1) writeFileSync(join(root, "many", `f${String(index).padStart(5, "0")}`), "");
}

const row = (page: Page, path: string): Locator => page.locator(`[data-testid="tree-row"][data-path="${path}"]`);

test("a person browses: folders on demand, hidden ones on request, a filter, pages, the address", async ({ page, machine, picture }) => {
  await expect(row(page, "repos")).toBeVisible();
  await expect(row(page, ".config")).toHaveCount(0);
  await page.getByTestId("toggle-hidden").click();
  await expect(row(page, ".config")).toBeVisible();
  await page.getByTestId("toggle-hidden").click();
  await expect(row(page, ".config")).toHaveCount(0);

  await row(page, "repos").click();
  await row(page, "repos/docs").click();
  await expect(row(page, "repos/docs/index.md")).toBeVisible();
  await picture(page, "directory-tree");

  await row(page, "outside").hover();
  await expect(row(page, "outside"), "a link is not followed").toHaveAttribute("data-kind", "link");

  await row(page, "many").getByRole("link").click();
  await expect(page.getByTestId("browser-count")).toHaveText("500 of 1,200 entries shown");
  await page.getByTestId("tree").focus();
  for (const shown of ["1,000 of 1,200 entries shown", "1,200 entries"]) {
    await page.keyboard.press("End");
    await expect(page.getByTestId("browser-count")).toHaveText(shown);
  }
  expect(await page.getByTestId("tree-row").count(), "only what is seen is drawn").toBeLessThan(100);
  await page.getByTestId("filter").fill("0119");
  await expect(page.getByTestId("browser-count")).toHaveText("11 matches");
  await expect(row(page, "many/f01199")).toBeVisible();

  await page.goto(`${machine.url}&tab=files&dir=repos`);
  await expect(row(page, "repos/docs")).toBeVisible();
  await page.getByTestId("breadcrumb").getByRole("link").first().click();
  await expect(row(page, "notes.txt")).toBeVisible();
  await page.goBack();
  await expect(row(page, "repos/docs")).toBeVisible();

  await page.goto(`${machine.url}&tab=files&dir=nowhere`);
  await expect(page.getByTestId("tree-failed")).toBeVisible();
  mkdirSync(join(machine.root, "nowhere"));
  await page.getByTestId("retry-listing").click();
  await expect(page.getByTestId("tree-empty")).toBeVisible();
});

test("the keyboard alone browses, renames, trashes and puts back", async ({ page, machine }) => {
  await expect(row(page, "repos")).toBeVisible();
  const tree = page.getByTestId("tree");
  const active = async () => {
    const id = await tree.getAttribute("aria-activedescendant");
    return page.evaluate((id) => document.getElementById(id ?? "")?.dataset["path"], id);
  };
  await page.getByTestId("filter").focus();
  await page.keyboard.press("ArrowDown");
  await expect(tree).toBeFocused();
  await page.keyboard.type("rep");
  expect(await active()).toBe("repos");
  await page.keyboard.press("ArrowRight");
  await expect(row(page, "repos/docs")).toBeVisible();
  await page.keyboard.press("ArrowRight");
  expect(await active()).toBe("repos/docs");
  await page.keyboard.press("F2");
  await page.getByTestId("entry-name").fill("manual");
  await page.keyboard.press("Enter");
  await expect(row(page, "repos/manual")).toBeVisible();
  expect(existsSync(join(machine.root, "repos/manual/index.md"))).toBe(true);
  await expect(tree, "the focus comes back").toBeFocused();

  await page.keyboard.press("End");
  await page.keyboard.type("notes");
  await page.keyboard.press("Delete");
  await expect(row(page, "notes.txt")).toHaveCount(0);
  expect(existsSync(join(machine.root, "notes.txt"))).toBe(false);
  await page.getByRole("button", { name: "Undo" }).press("Enter");
  await expect(row(page, "notes.txt")).toBeVisible();
  expect(readFileSync(join(machine.root, "notes.txt"), "utf8")).toContain("Anna");

  await tree.focus();
  await page.keyboard.press("Home");
  await page.keyboard.type("notes");
  await page.keyboard.press("Shift+F10");
  await page.getByTestId("row-view").press("Enter");
  await expect(page.getByTestId("file-text")).toContainText("Ask Anna");
});

test("new folders, refusals, and files as the text they are", async ({ page, machine, picture }) => {
  await page.getByTestId("browser-new-folder").click();
  await page.getByTestId("entry-name").fill("new one");
  await page.getByTestId("entry-submit").click();
  await expect(row(page, "new one")).toBeVisible();
  expect(existsSync(join(machine.root, "new one"))).toBe(true);

  await page.getByTestId("browser-new-folder").click();
  await page.getByTestId("entry-name").fill("../up");
  await expect(page.getByTestId("entry-submit")).toBeDisabled();
  await page.keyboard.press("Escape");

  await row(page, "new one").click();
  await page.keyboard.press("F2");
  await page.getByTestId("entry-name").fill("notes.txt");
  await page.getByTestId("entry-submit").click();
  await expect(page.getByTestId("rename-entry-dialog").getByTestId("error")).toBeVisible();
  await page.keyboard.press("Escape");

  await row(page, "page.html").getByRole("button", { name: "page.html", exact: true }).click();
  await expect(page.getByTestId("file-text")).toContainText("<script>document.title = 'owned'</script>");
  await expect(page).not.toHaveTitle(/owned/);
  await picture(page, "directory-file");
  await page.keyboard.press("Escape");
  await row(page, "logo.png").getByRole("button", { name: "logo.png", exact: true }).click();
  await expect(page.getByTestId("file-binary")).toBeVisible();
  await page.keyboard.press("Escape");

  await page.getByTestId("tab-activity").click();
  await expect(page.locator('[data-testid="activity-row"][data-kind="make_directory"]')).toHaveAttribute("data-state", "succeeded");
  await expect(page.locator('[data-testid="activity-row"][data-kind="rename"]')).toHaveAttribute("data-state", "failed");
  await expect(page.locator('[data-testid="activity-row"][data-kind="read_file"]')).toHaveCount(0);
  await page.getByTestId("activity-reads").check();
  await expect(page.locator('[data-testid="activity-row"][data-kind="read_file"]').first()).toBeVisible();
  await picture(page, "activity");
  const download = page.waitForEvent("download");
  await page.getByTestId("activity-export").click();
  const lines = readFileSync(await (await download).path(), "utf8").trim().split("\n");
  const kinds = lines.map((line) => (JSON.parse(line) as { operation: { kind: string } }).operation.kind);
  expect(kinds).toEqual(expect.arrayContaining(["make_directory", "rename", "read_file", "list"]));
});

test("a clone shows how far it is, outlives the page, and becomes a worker; another is stopped", async ({ page, machine, git, picture }) => {
  const url = git.repository("thing", { files: 8, bytes: 512 * 1024 });
  git.bytesPerSecond = 512 * 1024;
  await page.getByTestId("browser-clone").click();
  await page.getByTestId("clone-url").fill(url);
  await page.getByTestId("clone-branch").fill("side");
  await expect(page.getByTestId("clone-target")).toContainText("thing");
  await page.getByTestId("clone-submit").click();
  const bar = page.getByTestId("cloning").getByTestId("progress");
  await expect(bar.getByTestId("progress-phase")).toHaveText(/Receiving objects [1-9]\d? %/);
  const first = Number(await bar.getAttribute("data-percent"));
  await expect.poll(async () => Number(await bar.getAttribute("data-percent")), { message: "it moves" }).toBeGreaterThan(first);
  await expect(page.getByTestId("progress-facts").first()).toContainText(/iB/);
  await picture(page, "clone-progress");

  await page.goto("about:blank");
  await page.goto(`${machine.url}&tab=files`);
  await expect(page.getByTestId("open-command")).toHaveAttribute("data-kind", "clone");
  git.bytesPerSecond = Infinity;
  await expect(page.getByTestId("open-command")).toHaveAttribute("data-state", "succeeded");
  await expect(row(page, "thing")).toBeVisible();
  await expect(row(page, "thing").getByTestId("git-state")).toHaveAttribute("data-state", "clean");
  await expect(row(page, "thing").getByTestId("git-state")).toContainText("side");
  await page.getByTestId("open-command-add-worker").click();
  await expect(page.getByTestId("worker-directory")).toHaveValue("thing");
  await page.getByTestId("worker-create").click();
  await expect(row(page, "thing").getByTestId("row-worker")).toHaveText("thing");
  await expect(page.getByTestId("worker-count")).toHaveText("1");

  writeFileSync(join(machine.root, "thing/README.md"), "changed\n");
  await page.getByTestId("refresh").click();
  await expect(row(page, "thing").getByTestId("git-state")).toHaveAttribute("data-state", "dirty");

  git.bytesPerSecond = 64 * 1024;
  await page.getByTestId("browser-clone").click();
  await page.getByTestId("clone-url").fill(url);
  await page.getByTestId("clone-name").fill("second");
  await page.getByTestId("clone-submit").click();
  await expect(page.getByTestId("cloning").getByTestId("progress")).toHaveAttribute("data-percent", /\d/);
  await page.getByTestId("clone-cancel").click();
  await expect(page.getByTestId("clone-dialog").getByTestId("error")).toContainText("cancelled");
  expect(readdirSync(machine.root).filter((name) => name.includes("second"))).toEqual([]);
  git.bytesPerSecond = Infinity;
  await page.keyboard.press("Escape");
});

test("a clone that can't be says why and what to do", async ({ page, machine, git }) => {
  const refused = async (address: string, name: string, why: RegExp) => {
    await page.getByTestId("clone-url").fill(address);
    await page.getByTestId("clone-name").fill(name);
    await page.getByTestId("clone-submit").click();
    await expect(page.getByTestId("clone-dialog").getByTestId("error")).toContainText(why);
  };
  await page.getByTestId("browser-clone").click();
  await refused(git.url("private"), "private", /credential|authentication|log in|sign in/i);
  await refused(git.repository("thing"), "notes.txt", /there already|exists/i);
  await refused("https://me:secret@example.test/a.git", "a", /password/);
  await refused("ext::sh -c id", "b", /./);
  await refused("file:///etc", "c", /./);
  await refused("--upload-pack=touch /tmp/x", "d", /./);
  expect(readdirSync(machine.root).filter((name) => ["private", "a", "b", "c", "d"].includes(name))).toEqual([]);
});

test("a machine that is away: what was known, what waits, and what is done when it is back", async ({ page, machine, picture }) => {
  await row(page, "repos").click();
  await expect(row(page, "repos/docs")).toBeVisible();
  await machine.process.kill();
  await expect(page.getByTestId("browser-away")).toContainText(/as of/);
  await expect(row(page, "repos/docs")).toBeVisible();
  await row(page, "empty").click();
  await expect(page.getByTestId("tree-loading")).toContainText("waits for");

  await page.getByTestId("browser-new-folder").click();
  await page.getByTestId("entry-name").fill("later");
  await page.getByTestId("entry-submit").click();
  await expect(page.getByTestId("command-waits")).toBeVisible();
  await page.keyboard.press("Escape");
  await page.getByTestId("browser-new-folder").click();
  await page.getByTestId("entry-name").fill("never");
  await page.getByTestId("entry-submit").click();
  await expect(page.getByTestId("command-waits")).toBeVisible();
  await page.keyboard.press("Escape");
  await picture(page, "directory-away");
  await page.getByTestId("open-command").filter({ hasText: "never" }).getByTestId("cancel-command").click();
  await expect(page.getByTestId("open-command").filter({ hasText: "never" })).toHaveCount(0);

  await machine.startAgain();
  await expect(row(page, "later")).toBeVisible();
  await expect(page.getByTestId("tree-empty")).toBeVisible();
  expect(existsSync(join(machine.root, "never"))).toBe(false);
});

test("a folder in which a worker lives is not thrown away without a word", async ({ page, machine }) => {
  await row(page, "repos").click({ button: "right" });
  await page.getByTestId("row-add-worker").click();
  await page.getByTestId("worker-name").fill("keeper");
  await page.getByTestId("sandbox-workspace").check();
  await page.getByTestId("worker-create").click();
  await expect(row(page, "repos").getByTestId("row-worker")).toHaveText("keeper");
  await row(page, "repos").click();
  await page.keyboard.press("Delete");
  await expect(page.getByTestId("workers-warning")).toContainText("keeper");
  await page.getByRole("button", { name: "Cancel" }).click();
  expect(existsSync(join(machine.root, "repos"))).toBe(true);
  await row(page, "repos").getByTestId("row-worker").click();
  await expect(page.getByTestId("worker-card")).toContainText("keeper");
  await expect(page.getByTestId("worker-sandbox")).toBeVisible();
  await page.getByTestId("worker-files").click();
  await expect(row(page, "repos/docs")).toBeVisible();
});
