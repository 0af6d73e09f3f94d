import { statSync } from "node:fs";
import { join } from "node:path";

import type { Page } from "@playwright/test";

import type { Product } from "../support/product.ts";
import { expect, test } from "../support/test.ts";

/** Adds a machine on the page; gives its key and the arguments of the command that the page shows. */
async function addMachine(page: Page, product: Product, name: string): Promise<{ key: string; args: string[] }> {
  await page.goto("/");
  await page.getByTestId("add-machine").click();
  await page.getByTestId("machine-name").fill(name);
  await page.getByTestId("machine-create").click();
  const command = await page.getByTestId("key-command").locator("[data-value]").innerText();
  const key = await page.getByTestId("registration-key").locator("[data-value]").innerText();
  expect(command).toBe(`./start machine --backend ${product.machineAddress} --key ${key}`);
  expect(key).toMatch(/^ork_\w+$/);
  return { key, args: command.split(" ").slice(1) };
}

test("a machine joins by its key, goes, comes back, and is revoked", async ({ page, context, product, newHome, picture }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const { key, args } = await addMachine(page, product, "build-box");
  await expect(page.getByTestId("key-status")).toHaveAttribute("data-status", "waiting");

  await page.getByTestId("key-command-copy").click();
  await expect(page.getByTestId("key-command-copy")).toHaveAttribute("data-copied", "true");
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain(args.join(" "));
  await page.getByTestId("registration-key-copy").click();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe(key);

  const countdown = page.getByTestId("key-countdown");
  await expect(countdown).toHaveText(/expires in (10:00|9:5\d)/);
  const shown = await countdown.innerText();
  await expect(countdown, "it counts down").not.toHaveText(shown);
  await picture(page, "add-machine-key");

  const home = newHome();
  home.directory("projects");
  const machineArgs = [...args, "--root", "projects"];
  const machine = home.start(machineArgs);
  await expect(page.getByTestId("key-status"), "online without a reload").toHaveAttribute("data-status", "online");
  await picture(page, "add-machine-online");
  await page.getByTestId("key-open-machine").click();
  await expect(page.getByTestId("machine-title")).toHaveText("build-box");
  const presence = page.getByRole("main").getByTestId("presence");
  await expect(presence).toHaveAttribute("data-presence", "online");
  await expect(page.locator("body"), "the key is shown once").not.toContainText(key);

  const kept = join(home.path, ".local/share/opencode-orchestrator/machine/machine.toml");
  expect(statSync(kept).mode & 0o777).toBe(0o600);

  await machine.kill();
  await expect(presence).toHaveAttribute("data-presence", "unknown", { timeout: product.lossShownMs });
  await expect(presence).toContainText("unknown since");
  await picture(page, "machine-unknown");

  const second = home.start(["machine"]);
  await expect(presence).toHaveAttribute("data-presence", "online");
  expect(second.stdout).toBe("");

  const third = home.start(["machine"]);
  const fenced = await second.ended;
  expect(fenced.code, "the older of two with one MACHINE_ID").toBe(20);
  expect(second.stderr).toMatch(/error: .+/);
  await expect(presence).toHaveAttribute("data-presence", "online");

  await page.getByTestId("machine-menu").click();
  await page.getByTestId("machine-revoke").click();
  await page.getByTestId("confirm").click();
  const end = await third.ended;
  expect(end.code).toBe(21);
  expect(third.stderr).toMatch(/error: .*orchestrator machine forget/);
  await expect(page.getByTestId("machine-list")).toBeVisible();
  await expect(page.getByTestId("machine-row").filter({ hasText: "build-box" })).toHaveCount(0);
});

test("a key that is wrong, used or replaced is refused in words", async ({ page, product, newHome }) => {
  const { key, args } = await addMachine(page, product, "second-box");
  const home = newHome();
  home.directory("projects");
  const register = (given: readonly string[]) => newHome().run([...given, "--root", home.directory("projects")]);
  const withKey = (other: string) => args.map((arg) => (arg === key ? other : arg));

  const malformed = await register(withKey("ork_nonsense"));
  expect(malformed.code).toBe(22);
  expect(malformed.stderr).toMatch(/error: .*not a complete registration key/);
  const flipped = key.slice(0, -1) + (key.endsWith("0") ? "1" : "0");
  const wrong = await register(withKey(flipped));
  expect(wrong.code).toBe(22);
  expect(wrong.stderr).toMatch(/error: /);

  await page.keyboard.press("Escape");
  await page.getByTestId("machine-row").filter({ hasText: "second-box" }).click();
  await page.getByTestId("new-key").click();
  const replacement = await page.getByTestId("registration-key").locator("[data-value]").innerText();
  const replaced = await register(args);
  expect(replaced.code).toBe(22);
  expect(replaced.stderr).toMatch(/error: This registration key .* Get a new one on the page/);

  const machine = home.start([...withKey(replacement), "--root", "projects"]);
  await expect(page.getByRole("main").getByTestId("presence").first()).toHaveAttribute("data-presence", "online");
  const used = await register(withKey(replacement));
  expect(used.code).toBe(22);
  expect(used.stderr).toMatch(/error: This registration key .* Get a new one on the page/);
  expect((await machine.stop("SIGINT")).code).toBe(0);
});

test("a key that expires says so, and is replaced", async ({ page, product, picture }) => {
  await page.clock.install();
  const { key } = await addMachine(page, product, "third-box");
  await page.clock.fastForward("10:01");
  await expect(page.getByTestId("key-status")).toHaveAttribute("data-status", "expired");
  await expect(page.getByTestId("key-status")).toContainText("The key has expired.");
  await picture(page, "key-expired");
  await page.getByTestId("key-reissue").click();
  await expect(page.getByTestId("registration-key").locator("[data-value]")).not.toHaveText(key);
});

test("without a terminal a machine says what it needs", async ({ product, newHome }) => {
  const bare = await newHome().run(["machine"]);
  expect(bare.code).toBe(3);
  expect(bare.stderr).toContain("ORCHESTRATOR_REGISTRATION_KEY");
  const nobody = await newHome().run(["machine", "--backend", product.machineAddress, "--key", "ork_x", "--root", "/nowhere/at/all"]);
  expect(nobody.code).toBe(13);
  expect(nobody.stderr).toContain("/nowhere/at/all");
});
