/** Asks: kept until a person answers, their turn ends, or their deadline denies. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { askById, askRow, turnRow, type Machine, type Person } from "./access";
import { existingChat } from "./chats";
import { count } from "./counts";
import { arm } from "./deadlines";
import {
  LIMITS,
  type AnswerAskArgs,
  type Ask,
  type AskAnswer,
  type AskBody,
  type Done,
  type OpenAskArgs,
  type OpenAskReply,
  type SettleAskArgs,
} from "./gen/wire";
import { newId } from "./ids";
import { refusal } from "./refusal";
import { isTerminal, transition, type StateOf } from "./states";
import { byteLength, jsonBytes } from "./texts";
import { runAsks, unattendedAnswer } from "./unattended";

const AGENT_ASK_ID_MAX_BYTES = 256;

export async function openAsk(ctx: MutationCtx, machine: Machine, args: OpenAskArgs): Promise<OpenAskReply> {
  const turn = await turnRow(ctx, machine, args.turnId);
  const { agentAskId, body } = args;
  if (agentAskId === "" || byteLength(agentAskId) > AGENT_ASK_ID_MAX_BYTES) {
    throw refusal("invalid", `agentAskId has to be 1 to ${AGENT_ASK_ID_MAX_BYTES} bytes.`);
  }
  const known = await askByAgent(ctx, turn.id, agentAskId);
  if (known !== null) {
    return { askId: known.id };
  }
  if (isTerminal("turn", turn.state)) {
    throw refusal("conflict", `This turn is ${turn.state}; it can't ask any more.`);
  }
  checkSize(body);
  const chat = await existingChat(ctx, turn.chat);
  if (chat.pendingAskCount >= LIMITS.asksMax) {
    throw refusal("limit_reached", `${LIMITS.asksMax} asks wait in this chat session, which is the limit.`);
  }
  const id = newId("ask");
  const deadline = Date.now() + LIMITS.askLifeMs;
  await ctx.db.insert("asks", {
    id,
    agentAskId,
    chat: turn.chat,
    turn: turn.id,
    machine: turn.machine,
    body,
    state: "pending",
    answer: null,
    createdAt: Date.now(),
    deadline,
    open: true,
  });
  await arm(ctx, deadline, { kind: "askExpires", ask: id });
  await ctx.db.patch(chat._id, { pendingAskCount: chat.pendingAskCount + 1, openAsks: chat.openAsks + 1 });
  await count(ctx, chat.machine, "pendingAsks", 1);
  const answer = await unattendedAnswer(ctx, turn, body);
  const ask = answer === null ? null : await askById(ctx, id);
  if (answer !== null && ask !== null) {
    await endAsk(ctx, ask, "answered", answer);
  } else {
    await runAsks(ctx, turn.id);
  }
  return { askId: id };
}

export async function answerAsk(ctx: MutationCtx, person: Person, args: AnswerAskArgs): Promise<Done> {
  const ask = await askRow(ctx, person, args.askId);
  if (!fits(ask.body, args.answer)) {
    throw refusal(
      "invalid",
      "This answer does not fit the ask: a permission takes once, always or reject; a question takes one answer for " +
        "each of its questions, or reject.",
    );
  }
  checkSize(args.answer);
  if (ask.state !== "pending") {
    throw refusal("conflict", `This was ${ask.state} already; the first answer stands.`);
  }
  await endAsk(ctx, ask, "answered", args.answer);
  return {};
}

export async function settleAsk(ctx: MutationCtx, machine: Machine, args: SettleAskArgs): Promise<Done> {
  const turn = await turnRow(ctx, machine, args.turnId);
  const ask = await askByAgent(ctx, turn.id, args.agentAskId);
  if (ask?.open) {
    await withdrawAsks(ctx, await existingChat(ctx, ask.chat), [ask]);
    await runAsks(ctx, turn.id);
  }
  return {};
}

/**
 * Withdraws asks of a chat session, and gives the chat session as it is then: nobody needs to hear of them any more,
 * not the machine, and of those that wait, no person either.
 */
export async function withdrawAsks(
  ctx: MutationCtx,
  chat: Doc<"chats">,
  asks: readonly Doc<"asks">[],
): Promise<Doc<"chats">> {
  const pending = asks.filter((ask) => ask.state === "pending");
  for (const ask of asks) {
    const state = ask.state === "pending" ? transition("ask", ask.state, "withdrawn") : ask.state;
    await ctx.db.patch(ask._id, { state, open: false });
  }
  const left = {
    openAsks: chat.openAsks - asks.length,
    pendingAskCount: Math.max(chat.pendingAskCount - pending.length, 0),
  };
  if (asks.length > 0) {
    await ctx.db.patch(chat._id, left);
    await count(ctx, chat.machine, "pendingAsks", -pending.length);
  }
  return { ...chat, ...left };
}

/** Nobody answered in time. */
export async function askExpires(ctx: MutationCtx, id: string): Promise<void> {
  const ask = await askById(ctx, id);
  if (ask?.state === "pending") {
    await endAsk(ctx, ask, "expired", { kind: "reject", message: "Nobody answered in time." });
  }
}

/** The ask stays open until the machine has settled it. */
async function endAsk(ctx: MutationCtx, ask: Doc<"asks">, end: StateOf<"ask">, answer: AskAnswer): Promise<void> {
  await ctx.db.patch(ask._id, { state: transition("ask", ask.state, end), answer });
  const chat = await existingChat(ctx, ask.chat);
  await ctx.db.patch(chat._id, { pendingAskCount: Math.max(chat.pendingAskCount - 1, 0) });
  await count(ctx, chat.machine, "pendingAsks", -1);
  await runAsks(ctx, ask.turn);
}

/** Asks that wait for a person, and ended ones that the machine has not settled. */
export const openAsksOf = async (ctx: QueryCtx, chat: Doc<"chats">): Promise<Doc<"asks">[]> =>
  chat.openAsks === 0
    ? []
    : await ctx.db
        .query("asks")
        .withIndex("by_chat_open_id", (q) => q.eq("chat", chat.id).eq("open", true))
        .take(2 * LIMITS.asksMax);

const askByAgent = (ctx: QueryCtx, turn: string, agentAskId: string): Promise<Doc<"asks"> | null> =>
  ctx.db
    .query("asks")
    .withIndex("by_turn_agentAskId", (q) => q.eq("turn", turn).eq("agentAskId", agentAskId))
    .unique();

/** An ask as a person sees it. */
export const view = (ask: Doc<"asks">): Ask => ({
  id: ask.id,
  chatSessionId: ask.chat,
  turnId: ask.turn,
  body: ask.body,
  state: ask.state,
  answer: ask.answer,
  createdAt: ask.createdAt,
  deadline: ask.deadline,
});

function fits(body: AskBody, answer: AskAnswer): boolean {
  switch (answer.kind) {
    case "reject":
      return true;
    case "once":
    case "always":
      return body.kind === "permission";
    case "answers":
      return body.kind === "question" && body.questions.length === answer.answers.length;
    case "unknown":
      return false;
  }
}

function checkSize(value: AskBody | AskAnswer): void {
  const size = jsonBytes(value);
  if (size > LIMITS.askMaxBytes) {
    throw refusal("too_large", `An ask or answer of ${size} bytes is over the limit of ${LIMITS.askMaxBytes}.`);
  }
}
