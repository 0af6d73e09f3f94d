/** A run from its beginning to its end: the turn it has, its tries, and what its end means for its schedule. */

import { ConvexError } from "convex/values";
import { afterRun, expand, retryWaitMs, type Timing } from "../../webapp/src/lib/schedule";
import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { runById, turnById, type Person } from "./access";
import { existingChat, startChat } from "./chats";
import { closeChat } from "./closing";
import { arm } from "./deadlines";
import { pauseWhenFired } from "./firing";
import { LIMITS, type ErrorCode, type RunState, type Usage } from "./gen/wire";
import { changeRun, liveTurn, runOfTurn, type Run } from "./runRows";
import { timingOf } from "./scheduleSpec";
import { existingRun, existingSchedule, promptOf } from "./scheduleViews";
import { noteUnblocked, type EndedTurn } from "./settling";
import { isTerminal, transition } from "./states";
import { beginning, byteLength } from "./texts";
import { checkMessage, messageOf, queueTurn, stopTurn } from "./turns";

const MINUTE_MS = 60_000;

/** Begins a run with what its schedule is now. */
export async function beginRun(ctx: MutationCtx, run: Run): Promise<void> {
  const schedule = await existingSchedule(ctx, run.schedule);
  const { session, model, agent, timeLimitMs, retries, unattended } = schedule.spec;
  const begun = await changeRun(ctx, run, {
    revision: schedule.revision,
    terms: { session, model, agent, timeLimitMs, retries, unattended },
  });
  await tryRun(ctx, begun, await newMessage(ctx, schedule, run));
}

/** Sends the same message again. */
export const tryAgain = async (ctx: MutationCtx, run: Run): Promise<void> =>
  await tryRun(ctx, run, run.turn === null ? "" : await messageOf(ctx, run.turn));

async function tryRun(ctx: MutationCtx, run: Run, message: string): Promise<void> {
  const tried = await changeRun(ctx, run, {
    tries: run.tries + 1,
    startsAt: null,
    reason: null,
    state: run.state === "due" ? transition("run", run.state, "queued") : run.state,
  });
  try {
    checkMessage(message);
    const chat = await chatFor(ctx, tried);
    const { id: turn } = await queueTurn(ctx, chat, message, run.id);
    await changeRun(ctx, tried, { chat: chat.id, turn });
  } catch (error) {
    const why = refusalOf(error);
    if (why === null) {
      throw error;
    }
    await finishRun(ctx, await changeRun(ctx, tried, { failure: "setup" }), "failed", why);
  }
}

/** What a refusal says, if it is something that a person has to do something about. All are made before a write. */
function refusalOf(error: unknown): string | null {
  const forPeople: readonly ErrorCode[] = ["invalid", "too_large", "limit_reached", "not_found", "conflict", "revoked"];
  if (!(error instanceof ConvexError)) {
    return null;
  }
  const { code, message } = error.data as { code: ErrorCode; message: string };
  return forPeople.includes(code) ? message : null;
}

async function newMessage(ctx: QueryCtx, schedule: Doc<"schedules">, run: Run): Promise<string> {
  const last = schedule.lastEnded === null ? null : await existingRun(ctx, schedule.lastEnded);
  return expand(await promptOf(ctx, schedule.id), {
    timing: timingOf(schedule.spec.when),
    due: run.dueAt,
    schedule: schedule.spec.name,
    last: last === null ? null : { state: last.state, reason: last.reason, due: last.dueAt },
  });
}

