/** What a run may do when nobody is there to ask. */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx } from "../functions/_generated/server";
import { turnById } from "./access";
import { openAsksOf } from "./asks";
import { existingChat } from "./chats";
import { LIMITS, type AskAnswer, type AskBody } from "./gen/wire";
import { changeRun, runOfTurn } from "./runRows";
import { boundedReason } from "./texts";

const NOT_ALLOWED = "Nobody is there to allow this: the schedule does not list it.";
const NOT_ANSWERED = "Nobody is there to answer this. Go on without an answer, as seems best to you.";

/**
 * The answer to an ask of a run for which nobody is there; none where a person is asked. What is denied is noted with
 * the run.
 */
export async function unattendedAnswer(ctx: MutationCtx, turn: Doc<"turns">, body: AskBody): Promise<AskAnswer | null> {
  const run = await runOfTurn(ctx, turn);
  const unattended = run?.terms?.unattended;
  if (run === null || unattended === undefined || unattended.kind === "ask") {
    return null;
  }
  if (body.kind === "question") {
    return { kind: "reject", message: NOT_ANSWERED };
  }
  if (body.kind === "permission") {
    const { permission, patterns } = body;
    const allow = unattended.kind === "only" ? unattended.allow : [];
    if (allow.some((entry) => allows(entry, permission, patterns))) {
      return { kind: "once" };
    }
    if (run.denied.length < LIMITS.deniedMaxEntries) {
      const denied = patterns[0] === undefined ? permission : `${permission}: ${patterns[0]}`;
      await changeRun(ctx, run, { denied: [...run.denied, boundedReason(denied)] });
    }
  }
  return { kind: "reject", message: NOT_ALLOWED };
}

/** An ask of this turn was opened or has ended: its run shows whether it waits for a person. */
export async function runAsks(ctx: MutationCtx, turnId: string): Promise<void> {
  const turn = await turnById(ctx, turnId);
  const run = turn === null ? null : await runOfTurn(ctx, turn);
  if (turn === null || run === null) {
    return;
  }
  const asks = await openAsksOf(ctx, await existingChat(ctx, turn.chat));
  const isAsking = asks.some((ask) => ask.turn === turn.id && ask.state === "pending");
  if (run.isAsking !== isAsking) {
    await changeRun(ctx, run, { isAsking });
  }
}

/** Whether an entry of the list allows this: `name`, or `name:pattern` where all that it is about fits. */
export function allows(entry: string, permission: string, patterns: readonly string[]): boolean {
  const colon = entry.indexOf(":");
  if (colon < 0) {
    return entry === permission;
  }
  const pattern = entry.slice(colon + 1);
  return entry.slice(0, colon) === permission && patterns.length > 0 && patterns.every((text) => fits(pattern, text));
}

/** Whether a text fits a pattern, in which `*` stands for any text. */
export function fits(pattern: string, text: string): boolean {
  const [first = "", ...pieces] = pattern.split("*");
  const last = pieces.pop();
  if (last === undefined) {
    return text === first;
  }
  if (!text.startsWith(first)) {
    return false;
  }
  let at = first.length;
  for (const piece of pieces) {
    const found = text.indexOf(piece, at);
    if (found < 0) {
      return false;
    }
    at = found + piece.length;
  }
  return text.slice(at).endsWith(last);
}
