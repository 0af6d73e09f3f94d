/** Holds the Convex functions to `tests/vectors/backend/*.json` through the official clients and the bridge. */
import { expect, test } from "vitest";
import { BridgeSubject } from "./tests/bridge-subject.ts";
import { loadScenarios, type Scenario } from "./vectors/format.ts";
import { run } from "./vectors/run.ts";

test("a scenario that does not hold is found out", async () => {
  const wrong: Scenario = {
    name: "wrong",
    about: "A machine that was made is shown.",
    steps: [
      { as: "ann", watch: "list", call: "machine.list" },
      { as: "ann", call: "machine.create", args: { name: "box" } },
      { expect: "list", value: { machines: [] } },
    ],
  };
  const subject = await BridgeSubject.start();
  try {
    await expect(run(wrong, subject)).rejects.toThrow("wrong.json, step 3: the watch list is not as expected");
  } finally {
    await subject.close();
  }
});

test.each(loadScenarios())("$name", async (scenario) => {
  const subject = await BridgeSubject.start();
  try {
    await run(scenario, subject);
  } finally {
    await subject.close();
  }
});
