import { LIMITS } from "./gen/wire";
import { refusal } from "./refusal";

const encoder = new TextEncoder();

/** A text's size as the limits count it: in bytes of UTF-8. */
export const byteLength = (text: string): number => encoder.encode(text).length;

/** A value's size as JSON, in bytes. */
export const jsonBytes = (value: unknown): number => byteLength(JSON.stringify(value));

/** The longest beginning of a text that has at most so many bytes and does not cut a character in two. */
export function beginning(text: string, maxBytes: number): string {
  const bytes = encoder.encode(text);
  if (bytes.length <= maxBytes) {
    return text;
  }
  return decoder.decode(bytes.subarray(0, boundaryBefore(bytes, maxBytes)));
}

/** The last place at or before `at` where a character begins. */
export function boundaryBefore(bytes: Uint8Array, at: number): number {
  let boundary = at;
  while (boundary > 0 && ((bytes[boundary] ?? 0) & 0b1100_0000) === 0b1000_0000) {
    boundary -= 1;
  }
  return boundary;
}

/** Reads UTF-8 as it is, a byte order mark included. */
export const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export const hasControl = (text: string): boolean => /\p{Cc}/u.test(text);

/** Without blanks around it. Not String's own trim, whose idea of a blank is not Unicode's. */
export function trimmed(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charAt(start))) {
    start += 1;
  }
  while (end > start && isBlank(text.charAt(end - 1))) {
    end -= 1;
  }
  return text.slice(start, end);
}

const isBlank = (character: string): boolean => /^\p{White_Space}$/u.test(character);

/** A name without blanks around it, if it is one. */
export function checkedName(text: string): string {
  const name = trimmed(text);
  const size = byteLength(name);
  if (size === 0) {
    throw refusal("invalid", "The name is empty. Give it at least one character.");
  }
  if (size > LIMITS.nameMaxBytes) {
    throw refusal(
      "too_large",
      `The name has ${size} bytes; ${LIMITS.nameMaxBytes} is the limit. Choose a shorter one.`,
    );
  }
  if (hasControl(name)) {
    throw refusal("invalid", "The name has control characters. Leave them out.");
  }
  return name;
}

/** A text for a person, cut to its limit. */
export function boundedReason(reason: string): string {
  const kept = beginning(reason, LIMITS.reasonMaxBytes);
  return kept === reason ? reason : `${kept}…`;
}

const LABEL_MAX_BYTES = 256;

/** A text that is neither empty nor long, such as the name of an agent. */
export function checkedLabel(text: string, what: string): string {
  if (text === "" || byteLength(text) > LABEL_MAX_BYTES || hasControl(text)) {
    throw refusal("invalid", `${what} has to be 1 to ${LABEL_MAX_BYTES} bytes without control characters.`);
  }
  return text;
}

/** A model's name, as `provider/model`. */
export function checkedModel(model: string): string {
  const slash = model.indexOf("/");
  if (slash <= 0 || slash === model.length - 1) {
    throw refusal("invalid", "A model is written provider/model, for example anthropic/claude-sonnet-4-5.");
  }
  return checkedLabel(model, "model");
}

/** The beginning of a message as a title: its first line, cut at a word. */
export function titleFrom(message: string): string {
  const first =
    message
      .split("\n")
      .map(trimmed)
      .find((line) => line !== "") ?? "";
  const line = first.replace(/\p{Cc}/gu, "");
  if (byteLength(line) <= LIMITS.nameMaxBytes) {
    return line;
  }
  const cut = beginning(line, LIMITS.nameMaxBytes - byteLength("…"));
  const lastBlank = cut.lastIndexOf(" ");
  return `${lastBlank < 0 ? cut : cut.slice(0, lastBlank)}…`;
}

/** What is there, changed; what is not stays so. */
export const maybe = <T, U>(value: T | null | undefined, change: (value: T) => U): U | null =>
  value === null || value === undefined ? null : change(value);
