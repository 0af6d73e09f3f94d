import type { Chunk, ChatView, FullMessage, TurnId, TurnRecord, TurnState, TurnSummary } from "../backend/wire.gen";
import { textHash } from "../transcript/hash";
import { applyChunk, EMPTY_TRANSCRIPT, type Transcript } from "../transcript/transcript";

/** Turns whose texts are fetched when a chat is opened; earlier ones follow when a person scrolls up. */
export const FIRST_TURNS = 20;

/** How many streams of turns that have ended are read at once; others follow as these turn out to be gone. */
const UNANSWERED_STREAMS = 2;

/** A message that was sent from this page; its turn is known once the backend has answered. */
export interface Send {
  /** The idempotency key: one intent of a person, however often it is repeated. */
  readonly key: string;
  readonly message: string;
  readonly sentAt: number;
  readonly state: { kind: "sending" } | { kind: "sent"; turn: TurnSummary } | { kind: "failed"; reason: string };
}

/** What came of comparing a complete message with its hash, and with what had been streamed here. */
export type Check =
  /** The text has the hash that its machine computed. */
  | "verified"
  /** So it has, and what had been streamed here differed from it: it was replaced. */
  | "repaired"
  /** The text does not have the hash it came with. */
  | "mismatch";

/** Everything the page knows of one chat session. */
export interface ChatData {
  readonly view: ChatView | null;
  /** Turns with texts. */
  readonly records: ReadonlyMap<TurnId, TurnRecord>;
  readonly checks: ReadonlyMap<TurnId, Check>;
  /** What was streamed of turns whose complete message is not here yet. */
  readonly live: ReadonlyMap<TurnId, Transcript>;
  readonly sends: readonly Send[];
  /** Turns before this place are not shown yet. */
  readonly from: number | null;
}

export const EMPTY_CHAT: ChatData = {
  view: null,
  records: new Map(),
  checks: new Map(),
  live: new Map(),
  sends: [],
  from: null,
};

export type ChatEvent =
  | { type: "view"; view: ChatView }
  | { type: "records"; records: readonly TurnRecord[] }
  /** A page of turns before all that are shown. */
  | { type: "earlier"; records: readonly TurnRecord[] }
  | { type: "chunks"; chunks: readonly Chunk[] }
  | { type: "sending"; key: string; message: string; at: number }
  | { type: "sent"; key: string; turn: TurnSummary }
  | { type: "send_failed"; key: string; reason: string }
  | { type: "send_dropped"; key: string };

export function reduceChat(data: ChatData, event: ChatEvent): ChatData {
  switch (event.type) {
    case "view":
      return { ...data, view: event.view, from: data.from ?? firstShown(event.view.turns) };
    case "records":
      return withRecords(data, event.records);
    case "earlier":
      return { ...withRecords(data, event.records), from: event.records[0]?.turn.ordinal ?? 1 };
    case "chunks":
      return { ...data, live: withChunks(data, event.chunks) };
    case "sending": {
      const send: Send = { key: event.key, message: event.message, sentAt: event.at, state: { kind: "sending" } };
      const again = data.sends.some(({ key }) => key === event.key);
      return {
        ...data,
        sends: again
          ? data.sends.map((other) => (other.key === event.key ? { ...send, sentAt: other.sentAt } : other))
          : [...data.sends, send],
      };
    }
    case "sent":
      return { ...data, sends: withSend(data.sends, event.key, { kind: "sent", turn: event.turn }) };
    case "send_failed":
      return { ...data, sends: withSend(data.sends, event.key, { kind: "failed", reason: event.reason }) };
    case "send_dropped":
      return { ...data, sends: data.sends.filter(({ key }) => key !== event.key) };
  }
}

/** Nothing comes after this state. */
export function isEnded(state: TurnState): boolean {
  return state === "completed" || state === "interrupted" || state === "failed" || state === "cancelled";
}

/** The turns whose texts are to be fetched: never seen, or ended since they were, or their answer came after their end. */
export function missingRecords({ view, records, from }: ChatData): TurnId[] {
  if (!view || from === null) return [];
  return view.turns.filter((turn) => turn.ordinal >= from && isMissing(turn, records.get(turn.id))).map(({ id }) => id);
}

/** A turn whose chunks are wanted. */
export interface WantedStream {
  readonly turnId: TurnId;
  readonly path: string;
}

/**
 * The streams that have what no complete message has: of the turn under way, and of turns that were ended without
 * their machine, which may bring the message yet. Of the latter only so many, latest first.
 */
export function wantedStreams({ view, records }: ChatData, gone: ReadonlySet<string>): WantedStream[] {
  const running = view?.turns.find(({ state }) => state === "delivered" || state === "streaming");
  const wanted = running && view?.stream != null ? [{ turnId: running.id, path: view.stream }] : [];
  const unanswered = [...records.values()]
    .filter(({ turn, answer }) => isEnded(turn.state) && turn.deliveredAt != null && !answer)
    .sort((a, b) => b.turn.ordinal - a.turn.ordinal)
    .map(({ turn }) => ({ turnId: turn.id, path: streamPathOf(turn.id) }));
  return [...wanted, ...unanswered.filter(({ path }) => !gone.has(path)).slice(0, UNANSWERED_STREAMS)];
}

/** Whether a hole in a turn's chunks asks for reading them from the beginning. */
export function hasGap({ live }: ChatData, turnId: TurnId): boolean {
  return live.get(turnId)?.gap === true;
}

function streamPathOf(turnId: TurnId): string {
  return `/v1/streams/turn/${turnId}`;
}

export function hasEarlier({ from }: ChatData): boolean {
  return from !== null && from > 1;
}

function isMissing(turn: TurnSummary, record: TurnRecord | undefined): boolean {
  if (!record) return true;
  return isEnded(turn.state) && (!isEnded(record.turn.state) || (turn.hash != null && !record.answer));
}

function firstShown(turns: readonly TurnSummary[]): number {
  return turns.at(-FIRST_TURNS)?.ordinal ?? turns[0]?.ordinal ?? 1;
}

function withRecords(data: ChatData, added: readonly TurnRecord[]): ChatData {
  const records = new Map(data.records);
  const checks = new Map(data.checks);
  const live = new Map(data.live);
  for (const record of added) {
    const { id } = record.turn;
    const before = records.get(id);
    // An answer that is here already is not replaced by a page that was asked for before it came.
    if (before && isEnded(before.turn.state) && !isEnded(record.turn.state)) continue;
    if (before?.answer && !record.answer) continue;
    records.set(id, record);
    if (!record.answer) continue;
    checks.set(id, checkOf(record.answer, live.get(id)));
    live.delete(id);
  }
  return { ...data, records, checks, live };
}

function checkOf(answer: FullMessage, streamed: Transcript | undefined): Check {
  const hash = textHash(answer.parts);
  if (hash !== answer.hash) return "mismatch";
  return streamed && textHash(streamed.parts) !== hash ? "repaired" : "verified";
}

function withChunks({ live, records }: ChatData, chunks: readonly Chunk[]): ReadonlyMap<TurnId, Transcript> {
  const next = new Map(live);
  for (const chunk of chunks) {
    // The complete message has taken over; what still comes is its preview.
    if (records.get(chunk.turn)?.answer) continue;
    next.set(chunk.turn, applyChunk(next.get(chunk.turn) ?? EMPTY_TRANSCRIPT, chunk).transcript);
  }
  return next;
}

function withSend(sends: readonly Send[], key: string, state: Send["state"]): readonly Send[] {
  return sends.map((send) => (send.key === key ? { ...send, state } : send));
}
