import {
  afterRun,
  decide,
  lookBack,
  retryWaitMs,
  startOf,
  Timing,
  WhenError,
  type FailureKind as Failure,
  type LookBack,
} from "../../schedule";
import { BackendError, type Args, type Reply } from "../backend";
import type {
  Ask,
  ErrorCode,
  RunId,
  RunSummary,
  ScheduleId,
  ScheduleList,
  ScheduleSpec,
  ScheduleSummary,
  ScheduleView,
  SkipWhy,
  TurnSummary,
} from "../wire.gen";
import type { FakeWorld } from "./world";

const LIST_PAGE = 500;
const LEDGER_PAGE = 100;
const VIEW_RUNS = 50;
/** Longer waits of a timer overflow; the next look is then a needless one. */
const WAIT_MAX_MS = 3_600_000;

export interface FakeSchedule {
  /** The last run, the open ones and the next firing are worked out when it is looked at. */
  summary: Omit<ScheduleSummary, "lastRun" | "openRunCount" | "nextAt">;
  spec: ScheduleSpec;
  /** The last instant that was looked at. */
  handled: number;
  chatSessionId: string | null;
}

/** What the fake's chats do for its runs. */
export interface RunChats {
  start: (args: Args<"worker.chat.startSession">) => string;
  send: (chatSessionId: string, message: string) => TurnSummary;
  cancel: (turnId: string) => void;
  end: (chatSessionId: string) => void;
  answer: (ask: Ask, allowed: boolean) => void;
}

/** The schedules of the fake: one look at a time, with the policies that both backends have. */
export class FakeSchedules {
  readonly rows: FakeSchedule[] = [];
  readonly runs: RunSummary[] = [];
  readonly #world: FakeWorld;
  readonly #chats: RunChats;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(world: FakeWorld, chats: RunChats) {
    this.#world = world;
    this.#chats = chats;
    // Before those who watch, so that they see runs and turns end together.
    world.onChange(() => this.#follow());
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** Fires what is due, starts what has waited, stops what goes on for too long. */
  tick(now = Date.now()): void {
    for (const row of this.rows) if (row.summary.state === "enabled") this.#fire(row, now);
    for (const run of this.runs) {
      if ((run.state === "due" || run.state === "queued") && run.startsAt != null && run.startsAt <= now)
        this.#start(run);
      const limit = this.#row(run.scheduleId).spec.timeLimitMs;
      if (run.state === "running" && limit != null && now - (run.startedAt ?? now) >= limit)
        this.#finish(
          run,
          "failed",
          { reason: `It went on for longer than ${Math.round(limit / 60_000)} minutes.`, failure: "time_limit" },
          now,
        );
    }
    this.#world.changed();
    this.#arm(now);
  }

