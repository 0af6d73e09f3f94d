/** What people see of schedules and runs. */

import type { Doc } from "../functions/_generated/dataModel";
import type { QueryCtx } from "../functions/_generated/server";
import { runById, runRow, scheduleById, scheduleRow, workerRow, type Person } from "./access";
import {
  LIMITS,
  type Ledger,
  type LedgerArgs,
  type ListSchedulesArgs,
  type RunSummary,
  type ScheduleArgs,
  type ScheduleList,
  type ScheduleSummary,
  type ScheduleView,
} from "./gen/wire";
import { notFound } from "./refusal";
import { jsonBytes } from "./texts";

/** What one page reads at most: 500 of the largest would be more than a transaction may read. */
const PAGE_MAX_BYTES = 8 * 1024 * 1024;

export async function list(ctx: QueryCtx, person: Person, args: ListSchedulesArgs): Promise<ScheduleList> {
  const worker = args.workerId == null ? null : (await workerRow(ctx, person, args.workerId)).id;
  const after = args.after ?? "";
  const schedules = ctx.db.query("schedules");
  const page =
    worker === null
      ? schedules.withIndex("by_owner_open_id", (q) => q.eq("owner", person.id).eq("open", true).gt("id", after))
      : schedules.withIndex("by_worker_open_id", (q) => q.eq("worker", worker).eq("open", true).gt("id", after));
  const shown: ScheduleSummary[] = [];
  let bytes = 0;
  for await (const schedule of page) {
    const lastRun = schedule.lastRun === null ? null : await existingRun(ctx, schedule.lastRun);
    bytes += jsonBytes(schedule) + jsonBytes(lastRun);
    if (shown.length === LIMITS.schedulesPage || (bytes > PAGE_MAX_BYTES && shown.length > 0)) {
      return { schedules: shown, hasMore: true };
    }
    shown.push(scheduleSummary(schedule, lastRun));
  }
  return { schedules: shown, hasMore: false };
}

export const view = async (ctx: QueryCtx, person: Person, args: ScheduleArgs): Promise<ScheduleView> =>
  await viewOf(ctx, (await scheduleRow(ctx, person, args.scheduleId)).id);

export async function viewOf(ctx: QueryCtx, id: string): Promise<ScheduleView> {
  const schedule = await existingSchedule(ctx, id);
  const { runs, hasEarlier } = await ledgerPage(ctx, { schedule: id }, {}, LIMITS.viewMaxRuns);
  const lastRun = schedule.lastRun === null ? null : await existingRun(ctx, schedule.lastRun);
  return {
    schedule: scheduleSummary(schedule, lastRun),
    spec: { ...schedule.spec, prompt: await promptOf(ctx, id) },
    webhookSecret: schedule.spec.notify.webhook == null ? null : schedule.webhookSecret,
    chatSessionId: schedule.chat,
    runs,
    hasEarlier,
  };
}

export async function ledger(ctx: QueryCtx, person: Person, args: LedgerArgs): Promise<Ledger> {
  const of =
    args.scheduleId == null ? { owner: person.id } : { schedule: (await scheduleRow(ctx, person, args.scheduleId)).id };
  const before = args.before == null ? null : await runRow(ctx, person, args.before);
  return await ledgerPage(ctx, of, { from: args.from, until: args.until, before }, LIMITS.ledgerPageRuns);
}

interface Bounds {
  from?: number | null;
  until?: number | null;
  before?: Doc<"runs"> | null;
}

/** The latest runs of a schedule or a person within bounds, latest first. */
async function ledgerPage(
  ctx: QueryCtx,
  of: { schedule: string } | { owner: string },
  bounds: Bounds,
  most: number,
): Promise<Ledger> {
  const runs = await runsBefore(ctx, of, bounds, most + 1);
  const schedules = new Map<string, Doc<"schedules">>();
  const shown: RunSummary[] = [];
  for (const run of runs.slice(0, most)) {
    const schedule = schedules.get(run.schedule) ?? (await existingSchedule(ctx, run.schedule));
    schedules.set(run.schedule, schedule);
    shown.push(runSummary(run, schedule));
  }
  return { runs: shown, hasEarlier: runs.length > most };
}

