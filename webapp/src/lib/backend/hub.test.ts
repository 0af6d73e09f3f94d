import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Backend, ConnectionState, WatchState } from "./backend";
import { hubBackend } from "./hub";
import { SSE_DEAD_MS } from "./sse";

/** One request that the page made, and the answer that the test gives piece by piece. */
class Exchange {
  readonly url: URL;
  readonly init: RequestInit;
  readonly #answer: (response: Response) => void;
  /** The network fails. */
  readonly fail: () => void;
  #body: ReadableStreamDefaultController<Uint8Array> | null = null;

  constructor(url: string, init: RequestInit, answer: (response: Response) => void, fail: () => void) {
    this.url = new URL(url, "http://hub.test");
    this.init = init;
    this.#answer = answer;
    this.fail = fail;
  }
  json(body: unknown, status = 200): void {
    this.#answer(new Response(JSON.stringify(body), { status }));
  }
  /** What a stream has beyond an offset. */
  page(chunks: unknown[], nextOffset: string, closed = false): void {
    const headers = { "Stream-Next-Offset": nextOffset, ...(closed ? { "Stream-Closed": "true" } : {}) };
    this.#answer(new Response(JSON.stringify(chunks), { headers }));
  }
  open(): this {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#body = controller;
        this.init.signal?.addEventListener("abort", () => controller.error(new DOMException("aborted", "AbortError")));
      },
    });
    this.#answer(new Response(body, { headers: { "content-type": "text/event-stream" } }));
    return this;
  }
  bytes(bytes: Uint8Array): void {
    this.#body?.enqueue(bytes);
  }
  text(text: string): void {
    this.bytes(new TextEncoder().encode(text));
  }
  event(event: string, data: unknown): void {
    this.text(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }
  end(): void {
    this.#body?.close();
  }
  get aborted(): boolean {
    return this.init.signal?.aborted ?? false;
  }
  get watches(): { id: string; function: string; args: unknown }[] {
    return JSON.parse(this.url.searchParams.get("watches") ?? "[]") as {
      id: string;
      function: string;
      args: unknown;
    }[];
  }
}

