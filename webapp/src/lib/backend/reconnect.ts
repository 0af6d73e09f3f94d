import { BackendError } from "./backend";
import { backoffMs, onWake } from "./backoff";
import { readSse, type SseEvent } from "./sse";

/** A ping comes every 15 s: a connection silent for longer when the person comes back is not waited for. */
const SUSPECT_AFTER_MS = 20_000;

/** Refusals that trying again would not change; all others pass. */
export const FINAL: ReadonlySet<BackendError["code"]> = new Set<BackendError["code"]>([
  "invalid",
  "too_large",
  "unauthenticated",
  "forbidden",
  "not_found",
  "revoked",
  "expired",
  "upgrade_required",
]);

export interface ReconnectHandlers {
  /** Where to read from now on; asked anew for every try. */
  url: () => string;
  onOpen: () => void;
  onEvent: (event: SseEvent) => void;
  /** The connection is gone and will be tried again; `since` is when something last came. */
  onLost: (since: number | null) => void;
  /** The backend said no: nothing more is tried. */
  onRefused: (error: BackendError) => void;
}

/**
 * Keeps one server-sent event stream open: tries again with backoff, and at once when the network or the person
 * comes back. Returns what ends it.
 */
export function keepReading(handlers: ReconnectHandlers): () => void {
  const ended = new AbortController();
  let current = new AbortController();
  let wakeSleeper: () => void = () => undefined;
  let lastByteAt: number | null = null;

  const stopListening = onWake(() => {
    wakeSleeper();
    if (lastByteAt !== null && Date.now() - lastByteAt > SUSPECT_AFTER_MS) current.abort();
  });

  // A function, since the signal changes while the loop waits.
  const isEnded = () => ended.signal.aborted;

  const run = async () => {
    let attempt = 0;
    while (!isEnded()) {
      current = new AbortController();
      try {
        await readSse(
          handlers.url(),
          {
            onOpen: () => {
              attempt = 0;
              handlers.onOpen();
            },
            onEvent: handlers.onEvent,
            onByte: () => {
              lastByteAt = Date.now();
            },
          },
          AbortSignal.any([ended.signal, current.signal]),
        );
      } catch (error) {
        if (isEnded()) return;
        if (error instanceof BackendError && FINAL.has(error.code)) {
          stopListening();
          handlers.onRefused(error);
          return;
        }
      }
      if (isEnded()) return;
      handlers.onLost(lastByteAt);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, backoffMs(attempt));
        wakeSleeper = () => {
          clearTimeout(timer);
          resolve();
        };
        ended.signal.addEventListener("abort", wakeSleeper, { once: true });
      });
      attempt += 1;
    }
  };
  void run();

  return () => {
    stopListening();
    ended.abort();
  };
}
