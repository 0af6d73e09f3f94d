import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

/** A value as JSON with each object's members in one order, so that equal values have equal texts. */
export const canonicalJson = (value: unknown): string => JSON.stringify(value, inOrder);

function inOrder(_: string, value: unknown): unknown {
  if (typeof value === "bigint") {
    // No argument is one, but whoever sends one is to hear so.
    return `${value}n`;
  }
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;
}

/** SHA-256 of texts, each ended by a zero byte, in hexadecimal. */
export function hashOfTexts(...texts: readonly string[]): string {
  const hasher = sha256.create();
  const encoder = new TextEncoder();
  for (const text of texts) {
    hasher.update(encoder.encode(text)).update(new Uint8Array(1));
  }
  return bytesToHex(hasher.digest());
}
