import type { Timing } from "./firing";
import { LIMITS } from "./shared.gen";

/**
 * What a schedule's policies make of its firings; the twins of `protocol::schedule::{start_of, decide, look_back,
 * retry_wait_ms, after_run}`, where the reasons are written. Times are in milliseconds.
 */

/** When the run of a firing starts: up to `jitterMs` after its instant, and always before the next firing. */
export function startOf(schedule: string, due: number, nextDue: number | null, jitterMs: number): number {
  const room = nextDue === null ? LIMITS.jitterMaxMs : Math.max(nextDue - due - 1, 0);
  const widest = Math.min(jitterMs, LIMITS.jitterMaxMs, room);
  return due + (hash(`${schedule}@${due}`) % (widest + 1));
}

/** FNV-1a, with the finisher of MurmurHash3, of ASCII text. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let place = 0; place < text.length; place += 1) {
    value = Math.imul(value ^ text.charCodeAt(place), 0x01000193);
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** What to do with a firing while an earlier run goes on. */
export type Overlap = "skip" | "queue" | "cancel" | "parallel" | "unknown";

export type SkipWhy = "still_running" | "one_waits" | "too_many_runs" | "newer" | "unknown";

export type Decision = { kind: "start" } | { kind: "queue" } | { kind: "replace" } | { kind: "skip"; why: SkipWhy };

/** Decides what becomes of a firing that meets so many runs that have begun and so many that wait. */
export function decide(policy: Overlap, running: number, queued: number): Decision {
  if (running === 0 && queued === 0) return { kind: "start" };
  switch (policy) {
    case "skip":
    case "unknown":
      return { kind: "skip", why: "still_running" };
    case "queue":
      return queued === 0 ? { kind: "queue" } : { kind: "skip", why: "one_waits" };
    case "cancel":
      return { kind: "replace" };
    case "parallel":
      return running + queued < LIMITS.parallelRunsMax ? { kind: "start" } : { kind: "skip", why: "too_many_runs" };
  }
}

/** What to do with firings that were missed. */
export type CatchUp = { kind: "latest" } | { kind: "all"; withinMs: number } | { kind: "skip" } | { kind: "unknown" };

export type MissedWhy = "skipped" | "later" | "too_old" | "too_many" | "unknown";

export interface LookBack {
  /** The oldest missed firings, as one row of the ledger for each reason: from `first` to `last`, both included. */
  ranges: { first: number; last: number; count: number; why: MissedWhy }[];
  /** Missed firings with a row each, oldest first. */
  missed: { at: number; why: MissedWhy }[];
  /** Firings to run, oldest first; the overlap policy decides on each. */
  run: number[];
  /** What is handled after this: the next look back begins here. */
  handled: number | null;
  /** Whether there is more to look back at: the next look back follows at once. */
  more: boolean;
}

/** Looks at every firing after `handled`, up to `now`; each is run, missed or counted in one range. */
export function lookBack(timing: Timing, policy: CatchUp, handled: number, now: number): LookBack {
  let due = timing.firings(handled, now, LIMITS.lookBackFiringsMax + 1);
  const more = due.length > LIMITS.lookBackFiringsMax;
  if (more) due = due.slice(0, LIMITS.lookBackFiringsMax - LIMITS.catchUpRunsMax - LIMITS.missedRowsMax);
  const last = due.at(-1);
  if (last === undefined) return { ranges: [], missed: [], run: [], handled: null, more: false };
  const late = due.filter((at) => now - at > LIMITS.firingGraceMs);
  const onTime = due.slice(late.length);
  const oldest = policy.kind === "all" ? now - Math.min(policy.withinMs, LIMITS.catchUpWindowMaxMs) : null;
  const old = oldest === null ? 0 : late.filter((at) => at < oldest).length;
  const most = more ? 0 : runsMost(policy, onTime.length);
  const cut = Math.max(late.length - most, old, 0);
  const why = policy.kind === "all" ? "too_many" : policy.kind === "latest" ? "later" : "skipped";
  const missed = late.slice(0, cut).map((at, place) => ({ at, why: place < old ? "too_old" : why }) as const);
  const rows = more ? 0 : LIMITS.missedRowsMax;
  const folded = missed.length <= rows + 1 ? 0 : missed.length - rows;
  const ranges: LookBack["ranges"] = [];
  for (const { at, why } of missed.slice(0, folded)) {
    const range = ranges.at(-1);
    if (range?.why === why) {
      range.last = at;
      range.count += 1;
    } else {
      ranges.push({ first: at, last: at, count: 1, why });
    }
  }
  return { ranges, missed: missed.slice(folded), run: [...late.slice(cut), ...onTime], handled: last, more };
}

function runsMost(policy: CatchUp, onTime: number): number {
  switch (policy.kind) {
    case "latest":
      return onTime === 0 ? 1 : 0;
    case "all":
      return LIMITS.catchUpRunsMax;
    case "skip":
    case "unknown":
      return 0;
  }
}

export type FailureKind = "provider" | "process" | "machine" | "denied" | "time_limit" | "setup" | "other" | "unknown";

/**
 * How long to wait before a run that failed is tried again; `null` if it is not. `tries` counts those that were made, the
 * failed one included.
 */
export function retryWaitMs(retriesMost: number, tries: number, failure: FailureKind): number | null {
  const done = Math.max(tries - 1, 0);
  const isWorthIt = failure === "provider" || failure === "process" || failure === "machine";
  if (!isWorthIt || done >= Math.min(retriesMost, LIMITS.runRetriesMax)) return null;
  return Math.min(LIMITS.runRetryFirstMs * 2 ** Math.min(done, 16), LIMITS.runRetryMaxMs);
}

/** Counts a run that has ended for good; `pauseAfter` failures in a row pause the schedule, zero never does. */
export function afterRun(
  pauseAfter: number,
  failuresInARow: number,
  ended: string,
): { failuresInARow: number; pauses: boolean } {
  if (ended === "completed") return { failuresInARow: 0, pauses: false };
  if (ended !== "failed" && ended !== "interrupted") return { failuresInARow, pauses: false };
  return { failuresInARow: failuresInARow + 1, pauses: pauseAfter !== 0 && failuresInARow + 1 >= pauseAfter };
}
