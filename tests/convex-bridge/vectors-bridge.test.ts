/** Holds the Convex functions to `tests/vectors/backend/*.json` through the official clients and the bridge. */
import { test } from "vitest";
import { BridgeSubject } from "./tests/bridge-subject.ts";
import { loadScenarios } from "./vectors/format.ts";
import { run } from "./vectors/run.ts";

test.each(loadScenarios())("$name", async (scenario) => {
  const subject = await BridgeSubject.start();
  try {
    await run(scenario, subject);
  } finally {
    await subject.close();
  }
});
