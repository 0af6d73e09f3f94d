import { asBackendError, type Backend, type BackendError, type StreamState } from "../backend/backend";
import { backoffMs } from "../backend/backoff";
import { newIdempotencyKey } from "../backend/idempotency";
import { Cell } from "../backend/observable";
import { LIMITS, type ChatSessionId, type Chunk, type TurnId } from "../backend/wire.gen";
import {
  EMPTY_CHAT,
  hasEarlier,
  hasGap,
  missingRecords,
  reduceChat,
  wantedStreams,
  type ChatData,
  type ChatEvent,
} from "./chat-state";
import { NO_TURNS, turnsOf, type Turns } from "./turns";

const STREAM_START = "-1";

export interface ChatSnapshot {
  readonly data: ChatData;
  readonly turns: Turns;
  readonly hasEarlier: boolean;
  readonly loadingEarlier: boolean;
  /** Why the chat session can't be shown. */
  readonly refused: BackendError | null;
  /** Why texts could not be fetched; they are tried again. */
  readonly problem: BackendError | null;
}

const EMPTY_SNAPSHOT: ChatSnapshot = {
  data: EMPTY_CHAT,
  turns: NO_TURNS,
  hasEarlier: false,
  loadingEarlier: false,
  refused: null,
  problem: null,
};

interface FollowedStream {
  path: string;
  /** From where to read on. */
  offset: string;
  /** Ends the reading; null while nobody looks. */
  stop: (() => void) | null;
}

/** Where the store meets the browser; tests bring their own. */
export interface ChatHost {
  now: () => number;
  /** Runs once, soon: gathers what comes within one frame. */
  soon: (run: () => void) => void;
  visible: () => boolean;
  onVisibility: (listener: () => void) => () => void;
}

/**
 * One chat session, live. Decides nothing about turns itself: it carries what the backend says to the reducer,
 * and what the reducer finds missing back to the backend.
 */
