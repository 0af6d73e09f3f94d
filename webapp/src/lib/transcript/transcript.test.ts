import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import { describe, expect, it } from "vitest";

import type { Chunk, Part } from "../backend/wire.gen";
import { textHash } from "./hash";
import { applyChunk, applyChunks, EMPTY_TRANSCRIPT, type Applied, type Transcript } from "./transcript";

interface Vector {
  about: string;
  chunks: Chunk[];
  applied: ("yes" | "duplicate" | { gap: number })[];
  parts: Part[];
  sealed: boolean;
  hash: string;
}

const DIRECTORY = path.resolve(import.meta.dirname, "../../../../tests/vectors");
const files = readdirSync(DIRECTORY).filter((name) => /^transcript-.*\.json$/.test(name));

describe("the transcript, held to the vectors that Rust is held to", () => {
  it("has vectors", () => expect(files.length).toBeGreaterThanOrEqual(20));

  it.each(files)("%s", (file) => {
    const vector = JSON.parse(readFileSync(path.join(DIRECTORY, file), "utf8")) as Vector;
    let transcript: Transcript = EMPTY_TRANSCRIPT;
    const applied = vector.chunks.map((chunk) => {
      const step = applyChunk(transcript, chunk);
      transcript = step.transcript;
      return asInVector(step.applied);
    });
    expect(applied).toEqual(vector.applied);
    expect(transcript.parts).toEqual(vector.parts);
    expect(transcript.seal !== null).toBe(vector.sealed);
    expect(textHash(transcript.parts)).toBe(vector.hash);
  });
});

describe("what only the page needs", () => {
  const turn = "trn_01kaq3vh2ef0r9c5m8d7x6w4zb";
  const text = (seq: number, delta: string): Chunk => ({ turn, seq, op: "append", part: "p", kind: "text", delta });

  it("leaves earlier transcripts as they were", () => {
    const first = applyChunks(EMPTY_TRANSCRIPT, [text(0, "a")]);
    const second = applyChunks(first, [text(1, "b")]);
    expect(first.parts).toEqual([{ id: "p", kind: "text", text: "a" }]);
    expect(second.parts).toEqual([{ id: "p", kind: "text", text: "ab" }]);
    expect(EMPTY_TRANSCRIPT.parts).toEqual([]);
  });

  it("keeps the identity of parts that did not change, on which memoised rendering rests", () => {
    const first = applyChunks(EMPTY_TRANSCRIPT, [
      text(0, "a"),
      { turn, seq: 1, op: "append", part: "q", kind: "text", delta: "x" },
    ]);
    const second = applyChunks(first, [{ turn, seq: 2, op: "append", part: "q", kind: "text", delta: "y" }]);
    expect(second.parts[0]).toBe(first.parts[0]);
    expect(second.parts[1]).not.toBe(first.parts[1]);
  });

  it("remembers a gap until it is filled", () => {
    const gap = applyChunks(EMPTY_TRANSCRIPT, [text(0, "a"), text(2, "c")]);
    expect(gap.gap).toBe(true);
    expect(applyChunks(gap, [text(1, "b")]).gap).toBe(false);
  });
});

function asInVector(applied: Applied): Vector["applied"][number] {
  return applied.kind === "gap" ? { gap: applied.expected } : applied.kind;
}
