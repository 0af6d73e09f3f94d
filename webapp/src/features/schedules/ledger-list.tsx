"use client";

import { ErrorNote } from "@/components/error-note";
import { ShowEarlier } from "@/components/show-earlier";
import type { RunId, RunSummary } from "@/lib/backend/wire.gen";

import { RunRow } from "./run-row";
import type { useLedger } from "./use-ledger";

/** Every firing with what became of it, latest first. */
export function LedgerList(props: {
  ledger: ReturnType<typeof useLedger>;
  zoneOfRun: (run: RunSummary) => string;
  now: number;
  withName?: boolean;
  /** The row somebody has picked in the timeline. */
  picked?: RunId | null;
}) {
  const { runs = [], hasEarlier, loadEarlier, loading, error } = props.ledger;
  return (
    <div className="flex flex-col gap-3">
      <ol className="divide-y overflow-hidden rounded-xl border bg-card" aria-label="Runs" data-testid="ledger">
        {runs.map((run) => (
          <RunRow
            key={run.id}
            run={run}
            zone={props.zoneOfRun(run)}
            now={props.now}
            withName={props.withName ?? false}
            isPicked={run.id === props.picked}
          />
        ))}
      </ol>
      {error && <ErrorNote>{error.message}</ErrorNote>}
      {hasEarlier && <ShowEarlier loading={loading} onLoad={loadEarlier} testId="ledger-earlier" />}
    </div>
  );
}