let exchanges: Exchange[] = [];
let backend: Backend;
const stops: (() => void)[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  exchanges = [];
  vi.stubGlobal("fetch", (url: string, init: RequestInit = {}) => {
    return new Promise<Response>((resolve, reject) => {
      exchanges.push(new Exchange(url, init, resolve, () => reject(new TypeError("network"))));
      init.signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
    });
  });
  const hub = hubBackend();
  const ended = <Stop extends () => void>(stop: Stop): Stop => {
    stops.push(stop);
    return stop;
  };
  backend = {
    ...hub,
    watch: (...args) => ended(hub.watch(...args)),
    readStream: (...args) => ended(hub.readStream(...args)),
  };
});
afterEach(async () => {
  for (const stop of stops.splice(0)) stop();
  await settle();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const settle = () => vi.advanceTimersByTimeAsync(0);
function exchange(index: number): Exchange {
  const found = exchanges.at(index);
  if (!found) throw new Error(`no request number ${index}; there were ${exchanges.length}`);
  return found;
}

describe("watches", () => {
  const list = (count: number) => ({ machines: Array.from({ length: count }, (_, index) => ({ id: `mch_${index}` })) });

  it("go over one connection; what nobody follows stays for whoever comes back, until nobody is left", async () => {
    const values: unknown[] = [];
    const stopList = backend.watch("machine.list", {}, (value) => values.push(value.machines.length));
    const stop = backend.watch("machine.view", { machineId: "mch_1" }, () => undefined);
    await settle();
    expect(exchanges).toHaveLength(1);
    expect(exchange(0).watches.map((watch) => watch.function)).toEqual(["machine.list", "machine.view"]);
    exchange(0)
      .open()
      .event("value", { id: exchange(0).watches[0]?.id, value: list(2) });
    await settle();
    expect(values).toEqual([2]);
    stop();
    await settle();
    exchange(0).event("value", { id: exchange(0).watches[1]?.id, value: "news" });
    await settle();
    const later: unknown[] = [];
    const stopAgain = backend.watch("machine.view", { machineId: "mch_1" }, (value) => later.push(value));
    await settle();
    expect(later).toEqual(["news"]);
    expect(exchanges).toHaveLength(1);
    stopAgain();
    stopList();
    await settle();
    expect(exchange(0).aborted).toBe(true);
  });

  const view = (index: number) => backend.watch("machine.view", { machineId: `mch_${index}` }, () => undefined);
  const open = () => exchanges.filter(({ aborted }) => !aborted);

  it("that come later open a small connection anew, and leave a large one alone", async () => {
    for (let index = 0; index < 7; index += 1) view(index);
    await settle();
    view(7);
    await settle();
    view(8);
    await settle();
    expect(exchanges.map(({ watches, aborted }) => [watches.length, aborted])).toEqual([
      [7, false],
      [1, true],
      [2, false],
    ]);
  });

  it("are gathered before the connections become too many", async () => {
    for (let index = 0; index < 60; index += 1) {
      view(index);
      await settle();
    }
    expect(open().flatMap(({ watches }) => watches)).toHaveLength(60);
    expect(open().length).toBeLessThanOrEqual(3);
  });

  it("with long arguments are told in addresses that the hub reads", async () => {
    for (let index = 0; index < 12; index += 1)
      backend.watch(
        "machine.directory",
        { machineId: "mch_1", directory: `${"ü".repeat(2_000)}${index}`, hidden: false },
        () => undefined,
      );
    await settle();
    expect(open().flatMap(({ watches }) => watches)).toHaveLength(12);
    for (const { url } of open()) expect(url.href.length).toBeLessThan(60 * 1024);
  });

  it("of the same thing are one, and who comes later gets the latest value", async () => {
    const later: number[] = [];
    backend.watch("machine.list", {}, () => undefined);
    await settle();
    exchange(0)
      .open()
      .event("value", { id: exchange(0).watches[0]?.id, value: list(3) });
    await settle();
    const stop = backend.watch("machine.list", {}, (value) => later.push(value.machines.length));
    expect(later).toEqual([3]);
    stop();
    await settle();
    expect(exchanges).toHaveLength(1);
  });

  it("survive a cut: the page says since when it does not know, and comes back", async () => {
    const states: ConnectionState[] = [];
    backend.connection.subscribe(() => states.push(backend.connection.get()));
    backend.watch("machine.list", {}, () => undefined);
    await settle();
    const at = Date.now();
    exchange(0).open();
    await settle();
    exchange(0).end();
    await vi.advanceTimersByTimeAsync(300);
    exchange(1).open();
    await settle();
    expect(states).toEqual([{ kind: "live" }, { kind: "stale", since: at }, { kind: "live" }]);
  });

  it("notice a connection that died silently", async () => {
    backend.watch("machine.list", {}, () => undefined);
    await settle();
    exchange(0).open();
    await settle();
    await vi.advanceTimersByTimeAsync(SSE_DEAD_MS - 1_000);
    exchange(0).text(": ping\n\n");
    await vi.advanceTimersByTimeAsync(SSE_DEAD_MS - 1_000);
    expect(exchange(0).aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(exchange(0).aborted).toBe(true);
    expect(backend.connection.get().kind).toBe("stale");
  });

  it("do not wait when the network is back", async () => {
    backend.watch("machine.list", {}, () => undefined);
    await settle();
    exchange(0).open().end();
    await settle();
    expect(exchanges).toHaveLength(1);
    window.dispatchEvent(new Event("online"));
    await settle();
    expect(exchanges).toHaveLength(2);
  });

  it("end when nobody is signed in, and begin again with a sign-in", async () => {
    backend.watch("machine.list", {}, () => undefined);
    await settle();
    exchange(0).json({ code: "unauthenticated", message: "Sign in." }, 401);
    await settle();
    expect(backend.connection.get().kind).toBe("signed_out");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(exchanges).toHaveLength(1);
    const signIn = backend.auth.signInWithPassword("secret");
    await settle();
    expect(exchange(1).init.body).toBe('{"password":"secret"}');
    exchange(1).json({});
    await signIn;
    await settle();
    expect(exchange(2).url.pathname).toBe("/v1/watch");
  });

  it("that are refused one by one say so", async () => {
    const states: WatchState[] = [];
    backend.watch(
      "machine.view",
      { machineId: "mch_1" },
      () => undefined,
      (state) => states.push(state),
    );
    await settle();
    exchange(0)
      .open()
      .event("error", { id: exchange(0).watches[0]?.id, error: { code: "not_found", message: "No such machine." } });
    await settle();
    expect(states.at(-1)).toMatchObject({ kind: "refused", error: { code: "not_found", message: "No such machine." } });
  });

  it("beyond what one connection takes go over a second one", async () => {
    for (let index = 0; index < 40; index += 1)
      backend.watch("machine.view", { machineId: `mch_${index}` }, () => undefined);
    await settle();
    expect(exchanges.map(({ watches }) => watches.length)).toEqual([32, 8]);
  });
});

describe("calls", () => {
  it("carry a key and the page's header, and are repeated with that key when the answer is lost", async () => {
    const call = backend.call("machine.create", { name: "box" }, { key: "idk_1" });
    await settle();
    exchange(0).json({ code: "unavailable", message: "Restarting." }, 503);
    await vi.advanceTimersByTimeAsync(300);
    exchange(1).json({ machineId: "mch_1", registrationKey: "k", expiresAt: 1 });
    expect(await call).toMatchObject({ machineId: "mch_1" });
    for (const { init, url } of exchanges) {
      expect(url.pathname).toBe("/v1/machine.create");
      expect(init.headers).toMatchObject({ "Idempotency-Key": "idk_1", "X-Orchestrator": "1" });
    }
  });
  it("that are refused are not repeated, and tell why", async () => {
    const call = backend.call("machine.create", { name: "" });
    const refused = expect(call).rejects.toMatchObject({ code: "invalid", message: "A machine needs a name." });
    await settle();
    exchange(0).json({ code: "invalid", message: "A machine needs a name." }, 400);
    await refused;
    expect(exchanges).toHaveLength(1);
  });
  it("that read carry no key", async () => {
    void backend.call("worker.chat.transcript", { chatSessionId: "cht_1" });
    await settle();
    expect(exchange(0).init.headers).not.toHaveProperty("Idempotency-Key");
  });
  it("give up in the end and say what to do", async () => {
    const call = backend.call("machine.rename", { machineId: "mch_1", name: "x" });
    const refused = expect(call).rejects.toMatchObject({ code: "network" });
    for (let tries = 0; tries < 4; tries += 1) {
      await vi.advanceTimersByTimeAsync(15_000);
      exchange(-1).fail();
    }
    await refused;
    expect(exchanges).toHaveLength(4);
    expect(new Set(exchanges.map(({ init }) => (init.headers as Record<string, string>)["Idempotency-Key"])).size).toBe(
      1,
    );
  });
});

describe("chunk streams", () => {
  const path = "/v1/streams/turn/trn_1";
  const chunk = (seq: number) => ({ turn: "trn_1", seq, op: "append", part: "p", kind: "text", delta: String(seq) });

  it("give chunks with the offset after them, and resume from it", async () => {
    const got: [number[], string][] = [];
    const stop = backend.readStream(path, "-1", {
      onChunks: (chunks, offset) => got.push([chunks.map(({ seq }) => seq), offset]),
    });
    await settle();
    expect(exchange(0).url.search).toBe("?offset=-1&live=sse");
    const first = exchange(0).open();
    first.text(
      'event: data\ndata: [\ndata: {"turn":"trn_1","seq":0,"op":"append","part":"p","kind":"text","delta":"0"},\n',
    );
    first.text(`data: ${JSON.stringify(chunk(1))}\ndata: ]\n\n`);
    await settle();
    expect(got).toEqual([]);
    first.event("control", { streamNextOffset: "0_2", streamCursor: "c", upToDate: true });
    first.event("data", [chunk(2)]);
    await settle();
    // Without its control event a batch is not given: after the cut it comes again.
    first.end();
    await vi.advanceTimersByTimeAsync(300);
    expect(exchange(1).url.search).toBe("?offset=0_2&live=sse");
    exchange(1)
      .open()
      .event("data", [chunk(2)]);
    exchange(1).event("control", { streamNextOffset: "0_3", streamCursor: "c" });
    await settle();
    expect(got).toEqual([
      [[0, 1], "0_2"],
      [[2], "0_3"],
    ]);
    stop();
    expect(exchange(1).aborted).toBe(true);
  });

  it("put characters together that were cut between packets", async () => {
    const got: string[] = [];
    backend.readStream(path, "-1", {
      onChunks: (chunks) => chunks.forEach((each) => each.op === "append" && got.push(each.delta)),
    });
    await settle();
    const bytes = new TextEncoder().encode(
      'event: data\ndata: [{"turn":"trn_1","seq":0,"op":"append","part":"p","kind":"text","delta":"Grüße 👋"}]\n\nevent: control\ndata: {"streamNextOffset":"1"}\n\n',
    );
    exchange(0).open();
    for (const byte of bytes) exchange(0).bytes(new Uint8Array([byte]));
    await settle();
    expect(got).toEqual(["Grüße 👋"]);
  });

  it("that are closed are not opened again", async () => {
    const states: string[] = [];
    backend.readStream(path, "-1", { onChunks: () => undefined, onState: ({ kind }) => states.push(kind) });
    await settle();
    exchange(0).open().event("control", { streamNextOffset: "9", streamClosed: true });
    await settle();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(exchanges).toHaveLength(1);
    expect(states).toEqual(["connecting", "live", "closed"]);
  });

  it("that do not exist say so once", async () => {
    const states: string[] = [];
    backend.readStream(path, "-1", { onChunks: () => undefined, onState: ({ kind }) => states.push(kind) });
    await settle();
    exchange(0).json({ code: "not_found", message: "No such stream." }, 404);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(exchanges).toHaveLength(1);
    expect(states.at(-1)).toBe("refused");
  });

  it("beyond those that have a connection take turns over one, and get one when it is free", async () => {
    const got: number[][] = [[], [], [], []];
    const states: string[] = [];
    const reads = got.map((seqs, index) =>
      backend.readStream(`/v1/streams/turn/trn_${index}`, "-1", {
        onChunks: (chunks) => seqs.push(...chunks.map((each) => each.seq)),
        onState: ({ kind }) => index === 3 && states.push(kind),
      }),
    );
    await settle();
    expect(exchanges.map(({ url }) => url.pathname.slice(-1) + url.search)).toEqual([
      "0?offset=-1&live=sse",
      "1?offset=-1&live=sse",
      "2?offset=-1",
    ]);
    exchange(2).page([chunk(0)], "0_1");
    await vi.advanceTimersByTimeAsync(300);
    expect(exchange(3).url.search).toBe("?offset=0_1");
    exchange(3).page([chunk(1)], "0_2");
    await settle();
    expect(exchange(4).url.pathname).toBe("/v1/streams/turn/trn_3");
    exchange(4).fail();
    await vi.advanceTimersByTimeAsync(2_000);
    exchange(5).page([], "0_2");
    await settle();
    exchange(6).page([chunk(0)], "0_1", true);
    await settle();
    expect(got).toEqual([[], [], [0, 1], [0]]);
    expect(states.at(-1)).toBe("closed");
    reads[0]?.();
    await vi.advanceTimersByTimeAsync(300);
    expect(exchanges).toHaveLength(8);
    expect(exchange(7).url.search).toBe("?offset=0_2&live=sse");
  });
});