/** The chat session of the run's next try. */
async function chatFor(ctx: MutationCtx, run: Run): Promise<Doc<"chats">> {
  const schedule = await existingSchedule(ctx, run.schedule);
  const terms = run.terms ?? schedule.spec;
  const askFirst = terms.unattended.kind !== "ask";
  const goesOn = terms.session.kind === "continue";
  if (goesOn && schedule.chat !== null) {
    const chat = await existingChat(ctx, schedule.chat);
    // A process that asks for nothing can not be made to while it runs.
    if (chat.state !== "closed" && (chat.askFirst === true || !askFirst)) {
      return chat;
    }
  }
  const owner: Person = { kind: "person", id: schedule.owner };
  const title = titleOf(schedule.spec.name, timingOf(schedule.spec.when), run);
  const ownWorktree = terms.session.kind === "new" && terms.session.ownWorktree;
  const args = { workerId: schedule.worker, title, model: terms.model, agent: terms.agent, ownWorktree };
  const id = await startChat(ctx, owner, args, askFirst);
  if (goesOn) {
    await ctx.db.patch(schedule._id, { chat: id });
  }
  return await existingChat(ctx, id);
}

/** Its machine has taken a turn: if it is a run's, the run goes on from now, and its time counts. */
export async function runTaken(ctx: MutationCtx, turn: Doc<"turns">): Promise<void> {
  const run = await runOfTurn(ctx, turn);
  if (run?.state !== "queued") {
    return;
  }
  const now = Date.now();
  const state = transition("run", run.state, "running");
  const taken = await changeRun(ctx, run, { state, startedAt: run.startedAt ?? now });
  const limitMs = run.terms?.timeLimitMs;
  if (limitMs !== undefined) {
    await arm(ctx, now + limitMs, { kind: "runTimesUp", run: run.id, tries: run.tries });
  }
  await runShows(ctx, taken);
}

/** The deadline of a try that has a time limit. */
export async function runTimesUp(ctx: MutationCtx, id: string, tries: number): Promise<void> {
  const run = await runById(ctx, id);
  if (run?.state === "running" && run.tries === tries) {
    await stopRun(ctx, run, "time_limit");
  }
}

/** Stops a run: at once if its machine has not taken it, else with its turn. */
export async function stopRun(ctx: MutationCtx, run: Run, why: Run["stop"]): Promise<void> {
  const stop = run.stop ?? why;
  if (run.state !== "running") {
    await finishRun(ctx, { ...run, stop }, "cancelled", stoppedBecause(stop));
    return;
  }
  await changeRun(ctx, run, { stop });
  const turn = await liveTurn(ctx, run);
  if (turn !== null) {
    await stopTurn(ctx, turn);
  }
}

/** A turn has ended: so has the try of the run that it was of. */
export async function turnEnded(ctx: MutationCtx, ended: EndedTurn): Promise<void> {
  const turn = await turnById(ctx, ended.turn);
  const found = turn === null ? null : await runOfTurn(ctx, turn);
  if (turn === null || found?.open !== true || !isTerminal("turn", turn.state)) {
    return;
  }
  const run = { ...found, usage: sumOf(found.usage, ended.usage) };
  if (turn.state === "completed") {
    await finishRun(ctx, run, "completed", null);
  } else if (run.stop === "time_limit") {
    await finishRun(ctx, { ...run, failure: "time_limit" }, "failed", overTime(run));
  } else if (ended.wasStopped || run.stop !== null) {
    await finishRun(ctx, run, "cancelled", stoppedBecause(run.stop) ?? turn.reason);
  } else {
    await tryFailed(ctx, run, turn, run.denied.length > 0 ? "denied" : (ended.failure ?? "other"));
  }
}

async function tryFailed(
  ctx: MutationCtx,
  run: Run,
  turn: Doc<"turns">,
  failure: NonNullable<Run["failure"]>,
): Promise<void> {
  const waitMs = retryWaitMs(run.terms?.retries.most ?? 0, run.tries, failure);
  if (waitMs === null || (await existingSchedule(ctx, run.schedule)).isDeleted) {
    const end = turn.state === "interrupted" ? "interrupted" : "failed";
    await finishRun(ctx, { ...run, failure }, end, turn.reason);
    return;
  }
  const startsAt = Date.now() + waitMs;
  const waiting = await changeRun(ctx, run, {
    state: run.state === "running" ? transition("run", run.state, "queued") : run.state,
    startsAt,
    usage: run.usage,
    reason: turn.reason,
    isAsking: false,
  });
  await runShows(ctx, waiting);
  await arm(ctx, startsAt, { kind: "runStarts", run: run.id });
  await leaveChat(ctx, waiting);
}

