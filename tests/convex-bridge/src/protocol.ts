/** The messages of Convex's sync protocol, as JSON; learnt from the official clients (see README.md). */
import type { JSONValue } from "convex/values";

export type StateVersion = { querySet: number; identity: number; ts: bigint };

export type AddQuery = { type: "Add"; queryId: number; udfPath: string; args: JSONValue; journal?: string | null };

export type ClientMessage =
  | {
      type: "Connect";
      sessionId: string;
      connectionCount: number;
      lastCloseReason?: string | null;
      maxObservedTimestamp?: string;
      clientTs?: number;
    }
  | {
      type: "ModifyQuerySet";
      baseVersion: number;
      newVersion: number;
      modifications: (AddQuery | { type: "Remove"; queryId: number })[];
    }
  | { type: "Mutation"; requestId: number; udfPath: string; args: JSONValue }
  | { type: "Action"; requestId: number; udfPath: string; args: JSONValue }
  | { type: "Authenticate"; baseVersion: number; tokenType: "Admin" | "User"; value: string }
  | { type: "Authenticate"; baseVersion: number; tokenType: "None" }
  | { type: "Event"; eventType: string; event: JSONValue };

export type Modification =
  | { type: "QueryUpdated"; queryId: number; value: JSONValue; logLines: string[]; journal: null }
  | {
      type: "QueryFailed";
      queryId: number;
      errorMessage: string;
      errorData?: JSONValue;
      logLines: string[];
      journal: null;
    }
  | { type: "QueryRemoved"; queryId: number };

export type ServerMessage =
  | {
      type: "Transition";
      startVersion: JSONValue;
      endVersion: JSONValue;
      modifications: Modification[];
      clientClockSkew: number | null;
      serverTs: number;
    }
  | { type: "TransitionChunk"; chunk: string; partNumber: number; totalParts: number; transitionId: string }
  | { type: "MutationResponse"; requestId: number; success: true; result: JSONValue; ts: string; logLines: string[] }
  | {
      type: "MutationResponse" | "ActionResponse";
      requestId: number;
      success: false;
      result: string;
      errorData?: JSONValue;
      logLines: string[];
    }
  | { type: "ActionResponse"; requestId: number; success: true; result: JSONValue; logLines: string[] }
  | { type: "AuthError"; error: string; baseVersion: number; authUpdateAttempted: boolean }
  | { type: "FatalError"; error: string }
  | { type: "Ping" };

/** A timestamp is sent as the base64 of its eight bytes, the lowest first. */
export function encodeTs(ts: bigint): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(ts);
  return bytes.toString("base64");
}

export function decodeTs(text: string): bigint {
  const bytes = Buffer.from(text, "base64");
  if (bytes.length !== 8) throw new Error("a timestamp has eight bytes");
  return bytes.readBigUInt64LE();
}

export function encodeVersion(version: StateVersion): JSONValue {
  return { querySet: version.querySet, identity: version.identity, ts: encodeTs(version.ts) };
}

/** The size beyond which the real backend sends a Transition in parts. */
const LARGEST_MESSAGE_CHARS = 5_000_000;

/** The texts to send for one message. Only JavaScript clients know parts; Rust gets one message whatever its size. */
export function frames(message: ServerMessage, knowsParts: boolean): string[] {
  const text = JSON.stringify(message);
  if (message.type !== "Transition" || !knowsParts || text.length <= LARGEST_MESSAGE_CHARS) return [text];
  const parts: string[] = [];
  for (let start = 0; start < text.length;) {
    let end = Math.min(start + LARGEST_MESSAGE_CHARS, text.length);
    // Not between the halves of one character.
    if (end < text.length && /[\uD800-\uDBFF]/.test(text.charAt(end - 1))) end -= 1;
    parts.push(text.slice(start, end));
    start = end;
  }
  return parts.map((chunk, partNumber) =>
    JSON.stringify({
      type: "TransitionChunk",
      chunk,
      partNumber,
      totalParts: parts.length,
      transitionId: String(text.length),
    } satisfies ServerMessage),
  );
}
