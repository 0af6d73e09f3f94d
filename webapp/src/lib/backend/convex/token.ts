import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";

import type { Person } from "../backend";
import { encodeId } from "../idempotency";

/** What the page reads of a token. Whether it is true, the deployment decides. */
export interface Claims {
  person: Person;
  /** When it expires; null: it does not say. */
  expiresAt: number | null;
}

/** What the page needs of a JSON Web Token; null if it is none. */
export function readToken(token: string): Claims | null {
  const claims = claimsOf(token);
  if (!claims) return null;
  const { iss, sub, exp } = claims;
  if (typeof iss !== "string" || typeof sub !== "string") return null;
  const name = [claims.name, claims.preferred_username, claims.email].find(
    (candidate) => typeof candidate === "string" && candidate !== "",
  );
  return {
    person: { id: personId(`${iss}|${sub}`), name: (name as string | undefined) ?? "owner" },
    expiresAt: typeof exp === "number" ? exp * 1_000 : null,
  };
}

/** The claims of a JSON Web Token as they are; null if it is none. */
export function claimsOf(token: string): Record<string, unknown> | null {
  const [, payload, , ...more] = token.split(".");
  if (payload === undefined || more.length > 0) return null;
  try {
    const claims: unknown = JSON.parse(fromBase64Url(payload));
    return typeof claims === "object" && claims !== null ? (claims as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** The id of a person, as the deployment makes it from what Convex calls the token identifier. */
export function personId(tokenIdentifier: string): string {
  let value = 0n;
  for (const byte of sha256(utf8ToBytes(tokenIdentifier)).slice(0, 16)) value = (value << 8n) | BigInt(byte);
  return `per_${encodeId(value)}`;
}

function fromBase64Url(text: string): string {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return new TextDecoder().decode(Uint8Array.from(binary, (char) => char.charCodeAt(0)));
}