  readonly functions = {
    "schedule.list": ({ workerId, after }: Args<"schedule.list">): ScheduleList => {
      const all = this.rows.filter(
        ({ summary }) =>
          !summary.isDeleted &&
          (workerId == null || summary.workerId === workerId) &&
          (after == null || summary.id > after),
      );
      return { schedules: all.slice(0, LIST_PAGE).map((row) => this.#summary(row)), hasMore: all.length > LIST_PAGE };
    },
    "schedule.view": ({ scheduleId }: Args<"schedule.view">): ScheduleView => this.#view(this.#row(scheduleId)),
    "schedule.ledger": ({ scheduleId, from, until, before }: Args<"schedule.ledger">): Reply<"schedule.ledger"> => {
      const sorted = this.#sorted(scheduleId ?? null).filter(
        ({ dueAt }) => (from == null || dueAt >= from) && (until == null || dueAt < until),
      );
      const rest = before == null ? sorted : sorted.slice(sorted.findIndex(({ id }) => id === before) + 1);
      return { runs: rest.slice(0, LEDGER_PAGE), hasEarlier: rest.length > LEDGER_PAGE };
    },
    "schedule.create": ({ workerId, spec, paused }: Args<"schedule.create">): ScheduleView => {
      const worker = this.#world.workers.find(({ id }) => id === workerId);
      if (!worker) return refuse("conflict", "This worker was removed. Choose another one.");
      check(spec);
      const now = Date.now();
      const row: FakeSchedule = {
        summary: {
          id: this.#world.id("sch"),
          workerId,
          machineId: worker.machineId,
          name: spec.name,
          when: spec.when,
          state: paused ? "paused" : "enabled",
          reason: paused ? "Paused by a person." : null,
          failuresInARow: 0,
          revision: 1,
          createdAt: now,
          changedAt: now,
          isDeleted: false,
        },
        spec,
        handled: now,
        chatSessionId: null,
      };
      this.rows.push(row);
      this.#arm(now);
      return this.#view(row);
    },
    "schedule.edit": ({ scheduleId, revision, spec }: Args<"schedule.edit">): ScheduleView => {
      const row = this.#present(scheduleId);
      if (row.summary.revision !== revision)
        refuse("conflict", "The schedule was changed meanwhile. Look at what it is now, then edit it again.");
      check(spec);
      const now = Date.now();
      if (row.summary.state === "enabled") this.#fire(row, now);
      row.spec = spec;
      row.handled = Math.max(row.handled, now);
      this.#change(row, { name: spec.name, when: spec.when, revision: revision + 1 });
      return this.#view(row);
    },
    "schedule.pause": ({ scheduleId }: Args<"schedule.pause">): ScheduleView => {
      const row = this.#present(scheduleId);
      if (row.summary.state !== "paused") this.#change(row, { state: "paused", reason: "Paused by a person." });
      return this.#view(row);
    },
    "schedule.resume": ({ scheduleId }: Args<"schedule.resume">): ScheduleView => {
      const row = this.#present(scheduleId);
      if (row.summary.state === "enabled") return this.#view(row);
      row.handled = Math.max(row.handled, Date.now());
      this.#change(row, { state: "enabled", reason: null, failuresInARow: 0 });
      return this.#view(row);
    },
    "schedule.runNow": ({ scheduleId }: Args<"schedule.runNow">): Reply<"schedule.runNow"> => {
      const row = this.#present(scheduleId);
      const now = Date.now();
      const run = this.#overlap(row, now, now, true);
      if (run.skipped != null) refuse("conflict", run.reason ?? "It was skipped.");
      return { run };
    },
    "schedule.cancelRun": ({ runId }: Args<"schedule.cancelRun">): Reply<"schedule.cancelRun"> => {
      const run = this.runs.find(({ id }) => id === runId) ?? refuse("not_found", "This run does not exist.");
      if (!isOpen(run)) refuse("conflict", `This run has ended: ${run.state}.`);
      this.#cancel(run, "Cancelled by a person.");
      return { run };
    },
    "schedule.delete": ({ scheduleId }: Args<"schedule.delete">): Reply<"schedule.delete"> => {
      const row = this.#present(scheduleId);
      for (const run of this.runs)
        if (run.scheduleId === scheduleId && isOpen(run)) this.#cancel(run, "Its schedule was deleted.");
      this.#change(row, { isDeleted: true, state: "paused", reason: "It was deleted." });
      return {};
    },
  };

  /** A row of the ledger; of a firing that is none, it says why. */
  add(row: FakeSchedule, dueAt: number, rest: Partial<RunSummary>): RunSummary {
    const { id, name, workerId, machineId, revision } = row.summary;
    const run: RunSummary = {
      id: this.#world.id("run"),
      scheduleId: id,
      scheduleName: name,
      workerId,
      machineId,
      dueAt,
      isManual: false,
      count: 1,
      state: "due",
      tries: 0,
      denied: [],
      isAsking: false,
      revision,
      ...rest,
    };
    this.runs.push(run);
    return run;
  }

  #fire(row: FakeSchedule, now: number): void {
    const found: LookBack = lookBack(Timing.of(row.spec.when), row.spec.catchUp, row.handled, now);
    for (const { first, last, count, why } of found.ranges)
      this.add(row, first, { until: last, count, state: "missed", missed: why, endedAt: now, reason: MISSED[why] });
    for (const { at, why } of found.missed)
      this.add(row, at, { state: "missed", missed: why, endedAt: now, reason: MISSED[why] });
    for (const at of found.run) this.#overlap(row, at, now, false);
    row.handled = Math.max(row.handled, found.handled ?? now);
  }

