/** From an instant to the run that it becomes. */

import { decide, lookBack, startOf, type MissedWhy, type SkipWhy, type Timing } from "../../webapp/src/lib/schedule";
import { internal } from "../functions/_generated/api";
import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { runById, scheduleById } from "./access";
import { arm } from "./deadlines";
import { LIMITS } from "./gen/wire";
import { refusal } from "./refusal";
import { changeRun, goesOn, isFired, isWaiting, liveTurn, newRun, openRuns, type Run } from "./runRows";
import { beginRun, finishRun, stopRun, tryAgain } from "./runs";
import { timingOf } from "./scheduleSpec";
import { existingSchedule } from "./scheduleViews";
import { transition } from "./states";

type Schedule = Doc<"schedules">;

/** Firings of one transaction that the overlap policy decides on: each may begin a run, with a message of 256 KiB. */
const BATCH_FIRINGS = 10;
/** How often a call looks back, before it leaves the rest to the schedule's deadline. */
const LOOKS_PER_CALL = 3;
/** Schedules that one transaction pauses. */
const BATCH_SCHEDULES = 20;
/** Convex takes no function for a time that is further away than five years. */
const DEADLINE_AHEAD_MAX_MS = 365 * 24 * 60 * 60 * 1000;

/** The deadline of a schedule: what is due gets its rows, and what is to run begins. */
export async function scheduleFires(ctx: MutationCtx, id: string, at: number): Promise<void> {
  const schedule = await scheduleById(ctx, id);
  if (schedule === null) {
    return;
  }
  if (isDue(schedule)) {
    await fireOnce(ctx, schedule);
  } else if (schedule.nextAt === at) {
    // It was too far away to wait for in one go, or the clock was set back.
    await armFiring(ctx, id, at);
  }
}

/**
 * What is due up to now gets its rows, before anything about the schedule changes. It may still be due afterwards,
 * when that is more than one transaction does.
 */
async function fireDue(ctx: MutationCtx, id: string): Promise<Schedule> {
  for (let looks = 0; ; looks += 1) {
    const schedule = await existingSchedule(ctx, id);
    if (!isDue(schedule) || looks === LOOKS_PER_CALL) {
      return schedule;
    }
    await fireOnce(ctx, schedule);
  }
}

/** As {@link fireDue}, for a call: one that comes while a long look back goes on has to come again. */
export async function fireAllDue(ctx: MutationCtx, id: string): Promise<Schedule> {
  const schedule = await fireDue(ctx, id);
  if (isDue(schedule)) {
    throw refusal(
      "unavailable",
      "This schedule still looks back at what it missed while nobody was there to run it. Try again in a moment.",
    );
  }
  return schedule;
}

const isDue = (schedule: Schedule): boolean =>
  schedule.state === "enabled" && schedule.open && schedule.nextAt !== null && schedule.nextAt <= Date.now();

async function fireOnce(ctx: MutationCtx, schedule: Schedule): Promise<void> {
  const timing = timingOf(schedule.spec.when);
  const found = lookBack(timing, schedule.spec.catchUp, schedule.handled, Date.now());
  const run = found.run.slice(0, BATCH_FIRINGS);
  // What is run is later than all that was missed, so the next look back finds the rest.
  const handled = run.length < found.run.length ? (run.at(-1) ?? null) : found.handled;
  await armSchedule(ctx, { ...schedule, handled: Math.max(schedule.handled, handled ?? 0) }, timing);
  for (const { first, last, count, why } of found.ranges) {
    await miss(ctx, schedule.id, first, why, { until: last, count });
  }
  for (const { at, why } of found.missed) {
    await miss(ctx, schedule.id, at, why, {});
  }
  for (const at of run) {
    if (!(await isFired(ctx, schedule.id, at))) {
      await fire(ctx, schedule.id, at, timing);
    }
  }
}

async function miss(
  ctx: MutationCtx,
  schedule: string,
  at: number,
  missed: MissedWhy,
  range: { until?: number; count?: number },
): Promise<void> {
  if (await isFired(ctx, schedule, at)) {
    return;
  }
  const run = await changeRun(ctx, await newRun(ctx, schedule, at, false), { ...range, missed });
  await finishRun(ctx, run, "missed", missedText(missed));
}

