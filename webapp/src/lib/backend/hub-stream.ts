import type { StreamHandlers } from "./backend";
import { keepReading } from "./reconnect";
import type { SseEvent } from "./sse";
import type { Chunk } from "./wire.gen";

/**
 * Reads a chunk stream by the Durable Streams protocol (its section 5.8): `data` events carry JSON arrays, each
 * followed by a `control` event with the offset from which to go on after a break.
 */
export function readHubStream(path: string, fromOffset: string, { onChunks, onState }: StreamHandlers): () => void {
  let offset = fromOffset;
  let held: Chunk[] = [];
  let closed = false;

  const receive = ({ event, data }: SseEvent) => {
    if (event === "data") {
      // Held until its offset is known: a chunk is never shown without a place to resume from.
      held.push(...parseChunks(data));
      return;
    }
    if (event !== "control") return;
    const control = parseControl(data);
    if (!control) return;
    if (control.streamNextOffset) offset = control.streamNextOffset;
    const chunks = held;
    held = [];
    if (chunks.length > 0) onChunks(chunks, offset);
    if (control.streamClosed) {
      closed = true;
      stop();
      onState?.({ kind: "closed" });
    }
  };

  onState?.({ kind: "connecting" });
  const stop = keepReading({
    url: () => `${path}?offset=${encodeURIComponent(offset)}&live=sse`,
    onOpen: () => {
      held = [];
      onState?.({ kind: "live" });
    },
    onEvent: receive,
    onLost: () => {
      if (!closed) onState?.({ kind: "connecting" });
    },
    onRefused: (error) => onState?.({ kind: "refused", error }),
  });
  return stop;
}

function parseChunks(data: string): Chunk[] {
  try {
    const value: unknown = JSON.parse(data);
    return (Array.isArray(value) ? value : [value]) as Chunk[];
  } catch {
    return [];
  }
}

function parseControl(data: string): { streamNextOffset?: string; streamClosed?: boolean } | null {
  try {
    return JSON.parse(data) as { streamNextOffset?: string; streamClosed?: boolean };
  } catch {
    return null;
  }
}
