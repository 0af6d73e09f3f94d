/** Brings the functions to the deployment that CONVEX_SELF_HOSTED_URL and its admin key name. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Provider } from "../src/auth.ts";

const PROJECT = fileURLToPath(new URL("../../../convex", import.meta.url));

/** Deploys, with tokens of that provider let in. What the deployment had before is replaced. */
export function deploy(provider: Provider): void {
  convex("env", "set", "ORCHESTRATOR_AUTH", JSON.stringify([provider]));
  convex("deploy", "--yes", "--typecheck", "disable");
}

function convex(...args: string[]): void {
  const { status, error } = spawnSync("npx", ["--no-install", "convex", ...args], { cwd: PROJECT, stdio: "inherit" });
  if (error !== undefined || status !== 0) throw new Error(`npx convex ${args[0] ?? ""} failed in convex/`);
}
