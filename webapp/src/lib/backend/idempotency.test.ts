import { describe, expect, it } from "vitest";

import { newIdempotencyKey } from "./idempotency";

describe("idempotency keys", () => {
  it("have the form of ids in Rust: a UUIDv7's bits in base 32", () => {
    // 0x0000_0000_03e8 is 1,000 ms; version 7 and variant 2 are set in the bits that are all ones.
    expect(newIdempotencyKey(1_000, new Uint8Array(10).fill(255))).toBe(reference(1_000n, 255n));
    expect(newIdempotencyKey(1_763_928_000_000, new Uint8Array(10))).toBe(reference(1_763_928_000_000n, 0n));
  });
  it("order by time and do not repeat", () => {
    expect(newIdempotencyKey(1_000, new Uint8Array(10).fill(255)) < newIdempotencyKey(1_001, new Uint8Array(10))).toBe(
      true,
    );
    expect(new Set(Array.from({ length: 1_000 }, () => newIdempotencyKey())).size).toBe(1_000);
    expect(newIdempotencyKey()).toMatch(/^idk_[0-9abcdefghjkmnpqrstvwxyz]{26}$/);
  });
});

/** The same by way of the UUID's text. */
function reference(ms: bigint, byte: bigint): string {
  const fill = (chars: number) => byte.toString(16).padStart(2, "0").repeat(10).slice(0, chars);
  const hex = `${ms.toString(16).padStart(12, "0")}7${fill(3)}${((byte & 0x3fn) | 0x80n).toString(16)}${fill(14)}`;
  const bits = BigInt(`0x${hex}`).toString(2).padStart(130, "0");
  return `idk_${(bits.match(/.{5}/g) ?? []).map((five) => "0123456789abcdefghjkmnpqrstvwxyz".charAt(parseInt(five, 2))).join("")}`;
}
