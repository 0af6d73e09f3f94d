import {
  BackendError,
  type Args,
  type Backend,
  type CallName,
  type ConnectionState,
  type Me,
  type QueryName,
  type Reply,
  type StreamHandlers,
  type StreamState,
  type WatchState,
  type WaysIn,
} from "../backend";
import { onWake } from "../backoff";
import { newIdempotencyKey } from "../idempotency";
import { Cell } from "../observable";
import { errorFrom, fromPlain, type AuthMethod, type FromTab, type Line, type ToTab } from "./messages";

/** How often a tab asks whether the other end is there. */
export const PING_MS = 1_000;
/** So many questions without an answer mean that it is not. Counted, not timed: a tab that slept asks first. */
export const PINGS_MISSED = 4;
/** So many ends in a row that never answered: whoever has the connections is frozen, and loses them. */
const SILENT_ENDS = 2;
/** So many answers from an owner that nobody looks at, and a tab that is looked at takes its place. */
export const HIDDEN_PONGS = 10;

/** A change of the owner that is over within this time disturbs nobody; what is on screen is not older than that. */
const CHANGE_MS = 2_000;

export type TabLine = Line<FromTab, ToTab>;

/** The way to whoever has the connections. */
export interface Owner {
  /** A new line to whoever it is now. */
  line: () => TabLine;
  /** Runs `listener` whenever somebody else has taken over. */
  onChange: (listener: () => void) => void;
  /** Makes this tab the owner, whoever is. */
  takeOver: () => void;
}

/** What every tab knows of the backend without asking. */
export interface Constants {
  ways: WaysIn;
  machineAddress: string;
}

type Following =
  | {
      kind: "watch";
      name: QueryName;
      args: unknown;
      onValue: (value: never) => void;
      onState: (state: WatchState) => void;
    }
  | { kind: "stream"; path: string; offset: string; handlers: StreamHandlers };

interface Asked {
  message: FromTab & { type: "call" | "auth" };
  /** It may have been heard. */
  heard: boolean;
  resolve: (result: never) => void;
  reject: (error: BackendError) => void;
}

/**
 * A backend whose connections one tab has for all. When that tab is lost, all that is followed is asked for again
 * of the next one, streams from where they stand: nothing is lost, and nothing comes twice.
 */
export function sharedBackend(owner: Owner, { ways, machineAddress }: Constants): Backend {
  const tab = new Tab(owner);
  const auth = <Result>(method: AuthMethod, ...args: unknown[]) => tab.ask<Result>({ type: "auth", method, args });
  return {
    connection: tab.connection,
    machineAddress,
    auth: {
      ways,
      me: () => auth<Me | null>("me"),
      signInWithToken: (token) => auth("signInWithToken", token),
      signInWithPassword: (password) => auth("signInWithPassword", password),
      setPassword: (password, current) => auth("setPassword", password, current),
      providerAddress: () => auth("providerAddress"),
      signInFromProvider: (address) => auth("signInFromProvider", address),
      signOut: () => auth("signOut"),
    },
    call: <Name extends CallName>(name: Name, args: Args<Name>, options?: { key?: string }) =>
      tab.ask<Reply<Name>>({ type: "call", name, args, key: options?.key ?? newIdempotencyKey() }),
    watch: (name, args, onValue, onState = () => undefined) => {
      onState({ kind: "waiting" });
      return tab.follow({ kind: "watch", name, args, onValue, onState });
    },
    readStream: (path, offset, handlers) => {
      handlers.onState?.({ kind: "connecting" });
      return tab.follow({ kind: "stream", path, offset, handlers });
    },
  };
}

type WithoutId<Message> = Message extends unknown ? Omit<Message, "id"> : never;

class Tab {
  readonly connection = new Cell<ConnectionState>({ kind: "connecting" });
  readonly #owner: Owner;
  readonly #followed = new Map<number, Following>();
  readonly #asked = new Map<number, Asked>();
  #line: TabLine | null = null;
  #isHeard = false;
  #changeTimer: ReturnType<typeof setTimeout> | undefined;
  #nextId = 1;
  #missed = 0;
  #silentEnds = 0;
  #hiddenPongs = 0;
  #lastHeardAt = Date.now();

