/**
 * What follows for runs from what one transaction has done: turns have ended, and with them the runs that they were of;
 * runs have ended, and others begin. It is noted while the transaction does its own work and done after that.
 */

import { v, type Infer } from "convex/values";
import { internal } from "../functions/_generated/api";
import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx } from "../functions/_generated/server";
import { beginNext } from "./firing";
import type { FailureKind, Usage } from "./gen/wire";
import { oneOf } from "./rows";
import { turnEnded } from "./runs";

/** A turn of a run that has ended. */
export const endedTurn = v.object({
  turn: v.string(),
  /** What kind of failure it was, if somebody knows. */
  failure: v.union(
    oneOf<FailureKind>("provider", "process", "machine", "denied", "time_limit", "setup", "other", "unknown"),
    v.null(),
  ),
  /** Somebody wanted it to stop. */
  wasStopped: v.boolean(),
  usage: v.union(v.object({ inputTokens: v.number(), outputTokens: v.number(), costMicroUsd: v.number() }), v.null()),
});

export type EndedTurn = Infer<typeof endedTurn>;

/** What a turn's end brought with it, where that is known. */
export interface EndFacts {
  failure?: FailureKind | null;
  usage?: Usage | null;
}

interface Pending {
  ended: EndedTurn[];
  /** Schedules of which a run has ended: another one may wait for that. */
  unblocked: Set<string>;
}

/** Runs that one transaction follows to their end; each of them reads and writes some 30 rows. */
const BATCH_RUNS = 40;

const pendingOf = new WeakMap<MutationCtx["db"], Pending>();

function pending(ctx: MutationCtx): Pending {
  const known = pendingOf.get(ctx.db);
  if (known !== undefined) {
    return known;
  }
  const fresh: Pending = { ended: [], unblocked: new Set() };
  pendingOf.set(ctx.db, fresh);
  return fresh;
}

/** Notes that a turn has ended, as it was before its end. */
export function noteEnded(ctx: MutationCtx, turn: Doc<"turns">, isCancelled: boolean, facts: EndFacts = {}): void {
  if (turn.run !== undefined) {
    pending(ctx).ended.push({
      turn: turn.id,
      failure: facts.failure ?? null,
      wasStopped: turn.cancelRequested || isCancelled,
      usage: facts.usage ?? null,
    });
  }
}

/** Notes that a run of this schedule has ended. */
export function noteUnblocked(ctx: MutationCtx, schedule: string): void {
  pending(ctx).unblocked.add(schedule);
}

/** Does what was noted, as much as one transaction can. The rest follows right after this one. */
export async function settleRuns(ctx: MutationCtx): Promise<void> {
  const left = pending(ctx);
  for (let done = 0; ; done += 1) {
    if (done >= BATCH_RUNS && (left.ended.length > 0 || left.unblocked.size > 0)) {
      const rest = { ended: left.ended.splice(0), unblocked: [...left.unblocked] };
      left.unblocked.clear();
      await ctx.scheduler.runAfter(0, internal.upkeep.settleRest, rest);
      return;
    }
    const ended = left.ended.shift();
    const [schedule] = left.unblocked;
    if (ended !== undefined) {
      await turnEnded(ctx, ended);
    } else if (schedule !== undefined) {
      left.unblocked.delete(schedule);
      await beginNext(ctx, schedule);
    } else {
      return;
    }
  }
}

/** Goes on with what one transaction could not do. */
export async function settleRest(ctx: MutationCtx, ended: EndedTurn[], unblocked: string[]): Promise<void> {
  pending(ctx).ended.push(...ended);
  for (const schedule of unblocked) {
    noteUnblocked(ctx, schedule);
  }
  await settleRuns(ctx);
}
