/** One WebSocket connection: the state of the sync protocol for one client. */
import type { UserIdentity } from "convex/server";
import type { JSONValue } from "convex/values";
import type { WebSocket } from "ws";
import type { Authenticator } from "./auth.ts";
import type { Counts } from "./counts.ts";
import type { Engine, Outcome } from "./engine.ts";
import { clientMessage, RequestError, type ErrorStyle, type Failure } from "./errors.ts";
import type { Faults } from "./faults.ts";
import {
  decodeTs,
  encodeTs,
  encodeVersion,
  type AddQuery,
  type ClientMessage,
  type Modification,
  type ServerMessage,
  type StateVersion,
} from "./protocol.ts";
import type { ReadSet, Write } from "./readset.ts";
import type { Repeats } from "./repeats.ts";
import { AuthFailure, Wire } from "./wire.ts";

export type Shared = {
  engine: Engine;
  authenticator: Authenticator;
  counts: Counts;
  faults: Faults;
  repeats: Repeats;
  style: ErrorStyle;
  nowMs: () => number;
  log: (text: string) => void;
};

type Subscription = {
  path: string;
  args: JSONValue;
  /** What the newest result depends on; none before the first run and after an invalidation. */
  reads?: ReadSet;
  /** The newest result as it was compared and sent; a run that gives the same is not sent again. */
  sent?: string;
};

export class Session {
  private version: StateVersion = { querySet: 0, identity: 0, ts: 0n };
  /** What the client has asked for, which the next transition brings. */
  private asked = { querySet: 0, identity: 0 };
  private identity: { user: UserIdentity; expiresAtMs: number } | null = null;
  private sessionId: string | undefined;
  private skewMs: number | null = null;
  private readonly queries = new Map<number, Subscription>();
  private modifications: (AddQuery | { type: "Remove"; queryId: number })[] = [];
  private updateWanted = false;
  private updating = false;
  private inbox: Promise<void> = Promise.resolve();
  private mutations: Promise<void> = Promise.resolve();
  private pending = 0;
  private readonly wire: Wire;

  constructor(
    socket: WebSocket,
    private readonly shared: Shared,
    knowsParts: boolean,
  ) {
    const stopListening = shared.engine.onCommit((writes) => this.invalidate(writes));
    this.wire = new Wire(socket, shared.counts, knowsParts, shared.log, stopListening);
    socket.on("message", (data: Buffer) => this.receive(data.toString("utf8")));
  }

  /** Whether nothing is under way for this client. */
  get idle(): boolean {
    return this.pending === 0 && !this.updating && !this.updateWanted;
  }

  /** How many queries it is subscribed to. */
  get subscriptions(): number {
    return this.queries.size;
  }

  /** Comes back when the client has taken in all that was sent before; at once when it is gone. */
  flushed(): Promise<void> {
    return this.wire.flushed();
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.wire.cut();
  }

  private receive(text: string): void {
    this.pending += 1;
    this.inbox = this.inbox
      .then(async () => {
        if (this.wire.closed) return;
        const message = parse(text);
        this.shared.counts.message("received", message.type, text.length);
        await this.handle(message);
      })
      .catch((error: unknown) => this.fail(error))
      .finally(() => (this.pending -= 1));
  }

  private async handle(message: ClientMessage): Promise<void> {
    switch (message.type) {
      case "Connect":
        this.sessionId = message.sessionId;
        if (message.clientTs !== undefined) this.skewMs = Math.round(message.clientTs - Date.now());
        if (
          message.maxObservedTimestamp !== undefined &&
          decodeTs(message.maxObservedTimestamp) > this.shared.engine.ts
        ) {
          throw new Error("The client has seen a timestamp that this bridge has not reached");
        }
        return;
      case "ModifyQuerySet":
        if (message.baseVersion !== this.asked.querySet) {
          const text = `Base version ${message.baseVersion} passed up doesn't match the current version ${this.asked.querySet}`;
          throw new RequestError(400, "BaseVersionMismatch", text);
        }
        this.asked.querySet = message.newVersion;
        this.modifications.push(...message.modifications);
        {
          this.wantUpdate();
          return;
        }
      case "Authenticate":
        if (message.baseVersion !== this.asked.identity) throw new Error("The identity's base version does not match");
        this.identity = await this.authenticate(message);
        this.asked.identity += 1;
        {
          this.wantUpdate();
          return;
        }
      case "Mutation": {
        this.queueMutation(message, this.user());
        return;
      }
      case "Action":
        void this.runAction(message, this.user());
        return;
      case "Event":
        return;
    }
  }

  private async authenticate(message: ClientMessage & { type: "Authenticate" }): Promise<Session["identity"]> {
    if (message.tokenType === "None") return null;
    try {
      if (message.tokenType === "Admin") throw new RequestError(401, "BadAdminKey", "The bridge has no admin key");
      const { identity, expiresAtMs } = await this.shared.authenticator.verify(message.value);
      return { user: identity, expiresAtMs };
    } catch (error) {
      if (error instanceof RequestError) throw new AuthFailure(error.message, true);
      throw error;
    }
  }

  /** As in Convex, that a token has expired is noticed when something is to run with it, not by a timer. */
  private user(): UserIdentity | null {
    if (this.identity !== null && this.shared.nowMs() >= this.identity.expiresAtMs) {
      throw new AuthFailure("Convex token identity expired", false);
    }
    return this.identity?.user ?? null;
  }

