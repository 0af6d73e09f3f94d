/** Holds the Convex functions to `tests/vectors/backend/*.json`, within Convex's transaction limits. */
import { test } from "vitest";
import { ConvexTestSubject } from "./convex-test.ts";
import { loadScenarios } from "./format.ts";
import { run } from "./run.ts";

test.each(loadScenarios())("$name", async (scenario) => {
  await run(scenario, new ConvexTestSubject());
});