async function runsBefore(
  ctx: QueryCtx,
  of: { schedule: string } | { owner: string },
  { from, until, before }: Bounds,
  most: number,
): Promise<Doc<"runs">[]> {
  const since = from ?? 0;
  const end = until ?? Number.MAX_SAFE_INTEGER;
  // The place before a run is in two ranges: those of its own instant, and those due earlier.
  const isWithin = before != null && before.dueAt < end;
  const found: Doc<"runs">[] = [];
  if (isWithin && before.dueAt >= since) {
    const { dueAt, id } = before;
    const sameInstant =
      "schedule" in of
        ? ctx.db
            .query("runs")
            .withIndex("by_schedule_dueAt_id", (q) => q.eq("schedule", of.schedule).eq("dueAt", dueAt).lt("id", id))
        : ctx.db
            .query("runs")
            .withIndex("by_owner_dueAt_id", (q) => q.eq("owner", of.owner).eq("dueAt", dueAt).lt("id", id));
    found.push(...(await sameInstant.order("desc").take(most)));
  }
  const to = isWithin ? before.dueAt : end;
  if (found.length < most && since < to) {
    const earlier =
      "schedule" in of
        ? ctx.db
            .query("runs")
            .withIndex("by_schedule_dueAt_id", (q) => q.eq("schedule", of.schedule).gte("dueAt", since).lt("dueAt", to))
        : ctx.db
            .query("runs")
            .withIndex("by_owner_dueAt_id", (q) => q.eq("owner", of.owner).gte("dueAt", since).lt("dueAt", to));
    found.push(...(await earlier.order("desc").take(most - found.length)));
  }
  return found;
}

function scheduleSummary(schedule: Doc<"schedules">, lastRun: Doc<"runs"> | null): ScheduleSummary {
  return {
    id: schedule.id,
    workerId: schedule.worker,
    machineId: schedule.machine,
    name: schedule.spec.name,
    when: schedule.spec.when,
    state: schedule.state,
    reason: schedule.reason,
    nextAt: schedule.nextAt,
    lastRun: lastRun === null ? null : runSummary(lastRun, schedule),
    openRunCount: schedule.openRuns,
    failuresInARow: schedule.failuresInARow,
    revision: schedule.revision,
    createdAt: schedule.createdAt,
    changedAt: schedule.changedAt,
    isDeleted: schedule.isDeleted,
  };
}

/** A run as a person sees it. */
export const runSummary = (run: Doc<"runs">, schedule: Doc<"schedules">): RunSummary => ({
  id: run.id,
  scheduleId: run.schedule,
  scheduleName: schedule.spec.name,
  workerId: schedule.worker,
  machineId: schedule.machine,
  dueAt: run.dueAt,
  isManual: run.isManual,
  until: run.until,
  count: run.count,
  state: run.state,
  reason: run.reason,
  skipped: run.skipped,
  missed: run.missed,
  failure: run.failure,
  tries: run.tries,
  startsAt: run.startsAt,
  startedAt: run.startedAt,
  endedAt: run.endedAt,
  chatSessionId: run.chat,
  turnId: run.turn,
  usage: run.usage,
  denied: run.denied,
  isAsking: run.isAsking,
  revision: run.revision,
});

/** A schedule that is known to be there. */
export async function existingSchedule(ctx: QueryCtx, id: string): Promise<Doc<"schedules">> {
  const schedule = await scheduleById(ctx, id);
  if (schedule === null) {
    throw notFound("schedule");
  }
  return schedule;
}

/** A run that is known to be there. */
export async function existingRun(ctx: QueryCtx, id: string): Promise<Doc<"runs">> {
  const run = await runById(ctx, id);
  if (run === null) {
    throw notFound("run");
  }
  return run;
}

export async function promptOf(ctx: QueryCtx, schedule: string): Promise<string> {
  const row = await promptRow(ctx, schedule);
  return row?.text ?? "";
}

export const promptRow = (ctx: QueryCtx, schedule: string): Promise<Doc<"prompts"> | null> =>
  ctx.db
    .query("prompts")
    .withIndex("by_schedule", (q) => q.eq("schedule", schedule))
    .unique();
