import type { Backend, StreamState } from "../backend";
import type { Chunk } from "../wire.gen";

/** What is kept of one stream for those who join later, in characters of JSON. */
const KEPT_CHARS = 4 * 1024 * 1024;
/** Streams that nobody follows just now and whose beginnings are kept all the same: a tab may come back to them. */
const IDLE_KEPT = 4;
/** How much is handed over at once, in characters of JSON. */
const PIECE_CHARS = 256 * 1024;

interface Batch {
  chunks: Chunk[];
  nextOffset: string;
  chars: number;
}

/** One stream, read once for all who follow it. */
interface SharedStream {
  path: string;
  /** Where what is kept begins. */
  base: string;
  /** How many batches were let go before `base`. */
  dropped: number;
  batches: Batch[];
  chars: number;
  state: StreamState;
  followers: Set<Follower>;
  stop: (() => void) | null;
}

/** Somebody's place in a stream. */
export class Follower {
  readonly #streams: SharedStreams;
  readonly #onNews: () => void;
  #stream: SharedStream;
  /** Counts batches, those let go too. */
  #place: number;
  #offset: string;

  constructor(streams: SharedStreams, stream: SharedStream, place: number, offset: string, onNews: () => void) {
    this.#streams = streams;
    this.#stream = stream;
    this.#place = place;
    this.#offset = offset;
    this.#onNews = onNews;
  }

  /** The next chunks that are here; null if there are none now. */
  take(): { chunks: Chunk[]; nextOffset: string } | null {
    if (this.#place < this.#stream.dropped) {
      // Slower than what is kept: it reads on by itself.
      const found = this.#streams.find(this.#stream.path, this.#offset, this);
      this.#streams.leave(this.#stream, this);
      this.#stream = found.stream;
      this.#place = found.place;
    }
    const chunks: Chunk[] = [];
    for (let chars = 0; chars < PIECE_CHARS;) {
      const batch = this.#stream.batches[this.#place - this.#stream.dropped];
      if (!batch) break;
      chunks.push(...batch.chunks);
      chars += batch.chars;
      this.#offset = batch.nextOffset;
      this.#place += 1;
    }
    return chunks.length > 0 ? { chunks, nextOffset: this.#offset } : null;
  }

  /** How the stream stands, for whoever has taken all there is. */
  get state(): StreamState {
    return this.#stream.state;
  }

  news(): void {
    this.#onNews();
  }

  leave(): void {
    this.#streams.leave(this.#stream, this);
  }
}

/** All streams that tabs follow, at most one reading of each. */
export class SharedStreams {
  readonly #backend: Backend;
  #streams: SharedStream[] = [];

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Follows a stream from an offset; `onNews` says when there is something to take, or another state. */
  follow(path: string, offset: string, onNews: () => void): Follower {
    const { stream, place } = this.#at(path, offset);
    const follower = new Follower(this, stream, place, offset, onNews);
    this.#join(stream, follower);
    return follower;
  }

  find(path: string, offset: string, follower: Follower): { stream: SharedStream; place: number } {
    const found = this.#at(path, offset);
    this.#join(found.stream, follower);
    return found;
  }

  leave(stream: SharedStream, follower: Follower): void {
    stream.followers.delete(follower);
    if (stream.followers.size > 0) return;
    stream.stop?.();
    stream.stop = null;
    const idle = this.#streams.filter(({ followers }) => followers.size === 0);
    for (const old of idle.slice(0, -IDLE_KEPT)) this.#forget(old);
  }

  /** Somebody else may sign in now: nothing of this person's stays. */
  clear(): void {
    for (const stream of this.#streams) {
      stream.stop?.();
      stream.stop = null;
    }
    this.#streams = [];
  }

  #at(path: string, offset: string): { stream: SharedStream; place: number } {
    for (const stream of this.#streams) {
      if (stream.path !== path) continue;
      if (stream.base === offset) return { stream, place: stream.dropped };
      const index = stream.batches.findIndex(({ nextOffset }) => nextOffset === offset);
      if (index >= 0) return { stream, place: stream.dropped + index + 1 };
    }
    const stream: SharedStream = {
      path,
      base: offset,
      dropped: 0,
      batches: [],
      chars: 0,
      state: { kind: "connecting" },
      followers: new Set(),
      stop: null,
    };
    this.#streams.push(stream);
    return { stream, place: 0 };
  }

  #join(stream: SharedStream, follower: Follower): void {
    stream.followers.add(follower);
    if (stream.stop || stream.state.kind === "closed") return;
    const from = stream.batches.at(-1)?.nextOffset ?? stream.base;
    let ended = false;
    const stop = this.#backend.readStream(stream.path, from, {
      onChunks: (chunks, nextOffset) => {
        // The next reading begins where this one was stopped.
        if (ended) return;
        keep(stream, chunks, nextOffset);
        tell(stream);
      },
      onState: (state) => {
        if (ended) return;
        stream.state = state;
        // The next one who asks for it tries anew.
        if (state.kind === "refused") this.#forget(stream);
        tell(stream);
      },
    });
    stream.stop = () => {
      ended = true;
      stop();
    };
  }

  #forget(stream: SharedStream): void {
    this.#streams = this.#streams.filter((other) => other !== stream);
  }
}

function keep(stream: SharedStream, chunks: Chunk[], nextOffset: string): void {
  const chars = JSON.stringify(chunks).length;
  stream.batches.push({ chunks, nextOffset, chars });
  stream.chars += chars;
  while (stream.chars > KEPT_CHARS && stream.batches.length > 1) {
    const gone = stream.batches.shift();
    if (!gone) return;
    stream.base = gone.nextOffset;
    stream.chars -= gone.chars;
    stream.dropped += 1;
  }
}

function tell(stream: SharedStream): void {
  for (const follower of [...stream.followers]) follower.news();
}
