/** Turns: queued by people in order, taken and ended by the machine. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { chatRow, turnRow, type Machine, type Person } from "./access";
import { saveAnswer } from "./answers";
import { openAsksOf, withdrawAsks } from "./asks";
import { existingChat } from "./chats";
import { background, needsBackground } from "./continued";
import { arm } from "./deadlines";
import {
  LIMITS,
  type Done,
  type SendMessageArgs,
  type TakenTurn,
  type TurnArgs,
  type TurnReply,
  type TurnSummary,
  type WriteMessageArgs,
} from "./gen/wire";
import { newId } from "./ids";
import { isConnected } from "./presence";
import { refusal } from "./refusal";
import { runTaken } from "./runs";
import { noteEnded, type EndFacts } from "./settling";
import { isTerminal, transition, type StateOf } from "./states";
import { beginStream } from "./streams";
import { boundedReason, byteLength, maybe, titleFrom, trimmed } from "./texts";
import { checkedAnswer } from "./transcript";

/** What "continue" sends. */
const CONTINUE_MESSAGE = "Your last answer was interrupted. Look at what has been done so far and go on from there.";

export async function sendMessage(ctx: MutationCtx, person: Person, args: SendMessageArgs): Promise<TurnReply> {
  checkMessage(args.message);
  const chat = await chatRow(ctx, person, args.chatSessionId);
  return { turn: await queueTurn(ctx, chat, args.message) };
}

export function checkMessage(message: string): void {
  if (trimmed(message) === "") {
    throw refusal("invalid", "The message is empty. Write something to send.");
  }
  const size = byteLength(message);
  if (size > LIMITS.messageMaxBytes) {
    throw refusal(
      "too_large",
      `The message has ${size} bytes; ${LIMITS.messageMaxBytes} is the limit. ` +
        "Put long material into a file and name the file.",
    );
  }
}

export async function continueTurn(ctx: MutationCtx, person: Person, args: TurnArgs): Promise<TurnReply> {
  const turn = await turnRow(ctx, person, args.turnId);
  if (turn.state !== "interrupted") {
    throw refusal("conflict", `Only an interrupted turn can be continued; this one is ${turn.state}.`);
  }
  return { turn: await queueTurn(ctx, await chatRow(ctx, person, turn.chat), CONTINUE_MESSAGE) };
}

/** Puts a message among those that wait, as a try of a run if it is one. Every refusal comes before a write. */
export async function queueTurn(
  ctx: MutationCtx,
  chat: Doc<"chats">,
  message: string,
  run?: string,
): Promise<TurnSummary> {
  if (chat.state === "closed") {
    throw refusal("conflict", "This chat session has ended. Start a new one on the same worker.");
  }
  if (chat.queuedCount >= LIMITS.queueMaxTurns) {
    throw refusal(
      "limit_reached",
      `${LIMITS.queueMaxTurns} messages wait in this chat session, which is the limit. Cancel some, or wait.`,
    );
  }
  const turn = {
    id: newId("trn"),
    chat: chat.id,
    machine: chat.machine,
    ordinal: chat.lastOrdinal + 1,
    state: "queued",
    reason: null,
    cancelRequested: false,
    createdAt: Date.now(),
    deliveredAt: null,
    endedAt: null,
    hash: null,
    ...(run === undefined ? {} : { run }),
    open: true,
    messageBytes: byteLength(message),
    answerBytes: 0,
  } as const;
  await ctx.db.insert("turns", turn);
  await ctx.db.insert("messages", { turn: turn.id, text: message });
  await ctx.db.patch(chat._id, {
    lastOrdinal: turn.ordinal,
    queuedCount: chat.queuedCount + 1,
    openTurns: chat.openTurns + 1,
    activeAt: Date.now(),
    title: chat.title || titleFrom(message),
  });
  return summary(turn);
}

export async function cancelTurn(ctx: MutationCtx, person: Person, args: TurnArgs): Promise<TurnReply> {
  const turn = await turnRow(ctx, person, args.turnId);
  return { turn: summary(isTerminal("turn", turn.state) ? turn : await stopTurn(ctx, turn)) };
}

/** Stops a turn that has not ended: at once where nobody works on it or can be told, else by its machine. */
export async function stopTurn(ctx: MutationCtx, turn: Doc<"turns">): Promise<Doc<"turns">> {
  if (turn.state === "queued") {
    return await endTurn(ctx, turn, "cancelled", null);
  }
  if (!(await isConnected(ctx, turn.machine))) {
    const reason = "Stopped while the machine was away; it may have worked on for a while.";
    return await endTurn(ctx, turn, "cancelled", reason);
  }
  await ctx.db.patch(turn._id, { cancelRequested: true });
  return { ...turn, cancelRequested: true };
}

export async function takeTurn(ctx: MutationCtx, machine: Machine, args: TurnArgs): Promise<TakenTurn> {
  const turn = await turnRow(ctx, machine, args.turnId);
  const state = await taken(ctx, turn);
  const chat = await existingChat(ctx, turn.chat);
  const isOpen = state === "delivered" || state === "streaming";
  return {
    turnId: turn.id,
    state,
    message: await messageOf(ctx, turn.id),
    background: isOpen && chat.backgroundFor === turn.id ? await background(ctx, chat) : null,
  };
}

