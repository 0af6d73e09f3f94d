/** Commands: kept until a machine takes them, begun at least once, ended once. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { commandById, commandRow, machineRow, type Machine, type Person } from "./access";
import { canonicalJson, hashOfTexts } from "./canonical";
import { arm } from "./deadlines";
import { listed, listingRequested } from "./directories";
import {
  LIMITS,
  type CommandArgs,
  type CommandError,
  type CommandResult,
  type CommandSummary,
  type CommandView,
  type Done,
  type FinishCommandArgs,
  type Operation,
  type Progress,
  type ReportCommandArgs,
  type RequestCommandArgs,
  type TakenCommand,
} from "./gen/wire";
import { newId } from "./ids";
import { checkedOperation, checkJson, isLong, isRead } from "./operations";
import { isConnected } from "./presence";
import { refusal, revoked } from "./refusal";
import { isLater, NEVER_REPORTED } from "./reports";
import { isTerminal, transition, type StateOf } from "./states";
import { boundedReason, maybe } from "./texts";
import { worktreeCommandEnded } from "./worktrees";

export async function request(ctx: MutationCtx, person: Person, args: RequestCommandArgs): Promise<CommandView> {
  const machine = await machineRow(ctx, person, args.machineId);
  if (machine.state === "revoked") {
    throw revoked();
  }
  const operation = await checkedOperation(ctx, machine.id, args.operation);
  // Reading the same again before it was read changes nothing: whoever waits, waits for one.
  const same = isRead(operation) ? await openRead(ctx, machine.id, operation) : null;
  if (same !== null) {
    return await viewOf(ctx, same);
  }
  if ((await openCommandsOf(ctx, machine.id)).length >= LIMITS.openCommandsMax) {
    throw refusal(
      "limit_reached",
      `${LIMITS.openCommandsMax} requests wait for this machine, which is the limit. ` +
        "Cancel some, or wait until the machine is back.",
    );
  }
  return { command: await queueCommand(ctx, machine.id, person.id, operation), result: null };
}

/** Puts a command among those that wait. */
export async function queueCommand(
  ctx: MutationCtx,
  machine: string,
  requestedBy: string,
  operation: Operation,
): Promise<CommandSummary> {
  const now = Date.now();
  const command = {
    id: newId("cmd"),
    machine,
    requestedBy,
    operation,
    isRead: isRead(operation),
    state: "queued",
    epoch: 0,
    attempt: 0,
    cancelRequested: false,
    progress: null,
    reported: NEVER_REPORTED,
    error: null,
    createdAt: now,
    startedAt: null,
    endedAt: null,
    expiresAt: now + (isRead(operation) ? LIMITS.readCommandLifeMs : LIMITS.changeCommandLifeMs),
  } as const;
  await ctx.db.insert("commands", command);
  await ctx.db.insert("openCommands", {
    machine,
    command: command.id,
    cancelRequested: false,
    isLong: isLong(operation),
    reads: command.isRead ? fingerprint(operation) : null,
  });
  await arm(ctx, command.expiresAt, { kind: "commandExpires", command: command.id });
  await listingRequested(ctx, command);
  return summary(command);
}

export async function cancel(ctx: MutationCtx, person: Person, args: CommandArgs): Promise<CommandView> {
  const command = await commandRow(ctx, person, args.commandId);
  if (command.state === "queued") {
    return await viewOf(ctx, await endCommand(ctx, command, "cancelled", null));
  }
  if (command.state === "leased" || command.state === "running") {
    // The machine may never come back: whoever waits for it must not wait for ever.
    if (!(await isConnected(ctx, command.machine))) {
      return await viewOf(ctx, await endCommand(ctx, command, "cancelled", stoppedWhileAway()));
    }
    await requestCancel(ctx, command.id);
    await ctx.db.patch(command._id, { cancelRequested: true });
    return await viewOf(ctx, { ...command, cancelRequested: true });
  }
  // It was faster than the wish to stop it.
  return await viewOf(ctx, command);
}

const stoppedWhileAway = (): CommandError => ({
  code: "interrupted",
  message:
    "Stopped while the machine was away; what it had begun may be finished or half-done there. " +
    "Look at it when the machine is back.",
});

export const view = async (ctx: QueryCtx, person: Person, args: CommandArgs): Promise<CommandView> =>
  await viewOf(ctx, await commandRow(ctx, person, args.commandId));