/** Ends a run for good. What waited for that begins when this transaction's own work is done. */
export async function finishRun(ctx: MutationCtx, run: Run, end: RunState, reason: string | null): Promise<void> {
  const isUntaken = run.state === "queued" && (end === "completed" || end === "interrupted");
  const state = isUntaken ? transition("run", run.state, "running") : run.state;
  const { _id, _creationTime, ...fields } = run;
  const ended = await changeRun(ctx, run, {
    ...fields,
    state: transition("run", state, end),
    reason,
    startsAt: null,
    isAsking: false,
    endedAt: Date.now(),
    open: false,
  });
  const schedule = await existingSchedule(ctx, run.schedule);
  await ctx.db.patch(schedule._id, { openRuns: schedule.openRuns - 1 });
  await runShows(ctx, ended);
  noteUnblocked(ctx, run.schedule);
  const turn = await liveTurn(ctx, ended);
  if (turn !== null) {
    await stopTurn(ctx, turn);
  }
  await leaveChat(ctx, ended);
  await countRun(ctx, ended);
}

/** A chat session of its own ends with the try that it was for. */
async function leaveChat(ctx: MutationCtx, run: Run): Promise<void> {
  if (run.chat === null || run.terms === null || run.terms.session.kind === "continue") {
    return;
  }
  const chat = await existingChat(ctx, run.chat);
  if (chat.state !== "closed") {
    await closeChat(ctx, run.owner, chat, false);
  }
}

/** A run that has begun or ended is what its schedule shows, if it is the latest by the instant it was due. */
async function runShows(ctx: MutationCtx, run: Run): Promise<void> {
  const schedule = await existingSchedule(ctx, run.schedule);
  const last = schedule.lastRun === null ? null : await existingRun(ctx, schedule.lastRun);
  const isLatest = last === null || last.dueAt < run.dueAt || (last.dueAt === run.dueAt && last.id < run.id);
  if (isLatest) {
    await ctx.db.patch(schedule._id, { lastRun: run.id });
  }
}

/** Counts the failures in a row, and pauses a schedule that has failed too often. */
async function countRun(ctx: MutationCtx, run: Run): Promise<void> {
  if (run.state === "skipped" || run.state === "missed") {
    return;
  }
  const schedule = await existingSchedule(ctx, run.schedule);
  const { failuresInARow, pauses } = afterRun(schedule.spec.pauseAfter, schedule.failuresInARow, run.state);
  await ctx.db.patch(schedule._id, { lastEnded: run.id, failuresInARow });
  if (pauses) {
    const failures = failuresInARow === 1 ? "1 failure" : `${failuresInARow} failures`;
    await pauseWhenFired(ctx, schedule.id, `Paused after ${failures} in a row.`);
  }
}

/** The title of a run's chat session: its schedule's name and the time on its clock. */
function titleOf(name: string, timing: Timing, run: Run): string {
  const when = ` · ${timing.localDay(run.dueAt)} ${timing.localTime(run.dueAt)}`;
  const room = LIMITS.nameMaxBytes - byteLength(when);
  return byteLength(name) <= room ? `${name}${when}` : `${beginning(name, room - byteLength("…"))}…${when}`;
}

const stoppedBecause = (stop: Run["stop"]): string | null =>
  stop === "replaced" ? "The next run took its place." : null;

function overTime(run: Run): string {
  const minutes = Math.floor((run.terms?.timeLimitMs ?? 0) / MINUTE_MS);
  return `It went on for longer than ${minutes === 1 ? "1 minute" : `${minutes} minutes`}.`;
}

function sumOf(sum: Run["usage"], usage: Usage | null): Run["usage"] {
  return usage === null
    ? sum
    : {
        inputTokens: (sum?.inputTokens ?? 0) + usage.inputTokens,
        outputTokens: (sum?.outputTokens ?? 0) + usage.outputTokens,
        costMicroUsd: (sum?.costMicroUsd ?? 0) + usage.costMicroUsd,
      };
}
