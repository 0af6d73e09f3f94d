// The form of ids is that of crates/protocol/src/ids.rs: a prefix and the 128 bits of a UUIDv7 in base 32.
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const ID_CHARS = 26;

/** A new idempotency key: one per intent of a person, kept for every repetition of the call. */
export function newIdempotencyKey(now: number = Date.now(), entropy: Uint8Array = randomBytes(10)): string {
  return `idk_${encodeId(uuidV7(now, entropy))}`;
}

function randomBytes(count: number): Uint8Array {
  // crypto.getRandomValues also exists where the page comes over plain HTTP, unlike crypto.randomUUID.
  return crypto.getRandomValues(new Uint8Array(count));
}

function uuidV7(now: number, entropy: Uint8Array): bigint {
  let value = BigInt(now) & 0xffff_ffff_ffffn;
  for (let index = 0; index < 10; index += 1) {
    let byte = entropy[index] ?? 0;
    if (index === 0) byte = (byte & 0x0f) | 0x70;
    if (index === 2) byte = (byte & 0x3f) | 0x80;
    value = (value << 8n) | BigInt(byte);
  }
  return value;
}

/** 128 bits as ids are written. */
export function encodeId(value: bigint): string {
  let text = "";
  for (let place = ID_CHARS - 1; place >= 0; place -= 1) {
    text += ALPHABET.charAt(Number((value >> BigInt(5 * place)) & 31n));
  }
  return text;
}
