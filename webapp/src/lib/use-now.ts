import { useSyncExternalStore } from "react";

const TICK_MS = 1_000;
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  // The clock stands while nobody reads it.
  if (timer === undefined) now = Date.now();
  timer ??= setInterval(() => {
    now = Date.now();
    for (const tick of [...listeners]) tick();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The time, once a `step`; everything on screen that counts shares one clock. */
export function useNow(stepMs: number = TICK_MS): number {
  return useSyncExternalStore(
    subscribe,
    () => (stepMs <= TICK_MS ? now : Math.floor(now / stepMs) * stepMs),
    () => 0,
  );
}
