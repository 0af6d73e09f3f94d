/** What is to happen by itself when its time has come. Each deadline is a scheduled function: none is forgotten. */

import { v, type Infer } from "convex/values";
import { internal } from "../functions/_generated/api";
import type { MutationCtx } from "../functions/_generated/server";

export const deadline = v.union(
  v.object({ kind: v.literal("leaseEnds"), machine: v.string(), at: v.number() }),
  v.object({ kind: v.literal("keyExpires"), keyHash: v.string() }),
  v.object({ kind: v.literal("askExpires"), ask: v.string() }),
  v.object({ kind: v.literal("forgetReply"), person: v.string(), key: v.string() }),
  v.object({ kind: v.literal("dropChunks"), turn: v.string() }),
  v.object({ kind: v.literal("commandExpires"), command: v.string() }),
  v.object({ kind: v.literal("dropResult"), command: v.string() }),
  v.object({ kind: v.literal("forgetCommand"), command: v.string() }),
  v.object({ kind: v.literal("scheduleFires"), schedule: v.string(), at: v.number() }),
  v.object({ kind: v.literal("runStarts"), run: v.string() }),
  v.object({ kind: v.literal("runTimesUp"), run: v.string(), tries: v.number() }),
  v.object({ kind: v.literal("viewerLeaves"), chat: v.string() }),
);

export type Deadline = Infer<typeof deadline>;

export async function arm(ctx: MutationCtx, at: number, deadline: Deadline): Promise<void> {
  await ctx.scheduler.runAt(at, internal.deadlines.meet, { deadline });
}
