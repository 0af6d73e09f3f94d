// From the click on a folder to its first entries drawn, in Chromium, beside `ls -la` of the same folder in the same
// run: node tests/e2e/measure/listing.mjs [ENTRIES [ROUNDS]], after cargo build --release -p cli.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright";

const [entries, rounds] = [Number(process.argv[2] ?? 1000), Number(process.argv[3] ?? 15)];
const top = resolve(fileURLToPath(import.meta.url), "../../../..");
const home = mkdtempSync(join(tmpdir(), "listing-"));
const root = join(home, "root");
for (const name of ["many", "other"]) mkdirSync(join(root, name), { recursive: true });
for (let n = 0; n < entries; n++) writeFileSync(join(root, "many", `file-${String(n).padStart(6, "0")}`), "x");

const product = spawn(
  join(top, "target/release/orchestrator"),
  ["up", "--demo", "--listen", "127.0.0.1:0", "--data-dir", join(home, "data"), "--root", root],
  { env: { PATH: process.env.PATH, HOME: home }, stdio: ["ignore", "pipe", "pipe"] },
);
const link = await new Promise((found, failed) => {
  let said = "";
  const look = (piece) => {
    said += piece;
    const link = /http\S+sign-in#token=\S+/.exec(said)?.[0];
    if (link) found(link);
  };
  product.stdout.on("data", look);
  product.stderr.on("data", look);
  product.on("exit", () => failed(new Error(said)));
});

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
});
const page = await browser.newPage();
await page.goto(link);
await page.getByTestId("machine-row").first().click();
await page.getByRole("link", { name: "Files" }).click();
const folder = page.getByRole("treeitem", { name: /^many/ });
await folder.waitFor();

const [shown, listed] = [[], []];
for (let round = 0; round <= rounds; round++) {
  let began = performance.now();
  spawnSync("ls", ["-la", join(root, "many")]);
  const yardstick = performance.now() - began;
  // Reloaded, so that the page knows nothing of it.
  await page.reload();
  await folder.waitFor();
  const took = await folder.evaluate(
    (row) =>
      new Promise((done) => {
        const began = performance.now();
        const observer = new MutationObserver(() => {
          if (!document.body.textContent.includes("file-000000")) return;
          observer.disconnect();
          requestAnimationFrame(() => done(performance.now() - began));
        });
        observer.observe(document.body, { childList: true, subtree: true });
        row.click();
      }),
  );
  // The first finds nothing in memory.
  if (round > 0) {
    shown.push(took);
    listed.push(yardstick);
  }
}
const at = (samples, share) => samples.toSorted((a, b) => a - b)[Math.floor(share * (samples.length - 1))].toFixed(1);
console.log(
  `${entries} entries, click to drawn: median ${at(shown, 0.5)} ms, p95 ${at(shown, 0.95)} ms; ` +
    `ls -la: median ${at(listed, 0.5)} ms`,
);
await browser.close();
product.removeAllListeners("exit");
product.kill("SIGTERM");
await new Promise((ended) => product.on("exit", ended));
rmSync(home, { recursive: true });
