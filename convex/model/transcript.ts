import { hashOfTexts } from "./canonical";
import { LIMITS, type FullMessage } from "./gen/wire";
import { refusal } from "./refusal";
import { byteLength } from "./texts";

/** A complete answer that has been checked. */
export interface CheckedAnswer {
  hash: string;
  json: string;
  bytes: number;
}

/** Checks that an answer's text came whole and is not too long. */
export function checkedAnswer(answer: FullMessage): CheckedAnswer {
  if (textHash(answer.parts) !== answer.hash) {
    throw refusal("invalid", "The answer's text does not have the hash that came with it. Send it again.");
  }
  const json = JSON.stringify(answer);
  const bytes = byteLength(json);
  if (bytes > LIMITS.fullMessageMaxBytes) {
    throw refusal("too_large", `The complete message has ${bytes} bytes; ${LIMITS.fullMessageMaxBytes} is the limit.`);
  }
  return { hash: answer.hash, json, bytes };
}

/**
 * The hash of an answer's text: SHA-256 over each text part that is not empty, in order, each followed by a zero
 * byte. Reasoning and tools are not in it: they may be cut.
 */
export const textHash = (parts: FullMessage["parts"]): string =>
  hashOfTexts(...parts.flatMap((part) => (part.kind === "text" && part.text !== "" ? [part.text] : [])));
