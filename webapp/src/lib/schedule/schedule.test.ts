import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import {
  afterRun,
  decide,
  type FailureKind,
  lookBack,
  noteText,
  phraseOf,
  readPhrase,
  retryWaitMs,
  sentence,
  startOf,
  Timing,
  type When,
  WhenError,
} from "./index";

interface Vectors {
  about: string;
  firing?: { about?: string; when: When; after: string; count: number; fires: Fire[] }[];
  refused?: { when?: When; phrase?: string; code: string; message: string }[];
  phrases?: { phrase: string; zone: string; now: string; when: When; again: string }[];
  sentences?: { when: When; sentence: string }[];
  starts?: { schedule: string; due: string; next: string | null; jitterMs: number; delayMs: number }[];
}

interface Fire {
  at: string;
  local: string;
  notes?: string[];
}

const FOLDER = join(import.meta.dirname, "../../../../tests/vectors/next-fire");
const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));

function shown(at: number): string {
  return new Date(at).toISOString().replace(".000Z", "Z");
}

function refusal(act: () => unknown): { code: string; message: string } {
  try {
    act();
  } catch (error) {
    if (error instanceof WhenError) return { code: error.code, message: error.message };
    throw error;
  }
  return { code: "none", message: "It was taken." };
}

describe.each(files)("%s", (file) => {
  const vectors = JSON.parse(readFileSync(join(FOLDER, file), "utf8")) as Vectors;

  test("fires as in Rust", () => {
    for (const { when, after, count, fires } of vectors.firing ?? []) {
      const found = Timing.of(when)
        .nextFires(Date.parse(after), count)
        .map(({ at, local, notes }) => ({
          at: shown(at),
          local,
          ...(notes.length > 0 && { notes: notes.map(noteText) }),
        }));
      expect.soft(found, `${JSON.stringify(when)} after ${after}`).toEqual(fires);
    }
  });

  test("refuses as in Rust", () => {
    for (const { when, phrase, code, message } of vectors.refused ?? []) {
      const found = refusal(() => (when ? Timing.of(when) : readPhrase(phrase ?? "", "Europe/Berlin", 0)));
      const begin = { code: found.code, message: found.message.slice(0, message.length) };
      expect.soft(begin, JSON.stringify(when ?? phrase)).toEqual({ code, message });
    }
  });

  test("reads and says phrases as in Rust", () => {
    for (const { phrase, zone, now, when, again } of vectors.phrases ?? []) {
      const found = readPhrase(phrase, zone, Date.parse(now));
      expect.soft(found, phrase).toEqual(when);
      expect.soft(phraseOf(found), phrase).toBe(again);
    }
    for (const { when, sentence: expected } of vectors.sentences ?? []) {
      expect.soft(sentence(when), JSON.stringify(when)).toBe(expected);
    }
  });

  test("starts as in Rust", () => {
    for (const { schedule, due, next, jitterMs, delayMs } of vectors.starts ?? []) {
      const start = startOf(schedule, Date.parse(due), next === null ? null : Date.parse(next), jitterMs);
      expect.soft(start - Date.parse(due), schedule).toBe(delayMs);
    }
  });
});

test("there are as many vectors as were asked for", () => {
  const cases = files.flatMap((file) => {
    const vectors = JSON.parse(readFileSync(join(FOLDER, file), "utf8")) as Vectors;
    const { firing = [], refused = [], phrases = [], sentences = [], starts = [] } = vectors;
    return [...firing, ...refused, ...phrases, ...sentences, ...starts];
  });
  expect(cases.length).toBeGreaterThanOrEqual(300);
});

describe("policies", () => {
  const HOUR = 3_600_000;
  const START = Date.parse("2026-01-01T00:00:00Z");
  const every = (everyMinutes: number): Timing =>
    Timing.of({ kind: "interval", everyMinutes, anchor: START, zone: "UTC" });

  test("each overlap policy does what it says", () => {
    expect(decide("cancel", 0, 0)).toEqual({ kind: "start" });
    expect(decide("skip", 1, 0)).toEqual({ kind: "skip", why: "still_running" });
    expect(decide("queue", 1, 0)).toEqual({ kind: "queue" });
    expect(decide("queue", 1, 1)).toEqual({ kind: "skip", why: "one_waits" });
    expect(decide("cancel", 1, 1)).toEqual({ kind: "replace" });
    expect(decide("parallel", 1, 1)).toEqual({ kind: "start" });
    expect(decide("parallel", 9, 1)).toEqual({ kind: "skip", why: "too_many_runs" });
  });

  test("the latest of the missed runs once", () => {
    const look = lookBack(every(60), { kind: "latest" }, START, START + 5.5 * HOUR);
    expect(look.run).toEqual([START + 5 * HOUR]);
    expect(look.missed.map(({ why }) => why)).toEqual(["later", "later", "later", "later"]);
  });

  test("a window runs what is in it and no more than its bound", () => {
    const policy = { kind: "all", withinMs: 3 * HOUR } as const;
    const look = lookBack(every(1), policy, START, START + 10.5 * HOUR);
    expect(look.run).toHaveLength(102);
    expect(look.ranges.map(({ why }) => why)).toEqual(["too_old", "too_many"]);
  });

  test("a month of minutes is a few exact rows", () => {
    const now = START + 30 * 24 * HOUR + HOUR / 2;
    let handled = START;
    let rows = 0;
    let count = 0;
    for (;;) {
      const look = lookBack(every(1), { kind: "latest" }, handled, now);
      rows += look.ranges.length + look.missed.length;
      count += look.ranges.reduce((sum, range) => sum + range.count, 0) + look.missed.length + look.run.length;
      handled = look.handled ?? handled;
      if (!look.more) break;
    }
    expect(rows).toBe(55);
    expect(count).toBe(30 * 24 * 60 + 30);
  });

  test("a clock that goes back fires nothing twice", () => {
    expect(lookBack(every(1), { kind: "latest" }, START + HOUR, START).handled).toBeNull();
  });

  test("retries double and end; failures in a row pause", () => {
    const waits = [1, 2, 3, 4, 5, 6].map((tries) => retryWaitMs(9, tries, "provider"));
    expect(waits).toEqual([30_000, 60_000, 120_000, 240_000, 480_000, null]);
    expect(
      (["denied", "time_limit", "setup", "other", "unknown"] satisfies FailureKind[]).map((kind) =>
        retryWaitMs(9, 1, kind),
      ),
    ).toEqual([null, null, null, null, null]);
    expect(afterRun(3, 2, "interrupted")).toEqual({ failuresInARow: 3, pauses: true });
    expect(afterRun(3, 2, "skipped")).toEqual({ failuresInARow: 2, pauses: false });
    expect(afterRun(3, 2, "completed")).toEqual({ failuresInARow: 0, pauses: false });
  });
});
