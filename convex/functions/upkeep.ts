import { v } from "convex/values";
import { closeAllOf, ending } from "../model/closing";
import { pauseSchedulesOf, pauseWhenFired, sweep as sweepOverdue } from "../model/firing";
import { endedTurn, settleRest as settleRestOf, settleRuns } from "../model/settling";
import { purgeChunks as purgeChunksOf } from "../model/streams";
import { internalMutation } from "./_generated/server";

/** Goes on ending what one transaction could not end. */
export const closeRest = internalMutation({
  args: { ending },
  handler: async (ctx, call): Promise<void> => {
    await closeAllOf(ctx, call.ending);
    await settleRuns(ctx);
  },
});

/** Goes on deleting what one transaction could not delete. */
export const purgeChunks = internalMutation({
  args: { turn: v.string() },
  handler: (ctx, call): Promise<void> => purgeChunksOf(ctx, call.turn),
});

/** Goes on with what one transaction could not follow to its end. */
export const settleRest = internalMutation({
  args: { ended: v.array(endedTurn), unblocked: v.array(v.string()) },
  handler: (ctx, call): Promise<void> => settleRestOf(ctx, call.ended, call.unblocked),
});

/** Goes on pausing the schedules of what is gone. */
export const pauseRest = internalMutation({
  args: {
    gone: v.object({ machine: v.string(), worker: v.union(v.string(), v.null()), reason: v.string() }),
    after: v.string(),
  },
  handler: async (ctx, call): Promise<void> => {
    await pauseSchedulesOf(ctx, call.gone, call.after);
    await settleRuns(ctx);
  },
});

/** Pauses a schedule that had more to look back at than one transaction does. */
export const pauseSchedule = internalMutation({
  args: { schedule: v.string(), reason: v.string() },
  handler: async (ctx, call): Promise<void> => {
    await pauseWhenFired(ctx, call.schedule, call.reason);
    await settleRuns(ctx);
  },
});

/** Finds what should have happened long ago. */
export const sweep = internalMutation({
  args: {},
  handler: (ctx): Promise<void> => sweepOverdue(ctx),
});
