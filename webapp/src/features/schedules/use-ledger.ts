import { useCallback, useMemo, useState } from "react";

import { asBackendError, type BackendError } from "@/lib/backend/backend";
import { useBackend, useWatchMany } from "@/lib/backend/react";
import type { Ledger, LedgerArgs, RunSummary } from "@/lib/backend/wire.gen";

import { withEarlier, withLatest } from "./ledger";
import { isOpenRun } from "./run-look";

/** Open runs that have left the live page and are followed one by one. */
const FOLLOWED_MAX = 20;

/** A ledger: its latest page live, as it is given, and earlier ones as they are asked for. */
export function useLedger(args: Pick<LedgerArgs, "scheduleId" | "from">, latest: Ledger | undefined) {
  const backend = useBackend();
  const [{ known, seen }, setState] = useState<{ known: Ledger | null; seen: Ledger | undefined }>({
    known: null,
    seen: undefined,
  });
  const [loading, setLoading] = useState(false);
  const [error, setError] = useState<BackendError | null>(null);
  // What came while this renders, so that no row shows an older state in between.
  if (latest && latest !== seen) setState({ known: withLatest(known, latest), seen: latest });

  const live = useMemo(() => new Set(latest?.runs.map(({ id }) => id)), [latest]);
  const followed = useWatchMany(
    "schedule.ledger",
    (known?.runs ?? [])
      .filter((run) => !live.has(run.id) && isOpenRun(run))
      .slice(0, FOLLOWED_MAX)
      .map(({ scheduleId, dueAt }) => ({ scheduleId, from: dueAt, until: dueAt + 1 })),
  );
  const runs = useMemo((): RunSummary[] | undefined => {
    const fresh = new Map(followed.flatMap((page) => page.runs.map((run) => [run.id, run])));
    return known?.runs.map((run) => (live.has(run.id) ? run : (fresh.get(run.id) ?? run)));
  }, [known, live, followed]);

  const last = known?.runs.at(-1)?.id;
  const { scheduleId, from } = args;
  const loadEarlier = useCallback(async () => {
    if (last === undefined) return;
    setLoading(true);
    setError(null);
    try {
      const page = await backend.call("schedule.ledger", {
        ...(scheduleId == null ? {} : { scheduleId }),
        ...(from == null ? {} : { from }),
        before: last,
      });
      setState((state) => ({ ...state, known: state.known && withEarlier(state.known, page, last) }));
    } catch (thrown) {
      setError(asBackendError(thrown));
    } finally {
      setLoading(false);
    }
  }, [backend, scheduleId, from, last]);

  return { runs, hasEarlier: known?.hasEarlier ?? false, loadEarlier, loading, error };
}
