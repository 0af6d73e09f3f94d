/** Holds a real Convex deployment to the scenarios: `npm run test:real`. */
import { beforeAll, test } from "vitest";
import { issuer } from "../tests/support.ts";
import { loadScenarios } from "../vectors/format.ts";
import { run } from "../vectors/run.ts";
import { deploy } from "./deploy.ts";
import { RealSubject, tellable } from "./subject.ts";

const url = process.env.CONVEX_SELF_HOSTED_URL ?? "";
const { provider, token } = await issuer();

beforeAll(() => {
  if (url === "") throw new Error("CONVEX_SELF_HOSTED_URL names no deployment");
  deploy(provider);
}, 600_000);

test.each(tellable(loadScenarios()))("$name", async (scenario) => {
  await run(scenario, new RealSubject(url, (sub) => token({ sub })));
});