export class ChatStore {
  readonly snapshot = new Cell<ChatSnapshot>(EMPTY_SNAPSHOT);
  readonly #backend: Backend;
  readonly #chatSessionId: ChatSessionId;
  readonly #host: ChatHost;
  #stops: (() => void)[] = [];
  readonly #streams = new Map<string, FollowedStream>();
  /** Those that the backend does not have any more. */
  readonly #goneStreams = new Set<string>();
  #repairedStreams = new Set<string>();
  #chunks: Chunk[] = [];
  #fetching = false;
  #fetchAttempt = 0;
  #fetchTimer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(backend: Backend, chatSessionId: ChatSessionId, host: ChatHost) {
    this.#backend = backend;
    this.#chatSessionId = chatSessionId;
    this.#host = host;
  }

  start(): () => void {
    this.#stopped = false;
    this.#stops = [
      this.#backend.watch(
        "worker.chat.view",
        { chatSessionId: this.#chatSessionId },
        (view) => this.#dispatch({ type: "view", view }),
        (state) => this.#patch({ refused: state.kind === "refused" ? state.error : null }),
      ),
      this.#host.onVisibility(() => this.#followStreams()),
    ];
    return () => {
      this.#stopped = true;
      clearTimeout(this.#fetchTimer);
      for (const stop of this.#stops) stop();
      for (const stream of this.#streams.values()) closeStream(stream);
      this.#streams.clear();
    };
  }

  /** Sends a message, or one again that could not be sent: with its key, so that it arrives once. */
  async send(message: string, key: string = newIdempotencyKey()): Promise<void> {
    this.#dispatch({ type: "sending", key, message, at: this.#host.now() });
    try {
      const { turn } = await this.#backend.call(
        "worker.chat.sendMessage",
        { chatSessionId: this.#chatSessionId, message },
        { key },
      );
      this.#dispatch({ type: "sent", key, turn });
    } catch (error) {
      this.#dispatch({ type: "send_failed", key, reason: asBackendError(error).message });
    }
  }

  /** Forgets a message that could not be sent. */
  drop(key: string): void {
    this.#dispatch({ type: "send_dropped", key });
  }

  async loadEarlier(): Promise<void> {
    const { data, loadingEarlier } = this.snapshot.get();
    if (loadingEarlier || data.from === null || !hasEarlier(data)) return;
    this.#patch({ loadingEarlier: true });
    try {
      const page = await this.#backend.call("worker.chat.transcript", {
        chatSessionId: this.#chatSessionId,
        beforeOrdinal: data.from,
      });
      this.#dispatch({ type: "earlier", records: page.turns });
      this.#patch({ problem: null });
    } catch (error) {
      this.#patch({ problem: asBackendError(error) });
    } finally {
      this.#patch({ loadingEarlier: false });
    }
  }

  #dispatch(event: ChatEvent): void {
    const before = this.snapshot.get();
    const data = reduceChat(before.data, event);
    this.snapshot.set({ ...before, data, turns: turnsOf(data, before.turns), hasEarlier: hasEarlier(data) });
    if (this.#stopped) return;
    this.#followStreams();
    void this.#fetchMissing();
  }

  #patch(patch: Partial<ChatSnapshot>): void {
    this.snapshot.set({ ...this.snapshot.get(), ...patch });
  }

  /** Fetches the texts that are missing, one page at a time, latest first, until none is. */
  async #fetchMissing(): Promise<void> {
    if (this.#fetching) return;
    this.#fetching = true;
    try {
      for (;;) {
        const turnIds: TurnId[] = missingRecords(this.snapshot.get().data).slice(-LIMITS.transcriptPageTurns);
        if (turnIds.length === 0 || this.#isStopped()) return;
        const page = await this.#backend.call("worker.chat.transcript", {
          chatSessionId: this.#chatSessionId,
          turnIds,
        });
        const before = this.snapshot.get().data;
        this.#dispatch({ type: "records", records: page.turns });
        this.#patch({ problem: null });
        if (missingRecords(this.snapshot.get().data).length >= missingRecords(before).length) {
          // The page knew less than the view; asking again at once would only spin.
          this.#fetchAgainLater();
          return;
        }
        this.#fetchAttempt = 0;
      }
    } catch (error) {
      this.#patch({ problem: asBackendError(error) });
      this.#fetchAgainLater();
    } finally {
      this.#fetching = false;
    }
  }

  #fetchAgainLater(): void {
    clearTimeout(this.#fetchTimer);
    this.#fetchTimer = setTimeout(() => void this.#fetchMissing(), backoffMs(this.#fetchAttempt));
    this.#fetchAttempt += 1;
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  /** Keeps the streams open whose chunks are wanted, while somebody looks. */
  #followStreams(): void {
    const { data } = this.snapshot.get();
    const wanted = wantedStreams(data, this.#goneStreams);
    for (const [path, stream] of this.#streams) {
      if (wanted.some((other) => other.path === path)) continue;
      closeStream(stream);
      this.#streams.delete(path);
    }
    for (const { path, turnId } of wanted) {
      const stream = this.#streams.get(path) ?? { path, offset: STREAM_START, stop: null };
      this.#streams.set(path, stream);
      if (!this.#host.visible()) {
        closeStream(stream);
        continue;
      }
      if (hasGap(data, turnId) && !this.#repairedStreams.has(path)) {
        // Reading once more from the beginning fills a hole; if it does not, the complete message will.
        this.#repairedStreams.add(path);
        closeStream(stream);
        stream.offset = STREAM_START;
      }
      if (!stream.stop && !this.#goneStreams.has(path)) this.#openStream(stream);
    }
  }

  #openStream(stream: FollowedStream): void {
    stream.stop = this.#backend.readStream(stream.path, stream.offset, {
      onChunks: (chunks, nextOffset) => {
        stream.offset = nextOffset;
        this.#gather(chunks);
      },
      onState: (state: StreamState) => {
        // A stream that is gone belongs to a turn that has ended; the view and the complete message tell the rest.
        if (state.kind !== "refused" || this.#goneStreams.has(stream.path)) return;
        this.#goneStreams.add(stream.path);
        // It may be refused within the call that opens it; another one may take its place.
        queueMicrotask(() => {
          if (!this.#stopped) this.#followStreams();
        });
      },
    });
  }

  #gather(chunks: readonly Chunk[]): void {
    const first = this.#chunks.length === 0;
    this.#chunks.push(...chunks);
    if (!first) return;
    this.#host.soon(() => {
      const gathered = this.#chunks;
      this.#chunks = [];
      if (!this.#stopped) this.#dispatch({ type: "chunks", chunks: gathered });
    });
  }
}

function closeStream(stream: FollowedStream): void {
  stream.stop?.();
  stream.stop = null;
}

export const browserHost: ChatHost = {
  now: () => Date.now(),
  soon: (run) => {
    // Hidden pages get no frames.
    if (document.visibilityState === "visible") requestAnimationFrame(run);
    else setTimeout(run, 50);
  },
  visible: () => document.visibilityState === "visible",
  onVisibility: (listener) => {
    document.addEventListener("visibilitychange", listener);
    return () => document.removeEventListener("visibilitychange", listener);
  },
};
