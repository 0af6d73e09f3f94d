/** A machine at work in an engine of its own, for tests of what the functions read and how much they can take. */
import { fileURLToPath } from "node:url";
import type { JSONValue } from "convex/values";
import type { MutationCtx } from "../../../../convex/functions/_generated/server";
import { newId } from "../../../../convex/model/ids.ts";
import { makeFunctionReference, type FunctionReference } from "convex/server";
import { VirtualClock } from "../../src/clock.ts";
import { Counts } from "../../src/counts.ts";
import { Engine, type QueryResult } from "../../src/engine.ts";
import { loadFunctions } from "../../src/functions.ts";
import type { Write } from "../../src/readset.ts";
import { START_MS, type JsonObject } from "../../vectors/format.ts";

/** Arguments of a call; what a reply had not is left out of them. */
type Args = Record<string, unknown>;

export type Rows = MutationCtx["db"];

const functions = await loadFunctions(fileURLToPath(new URL("../../../../convex/functions", import.meta.url)));

const ANN = { tokenIdentifier: "https://people.test|ann", subject: "ann", issuer: "https://people.test" };

export class World {
  readonly clock = new VirtualClock(START_MS);
  private readonly log: string[] = [];
  private readonly engine = new Engine(functions, this.clock, new Counts(), (text) => void this.log.push(text));
  private token = "";
  machineId = "";

  /** A world with one machine, which is online. */
  static async begin(): Promise<World> {
    const world = new World();
    const { registrationKey } = await world.person("machine:create", { name: "box" });
    const credentials = { registrationKey, nonce: "n" };
    const { machineId, secret } = await world.call("machine:register", { args: credentials }, false);
    world.machineId = machineId as string;
    const connection = { args: { machineId, secret, wireVersion: 1 } };
    const { connectionToken } = await world.call("machine:connect", connection, false);
    world.token = connectionToken as string;
    await world.machine("machine:heartbeat");
    return world;
  }

  /** The machine with a worker, and a chat session that works on a turn. */
  async chatAtWork(): Promise<{ workerId: string; chatSessionId: string; turnId: string }> {
    const { id: workerId } = await this.person("worker:register", { machineId: this.machineId, directory: "a" });
    const { chatSessionId } = await this.person("worker/chat:startSession", { workerId });
    const reportSession = (state: string, seq: number) =>
      this.machine("worker/chat:reportSession", { chatSessionId, state, seq });
    await reportSession("starting", 1);
    await reportSession("ready", 2);
    const { turn } = await this.person("worker/chat:sendMessage", { chatSessionId, message: "go" });
    const turnId = (turn as JsonObject).id;
    await this.machine("worker/chat:takeTurn", { turnId });
    return { workerId, chatSessionId, turnId } as { workerId: string; chatSessionId: string; turnId: string };
  }

  person(path: string, args: Args): Promise<JsonObject> {
    return this.call(path, { args, key: newId("idk") }, true);
  }

  machine(path: string, args: Args = {}): Promise<JsonObject> {
    return this.call(path, { args, token: this.token }, false);
  }

  /** What a query of the person's, or of the machine's, has read. */
  async reads(path: string, args: JsonObject | "machine"): Promise<QueryResult["reads"]> {
    const isMachine = args === "machine";
    const envelope = isMachine ? { token: this.token } : { args };
    const call = { path, args: [envelope] as unknown as JSONValue, identity: isMachine ? null : ANN };
    const { outcome, reads } = await this.engine.exclusive(() => this.engine.query(call, "client"));
    if ("failure" in outcome) throw new Error(outcome.failure.text);
    return reads;
  }

  /** All that is written while something is done. */
  async writes(act: () => Promise<unknown>): Promise<Write[]> {
    const written: Write[] = [];
    const stop = this.engine.onCommit((writes) => void written.push(...writes));
    await act();
    stop();
    return written;
  }

  /** Lets time pass, and fails if something that came due did. */
  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms);
    if (this.log.length > 0) throw new Error(this.log.join("\n"));
  }

  /** Puts rows there that calls would take too long to make. */
  seed(write: (rows: Rows) => Promise<void>): Promise<void> {
    type Test = { run(work: (ctx: MutationCtx) => Promise<void>): Promise<void> };
    const { test } = this.engine as unknown as { test: Test };
    return this.engine.exclusive(() => test.run((ctx) => write(ctx.db)));
  }

  /** Runs an internal mutation, as a cron job does. */
  async cron(path: string): Promise<void> {
    type Inside = {
      execution(frozen: boolean): { run(work: () => Promise<unknown>): Promise<unknown> };
      test: { mutation(name: FunctionReference<"mutation", "internal">, args: object): Promise<unknown> };
    };
    const inside = this.engine as unknown as Inside;
    const reference = makeFunctionReference<"mutation">(path) as unknown as FunctionReference<"mutation", "internal">;
    await this.engine.exclusive(() => inside.execution(true).run(() => inside.test.mutation(reference, {})));
  }

  private async call(path: string, envelope: Args, isPerson: boolean): Promise<JsonObject> {
    const call = { path, args: [envelope] as unknown as JSONValue, identity: isPerson ? ANN : null };
    const outcome = await this.engine.exclusive(async () =>
      this.engine.kindOf(path) === "query"
        ? (await this.engine.query(call, "client")).outcome
        : (await this.engine.mutation(call)).outcome,
    );
    if ("failure" in outcome) throw new Error(`${path}: ${outcome.failure.text}`);
    return outcome.value as JsonObject;
  }
}
