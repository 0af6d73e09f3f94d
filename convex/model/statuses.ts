/** What machines tell about their own work with their signs of life. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { LIMITS, type MachineStatus } from "./gen/wire";
import { boundedReason } from "./texts";
import { forgetWaits, keepWaits } from "./waits";

/** The machine has told how it is. */
export async function keepStatus(ctx: MutationCtx, machine: string, status: MachineStatus): Promise<void> {
  const told = { machine, at: Date.now(), status: bounded(status) };
  await keepWaits(ctx, machine, told.status);
  const earlier = await statusRow(ctx, machine);
  if (earlier === null) {
    await ctx.db.insert("statuses", told);
  } else {
    await ctx.db.replace(earlier._id, told);
  }
}

/** What an earlier connection told says nothing of the one that begins. */
export async function forgetStatus(ctx: MutationCtx, machine: string): Promise<void> {
  const row = await statusRow(ctx, machine);
  if (row !== null) {
    await ctx.db.delete(row._id);
  }
  await forgetWaits(ctx, machine);
}

/** A sign of life is never refused for what it tells: what is too much of it is left out. */
const bounded = (status: MachineStatus): MachineStatus => ({
  ...status,
  waiting: status.waiting.slice(0, LIMITS.statusWaitingMax),
  errors: status.errors
    .slice(-LIMITS.statusErrorsMax)
    .map(({ at, message }) => ({ at, message: boundedReason(message) })),
});

export const statusRow = (ctx: QueryCtx, machine: string): Promise<Doc<"statuses"> | null> =>
  ctx.db
    .query("statuses")
    .withIndex("by_machine", (q) => q.eq("machine", machine))
    .unique();
