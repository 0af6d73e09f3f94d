import type { CallError, Chunk, ErrorCode, FUNCTIONS, Functions } from "./wire.gen";

type Table = typeof FUNCTIONS;
type NamesOf<Kind> = {
  [Name in keyof Table]: Table[Name] extends { access: "person"; kind: Kind } ? Name : never;
}[keyof Table];

/** The functions that a signed-in person may watch. */
export type QueryName = NamesOf<"query">;
/** The functions with which a signed-in person changes something. */
export type MutationName = NamesOf<"mutation">;
export type CallName = QueryName | MutationName;
export type Args<Name extends CallName> = Functions[Name]["args"];
export type Reply<Name extends CallName> = Functions[Name]["reply"];

/** How the page stands with the backend; what is on screen is only as fresh as this says. */
export type ConnectionState =
  | { kind: "connecting" }
  | { kind: "live" }
  /** What is shown is what was true at `since`. */
  | { kind: "stale"; since: number }
  /** `why`: what ended a sign-in, if it was not the person. */
  | { kind: "signed_out"; why?: string }
  /** Page and backend do not understand each other; `message` says which of them is old and what to run. */
  | { kind: "upgrade"; message: string };

export type WatchState = { kind: "waiting" } | { kind: "live" } | { kind: "refused"; error: BackendError };

export interface StreamHandlers {
  /** Chunks in order, with the offset from which to read on. */
  onChunks: (chunks: Chunk[], nextOffset: string) => void;
  onState?: (state: StreamState) => void;
}

export type StreamState =
  { kind: "connecting" } | { kind: "live" } | { kind: "closed" } | { kind: "refused"; error: BackendError };

export interface Person {
  id: string;
  name: string;
}

export interface Me {
  person: Person;
  /** Whether the person can sign in with a password. */
  hasPassword: boolean;
  /** When the sign-in ends by itself; null: not at a known time. */
  endsAt: number | null;
}

/** How a person gets in; the page shows what there is. */
export interface WaysIn {
  /** A password can be set and used. */
  password: boolean;
  /** The host of the identity provider that signs people in; null: there is none. */
  provider: string | null;
  /** How long the link works that the command line prints. */
  link: "once" | "until_it_expires";
}

export interface Auth {
  readonly ways: WaysIn;
  /** Who is signed in; null if nobody is. */
  me: () => Promise<Me | null>;
  /** Signs in with the token of a link. */
  signInWithToken: (token: string) => Promise<void>;
  signInWithPassword: (password: string) => Promise<void>;
  setPassword: (password: string, current?: string) => Promise<void>;
  /** Begins a sign-in with the provider: where the browser is to go for it. */
  providerAddress: () => Promise<string>;
  /** Ends it: `address` is the one with which the browser came back. */
  signInFromProvider: (address: string) => Promise<void>;
  signOut: () => Promise<void>;
}

/** For a way in that a backend does not have; the page does not offer it. */
export function noSuchWay(): Promise<never> {
  return Promise.reject(new BackendError("invalid", "This backend has no such way to sign in. Reload the page."));
}

/** A value that tells when it changes. */
export interface Observable<T> {
  get: () => T;
  subscribe: (listener: () => void) => () => void;
}

/** Everything the page knows of a backend. What is special to one of them stays in its adapter. */
export interface Backend {
  readonly connection: Observable<ConnectionState>;
  readonly auth: Auth;
  /** The address by which a new machine reaches this backend, as its command line takes it. */
  readonly machineAddress: string;
  /**
   * Calls a function. One intent of a person is one `key`: a call whose answer was lost is repeated with the
   * same key, and happens once.
   * @throws BackendError
   */
  call: <Name extends CallName>(name: Name, args: Args<Name>, options?: { key?: string }) => Promise<Reply<Name>>;
  /** Follows a value: the whole of it now and after each change. Returns what ends it. */
  watch: <Name extends QueryName>(
    name: Name,
    args: Args<Name>,
    onValue: (value: Reply<Name>) => void,
    onState?: (state: WatchState) => void,
  ) => () => void;
  /**
   * Reads a chunk stream from `fromOffset` (`-1`: its beginning) and follows it. Returns what ends it. Open only
   * while somebody looks: a backend may do more work for a stream that is read.
   */
  readStream: (path: string, fromOffset: string, handlers: StreamHandlers) => () => void;
  /** Lets go of all connections, for good. */
  close?: () => void;
}

/** A refused or lost call: what happened, why, and what to do next are in `message`. */
export class BackendError extends Error {
  override readonly name = "BackendError";
  readonly code: ErrorCode | "network";
  readonly retryAfterMs: number | null;

  constructor(code: ErrorCode | "network", message: string, retryAfterMs: number | null = null) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  static from(error: CallError): BackendError {
    return new BackendError(error.code, error.message, error.retryAfterMs ?? null);
  }

  /** The same call may work in a moment. */
  get isRetryable(): boolean {
    return this.code === "network" || this.code === "unavailable" || this.code === "rate_limited";
  }

  get requiresSignIn(): boolean {
    return this.code === "unauthenticated";
  }
}

export function asBackendError(error: unknown): BackendError {
  if (error instanceof BackendError) return error;
  return new BackendError(
    "internal",
    error instanceof Error ? error.message : "Something went wrong in the page. Reload it.",
  );
}
