import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

import type { Part } from "../backend/wire.gen";

const ZERO = new Uint8Array(1);

/**
 * The hash of an answer's text, as crates/protocol/src/transcript.rs makes it: SHA-256, in hexadecimal, over the
 * UTF-8 of each text part that is not empty, in order, each followed by a zero byte. Not by the browser's own
 * crypto.subtle, which is not there when the page comes over plain HTTP.
 */
export function textHash(parts: readonly Part[]): string {
  const hasher = sha256.create();
  for (const part of parts) {
    if (part.kind !== "text" || part.text === "") continue;
    hasher.update(utf8ToBytes(part.text)).update(ZERO);
  }
  return bytesToHex(hasher.digest());
}
