import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { BackendError, type StreamState, type WatchState } from "../backend";
import type { Chunk } from "../wire.gen";
import { jwt, refusal, Scripted, tick } from "./scripted";
import { MOVE_AFTER_BATCHES, VIEWING_MS } from "./streams";

const CHAT = "cht_00000000000000000000000000";
const TURN = "trn_00000000000000000000000000";
const STREAM = `/v1/streams/turn/${TURN}`;

const chunk = (seq: number): Chunk => ({ turn: TURN, seq, op: "append", part: "p", kind: "text", delta: `${seq} ` });
const batches = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => JSON.stringify([chunk(from + index)]));

const page = new Scripted();
beforeEach(() => page.begin());
afterEach(() => page.end());

describe("a watch", () => {
  it("gives whole values, each once, to everybody who follows it, for one query", () => {
    const client = page.connected();
    const seen: unknown[] = [];
    const states: WatchState["kind"][] = [];
    page.backend.watch(
      "machine.list",
      {},
      (value) => seen.push(value),
      ({ kind }) => states.push(kind),
    );
    client.give("machine:list", { value: { machines: [] } });
    client.give("machine:list", { value: { machines: [] } });
    const late = vi.fn();
    page.backend.watch("machine.list", {}, late);
    expect(seen).toEqual([{ machines: [] }]);
    expect(late).toHaveBeenCalledWith({ machines: [] });
    expect(states).toEqual(["waiting", "live"]);
    expect(client.asked.filter((name) => name === "machine:list")).toHaveLength(1);
  });

  it("lingers, so that whoever comes right back costs nothing", async () => {
    const client = page.connected();
    const stop = page.backend.watch("machine.list", {}, () => undefined);
    client.give("machine:list", { value: { machines: [] } });
    stop();
    await vi.advanceTimersByTimeAsync(1_000);
    const again = vi.fn();
    const stopAgain = page.backend.watch("machine.list", {}, again);
    expect(again).toHaveBeenCalledTimes(1);
    stopAgain();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(client.of("machine:list")).toHaveLength(0);
    expect(client.asked.filter((name) => name === "machine:list")).toHaveLength(1);
  });

  it("is refused, and comes to life when the deployment changes its mind", () => {
    const client = page.connected();
    const states: WatchState[] = [];
    page.backend.watch(
      "machine.view",
      { machineId: "mch_1" },
      () => undefined,
      (state) => states.push(state),
    );
    client.give("machine:view", refusal("not_found", "This machine does not exist."));
    expect(states.at(-1)).toEqual({
      kind: "refused",
      error: new BackendError("not_found", "This machine does not exist."),
    });
    client.give("machine:view", { value: { id: "mch_1" } });
    expect(states.at(-1)).toEqual({ kind: "live" });
  });

  it("forgets what one person saw before another signs in", async () => {
    const client = page.connected();
    const values = vi.fn();
    const states: WatchState["kind"][] = [];
    page.backend.watch("machine.list", {}, values, ({ kind }) => states.push(kind));
    client.give("machine:list", { value: { machines: ["ann's"] } });
    await page.backend.auth.signOut();
    expect(states.at(-1)).toBe("waiting");
    const bob = jwt({ iss: "https://orchestrator.local/k1", sub: "bob" });
    const signingIn = page.backend.auth.signInWithToken(bob);
    page.client.accept();
    await signingIn;
    page.client.give("machine:list", { value: { machines: ["bob's"] } });
    expect(values.mock.calls).toEqual([[{ machines: ["ann's"] }], [{ machines: ["bob's"] }]]);
  });

  it("that throws leaves the others alone", () => {
    const reported = vi.fn();
    vi.stubGlobal("reportError", reported);
    const client = page.connected();
    const values = vi.fn();
    page.backend.watch("machine.list", {}, () => {
      throw new Error("a bug of the page");
    });
    page.backend.watch("machine.view", { machineId: "mch_1" }, values);
    client.give("machine:list", { value: { machines: [] } });
    client.give("machine:view", { value: {} });
    expect(reported).toHaveBeenCalledTimes(1);
    expect(values).toHaveBeenCalledTimes(1);
    vi.unstubAllGlobals();
  });
});

