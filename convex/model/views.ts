/** What people see: built from the rows on demand, never stored. */

import type { Doc } from "../functions/_generated/dataModel";
import type { QueryCtx } from "../functions/_generated/server";
import { chatRow, machineRow, turnRow, type Person } from "./access";
import { answerOf } from "./answers";
import { openAsksOf, view as askView } from "./asks";
import { openChatsOf, summary as chatSummary } from "./chats";
import { countsOf } from "./counts";
import {
  LIMITS,
  type ChatArgs,
  type ChatView,
  type MachineArgs,
  type MachineList,
  type MachineSummary,
  type MachineView,
  type NoArgs,
  type TranscriptArgs,
  type TranscriptPage,
} from "./gen/wire";
import { keyRow, machinesOf } from "./machines";
import { presenceOf } from "./presence";
import { refusal } from "./refusal";
import { latestTurns, messageOf, summary as turnSummary } from "./turns";
import { processWait } from "./waits";
import { summary as workerSummary, workersOf } from "./workers";

export async function listMachines(ctx: QueryCtx, person: Person, _: NoArgs): Promise<MachineList> {
  const machines = await machinesOf(ctx, person);
  return { machines: await Promise.all(machines.map((machine) => machineSummary(ctx, machine))) };
}

export async function viewMachine(ctx: QueryCtx, person: Person, args: MachineArgs): Promise<MachineView> {
  const machine = await machineRow(ctx, person, args.machineId);
  const workers = await workersOf(ctx, machine.id);
  const open = await openChatsOf(ctx, machine.id);
  const closed = await ctx.db
    .query("chats")
    .withIndex("by_machine_open_id", (q) => q.eq("machine", machine.id).eq("open", false))
    .order("desc")
    .take(LIMITS.listingPageEntries);
  const openCounts = new Map<string, number>();
  for (const { worker } of open) {
    openCounts.set(worker, (openCounts.get(worker) ?? 0) + 1);
  }
  return {
    machine: await machineSummary(ctx, machine),
    workers: workers.map((worker) => workerSummary(worker, openCounts.get(worker.id) ?? 0)),
    chats: [...open, ...closed].sort(byActivity).map(chatSummary),
  };
}

/** The latest activity first. */
const byActivity = (a: Doc<"chats">, b: Doc<"chats">): number => b.activeAt - a.activeAt || (b.id < a.id ? -1 : 1);

async function machineSummary(ctx: QueryCtx, machine: Doc<"machines">): Promise<MachineSummary> {
  const counts = await countsOf(ctx, machine.id);
  const key = machine.keyHash === null ? null : await keyRow(ctx, machine.keyHash);
  return {
    id: machine.id,
    name: machine.name,
    state: machine.state,
    presence: await presenceOf(ctx, machine),
    info: machine.info,
    keyExpiresAt: key?.expiresAt ?? null,
    createdAt: machine.createdAt,
    workerCount: counts.workers,
    openChatCount: counts.openChats,
    pendingAskCount: counts.pendingAsks,
  };
}

export async function viewChat(ctx: QueryCtx, person: Person, args: ChatArgs): Promise<ChatView> {
  const chat = await chatRow(ctx, person, args.chatSessionId);
  const turns = await latestTurns(ctx, chat.id, null, LIMITS.viewMaxTurns);
  const asks = await openAsksOf(ctx, chat);
  const current = turns.find((turn) => turn.state === "delivered" || turn.state === "streaming");
  return {
    chat: chatSummary(chat),
    turns: turns.map(turnSummary),
    hasEarlier: hasEarlier(turns),
    asks: asks.filter((ask) => ask.state === "pending").map(askView),
    stream: current === undefined ? null : `/v1/streams/turn/${current.id}`,
    wait: await processWait(ctx, chat),
  };
}

export async function readTranscript(ctx: QueryCtx, person: Person, args: TranscriptArgs): Promise<TranscriptPage> {
  const chat = await chatRow(ctx, person, args.chatSessionId);
  const { turnIds } = args;
  if ((turnIds?.length ?? 0) > LIMITS.transcriptPageTurns) {
    throw refusal("too_large", `At most ${LIMITS.transcriptPageTurns} turns can be asked for at once.`);
  }
  const asked =
    turnIds == null
      ? await latestTurns(ctx, chat.id, args.beforeOrdinal ?? null, LIMITS.transcriptPageTurns)
      : await Promise.all(turnIds.map((id) => turnRow(ctx, person, id)));
  const turns = thatFit(asked.filter((turn) => turn.chat === chat.id).sort((a, b) => a.ordinal - b.ordinal));
  const records = turns.map(async (turn) => ({
    turn: turnSummary(turn),
    message: await messageOf(ctx, turn.id),
    answer: await answerOf(ctx, turn.id),
  }));
  return { turns: await Promise.all(records), hasEarlier: hasEarlier(turns) };
}

/** The latest of these turns whose texts make a page; one alone may be more. */
function thatFit(turns: Doc<"turns">[]): Doc<"turns">[] {
  let left: number = LIMITS.transcriptPageBytes;
  let first = turns.length;
  for (const [place, turn] of [...turns.entries()].reverse()) {
    const bytes = turn.messageBytes + turn.answerBytes;
    if (bytes > left && first < turns.length) {
      break;
    }
    left = Math.max(left - bytes, 0);
    first = place;
  }
  return turns.slice(first);
}

const hasEarlier = ([first]: Doc<"turns">[]): boolean => first !== undefined && first.ordinal > 1;
