/** That what is told to a real deployment holds at all: on the bridge, in real time, beside other people's rows. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { RealSubject, tellable } from "../real/subject.ts";
import { loadScenarios } from "../vectors/format.ts";
import { run } from "../vectors/run.ts";
import { bridge, issuer } from "./support.ts";

test("the scenarios without a clock hold on one deployment, one after the other", async () => {
  const { provider, token } = await issuer();
  const functions = fileURLToPath(new URL("../../../convex/functions", import.meta.url));
  const { url } = await bridge({ functions, providers: [provider], errors: "production" });
  const scenarios = tellable(loadScenarios());
  for (const scenario of scenarios) await run(scenario, new RealSubject(url, (sub) => token({ sub })));
  expect(scenarios.length).toBeGreaterThan(process.env.VECTOR === undefined ? 80 : 0);
});
