import { expect, test } from "vitest";

import { expand, promptProblem, Timing, type Variables } from "./index";

const timing = Timing.of({ kind: "cron", expression: "0 9 * * *", zone: "Europe/Berlin" });

function expanded(prompt: string, last: Variables["last"] = null): string {
  return expand(prompt, { timing, due: 1_796_025_600_000, schedule: "Nightly", last });
}

test("variables stand for what the list says", () => {
  expect(expanded("{{schedule}} on {{date}} at {{ time }} ({{instant}})")).toBe(
    "Nightly on 2026-11-30 at 09:00 (2026-11-30T08:00Z)",
  );
  expect(expanded("{{last_outcome}} {{last_reason}} {{last_date}}")).toBe("none  none");
  const last = { state: "failed", reason: "{{date}} is no date", due: 1_795_939_200_000 };
  expect(expanded("{{last_outcome}}: {{last_reason}} {{last_date}}", last)).toBe(
    "failed: {{date}} is no date 2026-11-29",
  );
});

test.each(["{{", "{{{", "}}", "{{}}", "{{ }}", "{{A}}", "{{a b}}", "ä{{ö}}", "{ {date} }"])("%s is text", (prompt) => {
  expect(expanded(prompt)).toBe(prompt);
  expect(promptProblem(prompt)).toBeNull();
});

test("a variable may stand in other braces", () => {
  expect(expanded("{{{date}}}")).toBe("{2026-11-30}");
  expect(expanded("{{x {{date}}")).toBe("{{x 2026-11-30");
});

test("a variable that there is not is named with those there are", () => {
  expect(promptProblem("Do it on {{dat}}.")).toMatch(/\{\{dat\}\}.*last_outcome/);
});

test("many braces are read in one go", () => {
  const prompt = `${"{{".repeat(100_000)}}}`;
  expect(expanded(prompt)).toBe(prompt);
});
