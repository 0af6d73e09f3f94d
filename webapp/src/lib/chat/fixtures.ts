import type { ChatView, Chunk, FullMessage, Part, TurnRecord, TurnSummary } from "../backend/wire.gen";
import { textHash } from "../transcript/hash";

// Rows for tests, with what a test does not care about filled in.

export const CHAT_ID = "cht_00000000000000000000000001";

export function turn(ordinal: number, patch: Partial<TurnSummary> = {}): TurnSummary {
  return {
    id: `trn_${String(ordinal).padStart(26, "0")}`,
    ordinal,
    state: "completed",
    cancelRequested: false,
    createdAt: ordinal * 1_000,
    ...patch,
  };
}

export function view(turns: TurnSummary[], patch: Partial<ChatView> = {}): ChatView {
  return {
    chat: {
      id: CHAT_ID,
      machineId: "mch_00000000000000000000000001",
      workerId: "wrk_00000000000000000000000001",
      title: "A chat",
      state: "ready",
      queuedCount: 0,
      pendingAskCount: 0,
      createdAt: 0,
      activeAt: 0,
    },
    turns,
    hasEarlier: false,
    asks: [],
    stream: null,
    ...patch,
  };
}

export function answer(text: string, patch: Partial<FullMessage> = {}): FullMessage {
  const parts: Part[] = [{ id: "p1", kind: "text", text }];
  return { parts, hash: textHash(parts), ...patch };
}

export function record(summary: TurnSummary, text: string | null = `answer ${summary.ordinal}`): TurnRecord {
  return { turn: summary, message: `message ${summary.ordinal}`, answer: text === null ? null : answer(text) };
}

export function chunks(of: TurnSummary, ...deltas: string[]): Chunk[] {
  return deltas.map((delta, seq) => ({ turn: of.id, seq, op: "append", part: "p1", kind: "text", delta }));
}
