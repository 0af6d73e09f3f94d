import { asBackendError, BackendError, type StreamHandlers } from "./backend";
import { backoffMs } from "./backoff";
import { readHubStream } from "./hub-stream";
import { FINAL } from "./reconnect";
import { refusal } from "./sse";
import type { Chunk } from "./wire.gen";

/**
 * Streams that have a connection of their own. Of the six that a browser opens to a host over HTTP/1.1 one or two
 * are the watches', one is for streams that take turns, and one stays free for calls.
 */
export const OWN_CONNECTIONS = 2;
/** How long the streams that take turns rest between two rounds. */
const ROUND_MS = 250;
/** How long one read may take before it counts as lost. */
const READ_TIMEOUT_MS = 15_000;

interface Reading {
  path: string;
  /** From where to read on. */
  offset: string;
  handlers: StreamHandlers;
  /** Ends the connection of its own; null while it takes turns. */
  close: (() => void) | null;
  /** Aborts a read of its turn. */
  ended: AbortController;
  inTurn: boolean;
}

/**
 * Chunk streams of the hub, any number of them over few connections: the longest followed have one each, the
 * others are read in turns over one more, from where the turn before ended.
 */
export class HubStreams {
  /** In the order in which they were asked for. */
  #readings: Reading[] = [];
  #turning = false;

  read(path: string, fromOffset: string, handlers: StreamHandlers): () => void {
    const reading: Reading = {
      path,
      offset: fromOffset,
      handlers,
      close: null,
      ended: new AbortController(),
      inTurn: false,
    };
    this.#readings.push(reading);
    this.#arrange();
    return () => this.#end(reading);
  }

  #arrange(): void {
    let free = OWN_CONNECTIONS - this.#readings.filter(({ close }) => close).length;
    for (const reading of this.#readings) {
      if (free <= 0) break;
      if (reading.close || reading.inTurn) continue;
      this.#open(reading);
      free -= 1;
    }
    if (this.#readings.some(({ close }) => !close)) void this.#takeTurns();
  }

  #open(reading: Reading): void {
    const { handlers } = reading;
    reading.close = readHubStream(reading.path, reading.offset, {
      onChunks: (chunks, nextOffset) => {
        reading.offset = nextOffset;
        handlers.onChunks(chunks, nextOffset);
      },
      onState: (state) => {
        if (state.kind === "closed" || state.kind === "refused") this.#end(reading);
        handlers.onState?.(state);
      },
    });
  }

  #end(reading: Reading): void {
    if (!this.#readings.includes(reading)) return;
    this.#readings = this.#readings.filter((other) => other !== reading);
    reading.ended.abort();
    reading.close?.();
    this.#arrange();
  }

  async #takeTurns(): Promise<void> {
    if (this.#turning) return;
    this.#turning = true;
    let failures = 0;
    for (;;) {
      const waiting = this.#readings.filter(({ close }) => !close);
      if (waiting.length === 0) break;
      let lost = false;
      for (const reading of waiting) {
        if (reading.close || reading.ended.signal.aborted) continue;
        reading.inTurn = true;
        const worked = await this.#readTurn(reading);
        reading.inTurn = false;
        if (!worked) lost = true;
      }
      this.#arrange();
      failures = lost ? failures + 1 : 0;
      await new Promise((resolve) => setTimeout(resolve, lost ? backoffMs(failures) : ROUND_MS));
    }
    this.#turning = false;
  }

  /** Reads what there is beyond the offset, without waiting for more; false if it is to be tried again later. */
  async #readTurn(reading: Reading): Promise<boolean> {
    const { handlers } = reading;
    try {
      const response = await fetch(`${reading.path}?offset=${encodeURIComponent(reading.offset)}`, {
        credentials: "same-origin",
        cache: "no-store",
        signal: AbortSignal.any([reading.ended.signal, AbortSignal.timeout(READ_TIMEOUT_MS)]),
      });
      if (!response.ok) throw await refusal(response);
      const chunks = (await response.json()) as Chunk[];
      // Another tick may have ended it while its body came.
      if (reading.ended.signal.aborted) return true;
      reading.offset = response.headers.get("Stream-Next-Offset") ?? reading.offset;
      if (chunks.length > 0) handlers.onChunks(chunks, reading.offset);
      handlers.onState?.({ kind: "live" });
      if (response.headers.get("Stream-Closed") === "true") {
        this.#end(reading);
        handlers.onState?.({ kind: "closed" });
      }
      return true;
    } catch (thrown) {
      if (reading.ended.signal.aborted) return true;
      if (thrown instanceof BackendError && FINAL.has(thrown.code)) {
        this.#end(reading);
        handlers.onState?.({ kind: "refused", error: asBackendError(thrown) });
        return true;
      }
      handlers.onState?.({ kind: "connecting" });
      return false;
    }
  }
}
