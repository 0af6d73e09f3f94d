import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

/** A value as JSON with each object's members in one order, so that equal values have equal texts. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
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
