import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { BackendError, type Backend, type ConnectionState, type StreamHandlers, type WatchState } from "../backend";
import { Cell } from "../observable";
import type { Chunk } from "../wire.gen";
import { HIDDEN_PONGS, PING_MS, PINGS_MISSED, sharedBackend, type Constants } from "./client";
import { electOwner, type Browser } from "./owner";
import type { Channel } from "./messages";
import { FORGOTTEN_AFTER_MS } from "./server";

/** One stream that grows, as the hub has it; its offset is how many chunks come before. */
const chunk = (seq: number): Chunk => ({ turn: "trn_1", seq, op: "append", part: "p", kind: "text", delta: `${seq}` });

const CONSTANTS: Constants = {
  ways: { password: true, provider: null, link: "once" },
  machineAddress: "http://hub.test",
};

/** The hub: what it is told, and what it has. */
class Hub {
  chunks: Chunk[] = [];
  closed = false;
  value = 1;
  readonly calls: { name: string; key: string | undefined }[] = [];
  readonly reading: { from: string; handlers: StreamHandlers; next: number }[] = [];
  readonly watching: { onValue: (value: never) => void; onState?: ((state: WatchState) => void) | undefined }[] = [];
  readonly connections: Cell<ConnectionState>[] = [];
  answers: (() => Promise<unknown>)[] = [];
  adapters = 0;

  readonly open = (): Backend => {
    this.adapters += 1;
    const connection = new Cell<ConnectionState>({ kind: "connecting" });
    this.connections.push(connection);
    return {
      connection,
      auth: {
        signOut: () => {
          for (const each of this.connections) each.set({ kind: "signed_out" });
          return Promise.resolve();
        },
      },
      call: (name: string, _args: unknown, options?: { key?: string }) => {
        this.calls.push({ name, key: options?.key });
        return this.answers.shift()?.() ?? Promise.resolve({});
      },
      watch: (_name: string, _args: unknown, onValue: never, onState?: (state: WatchState) => void) => {
        connection.set({ kind: "live" });
        const watch = { onValue: onValue as (value: never) => void, onState };
        this.watching.push(watch);
        onState?.({ kind: "live" });
        watch.onValue({ machines: [this.value] } as never);
        return () => this.watching.splice(this.watching.indexOf(watch), 1);
      },
      readStream: (_path: string, from: string, handlers: StreamHandlers) => {
        const reading = { from, handlers, next: from === "-1" ? 0 : Number(from) };
        this.reading.push(reading);
        handlers.onState?.({ kind: "live" });
        this.#give(reading);
        return () => this.reading.splice(this.reading.indexOf(reading), 1);
      },
    } as unknown as Backend;
  };

  grow(count: number): void {
    for (let index = 0; index < count; index += 1) this.chunks.push(chunk(this.chunks.length));
    for (const reading of [...this.reading]) this.#give(reading);
  }

  change(): void {
    this.value += 1;
    for (const { onValue } of [...this.watching]) onValue({ machines: [this.value] } as never);
  }

  end(): void {
    for (const { handlers } of [...this.reading]) handlers.onState?.({ kind: "closed" });
  }

  #give(reading: Hub["reading"][number]): void {
    const chunks = this.chunks.slice(reading.next);
    if (chunks.length === 0) return;
    reading.next = this.chunks.length;
    reading.handlers.onChunks(chunks, String(reading.next));
  }
}

/** What all tabs of the test's browser share. */
class World {
  #channels: { name: string; channel: Channel; tab: FakeTab }[] = [];
  #holder: { tab: FakeTab; lose: () => void } | null = null;
  #queue: { tab: FakeTab; take: () => void }[] = [];
  posted = 0;

