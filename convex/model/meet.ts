/** A deadline has come. None is ever taken back, so whoever meets one looks at the row again. */

import type { MutationCtx } from "../functions/_generated/server";
import { askExpires } from "./asks";
import { commandExpires, dropResult, forgetCommand } from "./commands";
import type { Deadline } from "./deadlines";
import { runStarts, scheduleFires } from "./firing";
import { keyExpires } from "./machines";
import { leaseEnds } from "./presence";
import { forgetReply } from "./replies";
import { runTimesUp } from "./runs";
import { settleRuns } from "./settling";
import { dropChunks, viewerLeaves } from "./streams";

export async function meet(ctx: MutationCtx, deadline: Deadline): Promise<void> {
  await meetOne(ctx, deadline);
  await settleRuns(ctx);
}

function meetOne(ctx: MutationCtx, deadline: Deadline): Promise<void> {
  switch (deadline.kind) {
    case "leaseEnds":
      return leaseEnds(ctx, deadline.machine, deadline.at);
    case "keyExpires":
      return keyExpires(ctx, deadline.keyHash);
    case "askExpires":
      return askExpires(ctx, deadline.ask);
    case "forgetReply":
      return forgetReply(ctx, deadline.person, deadline.key);
    case "dropChunks":
      return dropChunks(ctx, deadline.turn);
    case "commandExpires":
      return commandExpires(ctx, deadline.command);
    case "dropResult":
      return dropResult(ctx, deadline.command);
    case "forgetCommand":
      return forgetCommand(ctx, deadline.command);
    case "scheduleFires":
      return scheduleFires(ctx, deadline.schedule, deadline.at);
    case "runStarts":
      return runStarts(ctx, deadline.run);
    case "runTimesUp":
      return runTimesUp(ctx, deadline.run, deadline.tries);
    case "viewerLeaves":
      return viewerLeaves(ctx, deadline.chat);
  }
}
