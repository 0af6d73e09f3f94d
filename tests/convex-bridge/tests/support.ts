/** What the tests of the bridge share. */
import { fileURLToPath } from "node:url";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { makeFunctionReference, type FunctionReference } from "convex/server";
import { generateKeyPair, exportJWK, SignJWT, type JWTPayload } from "jose";
import { afterEach } from "vitest";
import WebSocket from "ws";
import type { Provider } from "../src/auth.ts";
import { start, type Bridge, type Options } from "../src/bridge.ts";
import type { ClientMessage, ServerMessage } from "../src/protocol.ts";

export const query = makeFunctionReference<"query">;
export const mutation = makeFunctionReference<"mutation">;
export const action = makeFunctionReference<"action">;

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export const T0 = 1_767_225_600_000;

/** A bridge over the fixture functions, whose log is kept. */
export async function bridge(options: Partial<Options> = {}): Promise<Bridge & { logged: string[] }> {
  const logged: string[] = [];
  const functions = fileURLToPath(new URL("../fixtures/functions", import.meta.url));
  const started = await start({ functions, log: (text) => void logged.push(text), ...options });
  cleanups.push(() => started.close());
  return Object.assign(started, { logged });
}

export function client(url: string): ConvexClient {
  const opened = new ConvexClient(url, { logger: false, unsavedChangesWarning: false });
  cleanups.push(() => opened.close());
  return opened;
}

export function httpClient(url: string): ConvexHttpClient {
  return new ConvexHttpClient(url, { logger: false });
}

/** A subscription, and every value that it has given. */
export class Watch<T = unknown> {
  readonly seen: (T | Error)[] = [];
  private wake: (() => void)[] = [];

  constructor(on: ConvexClient, watched: FunctionReference<"query">, args: Record<string, unknown>) {
    const take = (value: T | Error): void => {
      this.seen.push(value);
      for (const wake of this.wake.splice(0)) wake();
    };
    on.onUpdate(watched, args, take, take);
  }

  get newest(): T | Error | undefined {
    return this.seen.at(-1);
  }

  async until(fits: (value: T | Error) => boolean): Promise<T | Error> {
    for (;;) {
      const newest = this.newest;
      if (newest !== undefined && fits(newest)) return newest;
      await new Promise<void>((resolve) => this.wake.push(resolve));
    }
  }
}

/** A client of its own, for what the official ones hide. */
export class RawClient {
  readonly received: ServerMessage[] = [];
  readonly closed: Promise<number>;
  private wake: (() => void)[] = [];

  private constructor(private readonly socket: WebSocket) {
    this.closed = new Promise((resolve) => socket.once("close", resolve));
    const awake = (): void => {
      for (const wake of this.wake.splice(0)) wake();
    };
    socket.on("message", (data: Buffer) => {
      this.received.push(JSON.parse(data.toString("utf8")) as ServerMessage);
      awake();
    });
    socket.on("close", awake);
    cleanups.push(() => {
      socket.terminate();
      return this.closed;
    });
  }

  static async open(
    url: string,
    path = "/api/1.48.0/sync",
    sessionId: string = crypto.randomUUID(),
  ): Promise<RawClient> {
    const socket = new WebSocket(url.replace("http", "ws") + path);
    const client = new RawClient(socket);
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    client.send({ type: "Connect", sessionId, connectionCount: 0, lastCloseReason: "InitialConnect" });
    return client;
  }

  send(message: ClientMessage): void {
    this.socket.send(JSON.stringify(message));
  }

  /** The first message of that type from the `from`th on. */
  async next<T extends ServerMessage["type"]>(type: T, from = 0): Promise<ServerMessage & { type: T }> {
    for (;;) {
      const found = this.received.slice(from).find((it) => it.type === type);
      if (found !== undefined) return found as ServerMessage & { type: T };
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error(`closed before a ${type} came`);
      await new Promise<void>((resolve) => this.wake.push(resolve));
    }
  }
}

/** Someone who signs tokens, and the provider that stands for it. */
export async function issuer(name = "https://tokens.test"): Promise<{
  provider: Provider;
  jwk: unknown;
  token: (claims?: JWTPayload, header?: { kid?: string }) => Promise<string>;
}> {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const jwk = { ...(await exportJWK(publicKey)), kid: "k1", alg: "ES256", use: "sig" };
  const jwks = `data:text/plain;charset=utf-8;base64,${Buffer.from(JSON.stringify({ keys: [jwk] })).toString("base64")}`;
  const provider: Provider = {
    type: "customJwt",
    issuer: name,
    applicationID: "orchestrator",
    jwks,
    algorithm: "ES256",
  };
  const token = (claims: JWTPayload = {}, header: { kid?: string } = { kid: "k1" }): Promise<string> => {
    const now = Math.floor(Date.now() / 1000);
    const all = { iss: name, aud: "orchestrator", sub: "ann", iat: now, exp: now + 3600, ...claims };
    return new SignJWT(all).setProtectedHeader({ alg: "ES256", ...header }).sign(privateKey);
  };
  return { provider, jwk, token };
}
