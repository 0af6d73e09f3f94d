"use client";

import { useCallback } from "react";

import { ErrorNote } from "@/components/error-note";
import { Skeleton } from "@/components/ui/skeleton";
import { useWatch } from "@/lib/backend/react";
import type { WorkerId } from "@/lib/backend/wire.gen";

import { LedgerList } from "./ledger-list";
import { useLedger } from "./use-ledger";
import { browserZone } from "./zone-time";

const ALL = {};

/** The ledger of all schedules, those that were deleted too. */
export function AllRuns({ worker, now }: { worker: WorkerId | undefined; now: number }) {
  const { value, state } = useWatch("schedule.ledger", ALL);
  const ledger = useLedger(ALL, value);
  const zone = useCallback(() => browserZone(), []);
  if (state.kind === "refused") return <ErrorNote>{state.error.message}</ErrorNote>;
  if (!ledger.runs) return <Skeleton className="h-32" />;
  const runs = worker === undefined ? ledger.runs : ledger.runs.filter(({ workerId }) => workerId === worker);
  if (runs.length === 0 && !ledger.hasEarlier) {
    return (
      <p className="rounded-xl border border-dashed px-6 py-12 text-center text-muted-foreground" data-testid="no-runs">
        Nothing was due yet. Each firing gets a row here, whatever becomes of it.
      </p>
    );
  }
  return (
    <section aria-label="All runs" className="flex flex-col gap-2">
      <p className="text-xs text-muted-foreground">
        Each firing with what became of it, of deleted schedules too. Times are of {browserZone()}.
      </p>
      <LedgerList ledger={{ ...ledger, runs }} zoneOfRun={zone} now={now} withName />
    </section>
  );
}
