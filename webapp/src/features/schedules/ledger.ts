import type { Ledger, RunSummary } from "@/lib/backend/wire.gen";

/** The ledger's order: latest first, by the instant they were due. */
function isBefore(one: RunSummary, other: RunSummary): boolean {
  return one.dueAt < other.dueAt || (one.dueAt === other.dueAt && one.id < other.id);
}

/** What is known with the latest page anew. If rows may be missing between the two, only the page is known. */
export function withLatest(known: Ledger | null, latest: Ledger): Ledger {
  if (!known) return latest;
  const inLatest = new Set(latest.runs.map(({ id }) => id));
  const touches = known.runs.some(({ id }) => inLatest.has(id));
  if (!touches || !latest.hasEarlier) return latest;
  const last = latest.runs.at(-1);
  const earlier = known.runs.filter((run) => !inLatest.has(run.id) && last !== undefined && isBefore(run, last));
  return { runs: [...latest.runs, ...earlier], hasEarlier: earlier.length > 0 ? known.hasEarlier : latest.hasEarlier };
}

/** What is known with the page before its last row. */
export function withEarlier(known: Ledger, page: Ledger, last: string): Ledger {
  // It was asked for before the list began anew.
  if (known.runs.at(-1)?.id !== last) return known;
  return { runs: [...known.runs, ...page.runs], hasEarlier: page.hasEarlier };
}
