import { asBackendError, type Args, type Backend, type QueryName } from "../backend";
import { wakeAll } from "../backoff";
import { plain, plainError, type FromTab, type Line, type ToTab } from "./messages";
import { SharedStreams } from "./streams";

/** A tab that said nothing for so long is gone or frozen; browsers let hidden tabs run once a minute. */
export const FORGOTTEN_AFTER_MS = 3 * 60_000;

/** What a tab follows: at most one message of it is under way, so that a tab that stands still piles up nothing. */
interface Followed {
  stop: () => void;
  ack: () => void;
}

/** Serves any number of tabs from one backend. */
export class TabServer {
  readonly #backend: Backend;
  readonly #streams: SharedStreams;
  readonly #isHidden: () => boolean;
  readonly #ends = new Set<() => void>();

  constructor(backend: Backend, isHidden: () => boolean) {
    this.#backend = backend;
    this.#isHidden = isHidden;
    this.#streams = new SharedStreams(backend);
    backend.connection.subscribe(() => {
      if (backend.connection.get().kind === "signed_out") this.#streams.clear();
    });
  }

  /** Ends all that is followed, without a word: another one serves now. */
  close(): void {
    for (const end of [...this.#ends]) end();
    this.#backend.close?.();
  }

  /** Serves one more tab, until it says good-bye or is silent for too long. */
  serve(line: Line<ToTab, FromTab>): void {
    const followed = new Map<number, Followed>();
    const forget = () => {
      clearTimeout(silence);
      stopConnection();
      for (const { stop } of followed.values()) stop();
      followed.clear();
      line.close();
      this.#ends.delete(forget);
    };
    this.#ends.add(forget);
    const forgetSilent = () => {
      line.post({ type: "forgotten" });
      forget();
    };
    let silence = setTimeout(forgetSilent, FORGOTTEN_AFTER_MS);

    const { connection } = this.#backend;
    const tellConnection = () => line.post({ type: "connection", state: connection.get() });
    const stopConnection = connection.subscribe(tellConnection);

    line.listen((message) => {
      clearTimeout(silence);
      silence = setTimeout(forgetSilent, FORGOTTEN_AFTER_MS);
      switch (message.type) {
        case "ping":
          line.post({ type: "pong", hidden: this.#isHidden() });
          return;
        case "wake":
          wakeAll();
          return;
        case "bye":
          forget();
          return;
        case "watch":
          followed.set(message.id, this.#watch(line, message.id, message.name, message.args));
          return;
        case "stream":
          followed.set(message.id, this.#stream(line, message.id, message.path, message.offset));
          return;
        case "stop":
          followed.get(message.id)?.stop();
          followed.delete(message.id);
          return;
        case "ack":
          followed.get(message.id)?.ack();
          return;
        case "call": {
          const { id, name, args, key } = message;
          void answer(line, id, this.#backend.call(name, args as never, { key }));
          return;
        }
        case "auth": {
          const method = this.#backend.auth[message.method] as (...args: unknown[]) => Promise<unknown>;
          void answer(line, message.id, method(...message.args));
          return;
        }
      }
    });
    // Also the sign that somebody listens now.
    tellConnection();
  }

  #watch(line: Line<ToTab, FromTab>, id: number, name: QueryName, args: unknown): Followed {
    let inFlight = false;
    let next: { value: unknown } | null = null;
    const send = () => {
      if (inFlight || !next) return;
      line.post({ type: "value", id, value: next.value });
      next = null;
      inFlight = true;
    };
    const stop = this.#backend.watch(
      name,
      args as Args<QueryName>,
      (value) => {
        // A value that was not sent yet is skipped: the latest is the whole.
        next = { value };
        send();
      },
      (state) => {
        // What was true for somebody who has signed out is not sent to who comes after.
        if (state.kind !== "live") next = null;
        line.post({ type: "watchState", id, state: plain(state) });
      },
    );
    return {
      stop,
      ack: () => {
        inFlight = false;
        send();
      },
    };
  }

  #stream(line: Line<ToTab, FromTab>, id: number, path: string, offset: string): Followed {
    let inFlight = false;
    let told = "";
    const send = () => {
      if (inFlight) return;
      const piece = follower.take();
      if (piece) {
        line.post({ type: "chunks", id, ...piece });
        inFlight = true;
        return;
      }
      const { state } = follower;
      // After all chunks, so that what is closed is complete.
      if (state.kind !== told) line.post({ type: "streamState", id, state: plain(state) });
      told = state.kind;
    };
    // Not before `follower` is there: a stream that is known has news at once.
    let following = false;
    const follower = this.#streams.follow(path, offset, () => {
      if (following) send();
    });
    following = true;
    send();
    return {
      stop: () => follower.leave(),
      ack: () => {
        inFlight = false;
        send();
      },
    };
  }
}

async function answer(line: Line<ToTab, FromTab>, id: number, result: Promise<unknown>): Promise<void> {
  try {
    line.post({ type: "done", id, result: await result });
  } catch (error) {
    line.post({ type: "failed", id, error: plainError(asBackendError(error)) });
  }
}
