import { afterEach, describe, expect, it, vi } from "vitest";

import { BackendError, type Backend, type StreamHandlers } from "../backend/backend";
import { Cell } from "../backend/observable";
import type { ChatView, TranscriptArgs, TranscriptPage, TurnReply, TurnSummary } from "../backend/wire.gen";
import { ChatStore, type ChatHost } from "./chat-store";
import { CHAT_ID, chunks, record, turn, view } from "./fixtures";
import { stateOf } from "./turns";

class Host implements ChatHost {
  isVisible = true;
  readonly #listeners = new Set<() => void>();
  now = () => 1_000;
  soon = (run: () => void) => run();
  visible = () => this.isVisible;
  onVisibility = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  show(visible: boolean): void {
    this.isVisible = visible;
    for (const listener of this.#listeners) listener();
  }
}

interface OpenStream extends StreamHandlers {
  path: string;
  offset: string;
  open: boolean;
}

/** A backend whose every answer the test gives. */
function scripted(
  transcript: (args: TranscriptArgs) => TranscriptPage | Promise<TranscriptPage>,
  send: () => Promise<TurnReply> = () => Promise.reject(new Error("not scripted")),
) {
  const streams: OpenStream[] = [];
  const calls: { name: string; args: unknown; key: string | undefined }[] = [];
  let push: (value: ChatView) => void = () => undefined;
  const backend = {
    connection: new Cell({ kind: "live" as const }),
    call: (name: string, args: unknown, options?: { key?: string }) => {
      calls.push({ name, args, key: options?.key });
      return name === "worker.chat.transcript" ? Promise.resolve(args as TranscriptArgs).then(transcript) : send();
    },
    watch: (_name: string, _args: unknown, onValue: (value: ChatView) => void) => {
      push = onValue;
      return () => undefined;
    },
    readStream: (path: string, offset: string, handlers: StreamHandlers) => {
      const stream = { path, offset, ...handlers, open: true };
      streams.push(stream);
      return () => {
        stream.open = false;
      };
    },
  } as unknown as Backend;
  return { backend, streams, calls, push: (value: ChatView) => push(value) };
}

const flush = async () => {
  for (let turns = 0; turns < 20; turns += 1) await Promise.resolve();
};
const nothing = (): TranscriptPage => ({ turns: [], hasEarlier: false });

afterEach(() => vi.useRealTimers());

describe("the stream", () => {
  const running = turn(1, { state: "streaming" });
  const path = "/v1/streams/turn/1";
  const started = (host = new Host()) => {
    const script = scripted(() => ({ turns: [record(running, null)], hasEarlier: false }));
    const store = new ChatStore(script.backend, CHAT_ID, host);
    const stop = store.start();
    script.push(view([running], { stream: path }));
    return { ...script, store, stop, host };
  };

  it("is read from its beginning and followed", () => {
    const { streams, store } = started();
    expect(streams).toMatchObject([{ path, offset: "-1", open: true }]);
    streams[0]?.onChunks(chunks(running, "Hel", "lo"), "7");
    expect(store.snapshot.get().turns.running?.parts).toEqual([{ id: "p1", kind: "text", text: "Hello" }]);
  });
  it("is closed while nobody looks, and goes on from where it was", () => {
    const { streams, host } = started();
    streams[0]?.onChunks(chunks(running, "a"), "7");
    host.show(false);
    expect(streams[0]?.open).toBe(false);
    host.show(true);
    expect(streams).toMatchObject([{ open: false }, { offset: "7", open: true }]);
  });
  it("is read once more from its beginning to fill a hole, and not for ever", () => {
    const { streams } = started();
    const [first, second] = chunks(running, "a", "b");
    if (!first || !second) throw new Error("two chunks");
    streams[0]?.onChunks([second], "8");
    expect(streams).toMatchObject([{ open: false }, { offset: "-1", open: true }]);
    streams[1]?.onChunks([second], "8");
    expect(streams).toHaveLength(2);
    streams[1]?.onChunks([first, second], "8");
    expect(streams).toHaveLength(2);
  });
  it("is left when its turn is over, and another one is taken up", () => {
    const { streams, push } = started();
    push(view([turn(1)]));
    expect(streams[0]?.open).toBe(false);
    push(view([turn(1), turn(2, { state: "delivered" })], { stream: "/v1/streams/turn/2" }));
    expect(streams[1]).toMatchObject({ path: "/v1/streams/turn/2", offset: "-1", open: true });
  });
  it("that is gone is not asked for again and again", () => {
    const { streams, push } = started();
    streams[0]?.onState?.({ kind: "refused", error: new BackendError("not_found", "gone") });
    push(view([running], { stream: path }));
    streams[0]?.onChunks([], "9");
    expect(streams).toHaveLength(1);
  });
  it("ends with the store", () => {
    const { streams, stop } = started();
    stop();
    expect(streams[0]?.open).toBe(false);
  });
});

describe("a turn that was ended without its machine", () => {
  const stopped = (ordinal: number) => turn(ordinal, { state: "cancelled", deliveredAt: 1, endedAt: 2 });
  const streamOf = (ordinal: number) => `/v1/streams/turn/${turn(ordinal).id}`;
  const open = async (summaries: TurnSummary[], answers: Record<string, string> = {}) => {
    const now = { summaries, answers };
    const script = scripted(({ turnIds }) => ({
      turns: now.summaries
        .filter(({ id }) => turnIds?.includes(id))
        .map((summary) => record(summary, now.answers[summary.id] ?? null)),
      hasEarlier: false,
    }));
    const host = new Host();
    const store = new ChatStore(script.backend, CHAT_ID, host);
    store.start();
    script.push(view(summaries));
    await flush();
    return { ...script, store, host, now };
  };

  it("shows what was streamed, also to a page that was opened since", async () => {
    const { streams, store } = await open([stopped(1)]);
    expect(streams).toMatchObject([{ path: streamOf(1), offset: "-1", open: true }]);
    streams[0]?.onChunks(chunks(stopped(1), "Half ", "of it"), "7");
    expect(store.snapshot.get().turns.shown[0]).toMatchObject({
      parts: [{ text: "Half of it" }],
      check: null,
      summary: { state: "cancelled" },
    });
    expect(store.snapshot.get().turns.running).toBeNull();
  });

  it("shows its complete message once its machine brings it", async () => {
    const { streams, store, push, now } = await open([stopped(1)]);
    streams[0]?.onChunks(chunks(stopped(1), "Half "), "7");
    const summary = { ...stopped(1), hash: "known now" };
    Object.assign(now, { summaries: [summary], answers: { [summary.id]: "Half of it, and more" } });
    push(view([summary]));
    await flush();
    expect(streams[0]?.open).toBe(false);
    expect(store.snapshot.get().turns.shown[0]).toMatchObject({
      parts: [{ text: "Half of it, and more" }],
      check: "repaired",
    });
  });

  it("has its chunks read beside those of the turn under way", async () => {
    const path = "/v1/streams/turn/2";
    const running = turn(2, { state: "streaming" });
    const { streams, push, now, host } = await open([stopped(1)]);
    now.summaries = [stopped(1), running];
    push(view(now.summaries, { stream: path }));
    expect(streams.map((stream) => stream.path)).toEqual([streamOf(1), path]);
    host.show(false);
    expect(streams.some((stream) => stream.open)).toBe(false);
    host.show(true);
    expect(streams.slice(2)).toMatchObject([{ open: true }, { open: true }]);
  });

  it("is one of few that are read at once; another takes the place of one that is gone", async () => {
    const { streams } = await open([stopped(1), stopped(2), stopped(3)]);
    expect(streams.map(({ path }) => path)).toEqual([streamOf(3), streamOf(2)]);
    streams[0]?.onState?.({ kind: "refused", error: new BackendError("not_found", "gone") });
    await flush();
    expect(streams.map(({ path }) => path)).toEqual([streamOf(3), streamOf(2), streamOf(1)]);
    streams[1]?.onState?.({ kind: "refused", error: new BackendError("not_found", "gone") });
    await flush();
    expect(streams).toHaveLength(3);
  });

  it("has no chunks if it was never taken, or its complete message is there", async () => {
    const { streams } = await open([turn(1, { state: "cancelled" }), turn(2, { deliveredAt: 1 })], {
      [turn(2).id]: "all of it",
    });
    expect(streams).toHaveLength(0);
  });
});

describe("texts", () => {
  it("are fetched for what the view tells of, and again when a turn has ended", async () => {
    let state: "streaming" | "completed" = "streaming";
    const script = scripted(({ turnIds }) => ({
      turns: (turnIds ?? []).map(() => record(turn(1, { state }), state === "completed" ? "done" : null)),
      hasEarlier: false,
    }));
    const store = new ChatStore(script.backend, CHAT_ID, new Host());
    store.start();
    script.push(view([turn(1, { state })]));
    await flush();
    expect(script.calls).toHaveLength(1);
    state = "completed";
    script.push(view([turn(1, { state })]));
    await flush();
    expect(script.calls).toHaveLength(2);
    expect(store.snapshot.get().turns.shown[0]).toMatchObject({ check: "verified", message: "message 1" });
  });
  it("that can't be fetched are tried again, and the page says so meanwhile", async () => {
    vi.useFakeTimers();
    let broken = true;
    const script = scripted(() => {
      if (broken) throw new BackendError("unavailable", "The backend is busy.");
      return { turns: [record(turn(1))], hasEarlier: false };
    });
    const store = new ChatStore(script.backend, CHAT_ID, new Host());
    store.start();
    script.push(view([turn(1)]));
    await vi.advanceTimersByTimeAsync(0);
    expect(store.snapshot.get().problem?.message).toBe("The backend is busy.");
    broken = false;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(store.snapshot.get().problem).toBeNull();
    expect(store.snapshot.get().turns.shown[0]?.check).toBe("verified");
  });
  it("are not asked for in a loop when the page knows less than the view", async () => {
    vi.useFakeTimers();
    // With little jitter a third one may come within this time.
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const script = scripted(nothing);
    new ChatStore(script.backend, CHAT_ID, new Host()).start();
    script.push(view([turn(1)]));
    await vi.advanceTimersByTimeAsync(100);
    expect(script.calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(400);
    expect(script.calls).toHaveLength(2);
  });
});

describe("sending", () => {
  it("shows the message at once, and repeats it with its key", async () => {
    let fail = true;
    const script = scripted(nothing, () =>
      fail
        ? Promise.reject(new BackendError("network", "No connection."))
        : Promise.resolve({ turn: turn(1, { state: "queued" }) }),
    );
    const store = new ChatStore(script.backend, CHAT_ID, new Host());
    store.start();
    script.push(view([]));
    const sent = store.send("do it");
    expect(store.snapshot.get().turns.shown.map(stateOf)).toEqual(["sending"]);
    await sent;
    const [item] = store.snapshot.get().turns.shown;
    expect(item && stateOf(item)).toBe("unsent");
    fail = false;
    await store.send(item?.message ?? "", item?.key);
    expect(store.snapshot.get().turns.shown.map(stateOf)).toEqual(["queued"]);
    const sends = script.calls.filter(({ name }) => name === "worker.chat.sendMessage");
    expect(sends).toHaveLength(2);
    expect(sends[0]?.key).toBe(sends[1]?.key);
  });
});

describe("earlier turns", () => {
  it("come page by page until the first", async () => {
    const all = Array.from({ length: 100 }, (_, index) => turn(index + 1));
    const script = scripted(({ turnIds, beforeOrdinal }) => {
      const wanted = turnIds
        ? all.filter(({ id }) => turnIds.includes(id))
        : all.filter(({ ordinal }) => ordinal < (beforeOrdinal ?? 0)).slice(-50);
      return { turns: wanted.map((summary) => record(summary)), hasEarlier: false };
    });
    const store = new ChatStore(script.backend, CHAT_ID, new Host());
    store.start();
    script.push(view(all));
    await flush();
    expect(store.snapshot.get().turns.shown).toHaveLength(20);
    await store.loadEarlier();
    expect(store.snapshot.get().turns.shown).toHaveLength(70);
    await store.loadEarlier();
    expect(store.snapshot.get().turns.shown).toHaveLength(100);
    expect(store.snapshot.get().hasEarlier).toBe(false);
    await store.loadEarlier();
    expect(script.calls).toHaveLength(3);
  });
});
