import type { Args, QueryName, Reply, WatchState } from "../backend";
import type { ChatSessionId } from "../wire.gen";
import type { ConvexConnection } from "./connection";
import { convexName, plainArgs } from "./names";

/** A watch that nobody follows any more stays for whoever comes back at once: opening one is a billed call. */
const LINGER_MS = 5_000;

interface Subscriber {
  onValue: (value: never) => void;
  onState: (state: WatchState) => void;
}

interface Watch {
  name: QueryName;
  args: unknown;
  subscribers: Set<Subscriber>;
  /** The latest value, for whoever comes later. */
  latest: { value: unknown; text: string } | null;
  state: WatchState;
  stop: () => void;
  linger: ReturnType<typeof setTimeout> | undefined;
}

/** Live values: reactive queries, each asked once for all that follow it. */
export class ConvexWatches {
  readonly #connection: ConvexConnection;
  readonly #watches = new Map<string, Watch>();

  constructor(connection: ConvexConnection) {
    this.#connection = connection;
  }

  watch<Name extends QueryName>(
    name: Name,
    args: Args<Name>,
    onValue: (value: Reply<Name>) => void,
    onState: (state: WatchState) => void = () => undefined,
  ): () => void {
    const key = `${name} ${JSON.stringify(args)}`;
    const watch = this.#watches.get(key) ?? this.#open(key, name, args);
    clearTimeout(watch.linger);
    const subscriber: Subscriber = { onValue, onState };
    watch.subscribers.add(subscriber);
    onState(watch.state);
    if (watch.latest) onValue(watch.latest.value as Reply<Name>);
    return () => {
      watch.subscribers.delete(subscriber);
      if (watch.subscribers.size > 0) return;
      clearTimeout(watch.linger);
      // What was refused is asked for anew by whoever comes back.
      if (watch.state.kind === "refused") this.#close(key, watch);
      else watch.linger = setTimeout(() => this.#close(key, watch), LINGER_MS);
    };
  }

  /** The chat session whose turn under way has this stream, if somebody looks at it. */
  chatOf(streamPath: string): ChatSessionId | null {
    for (const { name, args, latest } of this.#watches.values()) {
      if (name !== "worker.chat.view") continue;
      const view = latest?.value as Reply<"worker.chat.view"> | undefined;
      if (view?.stream === streamPath) return (args as Args<"worker.chat.view">).chatSessionId;
    }
    return null;
  }

  #open(key: string, name: QueryName, args: unknown): Watch {
    const watch: Watch = {
      name,
      args,
      subscribers: new Set(),
      latest: null,
      state: { kind: "waiting" },
      stop: () => undefined,
      linger: undefined,
    };
    this.#watches.set(key, watch);
    watch.stop = this.#connection.follow(
      convexName(name),
      { args: plainArgs(args) },
      {
        onValue: (value) => this.#receive(watch, value),
        // Who is signed out sees another page.
        onError: (error) => error.requiresSignIn || setState(watch, { kind: "refused", error }),
        onReset: () => {
          watch.latest = null;
          setState(watch, { kind: "waiting" });
        },
      },
    );
    return watch;
  }

  #close(key: string, watch: Watch): void {
    watch.stop();
    if (this.#watches.get(key) === watch) this.#watches.delete(key);
  }

  #receive(watch: Watch, value: unknown): void {
    // A client that has connected again tells everything once more; what is known disturbs nobody.
    const text = JSON.stringify(value);
    if (watch.latest?.text === text && watch.state.kind === "live") return;
    watch.latest = { value, text };
    setState(watch, { kind: "live" });
    for (const subscriber of [...watch.subscribers]) subscriber.onValue(value as never);
  }
}

function setState(watch: Watch, state: WatchState): void {
  if (watch.state.kind === state.kind && state.kind !== "refused") return;
  watch.state = state;
  for (const subscriber of [...watch.subscribers]) subscriber.onState(state);
}
