import { execFileSync } from "node:child_process";

import { Joined } from "../support/machine.ts";
import { expect, test } from "../support/test.ts";

test("a folder of 200,000 entries is as usable as a small one", async ({ page, newHome }, info) => {
  const home = newHome();
  const many = home.directory("projects/many");
  execFileSync("sh", ["-c", "seq -f 'entry-%06.0f' 1 200000 | xargs touch --"], { cwd: many });
  const machine = await Joined.start(page, home, "large-box");
  // What holds the page up is told, not judged: how long that is depends on the computer.
  await page.addInitScript(() => {
    const tasks: number[] = [];
    Object.assign(window, { longTasks: tasks });
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => Math.round(duration)))).observe({ type: "longtask" });
  });
  await page.goto(`${machine.url}&tab=files&dir=many`);
  const count = page.getByTestId("browser-count");
  await expect(count).toHaveText("500 of 200,000 entries shown");
  await page.getByTestId("tree").focus();
  for (let shown = 1_000; shown <= 5_000; shown += 500) {
    await page.keyboard.press("End");
    await expect(count).toHaveText(`${shown.toLocaleString("en")} of 200,000 entries shown`);
  }
  expect(await page.getByTestId("tree-row").count()).toBeLessThan(100);
  await page.keyboard.press("Home");
  await expect(page.locator('[data-path="many/entry-000001"]')).toHaveAttribute("aria-selected", "true");
  await page.getByTestId("filter").fill("199999");
  await expect(count).toHaveText("1 match");
  await expect(page.locator('[data-path="many/entry-199999"]')).toBeVisible();
  const longest = await page.evaluate(() => Math.max(0, ...(window as unknown as { longTasks: number[] }).longTasks));
  info.annotations.push({ type: "longest task of the page, in ms", description: String(longest) });
  await machine.revoke();
});
