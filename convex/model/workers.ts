/** Workers: one for each (machine, directory), with an identity that stays. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { machineRow, workerRow, type Machine, type Person } from "./access";
import { closeAllOf } from "./closing";
import { count, countsOf } from "./counts";
import { pauseSchedulesOf } from "./firing";
import {
  LIMITS,
  type ConfigureWorkerArgs,
  type Done,
  type RegisterWorkerArgs,
  type RenameWorkerArgs,
  type ReportWorkerArgs,
  type WorkerArgs,
  type WorkerSettings,
  type WorkerSummary,
} from "./gen/wire";
import { newId } from "./ids";
import { checkedPath } from "./paths";
import { refusal, revoked } from "./refusal";
import { isLater, NEVER_REPORTED } from "./reports";
import { transition } from "./states";
import { beginning, boundedReason, checkedLabel, checkedModel, checkedName, maybe } from "./texts";

export async function register(ctx: MutationCtx, person: Person, args: RegisterWorkerArgs): Promise<WorkerSummary> {
  const machine = await machineRow(ctx, person, args.machineId);
  if (machine.state === "revoked") {
    throw revoked();
  }
  const directory = checkedPath(args.directory);
  const name = maybe(args.name, checkedName);
  const known = await ctx.db
    .query("workers")
    .withIndex("by_machine_open_directory", (q) =>
      q.eq("machine", machine.id).eq("open", true).eq("directory", directory),
    )
    .unique();
  if (known !== null) {
    return await summaryOf(ctx, known);
  }
  if ((await countsOf(ctx, machine.id)).workers >= LIMITS.workersMax) {
    throw refusal(
      "limit_reached",
      `This machine has ${LIMITS.workersMax} workers, which is the limit. Remove one first.`,
    );
  }
  const row = {
    id: newId("wrk"),
    machine: machine.id,
    name: name ?? defaultName(directory),
    directory,
    state: "registered",
    reason: null,
    reported: NEVER_REPORTED,
    createdAt: Date.now(),
    settings: checkedSettings(args.settings),
    open: true,
  } as const;
  await ctx.db.insert("workers", row);
  await count(ctx, machine.id, "workers", 1);
  return summary(row, 0);
}

export async function rename(ctx: MutationCtx, person: Person, args: RenameWorkerArgs): Promise<Done> {
  const worker = await workerRow(ctx, person, args.workerId);
  await ctx.db.patch(worker._id, { name: checkedName(args.name) });
  return {};
}

export async function configure(ctx: MutationCtx, person: Person, args: ConfigureWorkerArgs): Promise<WorkerSummary> {
  const worker = await workerRow(ctx, person, args.workerId);
  const settings = checkedSettings(args.settings);
  await ctx.db.patch(worker._id, { settings });
  return await summaryOf(ctx, { ...worker, settings });
}

export async function remove(ctx: MutationCtx, person: Person, args: WorkerArgs): Promise<Done> {
  const worker = await workerRow(ctx, person, args.workerId);
  if (worker.state === "removed") {
    return {};
  }
  const gone = { machine: worker.machine, worker: worker.id, reason: "Its worker was removed." };
  await pauseSchedulesOf(ctx, gone, "");
  await ctx.db.patch(worker._id, { state: transition("worker", worker.state, "removed"), open: false });
  await count(ctx, worker.machine, "workers", -1);
  await closeAllOf(ctx, { machine: worker.machine, worker: worker.id, person: person.id });
  return {};
}

export async function report(ctx: MutationCtx, machine: Machine, args: ReportWorkerArgs): Promise<Done> {
  const worker = await workerRow(ctx, machine, args.workerId);
  if (args.state !== "ready" && args.state !== "unavailable") {
    throw refusal("invalid", `A machine reports a worker as ready or unavailable, not as ${args.state}.`);
  }
  const reported = { epoch: machine.epoch, seq: args.seq };
  if (isLater(reported, worker.reported)) {
    await ctx.db.patch(worker._id, {
      reported,
      state: worker.state === args.state ? args.state : transition("worker", worker.state, args.state),
      reason: maybe(args.reason, boundedReason),
    });
  }
  return {};
}

/** The machine's workers that are not removed, by time of adding. */
export const workersOf = (ctx: QueryCtx, machine: string): Promise<Doc<"workers">[]> =>
  ctx.db
    .query("workers")
    .withIndex("by_machine_open_id", (q) => q.eq("machine", machine).eq("open", true))
    .take(LIMITS.workersMax);

async function summaryOf(ctx: QueryCtx, worker: Doc<"workers">): Promise<WorkerSummary> {
  const chats = await ctx.db
    .query("chats")
    .withIndex("by_worker_open_id", (q) => q.eq("worker", worker.id).eq("open", true))
    .take(LIMITS.openChatsMax);
  return summary(worker, chats.length);
}

/** A worker as a person sees it. */
export const summary = (
  worker: Omit<Doc<"workers">, "_id" | "_creationTime">,
  openChatCount: number,
): WorkerSummary => ({
  id: worker.id,
  machineId: worker.machine,
  name: worker.name,
  directory: worker.directory,
  state: worker.state,
  reason: worker.reason,
  createdAt: worker.createdAt,
  openChatCount,
  settings: worker.settings,
});

function checkedSettings(settings: WorkerSettings): WorkerSettings {
  if (settings.sandbox === "unknown") {
    throw refusal("invalid", "This backend does not know that kind of sandbox. Choose off or workspace.");
  }
  return {
    model: maybe(settings.model, checkedModel),
    agent: maybe(settings.agent, (agent) => checkedLabel(agent, "agent")),
    sandbox: settings.sandbox,
  };
}

const defaultName = (directory: string): string =>
  beginning(directory.split("/").at(-1) || "root", LIMITS.nameMaxBytes);
