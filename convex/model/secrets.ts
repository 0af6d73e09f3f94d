import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

/** What it is for, as its first letters say: a registration key, a machine, a connection without a nonce, a webhook. */
export type SecretPrefix = "ork" | "oms" | "t" | "owh";

const DIGITS = 64;
const CHECKSUM_CHARS = 4;

const digest = (text: string): Uint8Array => sha256(new TextEncoder().encode(text));

/** 256 random bits in hexadecimal, and a checksum with which a mistyped secret is told from a wrong one. */
export function newSecret(prefix: SecretPrefix): string {
  return secretOf(prefix, crypto.getRandomValues(new Uint8Array(DIGITS / 2)));
}

/** The secret that 32 bytes make. */
export function secretOf(prefix: SecretPrefix, entropy: Uint8Array): string {
  const body = `${prefix}_${bytesToHex(entropy)}`;
  return body + checksum(body);
}

/** A secret that follows from others, so that who has them can be given it again without anybody keeping it. */
export function derivedSecret(prefix: SecretPrefix, from: readonly string[]): string {
  const hasher = sha256.create();
  for (const text of from) {
    const bytes = new TextEncoder().encode(text);
    const length = new Uint8Array(8);
    new DataView(length.buffer).setUint32(4, bytes.length);
    hasher.update(length).update(bytes);
  }
  return secretOf(prefix, hasher.digest());
}

/** Whether this is a complete secret of that kind: nothing is missing or mistyped. */
export function isWellFormed(secret: string, prefix: SecretPrefix): boolean {
  const body = secret.slice(0, -CHECKSUM_CHARS);
  return (
    body.startsWith(`${prefix}_`) &&
    body.length === prefix.length + 1 + DIGITS &&
    checksum(body) === secret.slice(-CHECKSUM_CHARS)
  );
}

/** What is stored of a secret. A slow hash would add nothing: the secrets are 256 random bits. */
export const hashOf = (secret: string): string => bytesToHex(digest(secret));

/** Whether it is the hash of that secret; takes the same time for every wrong one. */
export function matches(hash: string, secret: string): boolean {
  const other = hashOf(secret);
  let difference = hash.length ^ other.length;
  for (let at = 0; at < other.length; at += 1) {
    difference |= hash.charCodeAt(at) ^ other.charCodeAt(at);
  }
  return difference === 0;
}

const checksum = (body: string): string => bytesToHex(digest(body).subarray(0, CHECKSUM_CHARS / 2));
