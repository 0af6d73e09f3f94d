import { describe, expect, it } from "vitest";

import type { ScheduleSpec } from "@/lib/backend/wire.gen";

import { differences, draftOf, newDraft, readDraft, type Draft } from "./draft";
import { previewOf, understand } from "./when";

const NOW = Date.UTC(2026, 10, 30, 8, 0);
const WORKER = "wrk_01kaq3vh2ef0r9c5m8d7x6w4zb";
const good: Draft = {
  ...newDraft(WORKER, "Europe/Berlin"),
  name: "Report",
  when: "every weekday at 9",
  prompt: "Do it",
};
const problems = (change: Partial<Draft>) => readDraft({ ...good, ...change }, NOW).problems;

const SPEC: ScheduleSpec = {
  name: "All of it",
  when: { kind: "interval", everyMinutes: 90, anchor: 1_774_652_400_000, zone: "Europe/Berlin" },
  prompt: "What changed since {{ last_date }}? Not a variable: {{Date}}.",
  model: "anthropic/claude-sonnet-5",
  agent: "plan",
  session: { kind: "new", ownWorktree: true },
  overlap: "parallel",
  catchUp: { kind: "all", withinMs: 5_400_000 },
  jitterMs: 90_000,
  timeLimitMs: 120_000,
  retries: { most: 5 },
  pauseAfter: 0,
  unattended: { kind: "only", allow: ["edit", "read", "bash:git *"] },
  notify: { onFailure: false, onSuccess: true, onAsk: false, webhook: "https://example.com/hook" },
};

describe("a draft", () => {
  it("of a schedule reads back as the same schedule", () => {
    const draft = draftOf(SPEC, WORKER, "UTC");
    const kept = { text: draft.when, when: SPEC.when };
    const { spec } = readDraft(draft, NOW, kept);
    expect({ ...spec, unattended: null }).toEqual({ ...SPEC, unattended: null });
    expect(spec?.unattended.kind === "only" && [...spec.unattended.allow].sort()).toEqual([
      "bash:git *",
      "edit",
      "read",
    ]);
  });
  it("without a time limit has none", () =>
    expect(readDraft({ ...good, timeLimitMinutes: "" }, NOW).spec?.timeLimitMs).toBeUndefined());
  it.each<[keyof Draft, Partial<Draft>]>([
    ["name", { name: "ü".repeat(33) }],
    ["workerId", { workerId: null }],
    ["when", { when: "every second" }],
    ["when", { when: "30 2 30 2 *" }],
    ["zone", { zone: "Europe/Berlim" }],
    ["prompt", { prompt: "since {{last_run}}" }],
    ["model", { model: "sonnet" }],
    ["timeLimitMinutes", { timeLimitMinutes: "0" }],
    ["jitterMinutes", { jitterMinutes: "61" }],
    ["retries", { retries: "1.5" }],
    ["pauseAfter", { pauseAfter: "many" }],
    ["catchUpHours", { catchUp: "all", catchUpHours: "169" }],
    ["allowMore", { allowMore: "rm -rf" }],
    ["webhook", { webhook: "http://example.com" }],
  ])("tells at %s what is wrong with %j", (field, change) => {
    expect(Object.keys(problems(change))).toEqual([field]);
    expect(readDraft({ ...good, ...change }, NOW).spec).toBeNull();
  });
  it("takes a webhook of this computer", () => expect(problems({ webhook: "http://127.0.0.1:9/x" })).toEqual({}));
  it("names in what it differs from another", () =>
    expect(differences(good, { ...good, prompt: "Other", onAsk: false, onSuccess: true })).toEqual([
      "prompt",
      "notifications",
    ]));
});

describe("when", () => {
  it.each([
    ["every weekday at 9", "phrase", "Every weekday at 09:00, Europe/Berlin time"],
    ["0 9 * * 1-5", "cron", "Every weekday at 09:00, Europe/Berlin time"],
    ["every 15 minutes", "interval", "Every 15 minutes"],
  ])("%s is understood as a %s", (text, as, sentence) => {
    const understood = understand(text, "Europe/Berlin", NOW);
    expect(understood).toMatchObject({ kind: "ok", as, text: sentence });
  });
  it("looks a year ahead for what the clocks do", () => {
    const daily = { kind: "cron", expression: "30 2 * * *", zone: "Europe/Berlin" } as const;
    expect(previewOf(daily, NOW).later).toMatchObject({ local: "2027-03-28T03:00+02:00", notes: [{ kind: "moved" }] });
    expect(previewOf({ ...daily, zone: "UTC" }, NOW).later).toBeNull();
  });
});