  /** What the overlap policy makes of a firing, or of a person's wish. */
  #overlap(row: FakeSchedule, dueAt: number, now: number, isManual: boolean): RunSummary {
    const open = this.runs.filter((run) => run.scheduleId === row.summary.id && isOpen(run));
    const waiting = open.filter((run) => run.state !== "running");
    const decision = decide(row.spec.overlap, open.length - waiting.length, waiting.length);
    if (decision.kind === "skip") {
      const reason = SKIPPED[decision.why];
      // A person is told, and there is no row.
      if (isManual) return refuse("conflict", reason);
      return this.add(row, dueAt, { state: "skipped", skipped: decision.why, endedAt: now, reason });
    }
    if (decision.kind === "replace") {
      for (const run of waiting) this.#finish(run, "skipped", { skipped: "newer", reason: SKIPPED.newer }, now);
      for (const run of open) if (run.state === "running") this.#cancel(run, "A newer run took its place.");
    }
    const next = Timing.of(row.spec.when).nextFire(dueAt);
    const startsAt = isManual ? now : Math.max(now, startOf(row.summary.id, dueAt, next, row.spec.jitterMs));
    const run = this.add(row, dueAt, { isManual });
    if (decision.kind === "queue") {
      run.state = "queued";
      run.reason = "The run before it is still going on.";
    } else if (startsAt > now) {
      run.startsAt = startsAt;
    } else {
      this.#start(run);
    }
    this.#arm(now);
    return run;
  }

  #start(run: RunSummary): void {
    const row = this.#row(run.scheduleId);
    const { session, model, agent, prompt, name } = row.spec;
    run.startsAt = null;
    run.reason = null;
    const old = session.kind === "continue" ? row.chatSessionId : null;
    const goesOn = old !== null && this.#world.chat(old)?.summary.state !== "closed";
    const chatSessionId = goesOn
      ? old
      : this.#chats.start({
          workerId: run.workerId,
          title: `${name} · ${new Date(run.dueAt).toISOString().slice(0, 16).replace("T", " ")}`,
          model: model ?? null,
          agent: agent ?? null,
          ownWorktree: session.kind === "new" && session.ownWorktree,
        });
    if (session.kind === "continue") row.chatSessionId = chatSessionId;
    const turn = this.#chats.send(chatSessionId, prompt);
    Object.assign(run, { chatSessionId, turnId: turn.id, state: "queued", tries: run.tries + 1 });
  }

  /** Keeps the runs in step with their turns. */
  #follow(now = Date.now()): void {
    for (const run of this.runs) {
      if (!isOpen(run) || run.turnId == null || run.startsAt != null) continue;
      const found = this.#world.turn(run.turnId);
      if (!found) continue;
      const { chat, turn } = found;
      this.#answerFor(run, chat.asks);
      run.isAsking = chat.asks.some((ask) => ask.turnId === run.turnId && ask.state === "pending");
      const { state, deliveredAt, endedAt, reason } = turn.summary;
      if (deliveredAt != null && run.state === "queued") {
        run.state = "running";
        run.startedAt ??= deliveredAt;
      }
      if (endedAt == null) continue;
      if (turn.answer?.usage) run.usage = turn.answer.usage;
      if (state === "completed" || state === "cancelled")
        this.#finish(run, state, { reason: reason ?? run.reason }, now);
      else this.#failed(run, state === "interrupted" ? "interrupted" : "failed", reason ?? null, now);
    }
  }

  #failed(run: RunSummary, state: "failed" | "interrupted", reason: string | null, now: number): void {
    const row = this.#row(run.scheduleId);
    const failure: Failure =
      run.denied.length > 0
        ? "denied"
        : (reason ?? "").includes("provider")
          ? "provider"
          : /machine/i.test(reason ?? "")
            ? "machine"
            : "other";
    const wait = retryWaitMs(row.spec.retries.most, run.tries, failure);
    if (wait === null) {
      this.#finish(run, state, { reason, failure }, now);
      return;
    }
    Object.assign(run, { state: "queued", startsAt: now + wait, reason: `It is tried again. ${reason ?? ""}`.trim() });
    this.#arm(now);
  }

  #finish(run: RunSummary, state: RunSummary["state"], rest: Partial<RunSummary>, now: number): void {
    const row = this.#row(run.scheduleId);
    Object.assign(run, { ...rest, state, endedAt: now, isAsking: false, startsAt: null });
    if (run.turnId != null && this.#world.turn(run.turnId)?.turn.summary.endedAt == null)
      this.#chats.cancel(run.turnId);
    if (run.chatSessionId != null && row.spec.session.kind === "new") this.#chats.end(run.chatSessionId);
    const { failuresInARow, pauses } = afterRun(row.spec.pauseAfter, row.summary.failuresInARow, state);
    row.summary = { ...row.summary, failuresInARow };
    if (pauses) {
      const reason =
        failuresInARow === 1 ? "Paused after a failure." : `Paused after ${failuresInARow} failures in a row.`;
      row.summary = { ...row.summary, state: "paused", reason };
    }
    const next = this.runs.find(
      (other) => other.scheduleId === run.scheduleId && other.state === "queued" && other.turnId == null,
    );
    const goesOn = this.runs.some((other) => other.scheduleId === run.scheduleId && other.state === "running");
    if (next && !goesOn) this.#start(next);
  }

  #cancel(run: RunSummary, reason: string): void {
    run.reason = reason;
    this.#finish(run, "cancelled", { reason }, Date.now());
  }

  /** Nobody is there to ask: what is listed is allowed, the rest denied and told. */
  #answerFor(run: RunSummary, asks: Ask[]): void {
    const { unattended } = this.#row(run.scheduleId).spec;
    if (unattended.kind !== "only") return;
    for (const ask of asks) {
      if (ask.turnId !== run.turnId || ask.state !== "pending") continue;
      const { body } = ask;
      const allowed = body.kind === "permission" && fits(unattended.allow, body.permission, body.patterns);
      if (body.kind === "permission" && !allowed)
        run.denied = [...run.denied, `${body.permission}: ${body.patterns[0] ?? ""}`];
      this.#chats.answer(ask, allowed);
    }
  }

  #change(row: FakeSchedule, change: Partial<FakeSchedule["summary"]>): void {
    row.summary = { ...row.summary, ...change, changedAt: Date.now() };
    this.#arm(Date.now());
  }

  #arm(now: number): void {
    clearTimeout(this.#timer);
    const times = [
      ...this.rows.map((row) => this.#nextAt(row)),
      ...this.runs.map((run) => run.startsAt ?? null),
      ...this.runs.map((run) => this.#timeIsUpAt(run)),
    ].filter((at) => at !== null);
    if (times.length === 0) return;
    const wait = Math.min(Math.max(Math.min(...times) - now, 0), WAIT_MAX_MS);
    this.#timer = setTimeout(() => this.tick(), wait);
  }

  #timeIsUpAt(run: RunSummary): number | null {
    const limit = this.#row(run.scheduleId).spec.timeLimitMs;
    return run.state === "running" && limit != null && run.startedAt != null ? run.startedAt + limit : null;
  }

  #nextAt({ summary, spec, handled }: FakeSchedule): number | null {
    return summary.state === "enabled" ? Timing.of(spec.when).nextFire(handled) : null;
  }

  #summary(row: FakeSchedule): ScheduleSummary {
    const runs = this.#sorted(row.summary.id);
    return {
      ...row.summary,
      nextAt: this.#nextAt(row),
      lastRun: runs.find(({ state }) => state !== "due" && state !== "queued") ?? null,
      openRunCount: runs.filter(isOpen).length,
    };
  }

  #view(row: FakeSchedule): ScheduleView {
    const runs = this.#sorted(row.summary.id);
    return {
      schedule: this.#summary(row),
      spec: row.spec,
      webhookSecret: row.spec.notify.webhook == null ? null : "whs_7f3k9q2m8x5c1v6b4n0z",
      chatSessionId: row.chatSessionId,
      runs: runs.slice(0, VIEW_RUNS),
      hasEarlier: runs.length > VIEW_RUNS,
    };
  }

  #sorted(scheduleId: ScheduleId | null): RunSummary[] {
    const before = (one: RunId, other: RunId) => (one < other ? 1 : -1);
    return this.runs
      .filter((run) => scheduleId === null || run.scheduleId === scheduleId)
      .sort((one, other) => other.dueAt - one.dueAt || before(one.id, other.id));
  }

  #row(id: ScheduleId): FakeSchedule {
    return this.rows.find(({ summary }) => summary.id === id) ?? refuse("not_found", "This schedule does not exist.");
  }

  #present(id: ScheduleId): FakeSchedule {
    const row = this.#row(id);
    return row.summary.isDeleted ? refuse("conflict", "This schedule was deleted. Only its ledger is left.") : row;
  }
}

