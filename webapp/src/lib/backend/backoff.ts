const FIRST_MS = 250;
const MAX_MS = 15_000;

/** How long to wait before try number `attempt` (from 0): doubles, with jitter so that tabs don't come in step. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const ceiling = Math.min(MAX_MS, FIRST_MS * 2 ** attempt);
  return Math.round(ceiling / 2 + (random() * ceiling) / 2);
}

const wakers = new Set<() => void>();

/** Wakes all that wait, for a person who came back to another tab. */
export function wakeAll(): void {
  for (const wake of [...wakers]) wake();
}

/** Runs `wake` when the network or the person comes back: the moments at which waiting longer makes no sense. */
export function onWake(wake: () => void): () => void {
  wakers.add(wake);
  const visible = () => {
    if (document.visibilityState === "visible") wake();
  };
  window.addEventListener("online", wake);
  window.addEventListener("pageshow", wake);
  document.addEventListener("visibilitychange", visible);
  return () => {
    wakers.delete(wake);
    window.removeEventListener("online", wake);
    window.removeEventListener("pageshow", wake);
    document.removeEventListener("visibilitychange", visible);
  };
}
