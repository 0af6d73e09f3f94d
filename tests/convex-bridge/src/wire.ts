/** A WebSocket as the sync protocol uses it: messages out, pings, and how it ends. */
import type { WebSocket } from "ws";
import type { Counts } from "./counts.ts";
import { RequestError } from "./errors.ts";
import { frames, type ServerMessage } from "./protocol.ts";

/** How long a connection may be silent before it gets a Ping; the Rust client gives up after 30 s. */
const PING_AFTER_MS = 15_000;

/** A token that does not hold: `updating` when the client has just sent it, else it has expired since. */
export class AuthFailure extends Error {
  constructor(
    message: string,
    readonly updating: boolean,
  ) {
    super(message);
  }
}

export class Wire {
  closed = false;
  /** Who waits for the answers to WebSocket pings, in order. */
  private readonly pings: (() => void)[] = [];
  private readonly pinger: NodeJS.Timeout;

  constructor(
    private readonly socket: WebSocket,
    private readonly counts: Counts,
    private readonly knowsParts: boolean,
    private readonly log: (text: string) => void,
    private readonly onEnd: () => void,
  ) {
    this.pinger = setInterval(() => this.send({ type: "Ping" }), PING_AFTER_MS).unref();
    socket.on("pong", () => this.pings.shift()?.());
    socket.on("close", () => this.end());
    socket.on("error", () => this.end());
  }

  send(message: ServerMessage): void {
    if (this.closed) return;
    this.pinger.refresh();
    const texts = frames(message, this.knowsParts);
    for (const text of texts) {
      this.counts.message("sent", texts.length > 1 ? "TransitionChunk" : message.type, text.length);
      this.socket.send(text);
    }
  }

  /** Comes back when the client has taken in all that was sent before; at once when it is gone. */
  flushed(): Promise<void> {
    if (this.closed) return Promise.resolve();
    this.socket.ping();
    return new Promise((resolve) => this.pings.push(resolve));
  }

  cut(): void {
    this.end();
    this.socket.terminate();
  }

  /** Ends the connection as the backend does: with a word when it is the client's fault, else to be tried again. */
  fail(error: unknown, baseVersion: number): void {
    if (this.closed) return;
    const text = error instanceof Error ? error.message : String(error);
    this.log(`sync: ${text}`);
    if (error instanceof AuthFailure) {
      this.send({ type: "AuthError", error: text, baseVersion, authUpdateAttempted: error.updating });
      this.socket.close();
    } else if (error instanceof RequestError) {
      this.send({ type: "FatalError", error: text });
      this.socket.close();
    } else {
      this.socket.close(1011, "InternalServerError");
    }
    this.end();
  }

  private end(): void {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.pinger);
    for (const waiting of this.pings.splice(0)) waiting();
    this.onEnd();
  }
}
