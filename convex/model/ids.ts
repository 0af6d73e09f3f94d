import { sha256 } from "@noble/hashes/sha2.js";

/** The prefix of each kind of id, and what a person calls the thing. */
export const ID_KINDS = {
  per: "person",
  mch: "machine",
  wrk: "worker",
  cht: "chat session",
  trn: "turn",
  ask: "ask",
  cmd: "command",
  sch: "schedule",
  run: "run",
  idk: "idempotency key",
} as const;

export type IdPrefix = keyof typeof ID_KINDS;

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const ID_CHARS = 26;
const ENTROPY_BYTES = 10;

/** A new id: the 128 bits of a UUIDv7, so that a listing by id is a listing by age. */
export function newId(prefix: IdPrefix): string {
  return idOf(prefix, Date.now(), crypto.getRandomValues(new Uint8Array(ENTROPY_BYTES)));
}

/** The id that the time and ten random bytes make. */
export function idOf(prefix: IdPrefix, now: number, entropy: Uint8Array): string {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(now / 2 ** 32));
  view.setUint32(2, now % 2 ** 32);
  bytes.set(entropy, 6);
  view.setUint8(6, (view.getUint8(6) & 0x0f) | 0x70);
  view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80);
  return `${prefix}_${encoded(bytes)}`;
}

/** Whether a text is an id of that kind. */
export function isId(text: string, prefix: IdPrefix): boolean {
  const rest = text.startsWith(`${prefix}_`) ? text.slice(prefix.length + 1) : "";
  return rest.length === ID_CHARS && new RegExp(`^[${ALPHABET}]+$`).test(rest);
}

/** A person's id, which follows from who their provider says they are. */
export function personIdOf(tokenIdentifier: string): string {
  return `per_${encoded(sha256(new TextEncoder().encode(tokenIdentifier)).subarray(0, 16))}`;
}

/** 16 bytes as 26 characters of base 32 that order as the bytes do. */
function encoded(bytes: Uint8Array): string {
  let value = bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
  let text = "";
  for (let place = 0; place < ID_CHARS; place += 1) {
    text = ALPHABET.charAt(Number(value & 31n)) + text;
    value >>= 5n;
  }
  return text;
}
