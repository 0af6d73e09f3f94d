/** Runs the functions in convex-test, one at a time, and says what each commit changed. */
import { AsyncLocalStorage } from "node:async_hooks";
import { convexTest, type TestConvex } from "convex-test";
import { makeFunctionReference, type GenericSchema, type SchemaDefinition, type UserIdentity } from "convex/server";
import { convexToJson, jsonToConvex, type JSONValue, type Value } from "convex/values";
import { installGlobals, type Clock } from "./clock.ts";
import { Meter, type Cause, type Counts } from "./counts.ts";
import { failureOf, KnownFailure, type Failure } from "./errors.ts";
import { Execution, watchSyscalls, type Job } from "./execution.ts";
import type { FunctionKind, Functions } from "./functions.ts";
import { unfitInCall } from "./limits.ts";
import type { ReadSet, Write } from "./readset.ts";
import { misfit } from "./validator.ts";

export type Outcome = { value: JSONValue } | { failure: Failure };

export type Call = { path: string; args: JSONValue; identity: UserIdentity | null };

/** A query's outcome, and what it depends on. */
export type QueryResult = { outcome: Outcome; reads: ReadSet };

/** Told of every commit, before anything else runs. */
export type CommitListener = (writes: readonly Write[]) => void;

type Schema = SchemaDefinition<GenericSchema, boolean>;

/** How long a cached result is good for when the function looked at the time; the backend's rule. */
const TIME_DEPENDENT_CACHE_MS = 6_000;
/** How many results are cached at most; the oldest go first. */
const CACHE_ENTRIES = 10_000;

export class Engine {
  /** The newest commit's timestamp: nanoseconds since the epoch, ever growing. */
  ts: bigint;
  private readonly test: TestConvex<Schema>;
  private readonly listeners = new Set<CommitListener>();
  private readonly cache = new Map<string, QueryResult & { observedTime: boolean; atMs: number }>();
  private readonly schema: Schema | undefined;
  private queue: Promise<unknown> = Promise.resolve();
  private waiting = 0;
  private readonly atRoot = AsyncLocalStorage.snapshot();

  constructor(
    private readonly functions: Functions,
    private readonly clock: Clock,
    private readonly counts: Counts,
    private readonly log: (text: string) => void,
  ) {
    installGlobals();
    this.schema = functions.schema as Schema | undefined;
    this.test = convexTest({
      ...(this.schema === undefined ? {} : { schema: this.schema }),
      modules: functions.modules,
      transactionLimits: true,
    } as Parameters<typeof convexTest>[0]);
    watchSyscalls();
    this.ts = this.nowTs();
  }

