import { BackendError, type ConnectionState } from "../backend";
import { backoffMs, onWake } from "../backoff";
import { Cell } from "../observable";
import type { ClientEvents, ConvexClient, FetchToken, OpenClient } from "./client";
import { refusalOf } from "./errors";
import type { Envelope } from "./names";
import { deploymentIsOld, upgradeNeeded, type DeployedVersion } from "./version";

/** How long a call waits for a connection, and then for its answer. */
export const CALL_TIMEOUT_MS = 15_000;
/** Convex pings every 15 s: a connection silent for longer when the person comes back is not waited for. */
const SUSPECT_AFTER_MS = 40_000;
/** So many failures to connect and the backend counts as not reachable. */
const FAILURES_TOLD = 2;
/** How often a sign-in that the clock here calls expired is shown to the deployment, whose clock decides. */
const EXPIRED_CHECK_MS = 60_000;
/** How soon a deployment that could not tell its version is asked again. */
const VERSION_RETRY_MS = 10_000;
/** The longest that a browser's timer can be set for, about. */
const TIMER_MAX_MS = 24 * 60 * 60_000;

/** Whoever is signed in, as the connection needs to know. */
export interface SignIn {
  fetchToken: FetchToken;
  /** When the token expires by its own word; null: unknown. */
  expiresAt: () => number | null;
  /** The deployment does not take it (any more): says why, for the person. */
  refused: () => string;
}

export interface Following {
  onValue: (value: unknown) => void;
  onError: (error: BackendError) => void;
  /** The connection is there or gone. */
  onLive?: (live: boolean) => void;
  /** Somebody else may sign in: nothing that came before holds. */
  onReset?: () => void;
}

interface Followed extends Following {
  name: string;
  envelope: Envelope;
  stop: () => void;
}

/** One client, and how a call waits for its end. */
interface Open {
  client: ConvexClient;
  /** Rejects when the client is closed. */
  gone: Promise<never>;
  leave: (why: BackendError) => void;
  authenticated: boolean;
  /** The socket that is open has said something. */
  spoken: boolean;
}

/**
 * The connection to a deployment for whoever is signed in: one client at a time, built anew when it has failed for
 * good. What is followed outlives the client; nothing is asked while nobody is signed in.
 */
export class ConvexConnection {
  readonly state = new Cell<ConnectionState>({ kind: "connecting" });
  readonly #url: string;
  readonly #openClient: OpenClient;
  readonly #followed = new Set<Followed>();
  readonly #stopListening: () => void;
  #signIn: SignIn | null = null;
  #open: Open | null = null;
  #rebuilds = 0;
  #rebuildTimer: ReturnType<typeof setTimeout> | undefined;
  #expiryTimer: ReturnType<typeof setTimeout> | undefined;
  #versionTimer: ReturnType<typeof setTimeout> | undefined;
  #lastMessageAt: number | null = null;
  /** Why page and deployment do not fit, by their versions. */
  #misfit: string | null = null;
  /** Functions that the deployment turned out not to have, and what to say of each. */
  readonly #missing = new Map<string, string>();
  /** Also woken when the client has failed once more, which is no change of the state. */
  readonly #waiting = new Set<() => void>();

