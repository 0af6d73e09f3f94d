/** Errors as a client sees them. */
import { randomBytes } from "node:crypto";
import { convexToJson, type JSONValue, type Value } from "convex/values";

/**
 * `production` shows nothing of an error but a ConvexError's data, as a production deployment does (and a self-hosted
 * one with --redact-logs-to-client). `development` adds the text, as a development deployment does, and a self-hosted
 * one by default. The texts that Convex itself makes (unknown function, ArgumentValidationError) are hidden alike.
 */
export type ErrorStyle = "production" | "development";

/** What a failed function gives. `text` is the whole truth, for stderr; `data` is a ConvexError's. */
export type Failure = { text: string; data?: JSONValue };

export function failureOf(thrown: unknown): Failure {
  if (isConvexError(thrown)) {
    return { text: `Uncaught ConvexError: ${JSON.stringify(thrown.data)}`, data: convexToJson(thrown.data) };
  }
  if (thrown instanceof KnownFailure) return { text: thrown.message };
  return { text: `Uncaught ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}` };
}

/** A failure whose text Convex makes, not the function. */
export class KnownFailure extends Error {}

/** The message beside the data; each has its own request id, as in Convex. */
export function clientMessage(failure: Failure, style: ErrorStyle): string {
  const shown = `[Request ID: ${randomBytes(8).toString("hex")}] Server Error`;
  return style === "production" ? shown : `${shown}\n${failure.text}`;
}

/** A request that failed before any function ran: HTTP answers with the status and `{code, message}`. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

function isConvexError(thrown: unknown): thrown is { data: Value } {
  return typeof thrown === "object" && thrown !== null && Symbol.for("ConvexError") in thrown;
}