export async function take(ctx: MutationCtx, machine: Machine, args: CommandArgs): Promise<TakenCommand> {
  const command = await commandRow(ctx, machine, args.commandId);
  const isElsewhere = (command.state === "leased" || command.state === "running") && command.epoch !== machine.epoch;
  // Taken on an earlier connection: the process that took it is gone, so it begins again.
  const state = isElsewhere ? transition("command", command.state, "queued") : command.state;
  if (state !== "queued") {
    return taken(command);
  }
  const isGivenUp = command.attempt >= LIMITS.commandAttemptsMax;
  const leased = {
    state: transition("command", state, "leased"),
    progress: null,
    epoch: machine.epoch,
    attempt: command.attempt + 1,
    startedAt: command.startedAt ?? Date.now(),
    // Once more, to remove what the others left.
    cancelRequested: isGivenUp || command.cancelRequested,
    error: isGivenUp ? givenUp() : command.error,
  };
  if (isGivenUp) {
    await requestCancel(ctx, command.id);
  }
  await ctx.db.patch(command._id, leased);
  return taken({ ...command, ...leased });
}

const taken = (command: Doc<"commands">): TakenCommand => ({
  commandId: command.id,
  state: command.state,
  attempt: command.attempt,
  cancelRequested: command.cancelRequested,
  operation: command.operation,
});

const givenUp = (): CommandError => ({
  code: "interrupted",
  message:
    `The machine's process ended ${LIMITS.commandAttemptsMax} times while it worked on this. ` +
    "Look at its log, then try again.",
});

export async function report(ctx: MutationCtx, machine: Machine, args: ReportCommandArgs): Promise<Done> {
  const command = await commandRow(ctx, machine, args.commandId);
  const reported = { epoch: machine.epoch, seq: args.seq };
  // Late ones, and those of a command that has ended, tell nothing new.
  const isNews =
    command.epoch === machine.epoch && !isTerminal("command", command.state) && isLater(reported, command.reported);
  if (isNews) {
    await ctx.db.patch(command._id, {
      reported,
      state: command.state === "running" ? "running" : transition("command", command.state, "running"),
      progress: boundedProgress(args.progress),
    });
  }
  return {};
}

export async function finish(ctx: MutationCtx, machine: Machine, args: FinishCommandArgs): Promise<Done> {
  const command = await commandRow(ctx, machine, args.commandId);
  if (isTerminal("command", command.state)) {
    return {};
  }
  if (command.epoch !== machine.epoch) {
    throw refusal("conflict", "This connection has not taken the command. Take it first.");
  }
  // It was stopped because it had been tried too often.
  const isGivenUp = args.outcome === "cancelled" && command.error !== null;
  const outcome = isGivenUp ? "failed" : args.outcome;
  switch (outcome) {
    case "succeeded": {
      const isUnreported = command.state === "leased";
      const state = isUnreported ? transition("command", command.state, "running") : command.state;
      await keepResult(ctx, command, args.result ?? { kind: "done" });
      await endCommand(ctx, { ...command, state }, outcome, null);
      return {};
    }
    case "failed": {
      const error = args.error ?? command.error ?? { code: "other", message: "The machine did not say why." };
      await endCommand(ctx, command, outcome, { ...error, message: boundedReason(error.message) });
      return {};
    }
    case "cancelled":
      await endCommand(ctx, command, outcome, command.error);
      return {};
    case "queued":
    case "leased":
    case "running":
    case "expired":
    case "unknown":
      throw refusal("invalid", `A command can't end as ${outcome}.`);
  }
}

async function keepResult(ctx: MutationCtx, command: Doc<"commands">, result: CommandResult): Promise<void> {
  checkJson("result", result);
  await listed(ctx, command, result);
  await ctx.db.insert("results", { command: command.id, result });
  await arm(ctx, Date.now() + LIMITS.resultKeptMs, { kind: "dropResult", command: command.id });
}

