/**
 * All that a machine should know now. It reads neither leases nor commands' progress nor chunks, so it rests while a
 * machine only works.
 */

import type { Doc } from "../functions/_generated/dataModel";
import type { QueryCtx } from "../functions/_generated/server";
import type { Machine } from "./access";
import { openAsksOf } from "./asks";
import { openChatsOf } from "./chats";
import { openCommandsOf } from "./commands";
import type { Inbox, InboxAnswer, InboxChat, InboxTurn, NoArgs } from "./gen/wire";
import { headTurn } from "./turns";
import { workersOf } from "./workers";

export async function inbox(ctx: QueryCtx, machine: Machine, _: NoArgs): Promise<Inbox> {
  const workers = await workersOf(ctx, machine.id);
  const chats = await openChatsOf(ctx, machine.id);
  const commands = await openCommandsOf(ctx, machine.id);
  const workersById = new Map(workers.map((worker) => [worker.id, worker]));
  return {
    machineId: machine.id,
    epoch: machine.epoch,
    workers: workers.map(({ id, directory, state }) => ({ id, directory, state })),
    chats: await Promise.all(chats.map((chat) => inboxChat(ctx, chat, workersById.get(chat.worker)))),
    commands: commands.map(({ command, cancelRequested, isLong }) => ({ id: command, cancelRequested, isLong })),
  };
}

async function inboxChat(ctx: QueryCtx, chat: Doc<"chats">, worker: Doc<"workers"> | undefined): Promise<InboxChat> {
  return {
    id: chat.id,
    workerId: chat.worker,
    directory: worker?.directory ?? "",
    state: chat.state,
    title: chat.title,
    agentSessionId: chat.agentSessionId,
    model: chat.model,
    agent: chat.agent,
    sandbox: worker?.settings.sandbox ?? "off",
    worktree: chat.worktree,
    askFirst: chat.askFirst ?? false,
    turn: await inboxTurn(ctx, chat),
    answers: await inboxAnswers(ctx, chat),
  };
}

async function inboxTurn(ctx: QueryCtx, chat: Doc<"chats">): Promise<InboxTurn | null> {
  // 2,000 chat sessions with two index ranges each would be all that a transaction may read.
  const turn = chat.openTurns === 0 ? null : await headTurn(ctx, chat.id);
  return turn === null ? null : { id: turn.id, state: turn.state, cancelRequested: turn.cancelRequested };
}

async function inboxAnswers(ctx: QueryCtx, chat: Doc<"chats">): Promise<InboxAnswer[]> {
  const asks = await openAsksOf(ctx, chat);
  return asks.flatMap(({ id, agentAskId, answer, state }) =>
    state === "pending" || answer === null ? [] : [{ askId: id, agentAskId, answer }],
  );
}
