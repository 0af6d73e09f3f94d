/** Validators of what the rows of schedules and runs hold, in the shapes of the wire types. */

import { v } from "convex/values";
import type { FailureKind, MissedWhy, Overlap, SkipWhy } from "./gen/wire";
import { maybe, nullable, oneOf, stateOf } from "./rows";

const unknown = v.object({ kind: v.literal("unknown") });

const when = v.union(
  v.object({ kind: v.literal("cron"), expression: v.string(), zone: v.string() }),
  v.object({ kind: v.literal("interval"), everyMinutes: v.number(), anchor: v.number(), zone: v.string() }),
  unknown,
);

/** What a run goes on with to its end, whatever becomes of its schedule. */
const terms = {
  session: v.union(
    v.object({ kind: v.literal("new"), ownWorktree: v.boolean() }),
    v.object({ kind: v.literal("continue") }),
    unknown,
  ),
  model: maybe(v.string()),
  agent: maybe(v.string()),
  timeLimitMs: v.optional(v.number()),
  retries: v.object({ most: v.number() }),
  unattended: v.union(
    v.object({ kind: v.literal("ask") }),
    v.object({ kind: v.literal("only"), allow: v.array(v.string()) }),
    unknown,
  ),
};

/** All that a person chose of a schedule but its prompt, which is in a row of its own: lists have no use for it. */
const spec = v.object({
  name: v.string(),
  when,
  ...terms,
  overlap: oneOf<Overlap>("skip", "queue", "cancel", "parallel", "unknown"),
  catchUp: v.union(
    v.object({ kind: v.literal("latest") }),
    v.object({ kind: v.literal("all"), withinMs: v.number() }),
    v.object({ kind: v.literal("skip") }),
    unknown,
  ),
  jitterMs: v.number(),
  pauseAfter: v.number(),
  notify: v.object({
    onFailure: v.boolean(),
    onSuccess: v.boolean(),
    onAsk: v.boolean(),
    webhook: maybe(v.string()),
  }),
});

export const scheduleFields = {
  id: v.string(),
  owner: v.string(),
  machine: v.string(),
  worker: v.string(),
  spec,
  state: stateOf("schedule"),
  reason: nullable(v.string()),
  /** Every firing up to here has its row; only moves forward. */
  handled: v.number(),
  /** Its next firing, for which a deadline is armed. */
  nextAt: nullable(v.number()),
  failuresInARow: v.number(),
  revision: v.number(),
  createdAt: v.number(),
  changedAt: v.number(),
  /** The chat session that goes on from run to run. */
  chat: nullable(v.string()),
  /** The latest run by the instant it was due, of those that have begun or ended. */
  lastRun: nullable(v.string()),
  /** The run that ended last, missed and skipped ones apart. */
  lastEnded: nullable(v.string()),
  runsMade: v.number(),
  webhookSecret: nullable(v.string()),
  isDeleted: v.boolean(),
  /** How many of its runs have not ended, so that a list need not read them. */
  openRuns: v.number(),
};

export const runFields = {
  id: v.string(),
  schedule: v.string(),
  owner: v.string(),
  /** Its place among the runs of its schedule, in the order in which they came about. */
  place: v.number(),
  dueAt: v.number(),
  isManual: v.boolean(),
  until: nullable(v.number()),
  count: v.number(),
  state: stateOf("run"),
  reason: nullable(v.string()),
  skipped: nullable(oneOf<SkipWhy>("still_running", "one_waits", "too_many_runs", "newer", "unknown")),
  missed: nullable(oneOf<MissedWhy>("skipped", "later", "too_old", "too_many", "unknown")),
  failure: nullable(
    oneOf<FailureKind>("provider", "process", "machine", "denied", "time_limit", "setup", "other", "unknown"),
  ),
  tries: v.number(),
  startsAt: nullable(v.number()),
  startedAt: nullable(v.number()),
  endedAt: nullable(v.number()),
  chat: nullable(v.string()),
  turn: nullable(v.string()),
  usage: nullable(v.object({ inputTokens: v.number(), outputTokens: v.number(), costMicroUsd: v.number() })),
  denied: v.array(v.string()),
  isAsking: v.boolean(),
  revision: v.number(),
  /** What of its schedule it began with, once it has. */
  terms: nullable(v.object(terms)),
  /** Why it is being stopped, if not by a person. */
  stop: nullable(oneOf("time_limit", "replaced")),
  open: v.boolean(),
};