/** One firing: the overlap policy decides what becomes of it. */
async function fire(ctx: MutationCtx, id: string, at: number, timing: Timing): Promise<void> {
  const { spec } = await existingSchedule(ctx, id);
  const open = await openRuns(ctx, id);
  const decision = decideOn(spec.overlap, open);
  const run = await newRun(ctx, id, at, false);
  if (decision.kind === "skip") {
    await skipRun(ctx, run, decision.why);
    return;
  }
  if (decision.kind === "replace") {
    await makeWay(ctx, open);
  }
  const startsAt = startOf(id, at, timing.nextFire(at), spec.jitterMs);
  if (startsAt <= Date.now()) {
    await beginOrWait(ctx, run);
    return;
  }
  await changeRun(ctx, run, { startsAt });
  await arm(ctx, startsAt, { kind: "runStarts", run: run.id });
}

/** A run that a person asks for. It is no firing, but the overlap policy decides all the same. */
export async function fireNow(ctx: MutationCtx, schedule: Schedule): Promise<string> {
  const open = await openRuns(ctx, schedule.id);
  const decision = decideOn(schedule.spec.overlap, open);
  if (decision.kind === "skip") {
    throw refusal("conflict", skipText(decision.why));
  }
  if (decision.kind === "replace") {
    await makeWay(ctx, open);
  }
  const run = await newRun(ctx, schedule.id, Date.now(), true);
  await beginOrWait(ctx, run);
  return run.id;
}

function decideOn(overlap: Schedule["spec"]["overlap"], open: readonly Run[]) {
  const running = open.filter(goesOn).length;
  return decide(overlap, running, open.length - running);
}

/** The deadline of a run that waits for its jitter or for another try. */
export async function runStarts(ctx: MutationCtx, id: string): Promise<void> {
  const run = await runById(ctx, id);
  if (run?.open !== true || run.startsAt === null || run.startsAt > Date.now()) {
    return;
  }
  await (isWaiting(run) ? beginOrWait(ctx, run) : tryAgain(ctx, run));
}

async function beginOrWait(ctx: MutationCtx, run: Run): Promise<void> {
  if (await mayBegin(ctx, run)) {
    await beginRun(ctx, run);
    return;
  }
  await changeRun(ctx, run, {
    startsAt: null,
    state: transition("run", run.state, "queued"),
    reason: "It waits until the run before it has ended.",
  });
}

/** A run of this schedule has ended: one that waited for that may begin. */
export async function beginNext(ctx: MutationCtx, schedule: string): Promise<void> {
  for (const run of await openRuns(ctx, schedule)) {
    if (isWaiting(run) && run.startsAt === null && (await mayBegin(ctx, run))) {
      await beginRun(ctx, run);
    }
  }
}

/** Whether nothing of its schedule goes on or waits before it, or does not matter. */
async function mayBegin(ctx: QueryCtx, run: Run): Promise<boolean> {
  const { spec } = await existingSchedule(ctx, run.schedule);
  return spec.overlap === "parallel" || (await openRuns(ctx, run.schedule)).every((other) => other.place >= run.place);
}

/** What goes on is stopped, and what waits is left out, for a run that takes their place. */
async function makeWay(ctx: MutationCtx, open: readonly Run[]): Promise<void> {
  for (const run of open) {
    await (goesOn(run) ? stopRun(ctx, run, "replaced") : skipRun(ctx, run, "newer"));
  }
}

async function skipRun(ctx: MutationCtx, run: Run, why: SkipWhy): Promise<void> {
  await finishRun(ctx, await changeRun(ctx, run, { skipped: why }), "skipped", skipText(why));
}

/** Works out when an enabled schedule fires next, arms its deadline and saves the schedule. */
export async function armSchedule(ctx: MutationCtx, schedule: Schedule, timing: Timing): Promise<void> {
  const isEnabled = schedule.state === "enabled" && schedule.open;
  const nextAt = isEnabled ? timing.nextFire(schedule.handled) : null;
  const { _id, _creationTime, ...fields } = schedule;
  await ctx.db.replace(_id, { ...fields, nextAt });
  if (nextAt !== null) {
    await armFiring(ctx, schedule.id, nextAt);
  }
}

