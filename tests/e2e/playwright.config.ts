import { defineConfig } from "@playwright/test";

import type { BackendKind } from "./support/product.ts";

const CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export default defineConfig<{}, { backend: BackendKind }>({
  testDir: "specs",
  outputDir: "results/output",
  globalSetup: "./support/survivors.ts",
  // Two cores, and each chat session is a real opencode: one test at a time.
  workers: 1,
  fullyParallel: false,
  // A test that passes the second time has found something.
  retries: 0,
  forbidOnly: process.env["CI"] !== undefined,
  // How long something may take before it counts as never; no test is about speed.
  timeout: 300_000,
  expect: { timeout: 45_000 },
  // The same tests on both backends; those of one of them say so by their folder.
  projects: [
    { name: "hub", use: { backend: "hub" }, testIgnore: "convex/**" },
    { name: "convex", use: { backend: "convex" }, testIgnore: "hub/**" },
  ],
  reporter: [["list"], ["./support/counts.ts"]],
  use: {
    browserName: "chromium",
    headless: true,
    launchOptions: { executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: CHROMIUM_ARGS },
    viewport: { width: 1280, height: 800 },
    locale: "en-GB",
    actionTimeout: 30_000,
    navigationTimeout: 30_000,
    screenshot: "only-on-failure",
    trace: { mode: "retain-on-failure", screenshots: false },
  },
});
