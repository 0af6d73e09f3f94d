import { Timing } from "../../schedule";
import type { RunSummary, ScheduleSpec, ScheduleSummary } from "../wire.gen";
import type { FakeSchedule, FakeSchedules } from "./schedules";
import type { FakeWorld } from "./world";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** Schedules as after three weeks: kept, failed, skipped, missed and denied ones. */
export function seedSchedules(world: FakeWorld, schedules: FakeSchedules, now = Date.now()): void {
  const chats = world.chats.filter(({ summary }) => summary.state === "ready" || summary.state === "closed");
  const worker = (name: string) => world.workers.find((other) => other.name === name);
  const add = (
    name: string,
    on: string,
    spec: Partial<ScheduleSpec> & Pick<ScheduleSpec, "when" | "prompt">,
    rest: Partial<ScheduleSummary> = {},
  ): FakeSchedule => {
    const of = worker(on);
    const row: FakeSchedule = {
      summary: {
        id: world.id("sch"),
        workerId: of?.id ?? "",
        machineId: of?.machineId ?? "",
        name,
        when: spec.when,
        state: "enabled",
        reason: null,
        failuresInARow: 0,
        revision: 3,
        createdAt: now - 21 * DAY,
        changedAt: now - 5 * DAY,
        isDeleted: false,
        ...rest,
      },
      spec: { ...DEFAULTS, ...spec, name },
      handled: now,
      chatSessionId: null,
    };
    schedules.rows.push(row);
    return row;
  };
  const past = (row: FakeSchedule, days: number, outcome: (place: number) => Partial<RunSummary>) => {
    const instants = Timing.of(row.spec.when).firings(now - days * DAY, now, 200);
    instants.forEach((dueAt, place) => {
      const chat = chats[place % chats.length];
      const rest = outcome(place);
      const ran = rest.state === "completed" || rest.state === "failed" || rest.state === "interrupted";
      const took = (2 + ((place * 7) % 11)) * MINUTE;
      schedules.add(row, dueAt, {
        endedAt: ran ? dueAt + took : dueAt,
        ...(ran
          ? {
              tries: 1,
              startedAt: dueAt + 300,
              chatSessionId: chat?.summary.id ?? null,
              turnId: chat?.turns[0]?.summary.id ?? null,
              usage: { inputTokens: 18_000 + place * 731, outputTokens: 2_100, costMicroUsd: 92_000 + place * 1_300 },
            }
          : {}),
        ...rest,
      });
    });
  };

  const report = add("Morning report", "api-server", {
    when: { kind: "cron", expression: "0 9 * * 1-5", zone: "Europe/Berlin" },
    prompt: "Summarise what changed since {{last_date}} (that run: {{last_outcome}}) and what is risky about it.",
    session: { kind: "new", ownWorktree: true },
    unattended: { kind: "only", allow: ["read", "glob", "grep", "list", "bash:git log *"] },
  });
  past(report, 20, (place) =>
    place === 4
      ? { state: "failed", failure: "provider", tries: 3, reason: "The model's provider was overloaded, three times." }
      : place === 9
        ? { state: "completed", denied: ["bash: npm install", "webfetch: https://example.com"] }
        : { state: "completed" },
  );
  const sweep = add("Dependency sweep", "nightly", {
    when: { kind: "interval", everyMinutes: 360, anchor: 1_774_652_400_000, zone: "America/New_York" },
    prompt: "Look for dependencies with security fixes and update them one by one.",
    overlap: "queue",
  });
  past(sweep, 6, (place) =>
    place === 7
      ? { state: "skipped", skipped: "still_running", reason: "The run before it was still going on." }
      : place > 15 && place < 19
        ? { state: "missed", missed: "later", reason: "Nobody was there for it; only the latest one was run." }
        : place === 12
          ? { state: "interrupted", failure: "machine", reason: "The machine went away and did not come back in time." }
          : place === 3
            ? { state: "cancelled", reason: "Cancelled by a person." }
            : { state: "completed" },
  );
  const links = add(
    "Check the links",
    "docs",
    {
      when: { kind: "cron", expression: "30 2 * * 0", zone: "Europe/Berlin" },
      prompt: "Check every link in the docs.",
      pauseAfter: 2,
    },
    { state: "paused", reason: "Paused after 2 failures in a row.", failuresInARow: 2 },
  );
  past(links, 20, (place) =>
    place === 0
      ? { state: "completed" }
      : { state: "failed", failure: "other", reason: "The links could not be read." },
  );
  add("Release notes", "api-server", {
    when: { kind: "cron", expression: "0 18 L * *", zone: "Europe/Berlin" },
    prompt: "Draft the release notes of this month.",
    session: { kind: "continue" },
  });
}

const DEFAULTS: Omit<ScheduleSpec, "name" | "when" | "prompt"> = {
  session: { kind: "new", ownWorktree: false },
  overlap: "skip",
  catchUp: { kind: "latest" },
  jitterMs: 0,
  timeLimitMs: 60 * MINUTE,
  retries: { most: 2 },
  pauseAfter: 5,
  unattended: { kind: "ask" },
  notify: { onFailure: true, onSuccess: false, onAsk: true, webhook: null },
};