async function armFiring(ctx: MutationCtx, schedule: string, at: number): Promise<void> {
  const now = Date.now();
  const met = Math.min(Math.max(at, now), now + DEADLINE_AHEAD_MAX_MS);
  await arm(ctx, met, { kind: "scheduleFires", schedule, at });
}

/** What a worker or a machine will do no more. */
export interface GoneWorker {
  machine: string;
  worker: string | null;
  reason: string;
}

/**
 * The worker will do no more runs: its schedules are paused, and what has not begun there never will. Pauses a first
 * batch at once; the others follow in transactions of their own.
 */
export async function pauseSchedulesOf(ctx: MutationCtx, gone: GoneWorker, after: string): Promise<void> {
  const { machine, worker, reason } = gone;
  const schedules = ctx.db.query("schedules");
  const batch = await (
    worker === null
      ? schedules.withIndex("by_machine_open_id", (q) => q.eq("machine", machine).eq("open", true).gt("id", after))
      : schedules.withIndex("by_worker_open_id", (q) => q.eq("worker", worker).eq("open", true).gt("id", after))
  ).take(BATCH_SCHEDULES + 1);
  const last = batch.slice(0, BATCH_SCHEDULES).at(-1);
  for (const { id } of batch.slice(0, BATCH_SCHEDULES)) {
    await pauseWhenFired(ctx, id, reason);
    for (const run of await openRuns(ctx, id)) {
      // What has a turn ends with its chat session.
      if ((await liveTurn(ctx, run)) === null) {
        await finishRun(ctx, run, "cancelled", reason);
      }
    }
  }
  if (batch.length > BATCH_SCHEDULES && last !== undefined) {
    await ctx.scheduler.runAfter(0, internal.upkeep.pauseRest, { gone, after: last.id });
  }
}

/** Pauses a schedule once what is due has its rows, which may be in a later transaction. */
export async function pauseWhenFired(ctx: MutationCtx, id: string, reason: string): Promise<void> {
  const schedule = await fireDue(ctx, id);
  if (isDue(schedule)) {
    await ctx.scheduler.runAfter(0, internal.upkeep.pauseSchedule, { schedule: id, reason });
  } else if (schedule.state === "enabled" && schedule.open) {
    await pause(ctx, schedule, reason);
  }
}

export async function pause(ctx: MutationCtx, schedule: Schedule, reason: string): Promise<void> {
  const paused = { ...schedule, state: transition("schedule", schedule.state, "paused"), reason };
  await armSchedule(ctx, paused, timingOf(schedule.spec.when));
}

/** How many overdue rows one sweep finds. */
const SWEEP_ROWS = 200;

/** A net below the deadlines: arms them anew where they should have been met long ago. */
export async function sweep(ctx: MutationCtx): Promise<void> {
  const overdue = Date.now() - LIMITS.firingGraceMs;
  const schedules = await ctx.db
    .query("schedules")
    .withIndex("by_state_nextAt", (q) => q.eq("state", "enabled").gte("nextAt", 0).lt("nextAt", overdue))
    .take(SWEEP_ROWS);
  for (const { id, nextAt } of schedules) {
    await armFiring(ctx, id, nextAt ?? 0);
  }
  const runs = await ctx.db
    .query("runs")
    .withIndex("by_open_startsAt", (q) => q.eq("open", true).gte("startsAt", 0).lt("startsAt", overdue))
    .take(SWEEP_ROWS);
  for (const { id } of runs) {
    await arm(ctx, Date.now(), { kind: "runStarts", run: id });
  }
}

function missedText(why: MissedWhy): string {
  const rest = {
    skipped: "this schedule does not run what was missed",
    later: "only the latest one was run",
    too_old: "it was too long ago to be run later",
    too_many: `only the latest ${LIMITS.catchUpRunsMax} were run`,
    unknown: "it was not run later",
  };
  return `Nobody was there to run it; ${rest[why]}.`;
}

function skipText(why: SkipWhy): string {
  const texts = {
    still_running: "The run before it was still going on.",
    one_waits: "A run was going on and another one waited already.",
    too_many_runs: `${LIMITS.parallelRunsMax} runs were going on already.`,
    newer: "It was waiting when the next one fired and took its place.",
    unknown: "It was left out.",
  };
  return texts[why];
}
