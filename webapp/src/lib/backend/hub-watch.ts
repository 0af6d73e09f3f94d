import { BackendError, type Args, type ConnectionState, type QueryName, type Reply, type WatchState } from "./backend";
import { Cell } from "./observable";
import { keepReading } from "./reconnect";
import type { SseEvent } from "./sse";
import type { CallError } from "./wire.gen";

/** The hub takes this many watches on one connection; a person with more gets a second one. */
const WATCHES_PER_CONNECTION = 32;
/** What a connection watches is in its address, and the hub reads no longer head than 64 KiB. */
const ADDRESS_MAX_CHARS = 32 * 1024;
/** A connection with more watches is not opened anew for one more, which would send all their values again. */
const SMALL_CONNECTION = 6;
/** From here on watches are gathered on fewer connections: a browser has six for all requests together. */
const CONNECTIONS_WANTED = 3;
/** Watches of a connection that nobody follows any more, but that whoever comes back would find at once. */
const IDLE_MAX = 16;

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

interface Connection {
  watches: Watch[];
  stop: () => void;
}

/**
 * All watches over few connections: browsers allow six per host over HTTP/1.1, in all tabs together.
 * A connection's watches are fixed when it is opened. A new watch opens a small connection anew, or another one;
 * nothing is lost by that, since a watch is level-triggered, but everything on it is sent again. A watch that
 * nobody follows stays on its connection for a while.
 */
export class HubWatches {
  readonly connection = new Cell<ConnectionState>({ kind: "connecting" });
  readonly #watches = new Map<string, Watch>();
  #nextId = 1;
  #connections: Connection[] = [];
  readonly #fresh = new Set<Watch>();
  #arrangePending = false;

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
      this.#fresh.add(watch);
      this.#arrangeSoon();
    }
    const subscriber: Subscriber = { onValue, onState };
    watch.subscribers.add(subscriber);
    onState(watch.state);
    if (watch.latest) onValue(watch.latest.value as Reply<Name>);
    const joined = watch;
    return () => {
      joined.subscribers.delete(subscriber);
      if (joined.subscribers.size > 0 || this.#watches.get(key) !== joined) return;
      // What was refused is asked for anew by whoever comes back.
      if (joined.state.kind === "refused" || this.#fresh.has(joined)) this.#forget(joined);
      this.#arrangeSoon();
    };
  }

  /** Begins anew after a person has signed in or out. */
  restart(state: ConnectionState): void {
    this.#closeAll();
    for (const watch of [...this.#watches.values()]) {
      watch.latest = null;
      this.#setState(watch, { kind: "waiting" });
    }
    this.connection.set(state);
    this.#arrangeSoon();
  }

  #arrangeSoon(): void {
    if (this.#arrangePending) return;
    this.#arrangePending = true;
    queueMicrotask(() => {
      this.#arrangePending = false;
      if (this.connection.get().kind === "signed_out") this.#closeAll();
      else this.#arrange();
    });
  }

  /** Sees that every watch is on a connection, and that no connection is there for nobody. */
  #arrange(): void {
    for (const connection of [...this.#connections]) {
      const idle = connection.watches.filter((watch) => !isFollowed(watch));
      if (idle.length === connection.watches.length) this.#close(connection);
      else if (idle.length > IDLE_MAX) this.#open(this.#close(connection));
    }
    if (this.#fresh.size === 0) return;
    const fresh = [...this.#fresh];
    const youngest = this.#connections.at(-1);
    const joined = [...(youngest?.watches.filter(isFollowed) ?? []), ...fresh];
    const isCrowded = this.#connections.length >= CONNECTIONS_WANTED;
    if (youngest && (joined.length <= SMALL_CONNECTION || isCrowded) && split(joined).length === 1) {
      this.#close(youngest);
      this.#open(joined);
      return;
    }
    const all = [...this.#watches.values()].filter(isFollowed);
    if (isCrowded && split(all).length < this.#connections.length + split(fresh).length) {
      this.#closeAll();
      this.#open(all);
    } else this.#open(fresh);
  }

  /** Opens connections for these watches. */
  #open(watches: readonly Watch[]): void {
    for (const group of split(watches)) {
      const address = JSON.stringify(group.map(wanted));
      for (const watch of group) this.#fresh.delete(watch);
      const stop = keepReading({
        url: () => `/v1/watch?watches=${encodeURIComponent(address)}`,
        onOpen: () => this.connection.set({ kind: "live" }),
        onEvent: (event) => this.#receive(event),
        onLost: (since) => this.#lost(since),
        onRefused: (error) => this.#refused(error),
      });
      this.#connections.push({ watches: group, stop });
    }
  }

  /** Closes a connection, and gives its watches that somebody follows; each has to be opened on another one. */
  #close(connection: Connection): Watch[] {
    connection.stop();
    this.#connections = this.#connections.filter((other) => other !== connection);
    const [followed, idle] = [connection.watches.filter(isFollowed), connection.watches.filter((w) => !isFollowed(w))];
    for (const watch of idle) this.#forget(watch);
    for (const watch of followed) this.#fresh.add(watch);
    return followed;
  }

  #closeAll(): void {
    for (const connection of [...this.#connections]) this.#close(connection);
  }

  #forget(watch: Watch): void {
    this.#fresh.delete(watch);
    for (const [key, known] of this.#watches) if (known === watch) this.#watches.delete(key);
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

function isFollowed({ subscribers }: Watch): boolean {
  return subscribers.size > 0;
}

function wanted({ id, name, args }: Watch) {
  return { id, function: name, args };
}

/** As few groups as a connection's limits allow. */
function split(watches: readonly Watch[]): Watch[][] {
  const groups: Watch[][] = [];
  let chars = Infinity;
  for (const watch of watches) {
    const size = encodeURIComponent(JSON.stringify(wanted(watch))).length + 3;
    const last = groups.at(-1);
    if (last && last.length < WATCHES_PER_CONNECTION && chars + size <= ADDRESS_MAX_CHARS) {
      last.push(watch);
      chars += size;
    } else {
      groups.push([watch]);
      chars = size;
    }
  }
  return groups;
}

function parse(data: string): { id: string; value?: unknown; error?: CallError } | null {
  try {
    return JSON.parse(data) as { id: string };
  } catch {
    return null;
  }
}