  constructor(url: string, openClient: OpenClient) {
    this.#url = url;
    this.#openClient = openClient;
    this.#watchVersion();
    this.#stopListening = onWake(() => {
      if (this.#silentMs() > SUSPECT_AFTER_MS) this.#rebuild();
    });
  }

  /** Connects as somebody. */
  begin(signIn: SignIn): void {
    this.#end(signedOut(), true);
    this.#signIn = signIn;
    this.#lastMessageAt = null;
    this.state.set({ kind: "connecting" });
    this.#openNow();
  }

  signOut(why?: string): void {
    this.#signIn = null;
    this.#end(signedOut(why), true);
    this.#misfit = null;
    this.#missing.clear();
    this.state.set(why === undefined ? { kind: "signed_out" } : { kind: "signed_out", why });
  }

  /** Lets go of everything, without a word. */
  close(): void {
    this.#stopListening();
    clearTimeout(this.#versionTimer);
    this.#signIn = null;
    this.#end(unreachable(), false);
  }

  /** Follows a query, over all clients to come, until it is stopped. */
  follow(name: string, envelope: Envelope, following: Following): () => void {
    const followed: Followed = { ...following, name, envelope, stop: () => undefined };
    this.#followed.add(followed);
    this.#subscribe(followed);
    return () => {
      this.#followed.delete(followed);
      followed.stop();
    };
  }

  /** Asks once. */
  async query(name: string, envelope: Envelope): Promise<unknown> {
    const { gone } = await this.#live();
    let stop: () => void = () => undefined;
    const answer = new Promise((resolve, reject) => {
      stop = this.follow(name, envelope, { onValue: resolve, onError: reject });
    });
    try {
      return await this.#inTime(Promise.race([answer, gone]));
    } finally {
      stop();
    }
  }

  /**
   * Changes something. Given to the client only while it is connected: what can't be sent now is not sent later,
   * when the person may have thought better of it.
   */
  async mutate(name: string, envelope: Envelope): Promise<unknown> {
    const { client, gone } = await this.#live();
    try {
      return await this.#inTime(Promise.race([client.mutate(name, envelope), gone]));
    } catch (error) {
      throw this.#judge(refusalOf(error, name), name);
    }
  }

  /** Changes something if it can be done at once; nobody minds if not. */
  tryMutate(name: string, envelope: Envelope): void {
    if (this.state.get().kind !== "live") return;
    this.#open?.client.mutate(name, envelope).catch(() => undefined);
  }

  /** Waits until it is known how things stand: live, signed out, or in need of an upgrade. */
  async settled(): Promise<ConnectionState> {
    const settled = (state: ConnectionState) => state.kind !== "connecting" && state.kind !== "stale";
    await this.#until((state) => settled(state) || (this.#open?.client.failures() ?? 0) >= FAILURES_TOLD);
    const state = this.state.get();
    if (!settled(state)) throw unreachable();
    return state;
  }

  async #live(): Promise<Open> {
    await this.#until(({ kind }) => kind !== "connecting" && kind !== "stale");
    const state = this.state.get();
    if (state.kind === "signed_out") throw signedOut(state.why);
    if (state.kind === "upgrade") throw new BackendError("upgrade_required", state.message);
    if (state.kind !== "live" || !this.#open) throw unreachable();
    return this.#open;
  }

  async #until(reached: (state: ConnectionState) => boolean): Promise<void> {
    if (reached(this.state.get())) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        stop();
        this.#waiting.delete(look);
        resolve();
      };
      const look = () => {
        if (reached(this.state.get())) done();
      };
      const timer = setTimeout(done, CALL_TIMEOUT_MS);
      const stop = this.state.subscribe(look);
      this.#waiting.add(look);
    });
  }

  /** What came of a call within the time, or that nothing did. */
  async #inTime<T>(result: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(unreachable());
        // Not even a ping: the connection is dead, whatever it looks like.
        if (this.#silentMs() >= CALL_TIMEOUT_MS) this.#rebuild();
      }, CALL_TIMEOUT_MS);
    });
    try {
      return await Promise.race([result, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #silentMs(): number {
    return this.#lastMessageAt === null ? 0 : Date.now() - this.#lastMessageAt;
  }

  #watchVersion(): void {
    let stop: () => void = () => undefined;
    const onError = () => {
      // In production Convex hides that a function is missing, but this one has no other reason to fail.
      this.#setMisfit(deploymentIsOld("it does not tell which version of the protocol it speaks"));
      // A refused query is not asked again by itself.
      this.#versionTimer = setTimeout(() => {
        stop();
        this.#watchVersion();
      }, VERSION_RETRY_MS);
    };
    const onValue = (version: unknown) => this.#setMisfit(upgradeNeeded(version as DeployedVersion));
    stop = this.follow("system:version", {}, { onValue, onError });
  }

  #setMisfit(misfit: string | null): void {
    this.#misfit = misfit;
    this.#update();
  }

  #openNow(): void {
    const signIn = this.#signIn;
    if (!signIn) return;
    const current = () => this.#open === open;
    const events: ClientEvents = {
      onMessage: () => {
        if (!current()) return;
        this.#lastMessageAt = Date.now();
        open.spoken = true;
        // After the client has worked on it.
        queueMicrotask(() => this.#update());
      },
      onFatal: () => {
        if (current()) this.#rebuild();
      },
      onConnection: () => {
        if (current()) this.#update();
      },
    };
    let leave: Open["leave"] = () => undefined;
    const gone = new Promise<never>((_, reject) => (leave = reject));
    // Nobody may be waiting.
    gone.catch(() => undefined);
    const open: Open = {
      client: this.#openClient(this.#url, events),
      gone,
      leave,
      authenticated: false,
      spoken: false,
    };
    this.#open = open;
    this.#authenticate(open, signIn);
    for (const followed of [...this.#followed]) this.#subscribe(followed);
  }

  #authenticate(open: Open, signIn: SignIn): void {
    open.client.setAuth(signIn.fetchToken, (isAuthenticated) => {
      if (this.#open !== open) return;
      if (!isAuthenticated) {
        this.signOut(signIn.refused());
        return;
      }
      open.authenticated = true;
      this.#rebuilds = 0;
      this.#watchExpiry(open, signIn);
      this.#update();
    });
  }

  /** Convex looks at a token when it is shown; one that has expired meanwhile is shown again. */
  #watchExpiry(open: Open, signIn: SignIn): void {
    clearTimeout(this.#expiryTimer);
    const expiresAt = signIn.expiresAt();
    if (expiresAt === null) return;
    const left = expiresAt - Date.now();
    this.#expiryTimer = setTimeout(
      () => {
        if (this.#open !== open) return;
        const now = signIn.expiresAt();
        if (now !== null && now <= Date.now()) this.#authenticate(open, signIn);
        else this.#watchExpiry(open, signIn);
      },
      left <= 0 ? EXPIRED_CHECK_MS : Math.min(left + 1_000, TIMER_MAX_MS),
    );
  }

  #subscribe(followed: Followed): void {
    const open = this.#open;
    if (!open) return;
    let stopped = false;
    const watch = open.client.watch(followed.name, followed.envelope, () => look());
    followed.stop = () => {
      // The client minds being told twice.
      if (stopped) return;
      stopped = true;
      watch.stop();
    };
    const look = () => {
      if (stopped) return;
      let value: unknown;
      try {
        value = watch.look();
      } catch (error) {
        const refusal = this.#judge(refusalOf(error, followed.name), followed.name);
        this.#tell(() => followed.onError(refusal));
        return;
      }
      if (value === undefined) return;
      // Deployed meanwhile.
      if (this.#missing.delete(followed.name)) this.#update();
      this.#tell(() => followed.onValue(value));
    };
    look();
  }

  /** What a listener throws must not disturb the client, which calls it. */
  #tell(run: () => void): void {
    try {
      run();
    } catch (error) {
      reportError(error);
    }
  }

  /** Some refusals are not about one call. */
  #judge(error: BackendError, name: string): BackendError {
    if (error.requiresSignIn && this.#signIn) this.signOut(this.#signIn.refused());
    if (error.code === "upgrade_required") {
      this.#missing.set(name, error.message);
      this.#update();
    }
    return error;
  }

  #update(): void {
    for (const look of [...this.#waiting]) look();
    const open = this.#open;
    if (!open) return;
    const before = this.state.get();
    const isConnected = open.client.isConnected();
    if (!isConnected) open.spoken = false;
    const live = isConnected && open.authenticated && open.spoken;
    const upgrade = this.#misfit ?? [...this.#missing.values()][0];
    if (upgrade !== undefined) {
      if (before.kind !== "upgrade" || before.message !== upgrade)
        this.state.set({ kind: "upgrade", message: upgrade });
    } else if (live) {
      if (before.kind !== "live") this.state.set({ kind: "live" });
    } else if (before.kind === "live") {
      this.state.set({ kind: "stale", since: this.#lastMessageAt ?? Date.now() });
    } else if (before.kind === "upgrade") {
      this.state.set({ kind: "connecting" });
    }
    if ((before.kind === "live") !== live) for (const followed of [...this.#followed]) followed.onLive?.(live);
  }

  /** A client that has failed for good is replaced; what was under way is repeated by whoever asked, under its key. */
  #rebuild(): void {
    this.#end(new BackendError("unavailable", UNREACHABLE), false);
    const before = this.state.get();
    if (before.kind === "live") this.state.set({ kind: "stale", since: this.#lastMessageAt ?? Date.now() });
    this.#rebuildTimer = setTimeout(() => this.#openNow(), this.#rebuilds === 0 ? 0 : backoffMs(this.#rebuilds));
    this.#rebuilds += 1;
  }

  #end(why: BackendError, reset: boolean): void {
    clearTimeout(this.#rebuildTimer);
    clearTimeout(this.#expiryTimer);
    const open = this.#open;
    this.#open = null;
    for (const followed of [...this.#followed]) {
      followed.stop();
      followed.stop = () => undefined;
      if (reset) followed.onReset?.();
      followed.onLive?.(false);
    }
    open?.leave(why);
    open?.client.close();
  }
}

const UNREACHABLE = "The backend could not be reached. Check that it runs and that you are online, then try again.";

function unreachable(): BackendError {
  return new BackendError("network", UNREACHABLE);
}

function signedOut(why = "You are signed out. Sign in again."): BackendError {
  return new BackendError("unauthenticated", why);
}