const SKIPPED: Record<SkipWhy, string> = {
  still_running: "The run before it was still going on.",
  one_waits: "Another one waited already.",
  too_many_runs: "As many runs as may go on at the same time did so.",
  newer: "A newer one took its place.",
  unknown: "It was skipped.",
};

const MISSED: Record<LookBack["missed"][number]["why"], string> = {
  skipped: "Nobody was there for it, and missed ones are skipped.",
  later: "Nobody was there for it; only the latest one was run.",
  too_old: "It was too long ago when somebody was there again.",
  too_many: "Too many were missed; only the latest 100 were run.",
  unknown: "It was missed.",
};

function isOpen({ state }: RunSummary): boolean {
  return state === "due" || state === "queued" || state === "running";
}

function fits(allow: string[], permission: string, patterns: string[]): boolean {
  return allow.some((entry) => {
    const [name, ...rest] = entry.split(":");
    if (name !== permission) return false;
    if (rest.length === 0) return true;
    const form = rest
      .join(":")
      .replace(/[.+?^${}()|[\]\\]/g, "\\$&")
      .replaceAll("*", ".*");
    return patterns.every((pattern) => new RegExp(`^${form}$`, "s").test(pattern));
  });
}

function check(spec: ScheduleSpec): void {
  try {
    Timing.of(spec.when);
  } catch (error) {
    if (error instanceof WhenError) refuse("invalid", error.message);
    throw error;
  }
  if (spec.name.trim() === "") refuse("invalid", "A schedule needs a name.");
  if (spec.prompt.trim() === "") refuse("invalid", "The prompt is empty. Write what is to be done.");
}

function refuse(code: ErrorCode, message: string): never {
  throw new BackendError(code, message);
}
