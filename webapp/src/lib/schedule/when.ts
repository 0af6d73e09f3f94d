/** When a schedule fires, as it crosses the wire; the twin of `protocol::schedule::When`. Instants are in milliseconds. */
export type When =
  | { kind: "cron"; expression: string; zone: string }
  | { kind: "interval"; everyMinutes: number; anchor: number; zone: string }
  | { kind: "unknown" };

export type WhenErrorCode =
  "empty" | "too_long" | "fields" | "field" | "too_often" | "never" | "zone" | "interval" | "phrase" | "kind";

/** Why something does not say when to fire, and what to write instead. */
export class WhenError extends Error {
  override readonly name = "WhenError";

  constructor(
    readonly code: WhenErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** How long a text is in UTF-8. */
export function byteLength(text: string): number {
  let bytes = 0;
  for (const letter of text) {
    const point = letter.codePointAt(0) ?? 0;
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return bytes;
}
