/**
 * One execution of a function, and the watch over convex-test's syscalls that tells what it reads and writes.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { getDocumentSize, jsonToConvex, type JSONValue } from "convex/values";
import { moment, type Clock, type Moment } from "./clock.ts";
import { Meter } from "./counts.ts";
import { unfitDocument } from "./limits.ts";
import { RangeRead, ReadSet, type Doc, type SerializedQuery, type Write } from "./readset.ts";

type Syscalls = {
  syscall: (op: string, json: string) => string;
  asyncSyscall: (op: string, json: string) => Promise<string>;
  jsSyscall: (op: string, args: unknown) => Promise<unknown>;
};

/** A function that convex-test put on a timer. */
export type Job = {
  path: string;
  atMs: number;
  /** Starts it in convex-test, which does nothing when it was cancelled or never committed. */
  start: () => void;
  /** Its document's id, known when the syscall has returned. */
  id?: string;
  document: () => Promise<Doc | null>;
};

export type Surroundings = {
  clock: Clock;
  indexFields: (table: string, index: string) => readonly string[];
  schedule: (job: Job) => void;
};

export class Execution implements Moment {
  readonly reads = new ReadSet();
  readonly meter = new Meter();
  /** Whether the function looked at the time. */
  observedTime = false;
  private readonly startedMs: number;
  private readonly streams = new Map<number, RangeRead>();
  private readonly touched = new Map<string, { before: string; document: () => Promise<string> }>();

  constructor(
    private readonly around: Surroundings,
    private readonly frozen: boolean,
  ) {
    this.startedMs = Math.floor(around.clock.now());
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    return running.run(this, () => moment.run(this, work));
  }

  now(): number {
    return this.frozen ? this.startedMs : Math.floor(this.around.clock.now());
  }

  sawTime(): void {
    this.observedTime = true;
  }

  takeTimer(callback: () => void, delayMs: number): boolean {
    const job = scheduling.getStore();
    if (job === undefined) return false;
    // Convex's scheduler counts in seconds with a fraction, which leaves dust behind the milliseconds.
    job.atMs = Math.round(this.now() + delayMs);
    job.start = callback;
    this.around.schedule(job);
    return true;
  }

  /** What has changed, judged by the committed documents: what was rolled back, or is as before, is not in it. */
  async writes(): Promise<Write[]> {
    const writes: Write[] = [];
    for (const [id, { before, document }] of this.touched) {
      const after = await document();
      if (before !== after) writes.push({ id, table: tableOf(id), before: docOf(before), after: docOf(after) });
    }
    return writes;
  }

  /** Remembers a document as it was before this execution wrote it. */
  touch(id: string, before: string, document: () => Promise<string>): void {
    if (!this.touched.has(id)) this.touched.set(id, { before, document });
  }

  syscall(raw: Syscalls["syscall"], op: string, json: string): string {
    const answer = raw(op, json);
    if (op === "1.0/queryStream") {
      const { query } = JSON.parse(json) as { query: SerializedQuery };
      const read = RangeRead.of(query, this.around.indexFields);
      this.streams.set((JSON.parse(answer) as { queryId: number }).queryId, read);
      this.reads.addRange(read);
    }
    return answer;
  }