async function endCommand(
  ctx: MutationCtx,
  command: Doc<"commands">,
  end: StateOf<"command">,
  error: CommandError | null,
): Promise<Doc<"commands">> {
  const ended = { state: transition("command", command.state, end), error, endedAt: Date.now(), progress: null };
  await ctx.db.patch(command._id, ended);
  const open = await openCommand(ctx, command.id);
  if (open !== null) {
    await ctx.db.delete(open._id);
  }
  await worktreeCommandEnded(ctx, { ...command, ...ended });
  const kept = command.isRead ? LIMITS.readActivityKeptMs : LIMITS.changeActivityKeptMs;
  await arm(ctx, Date.now() + kept, { kind: "forgetCommand", command: command.id });
  return { ...command, ...ended };
}

/** The machine never came for it in time. */
export async function commandExpires(ctx: MutationCtx, id: string): Promise<void> {
  const command = await commandById(ctx, id);
  if (command?.state === "queued") {
    await endCommand(ctx, command, "expired", command.error);
  }
}

export async function dropResult(ctx: MutationCtx, id: string): Promise<void> {
  const row = await resultRow(ctx, id);
  if (row !== null) {
    await ctx.db.delete(row._id);
  }
}

/** Its time in the activity is over. */
export async function forgetCommand(ctx: MutationCtx, id: string): Promise<void> {
  const command = await commandById(ctx, id);
  if (command !== null) {
    await ctx.db.delete(command._id);
    await dropResult(ctx, id);
  }
}

/** Commands that one transaction cancels: each may have an operation of 384 KiB, and schedules a function. */
const BATCH_COMMANDS = 20;

/**
 * The machine's credentials are void: nothing that waits for it will ever be done. Cancels some of it, and says
 * whether there is more.
 */
export async function cancelCommandsOf(ctx: MutationCtx, machine: string): Promise<boolean> {
  const open = await openCommandsOf(ctx, machine);
  for (const { command: id } of open.slice(0, BATCH_COMMANDS)) {
    const command = await commandById(ctx, id);
    if (command !== null) {
      await endCommand(ctx, command, "cancelled", command.error);
    }
  }
  return open.length > BATCH_COMMANDS;
}

/** The commands that the machine has not ended, by time of asking. */
export const openCommandsOf = (ctx: QueryCtx, machine: string): Promise<Doc<"openCommands">[]> =>
  ctx.db
    .query("openCommands")
    .withIndex("by_machine_command", (q) => q.eq("machine", machine))
    .take(LIMITS.openCommandsMax);

/** The command that waits with the same to read. */
async function openRead(ctx: QueryCtx, machine: string, operation: Operation): Promise<Doc<"commands"> | null> {
  const open = await ctx.db
    .query("openCommands")
    .withIndex("by_machine_reads", (q) => q.eq("machine", machine).eq("reads", fingerprint(operation)))
    .first();
  return open === null ? null : await commandById(ctx, open.command);
}

const fingerprint = (operation: Operation): string => hashOfTexts(canonicalJson(operation));

const openCommand = (ctx: QueryCtx, id: string): Promise<Doc<"openCommands"> | null> =>
  ctx.db
    .query("openCommands")
    .withIndex("by_command", (q) => q.eq("command", id))
    .unique();

async function requestCancel(ctx: MutationCtx, id: string): Promise<void> {
  const open = await openCommand(ctx, id);
  if (open !== null) {
    await ctx.db.patch(open._id, { cancelRequested: true });
  }
}

const resultRow = (ctx: QueryCtx, id: string): Promise<Doc<"results"> | null> =>
  ctx.db
    .query("results")
    .withIndex("by_command", (q) => q.eq("command", id))
    .unique();

async function viewOf(ctx: QueryCtx, command: Doc<"commands">): Promise<CommandView> {
  const row = await resultRow(ctx, command.id);
  return { command: summary(command), result: row?.result ?? null };
}

/** A command as a person sees it. */
export const summary = (command: Omit<Doc<"commands">, "_id" | "_creationTime">): CommandSummary => ({
  id: command.id,
  machineId: command.machine,
  requestedBy: command.requestedBy,
  operation: command.operation,
  state: command.state,
  attempt: command.attempt,
  cancelRequested: command.cancelRequested,
  progress: command.progress,
  error: command.error,
  createdAt: command.createdAt,
  startedAt: command.startedAt,
  endedAt: command.endedAt,
  expiresAt: command.expiresAt,
});

const boundedProgress = (progress: Progress): Progress => ({
  ...progress,
  phase: boundedReason(progress.phase),
  percent: maybe(progress.percent, (percent) => Math.min(percent, 100)),
});
