import { BackendError, type Args, type ConnectionState, type QueryName, type Reply, type WatchState } from "./backend";
import { Cell } from "./observable";
import { keepReading } from "./reconnect";
import type { SseEvent } from "./sse";
import type { CallError } from "./wire.gen";

/** The hub takes this many watches on one connection; a person with more gets a second one. */
const WATCHES_PER_CONNECTION = 32;

interface Subscriber {
  onValue: (value: never) => void;
  onState: (state: WatchState) => void;
}

interface Watch {
  id: string;
  name: QueryName;
  args: unknown;
  subscribers: Set<Subscriber>;
  /** The latest value, for whoever comes later. */
  latest: { value: unknown; text: string } | null;
  state: WatchState;
}

/**
 * All watches over one connection: browsers allow six per host over HTTP/1.1, in all tabs together.
 * When the set of watches changes the connection is opened anew, which costs one request and no value, since
 * a watch is level-triggered.
 */
export class HubWatches {
  readonly connection = new Cell<ConnectionState>({ kind: "connecting" });
  readonly #watches = new Map<string, Watch>();
  #nextId = 1;
  #stops: (() => void)[] = [];
  #reopenPending = false;

  watch<Name extends QueryName>(
    name: Name,
    args: Args<Name>,
    onValue: (value: Reply<Name>) => void,
    onState: (state: WatchState) => void = () => undefined,
  ): () => void {
    const key = `${name} ${JSON.stringify(args)}`;
    let watch = this.#watches.get(key);
    if (!watch) {
      watch = {
        id: `w${this.#nextId++}`,
        name,
        args,
        subscribers: new Set(),
        latest: null,
        state: { kind: "waiting" },
      };
      this.#watches.set(key, watch);
      this.#reopenSoon();
    }
    const subscriber: Subscriber = { onValue, onState };
    watch.subscribers.add(subscriber);
    onState(watch.state);
    if (watch.latest) onValue(watch.latest.value as Reply<Name>);
    const joined = watch;
    return () => {
      joined.subscribers.delete(subscriber);
      if (joined.subscribers.size > 0 || this.#watches.get(key) !== joined) return;
      this.#watches.delete(key);
      this.#reopenSoon();
    };
  }

  /** Begins anew after a person has signed in or out. */
  restart(state: ConnectionState): void {
    for (const watch of this.#watches.values()) {
      watch.latest = null;
      this.#setState(watch, { kind: "waiting" });
    }
    this.connection.set(state);
    if (state.kind === "signed_out") this.#close();
    else this.#reopenSoon();
  }

  #reopenSoon(): void {
    if (this.#reopenPending) return;
    this.#reopenPending = true;
    queueMicrotask(() => {
      this.#reopenPending = false;
      this.#close();
      if (this.#watches.size > 0 && this.connection.get().kind !== "signed_out") this.#open();
    });
  }

  #close(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  #open(): void {
    const watches = [...this.#watches.values()].map(({ id, name, args }) => ({ id, function: name, args }));
    for (let first = 0; first < watches.length; first += WATCHES_PER_CONNECTION) {
      const group = JSON.stringify(watches.slice(first, first + WATCHES_PER_CONNECTION));
      const stop = keepReading({
        url: () => `/v1/watch?watches=${encodeURIComponent(group)}`,
        onOpen: () => this.connection.set({ kind: "live" }),
        onEvent: (event) => this.#receive(event),
        onLost: (since) => this.#lost(since),
        onRefused: (error) => this.#refused(error),
      });
      this.#stops.push(stop);
    }
  }

  #lost(since: number | null): void {
    const before = this.connection.get();
    if (before.kind === "live") this.connection.set({ kind: "stale", since: since ?? Date.now() });
  }

  #refused(error: BackendError): void {
    if (error.requiresSignIn) {
      this.restart({ kind: "signed_out" });
      return;
    }
    for (const watch of this.#watches.values()) this.#setState(watch, { kind: "refused", error });
  }

  #receive({ event, data }: SseEvent): void {
    const message = parse(data);
    if (!message) return;
    const watch = [...this.#watches.values()].find(({ id }) => id === message.id);
    if (!watch) return;
    if (event === "value") {
      // A connection that was opened anew tells everything once more; what is known disturbs nobody.
      if (watch.latest?.text === data && watch.state.kind === "live") return;
      watch.latest = { value: message.value, text: data };
      this.#setState(watch, { kind: "live" });
      for (const subscriber of [...watch.subscribers]) subscriber.onValue(message.value as never);
    } else if (event === "error" && message.error) {
      this.#setState(watch, { kind: "refused", error: BackendError.from(message.error) });
    }
  }

  #setState(watch: Watch, state: WatchState): void {
    if (watch.state.kind === state.kind && state.kind !== "refused") return;
    watch.state = state;
    for (const subscriber of [...watch.subscribers]) subscriber.onState(state);
  }
}

function parse(data: string): { id: string; value?: unknown; error?: CallError } | null {
  try {
    return JSON.parse(data) as { id: string };
  } catch {
    return null;
  }
}
