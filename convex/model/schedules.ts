/** Schedules: made and changed by people, fired by deadlines, each firing with exactly one row. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { runRow, scheduleRow, type Person } from "./access";
import { usableWorker } from "./chats";
import { armSchedule, fireAllDue, fireNow, pause as pauseFor } from "./firing";
import {
  LIMITS,
  type CreateScheduleArgs,
  type Done,
  type EditScheduleArgs,
  type RunArgs,
  type RunReply,
  type ScheduleArgs,
  type ScheduleView,
} from "./gen/wire";
import { newId } from "./ids";
import { refusal } from "./refusal";
import { openRuns } from "./runRows";
import { stopRun } from "./runs";
import { checkedSpec, timingOf, type KeptSpec } from "./scheduleSpec";
import { existingRun, existingSchedule, promptRow, runSummary, viewOf } from "./scheduleViews";
import { newSecret } from "./secrets";
import { settleRuns } from "./settling";
import { isTerminal, transition } from "./states";

const WEBHOOK_SECRET_PREFIX = "owh";
const PAUSED_BY_A_PERSON = "Paused by a person.";

export async function create(ctx: MutationCtx, person: Person, args: CreateScheduleArgs): Promise<ScheduleView> {
  const worker = await usableWorker(ctx, person, args.workerId);
  const { spec, prompt, timing } = checkedSpec(args.spec);
  await countSchedule(ctx, person.id, 1);
  const now = Date.now();
  const id = newId("sch");
  await ctx.db.insert("prompts", { schedule: id, text: prompt });
  await ctx.db.insert("schedules", {
    id,
    owner: person.id,
    machine: worker.machine,
    worker: worker.id,
    spec,
    state: args.paused ? "paused" : "enabled",
    reason: args.paused ? PAUSED_BY_A_PERSON : null,
    handled: now,
    nextAt: null,
    failuresInARow: 0,
    revision: 1,
    createdAt: now,
    changedAt: now,
    chat: null,
    lastRun: null,
    lastEnded: null,
    runsMade: 0,
    webhookSecret: webhookSecret(spec, null),
    isDeleted: false,
    openRuns: 0,
    open: true,
  });
  await armSchedule(ctx, await existingSchedule(ctx, id), timing);
  return await viewOf(ctx, id);
}

export async function edit(ctx: MutationCtx, person: Person, args: EditScheduleArgs): Promise<ScheduleView> {
  const { id, revision, worker } = await liveSchedule(ctx, person, args.scheduleId);
  if (revision !== args.revision) {
    throw refusal("conflict", "This schedule was changed meanwhile. Look at what it is now, then change it again.");
  }
  await usableWorker(ctx, person, worker);
  const { spec, prompt, timing } = checkedSpec(args.spec);
  const schedule = await fireAllDue(ctx, id);
  const row = await promptRow(ctx, id);
  if (row !== null) {
    await ctx.db.patch(row._id, { text: prompt });
  }
  const changed = {
    ...schedule,
    spec,
    handled: Math.max(schedule.handled, Date.now()),
    revision: schedule.revision + 1,
    changedAt: Date.now(),
    webhookSecret: webhookSecret(spec, schedule.webhookSecret),
  };
  await armSchedule(ctx, changed, timing);
  await settleRuns(ctx);
  return await viewOf(ctx, id);
}

export async function pause(ctx: MutationCtx, person: Person, args: ScheduleArgs): Promise<ScheduleView> {
  const { id } = await liveSchedule(ctx, person, args.scheduleId);
  const schedule = await fireAllDue(ctx, id);
  if (schedule.state === "enabled") {
    await pauseFor(ctx, { ...schedule, changedAt: Date.now() }, PAUSED_BY_A_PERSON);
  }
  await settleRuns(ctx);
  return await viewOf(ctx, id);
}

export async function resume(ctx: MutationCtx, person: Person, args: ScheduleArgs): Promise<ScheduleView> {
  const schedule = await liveSchedule(ctx, person, args.scheduleId);
  if (schedule.state === "paused") {
    await usableWorker(ctx, person, schedule.worker);
    const resumed = {
      ...schedule,
      state: transition("schedule", schedule.state, "enabled"),
      reason: null,
      failuresInARow: 0,
      handled: Math.max(schedule.handled, Date.now()),
      changedAt: Date.now(),
    };
    await armSchedule(ctx, resumed, timingOf(schedule.spec.when));
  }
  return await viewOf(ctx, schedule.id);
}

export async function remove(ctx: MutationCtx, person: Person, args: ScheduleArgs): Promise<Done> {
  const { id, isDeleted } = await scheduleRow(ctx, person, args.scheduleId);
  if (isDeleted) {
    return {};
  }
  const schedule = await fireAllDue(ctx, id);
  const deleted = { ...schedule, isDeleted: true, open: false, changedAt: Date.now() };
  await armSchedule(ctx, deleted, timingOf(schedule.spec.when));
  await countSchedule(ctx, person.id, -1);
  for (const run of await openRuns(ctx, id)) {
    await stopRun(ctx, run, null);
  }
  return {};
}

export async function runNow(ctx: MutationCtx, person: Person, args: ScheduleArgs): Promise<RunReply> {
  const { id, worker } = await liveSchedule(ctx, person, args.scheduleId);
  await usableWorker(ctx, person, worker);
  return await replyOf(ctx, await fireNow(ctx, await fireAllDue(ctx, id)));
}

export async function cancelRun(ctx: MutationCtx, person: Person, args: RunArgs): Promise<RunReply> {
  const run = await runRow(ctx, person, args.runId);
  if (isTerminal("run", run.state)) {
    throw refusal("conflict", `This run is ${run.state} already.`);
  }
  await stopRun(ctx, run, null);
  return await replyOf(ctx, run.id);
}

async function replyOf(ctx: MutationCtx, id: string): Promise<RunReply> {
  await settleRuns(ctx);
  const run = await existingRun(ctx, id);
  return { run: runSummary(run, await existingSchedule(ctx, run.schedule)) };
}

async function liveSchedule(ctx: QueryCtx, person: Person, id: string): Promise<Doc<"schedules">> {
  const schedule = await scheduleRow(ctx, person, id);
  if (schedule.isDeleted) {
    throw refusal("conflict", "This schedule was deleted. Make a new one.");
  }
  return schedule;
}

/** One schedule of the person's more, if they may have it, or less. */
async function countSchedule(ctx: MutationCtx, owner: string, by: 1 | -1): Promise<void> {
  const row = await ctx.db
    .query("scheduleCounts")
    .withIndex("by_owner", (q) => q.eq("owner", owner))
    .unique();
  if (by > 0 && (row?.schedules ?? 0) >= LIMITS.schedulesMax) {
    throw refusal(
      "limit_reached",
      `You have ${LIMITS.schedulesMax} schedules, which is the limit. Delete some that you no longer need.`,
    );
  }
  if (row === null) {
    await ctx.db.insert("scheduleCounts", { owner, schedules: by });
  } else {
    await ctx.db.patch(row._id, { schedules: row.schedules + by });
  }
}

const webhookSecret = (spec: KeptSpec, known: string | null): string | null =>
  spec.notify.webhook != null && known === null ? newSecret(WEBHOOK_SECRET_PREFIX) : known;
