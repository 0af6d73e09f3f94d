import { v } from "convex/values";
import { closeAllOf, ending } from "../model/closing";
import { purgeChunks as purgeChunksOf } from "../model/streams";
import { internalMutation } from "./_generated/server";

/** Goes on ending what one transaction could not end. */
export const closeRest = internalMutation({
  args: { ending },
  handler: (ctx, call): Promise<void> => closeAllOf(ctx, call.ending),
});

/** Goes on deleting what one transaction could not delete. */
export const purgeChunks = internalMutation({
  args: { turn: v.string() },
  handler: (ctx, call): Promise<void> => purgeChunksOf(ctx, call.turn),
});