async function taken(ctx: MutationCtx, turn: Doc<"turns">): Promise<StateOf<"turn">> {
  if (turn.state === "queued") {
    const head = await headTurn(ctx, turn.chat);
    if (head !== null && head.id !== turn.id) {
      throw refusal("conflict", "Another message of this chat session comes first.");
    }
    const chat = await existingChat(ctx, turn.chat);
    const state = transition("turn", turn.state, "delivered");
    await ctx.db.patch(chat._id, {
      state: transition("chat session", chat.state, "busy"),
      queuedCount: Math.max(chat.queuedCount - 1, 0),
      activeAt: Date.now(),
      ...((await needsBackground(ctx, chat)) ? { backgroundFor: turn.id } : {}),
    });
    await ctx.db.patch(turn._id, { state, deliveredAt: Date.now() });
    await beginStream(ctx, turn.id);
    await runTaken(ctx, turn);
    return state;
  }
  if (turn.state === "delivered" || turn.state === "streaming") {
    // Taken before, by an earlier process: it is this chat session's work again.
    const chat = await existingChat(ctx, turn.chat);
    if (chat.state === "ready") {
      await ctx.db.patch(chat._id, { state: transition("chat session", chat.state, "busy") });
    }
  }
  return turn.state;
}

export async function writeMessage(ctx: MutationCtx, machine: Machine, args: WriteMessageArgs): Promise<Done> {
  const turn = await turnRow(ctx, machine, args.turnId);
  if (!isTerminal("turn", args.outcome) || args.outcome === "unknown") {
    throw refusal("invalid", `A turn ends as completed, interrupted, failed or cancelled, not as ${args.outcome}.`);
  }
  const answer = checkedAnswer(args.answer);
  if (!isTerminal("turn", turn.state)) {
    const written = await saveAnswer(ctx, turn, answer);
    const facts = { failure: args.failure ?? null, usage: args.answer.usage ?? null };
    await endTurn(ctx, written, args.outcome, args.reason ?? null, facts);
  } else if (turn.hash === null && turn.state !== "queued") {
    // The answer of a turn that a person settled meanwhile is kept with it.
    await saveAnswer(ctx, turn, answer);
  } else if (turn.hash !== answer.hash || turn.state !== args.outcome) {
    throw refusal("conflict", `This turn has ended as ${turn.state}; another end for it is refused.`);
  }
  return {};
}

/** Ends a turn that has not ended, frees its chat session for the next one, and withdraws its asks. */
export async function endTurn(
  ctx: MutationCtx,
  turn: Doc<"turns">,
  outcome: StateOf<"turn">,
  reason: string | null,
  facts: EndFacts = {},
): Promise<Doc<"turns">> {
  const ended = await markEnded(ctx, turn, outcome, reason, facts);
  const asked = await existingChat(ctx, turn.chat);
  const asks = await openAsksOf(ctx, asked);
  const chat = await withdrawAsks(
    ctx,
    asked,
    asks.filter((ask) => ask.turn === turn.id),
  );
  const wasQueued = turn.state === "queued";
  await ctx.db.patch(chat._id, {
    activeAt: Date.now(),
    openTurns: chat.openTurns - 1,
    queuedCount: wasQueued ? Math.max(chat.queuedCount - 1, 0) : chat.queuedCount,
    state: !wasQueued && chat.state === "busy" ? transition("chat session", chat.state, "ready") : chat.state,
  });
  return ended;
}

/** The turn's own part of its end: whoever ends many of a chat session tells the chat session once. */
export async function markEnded(
  ctx: MutationCtx,
  turn: Doc<"turns">,
  outcome: StateOf<"turn">,
  reason: string | null,
  facts: EndFacts = {},
): Promise<Doc<"turns">> {
  noteEnded(ctx, turn, outcome === "cancelled", facts);
  const ended = {
    state: transition("turn", turn.state, outcome),
    reason: maybe(reason, boundedReason),
    endedAt: Date.now(),
    cancelRequested: false,
    open: false,
  };
  await ctx.db.patch(turn._id, ended);
  if (turn.state !== "queued") {
    await arm(ctx, Date.now() + LIMITS.chunksKeptMs, { kind: "dropChunks", turn: turn.id });
  }
  return { ...turn, ...ended };
}

/** The chat session's turn that is under way, else its next one. */
export const headTurn = (ctx: QueryCtx, chat: string): Promise<Doc<"turns"> | null> => openTurns(ctx, chat).first();

/** All turns of the chat session that have not ended, in order. */
export const waitingTurns = (ctx: QueryCtx, chat: string): Promise<Doc<"turns">[]> =>
  openTurns(ctx, chat).take(LIMITS.queueMaxTurns + 1);

const openTurns = (ctx: QueryCtx, chat: string) =>
  ctx.db.query("turns").withIndex("by_chat_open_ordinal", (q) => q.eq("chat", chat).eq("open", true));

/** The latest turns before a place, in order. */
export async function latestTurns(
  ctx: QueryCtx,
  chat: string,
  before: number | null,
  limit: number,
): Promise<Doc<"turns">[]> {
  const turns = await ctx.db
    .query("turns")
    .withIndex("by_chat_ordinal", (q) => {
      const ofChat = q.eq("chat", chat);
      return before === null ? ofChat : ofChat.lt("ordinal", before);
    })
    .order("desc")
    .take(limit);
  return turns.reverse();
}

/** What the person sent. */
export async function messageOf(ctx: QueryCtx, turn: string): Promise<string> {
  const row = await ctx.db
    .query("messages")
    .withIndex("by_turn", (q) => q.eq("turn", turn))
    .unique();
  return row?.text ?? "";
}

/** A turn without its texts. */
export const summary = (turn: Omit<Doc<"turns">, "_id" | "_creationTime">): TurnSummary => ({
  id: turn.id,
  ordinal: turn.ordinal,
  state: turn.state,
  reason: turn.reason,
  cancelRequested: turn.cancelRequested,
  createdAt: turn.createdAt,
  deliveredAt: turn.deliveredAt,
  endedAt: turn.endedAt,
  hash: turn.hash,
});