  async asyncSyscall(raw: Syscalls["asyncSyscall"], op: string, json: string): Promise<string> {
    switch (op) {
      case "1.0/get": {
        this.reads.addDocument((JSON.parse(json) as { id: string }).id);
        const answer = await raw(op, json);
        this.meterRead(docOf(answer));
        return answer;
      }
      case "1.0/queryStreamNext":
        return this.next(await raw(op, json), (JSON.parse(json) as { queryId: number }).queryId);
      case "1.0/queryPage": {
        // The page's own bounds are not looked at: a change anywhere in the range re-runs the query.
        const { query } = JSON.parse(json) as { query: SerializedQuery };
        this.reads.addRange(RangeRead.of(query, this.around.indexFields).readWhole());
        const answer = await raw(op, json);
        for (const doc of (JSON.parse(answer) as { page: JSONValue[] }).page) this.meterRead(jsonToConvex(doc) as Doc);
        return answer;
      }
      case "1.0/count":
        this.reads.addRange(RangeRead.table((JSON.parse(json) as { table: string }).table));
        return raw(op, json);
      case "1.0/insert": {
        const answer = await raw(op, json);
        const { _id } = JSON.parse(answer) as { _id: string };
        await this.wrote(raw, _id, "null");
        return answer;
      }
      case "1.0/shallowMerge":
      case "1.0/replace":
      case "1.0/remove": {
        const { id } = JSON.parse(json) as { id: string };
        const before = this.touched.has(id) ? "" : await raw("1.0/get", JSON.stringify({ id }));
        const answer = await raw(op, json);
        await this.wrote(raw, id, before);
        return answer;
      }
      case "1.0/schedule":
      case "1.0/actions/schedule":
        return this.schedule(raw, op, json);
      default:
        return raw(op, json);
    }
  }

  private next(answer: string, queryId: number): string {
    const { value, done } = JSON.parse(answer) as { value: JSONValue; done: boolean };
    const stream = this.streams.get(queryId);
    if (done) {
      stream?.ended();
    } else {
      const doc = jsonToConvex(value) as Doc;
      stream?.gave(doc);
      this.meterRead(doc);
    }
    return answer;
  }

  private async wrote(raw: Syscalls["asyncSyscall"], id: string, before: string): Promise<void> {
    const document = AsyncLocalStorage.snapshot();
    const read = (): Promise<string> => document(() => raw("1.0/get", JSON.stringify({ id })));
    this.touch(id, before, read);
    const now = docOf(await read());
    const text = now === null ? undefined : unfitDocument(now);
    if (text !== undefined) throw new Error(text);
    this.meter.wrote(now === null ? 0 : getDocumentSize(now));
  }

  private async schedule(raw: Syscalls["asyncSyscall"], op: string, json: string): Promise<string> {
    const inside = AsyncLocalStorage.snapshot();
    const read = (id: string): Promise<string> => inside(() => raw("1.0/get", JSON.stringify({ id })));
    const job: Job = {
      path: (JSON.parse(json) as { name?: string }).name ?? "a function of a component",
      atMs: 0,
      start: () => undefined,
      document: async () => (job.id === undefined ? null : docOf(await read(job.id))),
    };
    const answer = await scheduling.run(job, () => raw(op, json));
    const id = jsonToConvex(JSON.parse(answer) as JSONValue) as string;
    job.id = id;
    this.touch(id, "null", () => read(id));
    return answer;
  }

  private meterRead(doc: Doc | null): void {
    if (doc !== null) this.meter.read(getDocumentSize(doc));
  }
}

const running = new AsyncLocalStorage<Execution>();
const scheduling = new AsyncLocalStorage<Job>();

let watched = false;

/** Puts the watch between the functions and convex-test; once a process, after the first `convexTest()`. */
export function watchSyscalls(): void {
  if (watched) return;
  watched = true;
  const target = globalThis as unknown as { Convex: Syscalls };
  const inner = target.Convex;
  target.Convex = {
    get syscall() {
      const raw = inner.syscall;
      const execution = running.getStore();
      return execution === undefined ? raw : (op: string, json: string) => execution.syscall(raw, op, json);
    },
    get asyncSyscall() {
      const raw = inner.asyncSyscall;
      const execution = running.getStore();
      return execution === undefined ? raw : (op: string, json: string) => execution.asyncSyscall(raw, op, json);
    },
    get jsSyscall() {
      return inner.jsSyscall;
    },
  };
}

function docOf(json: string): Doc | null {
  return json === "" ? null : (jsonToConvex(JSON.parse(json) as JSONValue) as Doc | null);
}

/** convex-test's ids are digits and the table's name. */
function tableOf(id: string): string {
  return id.replace(/^[0-9]+/, "");
}