  channel(name: string, tab: FakeTab): Channel {
    const channel: Channel = {
      onmessage: null,
      postMessage: (message) => {
        if (tab.dead) return;
        const data: unknown = structuredClone(message);
        this.posted += 1;
        for (const other of [...this.#channels]) {
          if (other.name !== name || other.channel === channel) continue;
          // A frozen tab hears it when it thaws.
          queueMicrotask(() => other.tab.run(() => other.channel.onmessage?.({ data } as MessageEvent)));
        }
      },
      close: () => {
        this.#channels = this.#channels.filter((other) => other.channel !== channel);
      },
    };
    this.#channels.push({ name, channel, tab });
    return channel;
  }

  lock(tab: FakeTab, held: () => Promise<void>, steal: boolean, signal?: AbortSignal): Promise<void> {
    return new Promise((done) => {
      // Here its timers go on after its death.
      if (tab.dead) return;
      const lose = () => tab.run(done);
      const take = () => {
        const mine = { tab, lose };
        this.#holder = mine;
        void held().then(() => {
          if (this.#holder === mine) this.#next();
          done();
        });
      };
      if (steal) {
        const robbed = this.#holder;
        take();
        robbed?.lose();
      } else if (!this.#holder) take();
      else {
        const waiting = { tab, take };
        this.#queue.push(waiting);
        signal?.addEventListener("abort", () => {
          this.#queue = this.#queue.filter((other) => other !== waiting);
          done();
        });
      }
    });
  }

  #next(): void {
    this.#holder = null;
    this.#queue.shift()?.take();
  }

  bury(tab: FakeTab): void {
    this.#channels = this.#channels.filter((other) => other.tab !== tab);
    this.#queue = this.#queue.filter((other) => other.tab !== tab);
    if (this.#holder?.tab === tab) this.#next();
  }

  get owner(): FakeTab | undefined {
    return this.#holder?.tab;
  }
}

class FakeTab {
  readonly backend: Backend;
  dead = false;
  hidden = false;
  #frozen: (() => void)[] | null = null;
  #away: (away: boolean) => void = () => undefined;

  constructor(world: World, hub: Hub) {
    const browser: Browser = {
      lock: (_name, held, options) =>
        world.lock(this, held, "steal" in options, "signal" in options ? options.signal : undefined),
      channel: (name) => world.channel(name, this),
      isHidden: () => this.hidden,
      onAway: (listener) => {
        this.#away = listener;
      },
    };
    this.backend = sharedBackend(electOwner("tabs", hub.open, browser), CONSTANTS);
  }
  run(work: () => void): void {
    if (this.dead) return;
    if (this.#frozen) this.#frozen.push(work);
    else work();
  }
  freeze(): void {
    this.#frozen = [];
  }
  thaw(): void {
    const work = this.#frozen ?? [];
    this.#frozen = null;
    for (const each of work) each();
  }
  leave(): void {
    this.#away(true);
  }
  comeBack(): void {
    this.#away(false);
  }
}

let hub: Hub;
let world: World;

beforeEach(() => {
  vi.useFakeTimers();
  hub = new Hub();
  world = new World();
});
afterEach(() => {
  vi.clearAllTimers();
  vi.useRealTimers();
});

const settle = () => vi.advanceTimersByTimeAsync(1);

async function tabs(count: number): Promise<FakeTab[]> {
  const made: FakeTab[] = [];
  for (let index = 0; index < count; index += 1) {
    made.push(new FakeTab(world, hub));
    await settle();
  }
  return made;
}

function tab(all: FakeTab[], index: number): FakeTab {
  const found = all[index];
  if (!found) throw new Error(`no tab ${index}`);
  return found;
}

/** Follows the stream in a tab; gives the numbers of the chunks that came. */
function follow({ backend }: FakeTab, from = "-1"): { seqs: number[]; states: string[]; stop: () => void } {
  const seqs: number[] = [];
  const states: string[] = [];
  const stop = backend.readStream("/v1/streams/turn/trn_1", from, {
    onChunks: (chunks) => seqs.push(...chunks.map(({ seq }) => seq)),
    onState: ({ kind }) => states.push(kind),
  });
  return { seqs, states, stop };
}

function watch({ backend }: FakeTab): number[] {
  const values: number[] = [];
  backend.watch("machine.list", {}, ({ machines }) => values.push(Number(machines[0])));
  return values;
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

/** The owner's tab ends without a word. */
function kill(owner: FakeTab): void {
  owner.dead = true;
  // What it had open at the hub ends with it.
  hub.reading.splice(0);
  hub.watching.splice(0);
  world.bury(owner);
}

describe("tabs", () => {
  it("have one adapter, one reading of a stream, and each all of it", async () => {
    const all = await tabs(3);
    const first = follow(tab(all, 0));
    await settle();
    hub.grow(5);
    await settle();
    const others = [follow(tab(all, 1)), follow(tab(all, 2))];
    await settle();
    hub.grow(5);
    await settle();
    hub.end();
    await settle();
    expect(hub.adapters).toBe(1);
    expect(hub.reading).toHaveLength(1);
    for (const { seqs, states } of [first, ...others]) {
      expect(seqs).toEqual(upTo(10));
      expect(states.at(-1)).toBe("closed");
    }
    expect(world.owner).toBe(all[0]);
  });

  it("lose and double nothing when their owner dies in the middle of a stream", async () => {
    const all = await tabs(3);
    const followed = [follow(tab(all, 1)), follow(tab(all, 2))];
    const values = watch(tab(all, 2));
    await settle();
    hub.grow(7);
    await settle();
    kill(tab(all, 0));
    hub.grow(3);
    hub.change();
    await settle();
    expect(world.owner).toBe(all[1]);
    hub.grow(2);
    await settle();
    for (const { seqs } of followed) expect(seqs).toEqual(upTo(12));
    expect(hub.reading.map(({ from }) => from)).toEqual(["7"]);
    expect(values.at(-1)).toBe(2);
    expect(tab(all, 2).backend.connection.get().kind).toBe("live");
  });

  it("take the place of an owner that is frozen, and say meanwhile that they do not know", async () => {
    const all = await tabs(2);
    const stream = follow(tab(all, 1));
    watch(tab(all, 1));
    await settle();
    hub.grow(4);
    await settle();
    expect(tab(all, 1).backend.connection.get().kind).toBe("live");
    tab(all, 0).freeze();
    // In a frozen tab its own clock stands too; here both have one, so only the other's steps count.
    await vi.advanceTimersByTimeAsync(PING_MS * (PINGS_MISSED + 4));
    expect(tab(all, 1).backend.connection.get().kind).toBe("stale");
    await vi.advanceTimersByTimeAsync(PING_MS * (PINGS_MISSED + 2));
    expect(world.owner).toBe(all[1]);
    expect(tab(all, 1).backend.connection.get().kind).toBe("live");
    hub.grow(4);
    await settle();
    expect(stream.seqs).toEqual(upTo(8));
    tab(all, 0).thaw();
    await settle();
    const late = follow(tab(all, 0));
    await settle();
    hub.grow(1);
    await settle();
    expect(late.seqs).toEqual(upTo(9));
    expect(stream.seqs).toEqual(upTo(9));
    expect(world.owner).toBe(all[1]);
  });

  it("that are looked at take the place of an owner that is not", async () => {
    const all = await tabs(2);
    tab(all, 0).hidden = true;
    const stream = follow(tab(all, 1));
    hub.grow(3);
    await vi.advanceTimersByTimeAsync(PING_MS * (HIDDEN_PONGS + 2));
    expect(world.owner).toBe(all[1]);
    hub.grow(3);
    await settle();
    expect(stream.seqs).toEqual(upTo(6));
    expect(tab(all, 0).backend.connection.get().kind).not.toBe("stale");
  });

  it("hand over when the owner is left, and it shares again when it comes back", async () => {
    const all = await tabs(2);
    const stream = follow(tab(all, 1));
    await settle();
    hub.grow(2);
    tab(all, 0).leave();
    await settle();
    expect(world.owner).toBe(all[1]);
    hub.grow(2);
    tab(all, 0).comeBack();
    await settle();
    expect(world.owner).toBe(all[1]);
    expect(stream.seqs).toEqual(upTo(4));
  });

  it("repeat a call under its key when the owner dies before the answer", async () => {
    const all = await tabs(2);
    hub.answers = [() => new Promise(() => undefined), () => Promise.resolve({ machineId: "mch_1" })];
    const call = tab(all, 1).backend.call("machine.create", { name: "box" });
    await settle();
    kill(tab(all, 0));
    await settle();
    expect(await call).toMatchObject({ machineId: "mch_1" });
    expect(hub.calls).toHaveLength(2);
    expect(hub.calls[0]?.key).toBe(hub.calls[1]?.key);
  });

  it("get refusals as they are", async () => {
    const all = await tabs(2);
    hub.answers = [() => Promise.reject(new BackendError("rate_limited", "Too fast.", 500))];
    await expect(tab(all, 1).backend.call("machine.create", { name: "" })).rejects.toMatchObject({
      code: "rate_limited",
      message: "Too fast.",
      retryAfterMs: 500,
      isRetryable: true,
    });
  });

  it("are signed out together", async () => {
    const all = await tabs(3);
    watch(tab(all, 1));
    await settle();
    void tab(all, 2).backend.auth.signOut();
    await settle();
    for (const { backend } of all) expect(backend.connection.get().kind).toBe("signed_out");
  });

  it("that stand still pile up nothing: later they get the latest value and all chunks", async () => {
    const all = await tabs(2);
    const slow = tab(all, 1);
    const values = watch(slow);
    const stream = follow(slow);
    await settle();
    slow.freeze();
    const before = world.posted;
    for (let index = 0; index < 50; index += 1) {
      hub.change();
      hub.grow(1);
      await Promise.resolve();
    }
    // One value and one piece of the stream under way.
    expect(world.posted - before).toBe(2);
    slow.thaw();
    await settle();
    expect(values.at(-1)).toBe(51);
    expect(values.length).toBeLessThan(5);
    expect(stream.seqs).toEqual(upTo(50));
  });

  it("that died without a word are forgotten, with what they followed", async () => {
    const all = await tabs(2);
    follow(tab(all, 1));
    watch(tab(all, 1));
    await settle();
    expect(hub.reading).toHaveLength(1);
    tab(all, 1).dead = true;
    await vi.advanceTimersByTimeAsync(FORGOTTEN_AFTER_MS + PING_MS);
    expect(hub.reading).toHaveLength(0);
    expect(hub.watching).toHaveLength(0);
  });
});
