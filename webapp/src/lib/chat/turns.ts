import type { Part, TurnId, TurnState, TurnSummary, Usage } from "../backend/wire.gen";
import { isEnded, type ChatData, type Check, type Send } from "./chat-state";

/** A turn as it is shown. */
export interface TurnItem {
  /** The same from the moment of sending on, so that nothing jumps when the backend answers. */
  readonly key: string;
  /** Null until the backend has the message. */
  readonly id: TurnId | null;
  readonly summary: TurnSummary | null;
  readonly send: Send["state"]["kind"] | null;
  /** Why the message could not be sent. */
  readonly sendProblem: string | null;
  readonly sentAt: number;
  /** What the person wrote; null while it is being fetched. */
  readonly message: string | null;
  readonly parts: readonly Part[];
  /** Set once the complete message is here. */
  readonly check: Check | null;
  readonly usage: Usage | null;
  readonly model: string | null;
}

export type ShownState = TurnState | "sending" | "unsent";

export function stateOf(item: TurnItem): ShownState {
  if (item.summary) return item.summary.state;
  return item.send === "failed" ? "unsent" : "sending";
}

export interface Turns {
  /** What stands in the transcript, in the order of sending. */
  readonly shown: readonly TurnItem[];
  /** Messages behind the turn that is under way. */
  readonly queued: readonly TurnItem[];
  /** The turn that is under way. */
  readonly running: TurnItem | null;
}

export const NO_TURNS: Turns = { shown: [], queued: [], running: null };

/** All turns from what is known of them. Items that did not change are the same objects as in `before`. */
export function turnsOf(data: ChatData, before: Turns = NO_TURNS): Turns {
  const old = new Map([...before.shown, ...before.queued].map((item) => [item.key, item]));
  const items = allItems(data).map((item) => reused(item, old.get(item.key)));
  // The first turn that has not ended is the one under way or next: it stands in the transcript also while it waits.
  const head = items.findIndex((item) => !item.summary || !isEnded(item.summary.state));
  const isWaiting = (item: TurnItem) => !item.summary || item.summary.state === "queued";
  const queued = head === -1 ? [] : items.filter((item, index) => index > head && isWaiting(item));
  const shown = queued.length === 0 ? items : items.filter((item) => !queued.includes(item));
  const running = shown.find(({ summary }) => summary?.state === "delivered" || summary?.state === "streaming") ?? null;
  return { shown, queued, running };
}

function allItems(data: ChatData): TurnItem[] {
  const summaries = new Map<TurnId, TurnSummary>();
  for (const { turn } of data.records.values()) summaries.set(turn.id, turn);
  for (const { state } of data.sends) if (state.kind === "sent") summaries.set(state.turn.id, state.turn);
  for (const turn of data.view?.turns ?? []) summaries.set(turn.id, newer(turn, summaries.get(turn.id)));

  const sendOf = new Map(
    data.sends.flatMap((send) => (send.state.kind === "sent" ? [[send.state.turn.id, send] as const] : [])),
  );
  const known = [...summaries.values()]
    .filter(({ ordinal }) => data.from === null || ordinal >= data.from)
    .sort((a, b) => a.ordinal - b.ordinal)
    .map((summary) => itemOf(data, summary, sendOf.get(summary.id)));
  return [...known, ...data.sends.filter(({ state }) => state.kind !== "sent").map(unsentItem)];
}

/** The view may lag behind a reply; a turn that has ended does not come back. */
function newer(fromView: TurnSummary, other: TurnSummary | undefined): TurnSummary {
  return other && isEnded(other.state) && !isEnded(fromView.state) ? other : fromView;
}

function itemOf(data: ChatData, summary: TurnSummary, send: Send | undefined): TurnItem {
  const record = data.records.get(summary.id);
  const answer = record?.answer;
  return {
    key: send?.key ?? summary.id,
    id: summary.id,
    summary,
    send: send ? "sent" : null,
    sendProblem: null,
    sentAt: summary.createdAt,
    message: record?.message ?? send?.message ?? null,
    parts: answer?.parts ?? data.live.get(summary.id)?.parts ?? NO_PARTS,
    check: data.checks.get(summary.id) ?? null,
    usage: answer?.usage ?? null,
    model: answer?.model ?? null,
  };
}

const NO_PARTS: readonly Part[] = [];

function unsentItem({ key, message, sentAt, state }: Send): TurnItem {
  return {
    key,
    id: null,
    summary: null,
    send: state.kind,
    sendProblem: state.kind === "failed" ? state.reason : null,
    sentAt,
    message,
    parts: NO_PARTS,
    check: null,
    usage: null,
    model: null,
  };
}

function reused(item: TurnItem, old: TurnItem | undefined): TurnItem {
  if (!old) return item;
  const keys = Object.keys(item) as (keyof TurnItem)[];
  return keys.every((key) =>
    key === "summary" ? sameSummary(item.summary, old.summary) : Object.is(item[key], old[key]),
  )
    ? old
    : item;
}

function sameSummary(a: TurnSummary | null, b: TurnSummary | null): boolean {
  if (a === b || !a || !b) return a === b;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)] as (keyof TurnSummary)[]);
  return [...keys].every((key) => (a[key] ?? null) === (b[key] ?? null));
}