describe("a stream", () => {
  const rows = (from: number, to: number, more: object = {}) => ({
    value: { batches: batches(from, to), next: String(to), upToDate: true, closed: false, ...more },
  });
  function reading(from = "-1") {
    const read: Chunk[] = [];
    const offsets: string[] = [];
    const states: StreamState["kind"][] = [];
    const stop = page.backend.readStream(STREAM, from, {
      onChunks: (chunks, next) => {
        read.push(...chunks);
        offsets.push(next);
      },
      onState: ({ kind }) => states.push(kind),
    });
    return { read, offsets, states, stop };
  }
  const seqs = (chunks: Chunk[]) => chunks.map(({ seq }) => seq);
  const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

  it("gives chunks in order, each once, with the offset from which to go on", () => {
    const client = page.connected();
    const { read, offsets, states } = reading();
    expect(client.of("worker/chat:chunks")[0]?.envelope).toEqual({ args: { turnId: TURN, after: "-1" } });
    client.give("worker/chat:chunks", rows(0, 2));
    client.give("worker/chat:chunks", rows(0, 5));
    client.give("worker/chat:chunks", rows(0, 5));
    expect(seqs(read)).toEqual(upTo(5));
    expect(offsets).toEqual(["2", "5"]);
    expect(states).toEqual(["connecting", "live"]);
  });

  it(`moves its cursor every ${MOVE_AFTER_BATCHES} batches, not with every one`, async () => {
    const client = page.connected();
    const { read } = reading();
    let base = 0;
    for (let count = 1; count <= 100; count += 1) {
      client.give("worker/chat:chunks", rows(base, count));
      await tick();
      base = Number((client.of("worker/chat:chunks")[0]?.envelope.args as { after: string }).after);
      if (base < 0) base = 0;
    }
    expect(seqs(read)).toEqual(upTo(100));
    expect(client.asked.filter((name) => name === "worker/chat:chunks")).toHaveLength(
      1 + Math.floor(100 / MOVE_AFTER_BATCHES),
    );
    expect(client.of("worker/chat:chunks")).toHaveLength(1);
  });

  it("reads page after page until it is up to date", async () => {
    const client = page.connected();
    const { read } = reading();
    client.give("worker/chat:chunks", rows(0, 100, { upToDate: false }));
    await tick();
    client.give("worker/chat:chunks", rows(100, 102));
    await tick();
    client.give("worker/chat:chunks", rows(100, 103));
    expect(seqs(read)).toEqual(upTo(103));
  });

  it("ends where it is closed, once, after its last chunk", async () => {
    const client = page.connected();
    const { read, states } = reading("3");
    client.give("worker/chat:chunks", rows(3, 5, { closed: true }));
    await tick();
    expect(seqs(read)).toEqual([3, 4]);
    expect(states).toEqual(["connecting", "live", "closed"].filter((kind) => kind !== "live"));
    expect(client.of("worker/chat:chunks")).toHaveLength(0);
  });

  it("that is gone is refused; one that can't be read just now is tried again", async () => {
    const client = page.connected();
    const gone = reading();
    client.give("worker/chat:chunks", refusal("not_found"));
    expect(gone.states.at(-1)).toBe("refused");
    expect(client.of("worker/chat:chunks")).toHaveLength(0);
    const busy = reading("7");
    client.give("worker/chat:chunks", refusal("unavailable"));
    expect(busy.states.at(-1)).toBe("connecting");
    await vi.advanceTimersByTimeAsync(1_000);
    client.give("worker/chat:chunks", rows(7, 9));
    expect(seqs(busy.read)).toEqual([7, 8]);
  });

  it("goes on after a break without losing or doubling a chunk", async () => {
    const client = page.connected();
    const { read, states } = reading();
    client.give("worker/chat:chunks", rows(0, 3));
    client.events.onFatal();
    await tick();
    page.client.accept();
    page.client.give("worker/chat:chunks", rows(0, 6));
    expect(seqs(read)).toEqual(upTo(6));
    expect(states).toEqual(["connecting", "live", "connecting", "live"]);
  });

  it("is stopped by whoever reads it, also within its own chunks", () => {
    const client = page.connected();
    let stop: () => void = () => undefined;
    const chunks = vi.fn(() => stop());
    stop = page.backend.readStream(STREAM, "-1", { onChunks: chunks });
    client.give("worker/chat:chunks", rows(0, 1));
    client.give("worker/chat:chunks", rows(0, 2));
    expect(chunks).toHaveBeenCalledTimes(1);
    expect(client.of("worker/chat:chunks")).toHaveLength(0);
  });

  it("tells the deployment that somebody watches, while it is read", async () => {
    const client = page.connected();
    page.backend.watch("worker.chat.view", { chatSessionId: CHAT }, () => undefined);
    client.give("worker/chat:view", { value: { stream: STREAM } });
    const said = () => client.mutations.filter(({ name }) => name === "worker/chat:viewing");
    const { stop } = reading();
    await tick();
    expect(said()).toMatchObject([{ envelope: { args: { chatSessionId: CHAT } } }]);
    await vi.advanceTimersByTimeAsync(2 * VIEWING_MS);
    expect(said()).toHaveLength(3);
    stop();
    // Another turn of the same chat session right after says nothing new.
    const again = reading();
    await tick();
    expect(said()).toHaveLength(3);
    again.stop();
    await vi.advanceTimersByTimeAsync(5 * VIEWING_MS);
    expect(said()).toHaveLength(3);
  });
});