  onCommit(listener: CommitListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Whether nothing runs and nothing waits to. */
  get idle(): boolean {
    return this.waiting === 0;
  }

  /** Runs `work` when all that asked before is done. Queries and mutations are to be run inside. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    this.waiting += 1;
    const result = this.queue.then(() => this.atRoot(work)).finally(() => (this.waiting -= 1));
    this.queue = result.catch(() => undefined);
    return result;
  }

  async query(call: Call, cause: Cause): Promise<QueryResult> {
    const key = JSON.stringify([call.path, call.args, call.identity]);
    const cached = this.cache.get(key);
    if (cached !== undefined) {
      if (!cached.observedTime || this.clock.now() - cached.atMs <= TIME_DEPENDENT_CACHE_MS) {
        this.counts.call(call.path, "cached", new Meter(), "failure" in cached.outcome);
        return cached;
      }
    }
    const { outcome, execution } = await this.execute("query", call, cause);
    const { reads, observedTime } = execution;
    this.cache.delete(key);
    this.cache.set(key, { outcome, reads, observedTime, atMs: this.clock.now() });
    for (const oldest of this.cache.keys()) {
      if (this.cache.size <= CACHE_ENTRIES) break;
      this.cache.delete(oldest);
    }
    return { outcome, reads };
  }

  /** The timestamp is that of the commit; none when the function failed. */
  async mutation(call: Call): Promise<{ outcome: Outcome; ts?: bigint }> {
    const { outcome, execution } = await this.execute("mutation", call, "client");
    if ("value" in outcome) return { outcome, ts: await this.commit(execution) };
    if ((await execution.writes()).length > 0) await this.commit(execution);
    return { outcome };
  }

  /** An action holds everything else back while it runs, and its writes are seen when it ends: a simplification. */
  async action(call: Call): Promise<Outcome> {
    const { outcome, execution } = await this.execute("action", call, "client");
    await this.commit(execution);
    return outcome;
  }

  /** Finds out of what kind a function is, for the one HTTP route that does not say. */
  kindOf(path: string): FunctionKind {
    for (const kind of ["query", "mutation", "action"] as const) {
      try {
        return this.functions.find(path, kind).kind;
      } catch (error) {
        if (!(error instanceof KnownFailure)) throw error;
      }
    }
    return "query";
  }

  /** All stored documents by table, also of the scheduler's. */
  tables(): Promise<Record<string, JSONValue>> {
    return this.exclusive(() =>
      this.test.run(async (ctx) => {
        const found: Record<string, JSONValue> = {};
        for (const table of Object.keys(this.schema?.tables ?? {})) {
          found[table] = (await ctx.db.query(table).collect()).map((doc: Value) => convexToJson(doc));
        }
        const jobs = await ctx.db.system.query("_scheduled_functions").collect();
        found._scheduled_functions = jobs.map((doc) => convexToJson(doc as unknown as Value));
        return found;
      }),
    );
  }

  private async execute(
    kind: FunctionKind,
    call: Call,
    cause: Cause,
  ): Promise<{ outcome: Outcome; execution: Execution }> {
    const execution = this.execution(kind !== "action");
    let outcome: Outcome;
    let found = false;
    try {
      const { args: validator } = this.functions.find(call.path, kind);
      found = true;
      const args = argumentsOf(call);
      const unfit = unfitInCall(args);
      if (unfit !== undefined) throw new KnownFailure(`Invalid arguments for ${call.path}: ${unfit}`);
      const text = misfit(validator, args);
      if (text !== undefined) throw new KnownFailure(`ArgumentValidationError: ${text}`);
      const value = (await execution.run(() => this.invoke(kind, call, args))) ?? null;
      const unfitResult = unfitInCall(value);
      // convex-test has committed a mutation by now, which Convex would not have: it is a defect either way.
      if (unfitResult !== undefined) throw new KnownFailure(`${call.path}'s result: ${unfitResult}`);
      outcome = { value: convexToJson(value) };
    } catch (thrown) {
      const failure = failureOf(thrown);
      if (failure.data === undefined) this.log(`${call.path}: ${failure.text}`);
      outcome = { failure };
    }
    if (found) this.counts.call(call.path, cause, execution.meter, "failure" in outcome);
    return { outcome, execution };
  }

  private async invoke(kind: FunctionKind, call: Call, args: Record<string, Value>): Promise<Value | undefined> {
    const test = call.identity === null ? this.test : this.test.withIdentity({ ...call.identity });
    switch (kind) {
      case "query":
        return (await test.query(makeFunctionReference<"query">(call.path), args)) as Value | undefined;
      case "mutation":
        return (await test.mutation(makeFunctionReference<"mutation">(call.path), args)) as Value | undefined;
      case "action":
        return (await test.action(makeFunctionReference<"action">(call.path), args)) as Value | undefined;
    }
  }

  private execution(frozen: boolean): Execution {
    const indexFields = (table: string, index: string): readonly string[] => this.indexFields(table, index);
    return new Execution({ clock: this.clock, indexFields, schedule: (job) => this.schedule(job) }, frozen);
  }

  private indexFields(table: string, index: string): readonly string[] {
    if (index === "by_creation_time") return ["_creationTime", "_id"];
    if (index === "by_id") return ["_id"];
    const exported = this.schema?.tables[table] as
      { export(): { indexes: { indexDescriptor: string; fields: string[] }[] } } | undefined;
    const found = exported?.export().indexes.find((it) => it.indexDescriptor === index);
    return [...(found?.fields ?? []), "_creationTime", "_id"];
  }

  private schedule(job: Job): void {
    this.clock.at(job.atMs, () => this.exclusive(() => this.meet(job)));
  }

  /** A scheduled function is an execution as any other: what it commits makes subscriptions run again. */
  private async meet(job: Job): Promise<void> {
    const execution = this.execution(true);
    const before = await job.document();
    const pending = (before?.state as { kind?: string } | undefined)?.kind === "pending";
    if (job.id !== undefined && before !== null) {
      execution.touch(job.id, JSON.stringify(convexToJson(before)), async () =>
        JSON.stringify(convexToJson(await job.document())),
      );
    }
    await execution.run(async () => {
      job.start();
      await this.test.finishInProgressScheduledFunctions();
    });
    if (!pending) return;
    const after = await job.document();
    const failed = (after?.state as { kind?: string } | undefined)?.kind === "failed";
    this.counts.call(job.path, "scheduled", execution.meter, failed);
    if (failed) this.log(`${job.path}: a scheduled execution failed`);
    await this.commit(execution);
  }

  private async commit(execution: Execution): Promise<bigint> {
    const writes = await execution.writes();
    const now = this.nowTs();
    this.ts = now > this.ts ? now : this.ts + 1n;
    for (const [key, { reads }] of this.cache) {
      if (reads.intersects(writes)) this.cache.delete(key);
    }
    for (const listener of this.listeners) listener(writes);
    return this.ts;
  }

  private nowTs(): bigint {
    return BigInt(Math.floor(this.clock.now())) * 1_000_000n;
  }
}

/** Clients send the arguments as a list of one object; HTTP callers may send the object itself. */
function argumentsOf(call: Call): Record<string, Value> {
  const [first = {}, ...rest] = Array.isArray(call.args) ? call.args : [call.args];
  const args = rest.length === 0 ? jsonToConvex(first) : undefined;
  if (typeof args !== "object" || args === null || Array.isArray(args) || args instanceof ArrayBuffer) {
    throw new KnownFailure(`Invalid arguments for ${call.path}: expected one object`);
  }
  return args as Record<string, Value>;
}
