import { useEffect } from "react";

import { useWatch } from "@/lib/backend/react";
import type { RunSummary, Timestamp } from "@/lib/backend/wire.gen";

import { useLedger } from "./use-ledger";

/** Runs that are fetched for a view of all schedules; what is before them is said to be missing. */
const RUNS_MAX = 600;

/** The runs of all schedules since then, live; page by page, up to so many. */
export function usePastRuns(from: Timestamp): { runs: readonly RunSummary[]; isCut: boolean } {
  const { value } = useWatch("schedule.ledger", { from });
  const { runs = NONE, hasEarlier, loadEarlier, loading, error } = useLedger({ from }, value);
  const wantsMore = hasEarlier && !loading && error === null && runs.length < RUNS_MAX;
  useEffect(() => {
    if (wantsMore) void loadEarlier();
  }, [wantsMore, loadEarlier]);
  return { runs, isCut: hasEarlier && !wantsMore && !loading };
}

const NONE: readonly RunSummary[] = [];
