import type {
  Ask,
  ChatSummary,
  ChatView,
  Chunk,
  FullMessage,
  MachineHealth,
  MachineStatus,
  MachineSummary,
  MachineView,
  Part,
  ProcessWait,
  TurnRecord,
  TurnState,
  TurnSummary,
  WorkerSummary,
} from "../wire.gen";
import { textHash } from "../../transcript/hash";
import { applyChunks, EMPTY_TRANSCRIPT } from "../../transcript/transcript";

const VIEW_MAX_TURNS = 100;
const LEASE_MS = 45_000;
const ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

export interface FakeTurn {
  summary: TurnSummary;
  message: string;
  answer: FullMessage | null;
  chunks: Chunk[];
}

export interface FakeChat {
  summary: ChatSummary;
  turns: FakeTurn[];
  asks: Ask[];
  /** Set while its machine has no process for it. */
  wait?: ProcessWait | null;
}

/** The rows of the fake: what a backend would have on disk. */
export class FakeWorld {
  machines: MachineSummary[] = [];
  workers: WorkerSummary[] = [];
  chats: FakeChat[] = [];
  /** What machines told last of their own work, and when. */
  readonly statuses = new Map<string, { status: MachineStatus; at: number }>();
  readonly owner = "per_00000000000000000000000000";
  readonly #changed = new Set<() => void>();
  readonly #streams = new Map<string, Set<() => void>>();
  #count = 0;

  /** An id with the right form; ordered by time of making. */
  id(prefix: string): string {
    this.#count += 1;
    const digits = Array.from(this.#count.toString(32), (digit) => ID_ALPHABET.charAt(parseInt(digit, 32)));
    return `${prefix}_${digits.join("").padStart(26, "0")}`;
  }

  onChange(listener: () => void): () => void {
    this.#changed.add(listener);
    return () => this.#changed.delete(listener);
  }

  changed(): void {
    for (const listener of [...this.#changed]) listener();
  }

  onChunk(turnId: string, listener: () => void): () => void {
    const listeners = this.#streams.get(turnId) ?? new Set();
    this.#streams.set(turnId, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  chat(id: string): FakeChat | undefined {
    return this.chats.find(({ summary }) => summary.id === id);
  }

  turn(id: string): { chat: FakeChat; turn: FakeTurn } | undefined {
    for (const chat of this.chats) {
      const turn = chat.turns.find(({ summary }) => summary.id === id);
      if (turn) return { chat, turn };
    }
    return undefined;
  }

  addTurn(chat: FakeChat, message: string, now = Date.now()): FakeTurn {
    const summary: TurnSummary = {
      id: this.id("trn"),
      ordinal: chat.turns.length + 1,
      state: "queued",
      cancelRequested: false,
      createdAt: now,
    };
    const turn: FakeTurn = { summary, message, answer: null, chunks: [] };
    chat.turns.push(turn);
    chat.summary.title ||= message.slice(0, 60);
    chat.summary.activeAt = now;
    return turn;
  }

  write(turn: FakeTurn, op: DistributiveOmit<Chunk, "turn" | "seq">): void {
    turn.chunks.push({ turn: turn.summary.id, seq: turn.chunks.length, ...op });
    for (const listener of [...(this.#streams.get(turn.summary.id) ?? [])]) listener();
  }

  end(turn: FakeTurn, state: TurnState, extra: { reason?: string; parts?: Part[]; now?: number } = {}): void {
    const parts = extra.parts ?? [...applyChunks(EMPTY_TRANSCRIPT, turn.chunks).parts];
    const hash = textHash(parts);
    this.write(turn, { op: "seal", outcome: state, hash });
    turn.answer = {
      parts,
      hash,
      usage: { inputTokens: 8_412, outputTokens: 633, costMicroUsd: 21_400 },
      model: "anthropic/claude-sonnet-5",
    };
    turn.summary = { ...turn.summary, state, hash, endedAt: extra.now ?? Date.now(), reason: extra.reason ?? null };
  }

  view(id: string): ChatView | null {
    const chat = this.chat(id);
    if (!chat) return null;
    const running = chat.turns.find(({ summary }) => summary.state === "delivered" || summary.state === "streaming");
    const turns = chat.turns.slice(-VIEW_MAX_TURNS).map(({ summary }) => summary);
    return {
      chat: this.summary(chat),
      turns,
      hasEarlier: chat.turns.length > turns.length,
      asks: chat.asks.filter(({ state }) => state === "pending"),
      stream: running ? `/v1/streams/turn/${running.summary.id}` : null,
      wait: chat.wait ?? null,
    };
  }

  machineView(id: string): MachineView | null {
    const machine = this.machines.find((other) => other.id === id);
    if (!machine) return null;
    return {
      machine: this.counted(machine),
      workers: this.workers
        .filter((worker) => worker.machineId === id)
        .map((worker) => ({
          ...worker,
          openChatCount: this.chats.filter(
            ({ summary }) => summary.workerId === worker.id && summary.state !== "closed",
          ).length,
        })),
      chats: this.chats
        .filter(({ summary }) => summary.machineId === id)
        .map((chat) => this.summary(chat))
        .sort((a, b) => b.activeAt - a.activeAt),
    };
  }

  health(machine: MachineSummary): MachineHealth {
    const { presence } = machine;
    const told = this.statuses.get(machine.id);
    const turns = this.chats.filter(({ summary }) => summary.machineId === machine.id).flatMap((chat) => chat.turns);
    const lastSeen =
      presence.state === "never" ? null : presence.state === "online" ? (told?.at ?? presence.since) : presence.since;
    return {
      presence,
      epoch: presence.state === "online" ? presence.epoch : presence.state === "never" ? 0 : 1,
      seenAt: lastSeen,
      leaseUntil: lastSeen === null ? null : lastSeen + LEASE_MS,
      openTurnCount: turns.filter(({ summary }) => summary.endedAt == null).length,
      openCommandCount: 0,
      pendingAskCount: this.counted(machine).pendingAskCount,
      status: told?.status ?? null,
      statusAt: told?.at ?? null,
    };
  }

  counted(machine: MachineSummary): MachineSummary {
    const chats = this.chats.filter(({ summary }) => summary.machineId === machine.id);
    return {
      ...machine,
      workerCount: this.workers.filter(({ machineId }) => machineId === machine.id).length,
      openChatCount: chats.filter(({ summary }) => summary.state !== "closed").length,
      pendingAskCount: chats.reduce(
        (count, chat) => count + chat.asks.filter(({ state }) => state === "pending").length,
        0,
      ),
    };
  }

  summary(chat: FakeChat): ChatSummary {
    return {
      ...chat.summary,
      queuedCount: chat.turns.filter(({ summary }) => summary.state === "queued").length,
      pendingAskCount: chat.asks.filter(({ state }) => state === "pending").length,
    };
  }

  record({ summary, message, answer }: FakeTurn): TurnRecord {
    return { turn: summary, message, answer };
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
