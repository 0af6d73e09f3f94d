import { createParser } from "eventsource-parser";

import { BackendError } from "./backend";
import type { CallError } from "./wire.gen";

/** After this long without a byte a connection counts as dead; the backend pings every 15 s. */
export const SSE_DEAD_MS = 45_000;

export interface SseEvent {
  event: string;
  data: string;
}

export interface SseHandlers {
  onOpen: () => void;
  onEvent: (event: SseEvent) => void;
  /** Something came, were it only a ping. */
  onByte: () => void;
}

/**
 * Reads one server-sent event stream until it ends, fails, or is silent for too long. Unlike `EventSource` it
 * tells the status of a refusal, notices a connection that died silently, and leaves reconnecting to its caller.
 * @throws BackendError when the stream was refused, could not be reached, broke or went silent
 */
export async function readSse(url: string, handlers: SseHandlers, signal: AbortSignal): Promise<void> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SSE_DEAD_MS);
  const stillAlive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SSE_DEAD_MS);
    handlers.onByte();
  };
  try {
    const response = await fetch(url, {
      headers: { Accept: "text/event-stream" },
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (!response.ok) throw await refusal(response);
    if (!response.body) throw new BackendError("network", "The backend's answer has no body.");
    handlers.onOpen();
    stillAlive();
    const parser = createParser({
      onEvent: ({ event, data }) => handlers.onEvent({ event: event ?? "message", data }),
    });
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      stillAlive();
      parser.feed(decoder.decode(value, { stream: true }));
    }
  } catch (error) {
    if (signal.aborted || error instanceof BackendError) throw error;
    throw new BackendError("network", "The connection to the backend was lost.");
  } finally {
    clearTimeout(timer);
    // Frees the connection also where an error left the loop before the body's end.
    silence.abort();
  }
}

/** The error that a refused request's body tells, or the best that can be said without one. */
export async function refusal(response: Response): Promise<BackendError> {
  try {
    const error = (await response.json()) as Partial<CallError>;
    if (typeof error.code === "string" && typeof error.message === "string")
      return BackendError.from(error as CallError);
  } catch {
    // Not JSON: a proxy's page, say. The status has to do.
  }
  if (response.status === 401) return new BackendError("unauthenticated", "You are signed out. Sign in again.");
  if (response.status === 429)
    return new BackendError("rate_limited", "Too many tries. Wait a moment, then try again.");
  if (response.status >= 500)
    return new BackendError(
      "unavailable",
      `The backend can't answer now (HTTP ${response.status}). Try again in a moment.`,
    );
  return new BackendError("invalid", `The backend refused this (HTTP ${response.status}).`);
}
