import { ConvexError } from "convex/values";
import { vi } from "vitest";

import type { Backend } from "../backend";
import { convexBackend } from ".";
import type { ClientEvents, ConvexClient, FetchToken, OpenClient } from "./client";
import type { Envelope } from "./names";

type Result = { value: unknown } | { error: unknown } | null;

interface Query {
  name: string;
  envelope: Envelope;
  result: Result;
  onUpdate: () => void;
}

interface Mutation {
  name: string;
  envelope: Envelope;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

/** A Convex client whose deployment is the test; what it is asked is there to be looked at. */
export class ScriptedClient implements ConvexClient {
  readonly events: ClientEvents;
  readonly queries: Query[] = [];
  readonly mutations: Mutation[] = [];
  /** Every query that was ever asked: each is a billed call. */
  asked: string[] = [];
  closed = false;
  connected = false;
  retries = 0;
  auth: { fetchToken: FetchToken; onChange: (isAuthenticated: boolean) => void } | null = null;
  shown = 0;

  constructor(events: ClientEvents) {
    this.events = events;
  }

  watch = (name: string, envelope: Envelope, onUpdate: () => void) => {
    const key = JSON.stringify(envelope);
    const known = this.queries.find((query) => query.name === name && JSON.stringify(query.envelope) === key);
    const query: Query = { name, envelope, result: known?.result ?? null, onUpdate };
    this.queries.push(query);
    if (!known) this.asked.push(name);
    return {
      look: () => {
        if (query.result && "error" in query.result) throw query.result.error;
        return query.result?.value;
      },
      stop: () => {
        const index = this.queries.indexOf(query);
        // As the real one.
        if (index < 0) throw new TypeError("Cannot read properties of undefined");
        this.queries.splice(index, 1);
      },
    };
  };

  mutate = (name: string, envelope: Envelope) =>
    new Promise((resolve, reject) => this.mutations.push({ name, envelope, resolve, reject }));

  setAuth = (fetchToken: FetchToken, onChange: (isAuthenticated: boolean) => void) => {
    this.auth = { fetchToken, onChange };
    this.shown += 1;
  };

  isConnected = () => this.connected;
  failures = () => this.retries;
  close = () => {
    this.closed = true;
  };

  /** The socket opens, and the deployment takes the token. */
  accept(): void {
    this.connected = true;
    this.events.onConnection();
    this.events.onMessage();
    this.auth?.onChange(true);
  }

  refuse(): void {
    this.connected = true;
    this.events.onConnection();
    this.events.onMessage();
    this.auth?.onChange(false);
  }

  drop(): void {
    this.connected = false;
    this.events.onConnection();
  }

  fail(): void {
    this.retries += 1;
    this.events.onConnection();
  }

  /** Gives every query of this name a value (or an error). */
  give(name: string, result: { value: unknown } | { error: unknown }): void {
    for (const query of this.queries.filter((each) => each.name === name)) {
      query.result = result;
      query.onUpdate();
    }
  }

  of(name: string): Query[] {
    return this.queries.filter((query) => query.name === name);
  }
}

/** Keeps every client that is opened. */
export function scriptedClients(): { open: OpenClient; clients: ScriptedClient[]; last: () => ScriptedClient } {
  const clients: ScriptedClient[] = [];
  return {
    clients,
    open: (_url, events) => {
      const client = new ScriptedClient(events);
      clients.push(client);
      return client;
    },
    last: () => {
      const client = clients.at(-1);
      if (!client) throw new Error("no client was opened");
      return client;
    },
  };
}

export const CONFIG = { backend: "convex", url: "https://some-animal-1.convex.cloud" } as const;
export const STORE_KEY = "orchestrator.sign-in";
export const START = Date.parse("2026-11-24T12:00:00Z");

/** A token that no key has signed: the page only reads it. */
export function jwt(claims: object): string {
  const part = (value: object) =>
    btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value))))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replaceAll("=", "");
  return `${part({ alg: "ES256" })}.${part(claims)}.c2lnbmF0dXJl`;
}

/** For an hour from `START`. */
export const ANN = jwt({
  iss: "https://orchestrator.local/k1",
  sub: "ann",
  name: "Änn",
  exp: START / 1_000 + 3_600,
  iat: START / 1_000,
});

/** A refusal as our functions throw it. */
export const refusal = (code: string, message = "No.") => ({ error: new ConvexError({ code, message }) });

export const tick = () => vi.advanceTimersByTimeAsync(0);

/** The adapter on scripted clients, for one test after the other. */
export class Scripted {
  clients: ReturnType<typeof scriptedClients> = scriptedClients();
  #backend: Backend | null = null;

  get backend(): Backend {
    if (!this.#backend) throw new Error("not opened");
    return this.#backend;
  }

  get client(): ScriptedClient {
    return this.clients.last();
  }

  begin(): void {
    vi.useFakeTimers({ now: START });
    window.localStorage.clear();
  }

  end(): void {
    this.#backend?.close?.();
    this.#backend = null;
    vi.useRealTimers();
  }

  open(): void {
    this.clients = scriptedClients();
    this.#backend = convexBackend(CONFIG, this.clients.open);
  }

  /** Opened by somebody who signed in earlier; not connected yet. */
  openSignedIn(token = ANN): ScriptedClient {
    window.localStorage.setItem(STORE_KEY, JSON.stringify({ url: CONFIG.url, token }));
    this.open();
    return this.client;
  }

  connected(token = ANN): ScriptedClient {
    const client = this.openSignedIn(token);
    client.accept();
    return client;
  }
}
