/** Chat sessions that go on with another one's conversation: what their agent is told of it. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { chatById, chatRow, turnById, type Person } from "./access";
import { answerOf } from "./answers";
import { LIMITS, type FullMessage } from "./gen/wire";
import { latestTurns, messageOf } from "./turns";
import { beginning, byteLength } from "./texts";

const LEFT_OUT = "(What was said before this is left out.)";

/** The chat session to go on with, which from now on tells where its conversation goes on. */
export async function continueChat(
  ctx: MutationCtx,
  person: Person,
  source: string,
  by: string,
): Promise<Doc<"chats">> {
  const row = await chatRow(ctx, person, source);
  await ctx.db.patch(row._id, { continuedBy: by });
  return row;
}

/**
 * Whether the turn that is taken now is to bring what was said before: it is the first one, or none of those that
 * brought it has come to an answer.
 */
export async function needsBackground(ctx: QueryCtx, chat: Doc<"chats">): Promise<boolean> {
  if (chat.continues === undefined) {
    return false;
  }
  const earlier = chat.backgroundFor === undefined ? null : await turnById(ctx, chat.backgroundFor);
  return earlier === null || (earlier.state !== "completed" && earlier.state !== "interrupted");
}

/**
 * What was said in the chat sessions that this one goes on with, as Markdown, oldest first. When it is too much, the
 * latest of it.
 */
export async function background(ctx: QueryCtx, chat: Doc<"chats">): Promise<string | null> {
  const texts: string[] = [];
  const left = { bytes: LIMITS.backgroundMaxBytes as number, reading: LIMITS.transcriptPageBytes as number };
  let next = chat.continues;
  for (let back = 0; back < LIMITS.backgroundMaxChats && next !== undefined; back += 1) {
    const id: string = next;
    next = undefined;
    if (!(await tellBack(ctx, id, texts, left))) {
      texts.push(LEFT_OUT);
      break;
    }
    next = (await chatById(ctx, id))?.continues;
  }
  if (next !== undefined) {
    texts.push(LEFT_OUT);
  }
  return texts.length === 0 ? null : texts.reverse().join("\n\n");
}

/** Tells a chat session, the latest turn first, as far as there is room. Says whether that was all of it. */
async function tellBack(
  ctx: QueryCtx,
  chat: string,
  texts: string[],
  left: { bytes: number; reading: number },
): Promise<boolean> {
  const turns = await latestTurns(ctx, chat, null, LIMITS.transcriptPageTurns);
  for (const turn of [...turns].reverse()) {
    const read = turn.messageBytes + turn.answerBytes;
    if (read > left.reading && texts.length > 0) {
      return false;
    }
    const text = told(turn, await messageOf(ctx, turn.id), await answerOf(ctx, turn.id));
    const bytes = byteLength(text);
    const fits = read <= left.reading && bytes <= left.bytes;
    if (!fits) {
      if (texts.length === 0) {
        texts.push(beginning(text, left.bytes));
      }
      return false;
    }
    left.reading -= read;
    left.bytes -= bytes;
    texts.push(text);
  }
  return turns[0] === undefined || turns[0].ordinal === 1;
}

function told(turn: Doc<"turns">, message: string, answer: FullMessage | null): string {
  const said = [`### Person\n\n${message}\n\n### Agent`];
  for (const part of answer?.parts ?? []) {
    if (part.kind === "text" && part.text !== "") {
      said.push(part.text);
    } else if (part.kind === "tool") {
      said.push(part.title == null ? `(Used ${part.tool})` : `(Used ${part.tool}: ${part.title})`);
    }
  }
  if (turn.state !== "completed") {
    const end =
      turn.state === "interrupted" || turn.state === "failed" || turn.state === "cancelled" ? turn.state : "not ended";
    said.push(turn.reason === null ? `(This answer is ${end}.)` : `(This answer is ${end}: ${turn.reason})`);
  }
  return said.join("\n\n");
}
