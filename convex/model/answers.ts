/** Complete answers: up to 8 MiB of JSON, which is kept in pieces because a document holds 1 MiB at most. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import type { FullMessage } from "./gen/wire";
import { boundaryBefore, decoder } from "./texts";
import type { CheckedAnswer } from "./transcript";

/** A piece's size in bytes of UTF-8; what is left of a document is for its other fields. */
export const PIECE_MAX_BYTES = 900 * 1024;

/** Keeps a turn's first answer, and gives the turn as it is then. */
export async function saveAnswer(ctx: MutationCtx, turn: Doc<"turns">, answer: CheckedAnswer): Promise<Doc<"turns">> {
  for (const [piece, text] of piecesOf(answer.json).entries()) {
    await ctx.db.insert("answers", { turn: turn.id, piece, text });
  }
  const written = { hash: answer.hash, answerBytes: answer.bytes };
  await ctx.db.patch(turn._id, written);
  return { ...turn, ...written };
}

/** A turn's complete answer, once there is one. */
export async function answerOf(ctx: QueryCtx, turn: string): Promise<FullMessage | null> {
  const pieces = await ctx.db
    .query("answers")
    .withIndex("by_turn_piece", (q) => q.eq("turn", turn))
    .collect();
  return pieces.length === 0 ? null : (JSON.parse(pieces.map((piece) => piece.text).join("")) as FullMessage);
}

/** A text in pieces that fit, none of which cuts a character in two. */
export function piecesOf(text: string): string[] {
  const bytes = new TextEncoder().encode(text);
  const pieces: string[] = [];
  let start = 0;
  while (start < bytes.length) {
    const limit = start + PIECE_MAX_BYTES;
    const end = limit < bytes.length ? boundaryBefore(bytes, limit) : bytes.length;
    pieces.push(decoder.decode(bytes.subarray(start, end)));
    start = end;
  }
  return pieces;
}
