/**
 * Accounting, as Convex bills.
 *
 * Assumed, from the pricing page and the limits page of the documentation and from the open-source backend:
 * - A call from a client, a scheduled execution and each update of a subscription is one function call. A nested
 *   `ctx.runQuery` or `ctx.runMutation` is not; what an action calls is not counted apart here (it is billed).
 * - Several subscribers of the same query, arguments and identity share one execution. The others are served from the
 *   cache, which the backend records as calls of their own (`cached`) that read nothing. They are kept apart here, and
 *   `calls` includes them: the dearer reading.
 * - A mutation that is answered from the record of its session (a repeated request) is no call.
 * - Bandwidth is documents read and written, each rounded up to 1 KiB (`readKib`, `writtenKib`); index reads are left
 *   out. A deleted document is a write of no bytes.
 */
export type Cause = "client" | "first" | "rerun" | "scheduled" | "cached";

export type FunctionCount = Record<Cause, number> & {
  /** All causes together. */
  calls: number;
  failed: number;
  docsRead: number;
  bytesRead: number;
  readKib: number;
  docsWritten: number;
  bytesWritten: number;
  writtenKib: number;
};

/** What one execution read and wrote. */
export class Meter {
  docsRead = 0;
  bytesRead = 0;
  readKib = 0;
  docsWritten = 0;
  bytesWritten = 0;
  writtenKib = 0;

  read(bytes: number): void {
    this.docsRead += 1;
    this.bytesRead += bytes;
    this.readKib += Math.ceil(bytes / 1024);
  }

  wrote(bytes: number): void {
    this.docsWritten += 1;
    this.bytesWritten += bytes;
    this.writtenKib += Math.ceil(bytes / 1024);
  }
}

type Messages = Record<string, { messages: number; bytes: number }>;

export type Snapshot = {
  functions: Record<string, FunctionCount>;
  total: FunctionCount;
  sent: Messages;
  received: Messages;
};

export class Counts {
  private functions = new Map<string, FunctionCount>();
  private sent: Messages = {};
  private received: Messages = {};

  call(path: string, cause: Cause, meter: Meter, failed: boolean): void {
    const count = this.functions.get(path) ?? nothing();
    this.functions.set(path, count);
    count[cause] += 1;
    count.calls += 1;
    count.failed += failed ? 1 : 0;
    for (const key of Object.keys(meter) as (keyof Meter)[]) {
      if (key !== "read" && key !== "wrote") count[key] += meter[key];
    }
  }

  message(direction: "sent" | "received", type: string, bytes: number): void {
    const entry = (this[direction][type] ??= { messages: 0, bytes: 0 });
    entry.messages += 1;
    entry.bytes += bytes;
  }

  snapshot(): Snapshot {
    const total = nothing();
    for (const count of this.functions.values()) {
      for (const key of Object.keys(total) as (keyof FunctionCount)[]) total[key] += count[key];
    }
    const functions = Object.fromEntries([...this.functions].sort(([a], [b]) => (a < b ? -1 : 1)));
    return structuredClone({ functions, total, sent: this.sent, received: this.received });
  }

  reset(): void {
    this.functions.clear();
    this.sent = {};
    this.received = {};
  }
}

function nothing(): FunctionCount {
  return {
    client: 0,
    first: 0,
    rerun: 0,
    scheduled: 0,
    cached: 0,
    calls: 0,
    failed: 0,
    docsRead: 0,
    bytesRead: 0,
    readKib: 0,
    docsWritten: 0,
    bytesWritten: 0,
    writtenKib: 0,
  };
}
