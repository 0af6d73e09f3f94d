import { BackendError, type StreamHandlers, type StreamState } from "../backend";
import { backoffMs } from "../backoff";
import { newIdempotencyKey } from "../idempotency";
import { FINAL } from "../reconnect";
import type { ChatSessionId, Chunk } from "../wire.gen";
import type { ConvexConnection } from "./connection";

/**
 * A subscription is moved forward after this many batches: everything behind its cursor is read and sent anew with
 * each change, and each move is a billed call. By the published prices reading costs more from about eight on.
 */
export const MOVE_AFTER_BATCHES = 8;
/** How often the page says that somebody watches; the deployment keeps it for 45 s. */
export const VIEWING_MS = 20_000;
/** As `worker.chat.view` gives it. */
const STREAM_PATH = /^\/v1\/streams\/turn\/([^/?#]+)$/;

/** A page of `worker/chat:chunks`. */
interface ChunkPage {
  /** Each the JSON text of one append. */
  batches: string[];
  next: string;
  upToDate: boolean;
  closed: boolean;
}

/** Chunk streams: a query with a cursor, which moves forward. */
export class ConvexStreams {
  readonly #connection: ConvexConnection;
  readonly #chatOf: (path: string) => ChatSessionId | null;
  /** How many read each stream. */
  readonly #readers = new Map<string, number>();
  #viewing: ReturnType<typeof setInterval> | undefined;
  /** Of which chat session it was last said that somebody watches, and when. */
  #said: { chatSessionId: ChatSessionId; at: number } | null = null;

  constructor(connection: ConvexConnection, chatOf: (path: string) => ChatSessionId | null) {
    this.#connection = connection;
    this.#chatOf = chatOf;
  }

  read(path: string, fromOffset: string, handlers: StreamHandlers): () => void {
    const turnId = STREAM_PATH.exec(path)?.[1];
    if (turnId === undefined) {
      handlers.onState?.({ kind: "refused", error: new BackendError("invalid", `${path} is not a chunk stream.`) });
      return () => undefined;
    }
    const leave = this.#look(path);
    const reading = new Reading(this.#connection, turnId, fromOffset, {
      ...handlers,
      onState: (state) => {
        if (state.kind === "closed" || state.kind === "refused") leave();
        handlers.onState?.(state);
      },
    });
    const stop = reading.start();
    return () => {
      leave();
      stop();
    };
  }

  /** Says that somebody looks at this stream, until told otherwise. */
  #look(path: string): () => void {
    this.#readers.set(path, (this.#readers.get(path) ?? 0) + 1);
    if (this.#viewing === undefined) {
      queueMicrotask(() => this.#sayViewing(true));
      this.#viewing = setInterval(() => this.#sayViewing(false), VIEWING_MS);
    }
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const readers = (this.#readers.get(path) ?? 1) - 1;
      if (readers > 0) this.#readers.set(path, readers);
      else this.#readers.delete(path);
      if (this.#readers.size > 0) return;
      clearInterval(this.#viewing);
      this.#viewing = undefined;
    };
  }

  #sayViewing(isFirst: boolean): void {
    const now = Date.now();
    for (const path of this.#readers.keys()) {
      const chatSessionId = this.#chatOf(path);
      if (chatSessionId === null) continue;
      // Every turn has a stream of its own; short ones are not worth a call each.
      if (isFirst && this.#said?.chatSessionId === chatSessionId && now - this.#said.at < VIEWING_MS) continue;
      this.#said = { chatSessionId, at: now };
      this.#connection.tryMutate("worker/chat:viewing", { args: { chatSessionId }, key: newIdempotencyKey() });
    }
  }
}

class Reading {
  readonly #connection: ConvexConnection;
  readonly #turnId: string;
  readonly #handlers: StreamHandlers;
  /** Where the subscription begins. */
  #cursor: string;
  /** How many batches behind the cursor have been handed on. */
  #delivered = 0;
  /** Where a subscription would begin that leaves out all that was handed on. */
  #next: string;
  #state: StreamState["kind"] | null = null;
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #unfollow: () => void = () => undefined;
  #ended = false;
  #moving = false;

  constructor(connection: ConvexConnection, turnId: string, fromOffset: string, handlers: StreamHandlers) {
    this.#connection = connection;
    this.#turnId = turnId;
    this.#cursor = fromOffset;
    this.#next = fromOffset;
    this.#handlers = handlers;
  }

  start(): () => void {
    this.#tell({ kind: "connecting" });
    this.#subscribe();
    return () => this.#end();
  }

  #subscribe(): void {
    let current = true;
    const unfollow = this.#connection.follow(
      "worker/chat:chunks",
      { args: { turnId: this.#turnId, after: this.#cursor } },
      {
        onValue: (page) => {
          if (current) this.#receive(page as ChunkPage);
        },
        onError: (error) => {
          if (current) this.#refused(error);
        },
        onLive: (live) => {
          if (current && !live) this.#tell({ kind: "connecting" });
        },
      },
    );
    this.#unfollow = () => {
      current = false;
      unfollow();
    };
    // It may have ended with the value that was there at once.
    if (this.#ended) this.#unfollow();
  }

  #receive({ batches, next, upToDate, closed }: ChunkPage): void {
    this.#failures = 0;
    this.#next = next;
    const fresh = batches.slice(this.#delivered);
    this.#delivered = Math.max(this.#delivered, batches.length);
    if (fresh.length > 0) this.#handlers.onChunks(fresh.flatMap(chunksOf), next);
    if (this.#ended) return;
    if (closed) {
      this.#end();
      this.#tell({ kind: "closed" });
      return;
    }
    this.#tell({ kind: "live" });
    if (upToDate && this.#delivered < MOVE_AFTER_BATCHES) return;
    // Not within the client's own call, which may be the one that subscribes.
    if (!this.#moving) queueMicrotask(() => this.#move());
    this.#moving = true;
  }

  #move(): void {
    this.#moving = false;
    if (this.#ended) return;
    this.#unfollow();
    this.#cursor = this.#next;
    this.#delivered = 0;
    this.#subscribe();
  }

  #refused(error: BackendError): void {
    if (FINAL.has(error.code)) {
      this.#end();
      this.#tell({ kind: "refused", error });
      return;
    }
    this.#tell({ kind: "connecting" });
    this.#unfollow();
    this.#retry = setTimeout(() => this.#subscribe(), backoffMs(this.#failures));
    this.#failures += 1;
  }

  #tell(state: StreamState): void {
    if (state.kind === this.#state) return;
    this.#state = state.kind;
    this.#handlers.onState?.(state);
  }

  #end(): void {
    this.#ended = true;
    clearTimeout(this.#retry);
    this.#unfollow();
  }
}

function chunksOf(batch: string): Chunk[] {
  const value: unknown = JSON.parse(batch);
  return (Array.isArray(value) ? value : [value]) as Chunk[];
}