  constructor(owner: Owner) {
    this.#owner = owner;
    this.#attach();
    owner.onChange(() => this.#lost());
    setInterval(() => this.#ping(), PING_MS);
    onWake(() => this.#post({ type: "wake" }));
    window.addEventListener("pagehide", () => this.#post({ type: "bye" }));
    window.addEventListener("pageshow", ({ persisted }) => {
      if (persisted) this.#lost();
    });
  }

  follow(following: Following): () => void {
    const id = this.#nextId++;
    this.#followed.set(id, following);
    this.#askFor(id, following);
    return () => {
      if (this.#followed.delete(id)) this.#post({ type: "stop", id });
    };
  }

  ask<Result>(question: WithoutId<Asked["message"]>): Promise<Result> {
    const message = { ...question, id: this.#nextId++ };
    return new Promise((resolve, reject) => {
      this.#asked.set(message.id, { message, heard: this.#isHeard, resolve, reject });
      this.#post(message);
    });
  }

  /** Turns to whoever is the owner, and asks for all that is followed and not answered. */
  #attach(): void {
    this.#line?.close();
    const line = this.#owner.line();
    this.#line = line;
    this.#isHeard = false;
    this.#missed = 0;
    this.#hiddenPongs = 0;
    line.listen((message) => {
      if (this.#line === line) this.#receive(message);
    });
    for (const [id, following] of this.#followed) this.#askFor(id, following);
    for (const [id, { message, heard, reject }] of this.#asked) {
      if (!heard || isRepeatable(message)) {
        this.#post(message);
        continue;
      }
      this.#asked.delete(id);
      reject(new BackendError("network", "The answer was lost. Reload the page to see whether it was done."));
    }
    this.#post({ type: "ping" });
  }

  #lost(): void {
    const since = this.#lastHeardAt;
    if (this.connection.get().kind === "live") {
      this.#changeTimer ??= setTimeout(() => {
        this.#changeTimer = undefined;
        if (this.connection.get().kind === "live") this.connection.set({ kind: "stale", since });
      }, CHANGE_MS);
    }
    this.#attach();
  }

  #ping(): void {
    if (this.#missed >= PINGS_MISSED) {
      this.#silentEnds += 1;
      if (this.#silentEnds >= SILENT_ENDS) this.#takeOver();
      this.#lost();
      return;
    }
    this.#missed += 1;
    this.#post({ type: "ping" });
  }

  #takeOver(): void {
    this.#silentEnds = 0;
    this.#hiddenPongs = 0;
    this.#owner.takeOver();
  }

  #post(message: FromTab): void {
    this.#line?.post(message);
  }

  #askFor(id: number, following: Following): void {
    if (following.kind === "watch") this.#post({ type: "watch", id, name: following.name, args: following.args });
    else this.#post({ type: "stream", id, path: following.path, offset: following.offset });
  }

  #receive(message: ToTab): void {
    this.#lastHeardAt = Date.now();
    if (!this.#isHeard) {
      this.#isHeard = true;
      for (const asked of this.#asked.values()) asked.heard = true;
    }
    switch (message.type) {
      case "pong":
        this.#missed = 0;
        this.#silentEnds = 0;
        this.#hiddenPongs = message.hidden && document.visibilityState === "visible" ? this.#hiddenPongs + 1 : 0;
        if (this.#hiddenPongs >= HIDDEN_PONGS) this.#takeOver();
        return;
      case "forgotten":
        this.#lost();
        return;
      case "connection": {
        const { state } = message;
        // The next owner begins by connecting; what is on screen stays as old as it was.
        const isChanging = this.#changeTimer !== undefined || this.connection.get().kind === "stale";
        if (state.kind === "connecting" && isChanging) return;
        clearTimeout(this.#changeTimer);
        this.#changeTimer = undefined;
        this.connection.set(state);
        return;
      }
      case "done":
      case "failed": {
        const asked = this.#asked.get(message.id);
        this.#asked.delete(message.id);
        if (message.type === "done") asked?.resolve(message.result as never);
        else asked?.reject(errorFrom(message.error));
        return;
      }
      case "value":
      case "watchState":
      case "chunks":
      case "streamState":
        this.#receiveFollowed(message);
    }
  }

  #receiveFollowed(message: Extract<ToTab, { type: "value" | "watchState" | "chunks" | "streamState" }>): void {
    const following = this.#followed.get(message.id);
    if (following?.kind === "watch") {
      if (message.type === "value") this.#working(message.id, () => following.onValue(message.value as never));
      if (message.type === "watchState") following.onState(fromPlain<WatchState>(message.state));
    } else if (following) {
      if (message.type === "chunks") {
        following.offset = message.nextOffset;
        this.#working(message.id, () => following.handlers.onChunks(message.chunks, message.nextOffset));
      }
      if (message.type === "streamState") following.handlers.onState?.(fromPlain<StreamState>(message.state));
    }
  }

  #working(id: number, work: () => void): void {
    try {
      work();
    } finally {
      this.#post({ type: "ack", id });
    }
  }
}

/** Happens once, however often it is asked for: a call has its key, and signing in is all that has none. */
function isRepeatable(message: Asked["message"]): boolean {
  return message.type === "call" || ["me", "signOut", "providerAddress"].includes(message.method);
}
