/**
 * Which chat sessions wait for a process of their machine, as it told last. Apart from all else that it tells, and
 * written only when it differs, so that a sign of life does not make whoever watches a chat session look again.
 */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import type { MachineStatus, ProcessWait } from "./gen/wire";
import { isUp } from "./presence";

type Told = Pick<MachineStatus, "processes" | "processLimit" | "waiting">;

/** The machine has told how it is. */
export async function keepWaits(ctx: MutationCtx, machine: string, status: Told): Promise<void> {
  const { processes, processLimit, waiting } = status;
  const told = { machine, processes, processLimit, waiting };
  const earlier = await waitsRow(ctx, machine);
  if (waiting.length === 0) {
    // Nobody has to hear how many processes run.
    await forgetWaits(ctx, machine);
  } else if (earlier === null) {
    await ctx.db.insert("waits", told);
  } else if (!isSame(earlier, told)) {
    await ctx.db.replace(earlier._id, told);
  }
}

export async function forgetWaits(ctx: MutationCtx, machine: string): Promise<void> {
  const row = await waitsRow(ctx, machine);
  if (row !== null) {
    await ctx.db.delete(row._id);
  }
}

/**
 * Why the chat session's next message waits, if its machine is there and says that it waits for a process. Where a
 * message is under way, or there is none, nothing is read.
 */
export async function processWait(ctx: QueryCtx, chat: Doc<"chats">): Promise<ProcessWait | null> {
  if (chat.queuedCount === 0 || chat.queuedCount < chat.openTurns || !(await isUp(ctx, chat.machine))) {
    return null;
  }
  const row = await waitsRow(ctx, chat.machine);
  const ahead = row?.waiting.indexOf(chat.id) ?? -1;
  if (row === null || ahead < 0) {
    return null;
  }
  const { processes, processLimit } = row;
  // A machine with a free place starts whoever is next at once, unless memory is short.
  return { ahead, processes, processLimit, forMemory: processes < processLimit };
}

const isSame = (a: Told, b: Told): boolean =>
  a.processes === b.processes &&
  a.processLimit === b.processLimit &&
  a.waiting.length === b.waiting.length &&
  a.waiting.every((chat, place) => chat === b.waiting[place]);

const waitsRow = (ctx: QueryCtx, machine: string): Promise<Doc<"waits"> | null> =>
  ctx.db
    .query("waits")
    .withIndex("by_machine", (q) => q.eq("machine", machine))
    .unique();
