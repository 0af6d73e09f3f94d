/** Chat sessions: started, named and ended by people; their processes reported by machines. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { chatById, chatRow, machineRow, workerRow, type Machine, type Person } from "./access";
import { closeChat } from "./closing";
import { continueChat } from "./continued";
import { count, countsOf } from "./counts";
import {
  LIMITS,
  type ChatSummary,
  type Done,
  type EndSessionArgs,
  type RenameSessionArgs,
  type ReportSessionArgs,
  type StartSessionArgs,
  type StartSessionReply,
} from "./gen/wire";
import { newId } from "./ids";
import { notFound, refusal, revoked } from "./refusal";
import { isLater, NEVER_REPORTED } from "./reports";
import { transition } from "./states";
import { boundedReason, checkedLabel, checkedModel, checkedName, maybe } from "./texts";
import { endTurn, headTurn } from "./turns";
import { ownWorktree } from "./worktrees";

export const startSession = async (
  ctx: MutationCtx,
  person: Person,
  args: StartSessionArgs,
): Promise<StartSessionReply> => ({ chatSessionId: await startChat(ctx, person, args, false) });

/** Begins a chat session, whose process asks before everything if `askFirst`. Every refusal comes before a write. */
export async function startChat(
  ctx: MutationCtx,
  person: Person,
  args: StartSessionArgs,
  askFirst: boolean,
): Promise<string> {
  const worker = await usableWorker(ctx, person, args.workerId);
  const title = maybe(args.title, checkedName);
  const model = maybe(args.model, checkedModel);
  const agent = maybe(args.agent, (label) => checkedLabel(label, "agent"));
  if ((await countsOf(ctx, worker.machine)).openChats >= LIMITS.openChatsMax) {
    throw refusal(
      "limit_reached",
      `This machine has ${LIMITS.openChatsMax} open chat sessions, which is the limit. End some first.`,
    );
  }
  const id = newId("cht");
  const source = args.continues == null ? null : await continueChat(ctx, person, args.continues, id);
  await ctx.db.insert("chats", {
    id,
    machine: worker.machine,
    worker: worker.id,
    title: title ?? source?.title ?? "",
    state: "requested",
    reason: null,
    model: model ?? worker.settings.model ?? null,
    agent: agent ?? worker.settings.agent ?? null,
    agentSessionId: null,
    reported: NEVER_REPORTED,
    lastOrdinal: 0,
    queuedCount: 0,
    pendingAskCount: 0,
    createdAt: Date.now(),
    activeAt: Date.now(),
    worktree: args.ownWorktree ? ownWorktree(id) : null,
    askFirst,
    ...(source === null ? {} : { continues: source.id }),
    open: true,
    openTurns: 0,
    openAsks: 0,
  });
  await count(ctx, worker.machine, "openChats", 1);
  return id;
}

/** The worker, if something can be begun there. */
export async function usableWorker(ctx: QueryCtx, person: Person, id: string): Promise<Doc<"workers">> {
  const worker = await workerRow(ctx, person, id);
  if (worker.state === "removed") {
    throw refusal("conflict", "This worker was removed. Add it again to start a chat there.");
  }
  if ((await machineRow(ctx, person, worker.machine)).state === "revoked") {
    throw revoked();
  }
  return worker;
}

export async function renameSession(ctx: MutationCtx, person: Person, args: RenameSessionArgs): Promise<Done> {
  const chat = await chatRow(ctx, person, args.chatSessionId);
  await ctx.db.patch(chat._id, { title: checkedName(args.title) });
  return {};
}

export async function endSession(ctx: MutationCtx, person: Person, args: EndSessionArgs): Promise<Done> {
  const chat = await chatRow(ctx, person, args.chatSessionId);
  if (chat.state !== "closed") {
    await closeChat(ctx, person.id, chat, args.discardWorktree);
  }
  return {};
}

export async function reportSession(ctx: MutationCtx, machine: Machine, args: ReportSessionArgs): Promise<Done> {
  const chat = await chatRow(ctx, machine, args.chatSessionId);
  const { state } = args;
  if (state !== "starting" && state !== "ready" && state !== "hibernated" && state !== "failed") {
    throw refusal(
      "invalid",
      `A machine reports a chat session as starting, ready, hibernated or failed, not as ${state}.`,
    );
  }
  const reported = { epoch: machine.epoch, seq: args.seq };
  if (!isLater(reported, chat.reported)) {
    return {};
  }
  const agentSessionId = maybe(args.agentSessionId, (label) => checkedLabel(label, "agentSessionId"));
  const reason = state === "failed" ? maybe(args.reason, boundedReason) : null;
  await ctx.db.patch(chat._id, {
    reported,
    agentSessionId: agentSessionId ?? chat.agentSessionId,
    state: chat.state === state ? state : transition("chat session", chat.state, state),
    reason,
    worktree: chat.worktree !== null && state === "ready" ? { ...chat.worktree, state: "present" } : chat.worktree,
  });
  const turn = state === "failed" ? await headTurn(ctx, chat.id) : null;
  if (turn !== null) {
    // The message that needed the process tells its sender; it does not block those behind it.
    const end = turn.state === "queued" ? "failed" : "interrupted";
    await endTurn(ctx, turn, end, reason, { failure: "process" });
  }
  return {};
}

/** A chat session that is known to be there. */
export async function existingChat(ctx: QueryCtx, id: string): Promise<Doc<"chats">> {
  const chat = await chatById(ctx, id);
  if (chat === null) {
    throw notFound("chat session");
  }
  return chat;
}

/** The machine's chat sessions that are not closed, by time of starting. */
export const openChatsOf = (ctx: QueryCtx, machine: string): Promise<Doc<"chats">[]> =>
  ctx.db
    .query("chats")
    .withIndex("by_machine_open_id", (q) => q.eq("machine", machine).eq("open", true))
    .take(LIMITS.openChatsMax);

/** A chat session as a person sees it in a list. */
export const summary = (chat: Doc<"chats">): ChatSummary => ({
  id: chat.id,
  machineId: chat.machine,
  workerId: chat.worker,
  title: chat.title,
  state: chat.state,
  reason: chat.reason,
  model: chat.model,
  agent: chat.agent,
  queuedCount: chat.queuedCount,
  pendingAskCount: chat.pendingAskCount,
  createdAt: chat.createdAt,
  activeAt: chat.activeAt,
  worktree: chat.worktree,
  continues: chat.continues ?? null,
  continuedBy: chat.continuedBy ?? null,
});
