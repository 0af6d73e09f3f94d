// Compares a run with left-out.json: what is left out on purpose must fail or be skipped, all else must pass.
import { readFileSync } from "node:fs";

const read = (file) => JSON.parse(readFileSync(new URL(file, import.meta.url), "utf8"));
const report = read(process.argv[2]);
const leftOut = read("left-out.json");

const results = report.testResults.flatMap((file) => file.assertionResults);
const passed = new Set(results.filter((test) => test.status === "passed").map((test) => test.fullName));
const notPassed = new Map(results.filter((test) => test.status !== "passed").map((test) => [test.fullName, test]));
const expected = new Set(leftOut.flatMap((group) => group.tests));

const surprises = [
  ...[...notPassed.values()]
    .filter((test) => !expected.has(test.fullName))
    .map((test) => `${test.status}: ${test.fullName}\n    ${(test.failureMessages?.[0] ?? "").split("\n")[0]}`),
  ...[...expected].filter((name) => passed.has(name)).map((name) => `passes, so take it off the list: ${name}`),
  ...[...expected]
    .filter((name) => !passed.has(name) && !notPassed.has(name))
    .map((name) => `is not in the suite (any more): ${name}`),
];

console.log(`Durable Streams conformance: ${passed.size} of ${results.length} tests pass`);
for (const group of leftOut) console.log(`  left out: ${group.tests.length} (${group.what}: ${group.why})`);
if (results.length === 0) surprises.push("no test ran; see the output above");
for (const surprise of surprises) console.error(`  ${surprise}`);
process.exitCode = surprises.length > 0 ? 1 : 0;
