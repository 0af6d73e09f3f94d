/** The rows of runs: how they are made, found and changed. */

import type { WithoutSystemFields } from "convex/server";
import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { runById, turnById } from "./access";
import { LIMITS } from "./gen/wire";
import { newId } from "./ids";
import { existingRun, existingSchedule } from "./scheduleViews";
import { isTerminal } from "./states";

export type Run = Doc<"runs">;

/** More than can be open: those side by side, and one that waits for them. */
const OPEN_RUNS_READ = 2 * LIMITS.parallelRunsMax;

/** A row for one more run, which is open until it ends. */
export async function newRun(ctx: MutationCtx, scheduleId: string, dueAt: number, isManual: boolean): Promise<Run> {
  const schedule = await existingSchedule(ctx, scheduleId);
  const place = schedule.runsMade + 1;
  await ctx.db.patch(schedule._id, { runsMade: place, openRuns: schedule.openRuns + 1 });
  const row: WithoutSystemFields<Run> = {
    id: newId("run"),
    schedule: schedule.id,
    owner: schedule.owner,
    place,
    dueAt,
    isManual,
    until: null,
    count: 1,
    state: "due",
    reason: null,
    skipped: null,
    missed: null,
    failure: null,
    tries: 0,
    startsAt: null,
    startedAt: null,
    endedAt: null,
    chat: null,
    turn: null,
    usage: null,
    denied: [],
    isAsking: false,
    revision: schedule.revision,
    terms: null,
    stop: null,
    open: true,
  };
  await ctx.db.insert("runs", row);
  return await existingRun(ctx, row.id);
}

/** Changes some of a run, and gives it as it is then. */
export async function changeRun(ctx: MutationCtx, run: Run, change: Partial<WithoutSystemFields<Run>>): Promise<Run> {
  await ctx.db.patch(run._id, change);
  return { ...run, ...change };
}

/** Whether the firing at that instant has its row. */
export async function isFired(ctx: QueryCtx, schedule: string, instant: number): Promise<boolean> {
  const run = await ctx.db
    .query("runs")
    .withIndex("by_schedule_isManual_dueAt", (q) =>
      q.eq("schedule", schedule).eq("isManual", false).eq("dueAt", instant),
    )
    .first();
  return run !== null;
}

/** The runs that have not ended, in the order in which they came about. */
export const openRuns = (ctx: QueryCtx, schedule: string): Promise<Run[]> =>
  ctx.db
    .query("runs")
    .withIndex("by_schedule_open_place", (q) => q.eq("schedule", schedule).eq("open", true))
    .take(OPEN_RUNS_READ);

/** The run whose latest try this turn is or was. */
export async function runOfTurn(ctx: QueryCtx, turn: Doc<"turns">): Promise<Run | null> {
  const run = turn.run === undefined ? null : await runById(ctx, turn.run);
  return run?.turn === turn.id ? run : null;
}

/** The turn of a run, if that has not ended. */
export async function liveTurn(ctx: QueryCtx, run: Run): Promise<Doc<"turns"> | null> {
  const turn = run.turn === null ? null : await turnById(ctx, run.turn);
  return turn === null || isTerminal("turn", turn.state) ? null : turn;
}

/** It has begun and has not ended: its machine works on it, or it waits to be tried again. */
export const goesOn = (run: Run): boolean =>
  run.state === "running" || (run.state === "queued" && run.tries > 0 && run.startsAt !== null);

/** It has neither begun nor ended. */
export const isWaiting = (run: Run): boolean => run.open && run.tries === 0;
