import { expect, test } from "vitest";
import { PIECE_MAX_BYTES, piecesOf } from "../../../../convex/model/answers.ts";
import { byteLength } from "../../../../convex/model/texts.ts";
import { checkedAnswer, textHash } from "../../../../convex/model/transcript.ts";

test.each([
  ["nothing", "", 0],
  ["one byte less", "a".repeat(PIECE_MAX_BYTES - 1), 1],
  ["exactly one piece", "a".repeat(PIECE_MAX_BYTES), 1],
  ["one byte more", "a".repeat(PIECE_MAX_BYTES + 1), 2],
  ["exactly two pieces", "a".repeat(2 * PIECE_MAX_BYTES), 2],
  ["two bytes over the cut", `${"a".repeat(PIECE_MAX_BYTES - 1)}é`, 2],
  ["four bytes over the cut", `${"a".repeat(PIECE_MAX_BYTES - 2)}😀b`, 2],
  ["four bytes each", `a${"😀".repeat(PIECE_MAX_BYTES / 2)}`, 3],
  ["a byte order mark where a piece begins", `${"a".repeat(PIECE_MAX_BYTES)}\u{feff}b`, 2],
])("%s", (_, text, count) => {
  const pieces = piecesOf(text);
  expect(pieces.length).toBe(count);
  expect(pieces.join("") === text).toBe(true);
  for (const piece of pieces) {
    expect(byteLength(piece)).toBeLessThanOrEqual(PIECE_MAX_BYTES);
    expect(piece.includes("\u{fffd}")).toBe(false);
  }
});

test("the hash is over the texts that are not empty, each ended by a zero byte", () => {
  const text = (id: string, text: string) => ({ id, kind: "text" as const, text });
  const none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  expect(textHash([])).toBe(none);
  expect(textHash([text("a", ""), { id: "b", kind: "reasoning", text: "hm" }])).toBe(none);
  expect(textHash([text("a", "ab")])).not.toBe(textHash([text("a", "a"), text("b", "b")]));
  expect(() => checkedAnswer({ parts: [text("a", "x")], hash: none })).toThrow("does not have the hash");
});