  private queueMutation(message: ClientMessage & { type: "Mutation" }, identity: UserIdentity | null): void {
    this.pending += 1;
    this.mutations = this.mutations
      .then(() => this.runMutation(message, identity))
      .catch((error: unknown) => this.fail(error))
      .finally(() => (this.pending -= 1));
  }

  private async runMutation(
    { requestId, udfPath: path, args }: ClientMessage & { type: "Mutation" },
    identity: UserIdentity | null,
  ): Promise<void> {
    const { engine, faults, repeats } = this.shared;
    if (this.wire.closed) return;
    if (faults.takeDrop("before", path)) {
      this.cut();
      return;
    }
    const answer = await engine.exclusive(async () => {
      const given = repeats.find(this.sessionId, requestId) ?? (await engine.mutation({ path, args, identity }));
      if (given.ts !== undefined) repeats.remember(this.sessionId, requestId, { outcome: given.outcome, ts: given.ts });
      // Here, so that no transition gets ahead of the answer or out before the cut.
      if (faults.takeDrop("after", path)) this.cut();
      else if (faults.heldMs(path) === 0) this.answer(requestId, given);
      return given;
    });
    if (faults.heldMs(path) > 0) {
      await faults.hold(path);
      this.answer(requestId, answer);
    }
    this.wantUpdate();
  }

  private answer(requestId: number, { outcome, ts = this.shared.engine.ts }: { outcome: Outcome; ts?: bigint }): void {
    const type = "MutationResponse";
    if ("failure" in outcome) this.send({ type, requestId, ...this.failed(outcome) });
    else this.send({ type, requestId, success: true, result: outcome.value, ts: encodeTs(ts), logLines: [] });
  }

  private async runAction(
    { requestId, udfPath: path, args }: ClientMessage & { type: "Action" },
    identity: UserIdentity | null,
  ): Promise<void> {
    const { engine, faults } = this.shared;
    this.pending += 1;
    try {
      const outcome = await engine.exclusive(() => engine.action({ path, args, identity }));
      await faults.hold(path);
      if ("failure" in outcome) this.send({ type: "ActionResponse", requestId, ...this.failed(outcome) });
      else this.send({ type: "ActionResponse", requestId, success: true, result: outcome.value, logLines: [] });
      this.wantUpdate();
    } finally {
      this.pending -= 1;
    }
  }

  private failed({ failure }: { failure: Failure }): {
    success: false;
    result: string;
    errorData?: JSONValue;
    logLines: string[];
  } {
    const data = failure.data === undefined ? {} : { errorData: failure.data };
    return { success: false, result: clientMessage(failure, this.shared.style), ...data, logLines: [] };
  }

  private invalidate(writes: readonly Write[]): void {
    let hit = false;
    for (const query of this.queries.values()) {
      if (query.reads?.intersects(writes) !== true) continue;
      delete query.reads;
      hit = true;
    }
    if (hit) this.wantUpdate();
  }

  private wantUpdate(): void {
    this.updateWanted = true;
    if (this.updating || this.wire.closed) return;
    this.updating = true;
    void this.shared.engine
      .exclusive(() => this.update())
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        this.updating = false;
        if (this.updateWanted && !this.wire.closed) this.wantUpdate();
      });
  }

  /** Brings the client to the newest timestamp, with what it asked for and what has changed. */
  private async update(): Promise<void> {
    if (this.wire.closed) return;
    this.updateWanted = false;
    const user = this.user();
    const start = this.version;
    const end = { ...this.asked, ts: this.shared.engine.ts };
    const modifications: Modification[] = [];
    if (end.identity > start.identity) for (const query of this.queries.values()) delete query.reads;
    for (const modification of this.modifications.splice(0)) {
      const { queryId } = modification;
      if (modification.type === "Add") {
        // The Rust client names the module's file when it asks again.
        const path = modification.udfPath.replace(/\.js(?=:|$)/, "");
        this.queries.set(queryId, { path, args: modification.args });
      } else {
        this.queries.delete(queryId);
        modifications.push({ type: "QueryRemoved", queryId });
      }
    }
    for (const [queryId, query] of this.queries) {
      if (query.reads === undefined) modifications.push(...(await this.refresh(queryId, query, user)));
    }
    this.version = end;
    this.send({
      type: "Transition",
      startVersion: encodeVersion(start),
      endVersion: encodeVersion(end),
      modifications,
      clientClockSkew: this.skewMs,
      serverTs: Date.now() * 1_000_000,
    });
  }

  private async refresh(queryId: number, query: Subscription, identity: UserIdentity | null): Promise<Modification[]> {
    const { path, args } = query;
    const cause = query.sent === undefined ? "first" : "rerun";
    const { outcome, reads } = await this.shared.engine.query({ path, args, identity }, cause);
    query.reads = reads;
    const sent = JSON.stringify(outcome);
    if (sent === query.sent) return [];
    query.sent = sent;
    const common = { queryId, logLines: [], journal: null };
    if ("value" in outcome) return [{ type: "QueryUpdated", value: outcome.value, ...common }];
    const { failure } = outcome;
    const data = failure.data === undefined ? {} : { errorData: failure.data };
    return [{ type: "QueryFailed", errorMessage: clientMessage(failure, this.shared.style), ...data, ...common }];
  }

  private send(message: ServerMessage): void {
    this.wire.send(message);
  }

  private fail(error: unknown): void {
    this.wire.fail(error, this.version.identity);
  }
}

function parse(text: string): ClientMessage {
  try {
    return JSON.parse(text) as ClientMessage;
  } catch (error) {
    throw new RequestError(400, "WSMessageInvalidJson", `Received Invalid JSON on websocket: ${String(error)}`);
  }
}
