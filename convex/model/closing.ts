/** Ending chat sessions, also many at once, when their machine is revoked or their worker removed. */

import { v, type Infer } from "convex/values";
import { internal } from "../functions/_generated/api";
import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { openAsksOf, withdrawAsks } from "./asks";
import { cancelCommandsOf } from "./commands";
import { count } from "./counts";
import { transition } from "./states";
import { markEnded, waitingTurns } from "./turns";
import { removeWorktreeOf } from "./worktrees";

/** What ends: a worker's chat sessions, or all of a machine's and then its commands. */
export const ending = v.object({
  machine: v.string(),
  worker: v.union(v.string(), v.null()),
  /** On whose behalf. */
  person: v.string(),
});

type Ending = Infer<typeof ending>;

/**
 * How much one transaction ends. Rust ends everything in one; here 2,000 chat sessions with 1,000 messages each would
 * be beyond the 16,000 documents that a transaction may write, the 4,096 ranges that it may read (a written document
 * counts as one) and the 1,000 functions that it may schedule. A single chat session always fits.
 */
const BATCH_CHATS = 100;
const BATCH_TURNS = 500;

/** Ends a first batch at once; the others follow in transactions of their own, right after this one. */
export async function closeAllOf(ctx: MutationCtx, ending: Ending): Promise<void> {
  let turns = 0;
  for (const chat of await openChats(ctx, ending, BATCH_CHATS)) {
    await closeChat(ctx, ending.person, chat, false);
    turns += chat.openTurns;
    if (turns >= BATCH_TURNS) {
      break;
    }
  }
  const hasMoreChats = (await openChats(ctx, ending, 1)).length > 0;
  // The commands come last: ending a chat session may leave one that removes its worktree.
  const hasMore = hasMoreChats || (ending.worker === null && (await cancelCommandsOf(ctx, ending.machine)));
  if (hasMore) {
    await ctx.scheduler.runAfter(0, internal.upkeep.closeRest, { ending });
  }
}

const openChats = (ctx: QueryCtx, ending: Ending, limit: number): Promise<Doc<"chats">[]> => {
  const { machine, worker } = ending;
  const chats =
    worker === null
      ? ctx.db.query("chats").withIndex("by_machine_open_id", (q) => q.eq("machine", machine).eq("open", true))
      : ctx.db.query("chats").withIndex("by_worker_open_id", (q) => q.eq("worker", worker).eq("open", true));
  return chats.take(limit);
};

/**
 * Ends a chat session: what waits is cancelled, what runs is cancelled, nobody waits for an answer, and its worktree
 * goes if nothing would be lost with it.
 */
export async function closeChat(
  ctx: MutationCtx,
  person: string,
  chat: Doc<"chats">,
  discardWorktree: boolean,
): Promise<void> {
  const turns = await waitingTurns(ctx, chat.id);
  for (const turn of turns) {
    await markEnded(ctx, turn, "cancelled", null);
  }
  await withdrawAsks(ctx, chat, await openAsksOf(ctx, chat));
  await ctx.db.patch(chat._id, {
    state: transition("chat session", chat.state, "closed"),
    reason: null,
    open: false,
    openTurns: 0,
    queuedCount: 0,
    activeAt: turns.length > 0 ? Date.now() : chat.activeAt,
  });
  await count(ctx, chat.machine, "openChats", -1);
  if (chat.worktree !== null) {
    await removeWorktreeOf(ctx, person, chat, discardWorktree);
  }
}
