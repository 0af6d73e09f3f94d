"use client";

import { PencilIcon } from "lucide-react";
import { useMemo, useState } from "react";

import { ErrorNote } from "@/components/error-note";
import { RouteLink } from "@/components/route-link";
import { buttonVariants } from "@/components/ui/button";
import { Skeleton } from "@/components/ui/skeleton";
import { NotFound } from "@/features/shell/not-found";
import { PageHeader } from "@/features/shell/page-header";
import { useWatch } from "@/lib/backend/react";
import type { Ledger, RunId, RunSummary, ScheduleId, ScheduleView } from "@/lib/backend/wire.gen";
import { navigate } from "@/lib/route";
import { readableLine } from "@/lib/text/sanitise";
import { useNow } from "@/lib/use-now";
import { cn } from "@/lib/utils";

import { DayTimeline } from "./day-timeline";
import { EditSchedule } from "./editor/edit-schedule";
import { FiringPreview } from "./editor/firing-preview";
import { LedgerList } from "./ledger-list";
import { runRowId } from "./run-row";
import { PauseButton, RunNowButton, ScheduleMenu } from "./schedule-actions";
import { ScheduleFacts } from "./schedule-facts";
import { OpenRuns, ScheduleStateBadge } from "./schedule-state";
import { Scrolled } from "./scrolled";
import { useLedger } from "./use-ledger";
import { zoneOf } from "./zone-time";

/** One schedule: what it is, when it fires, and what became of each firing. Or its editor. */
export function SchedulePage({ scheduleId, tab }: { scheduleId: ScheduleId; tab?: "edit" | undefined }) {
  const { value, state } = useWatch("schedule.view", { scheduleId });
  if (state.kind === "refused" && state.error.code === "not_found")
    return <NotFound what="This schedule does not exist." />;
  if (!value) {
    return (
      <>
        <PageHeader>
          <Skeleton className="h-5 w-40" />
        </PageHeader>
        <Scrolled>
          {state.kind === "refused" ? <ErrorNote>{state.error.message}</ErrorNote> : <Skeleton className="h-32" />}
        </Scrolled>
      </>
    );
  }
  const { schedule } = value;
  const isEdited = tab === "edit" && !schedule.isDeleted;
  return (
    <>
      <PageHeader>
        <h1 className="truncate font-semibold" data-testid="schedule-title">
          {isEdited ? `Edit ${readableLine(schedule.name)}` : readableLine(schedule.name)}
        </h1>
        <ScheduleStateBadge schedule={schedule} />
        <span className="max-sm:hidden">
          <OpenRuns count={schedule.openRunCount} />
        </span>
        {!isEdited && !schedule.isDeleted && <Actions view={value} />}
      </PageHeader>
      <Scrolled key={isEdited ? "edit" : "detail"}>
        {isEdited ? <EditSchedule view={value} /> : <Detail view={value} />}
      </Scrolled>
    </>
  );
}

function Actions({ view: { schedule } }: { view: ScheduleView }) {
  return (
    <div className="ml-auto flex items-center gap-1.5">
      <span className="flex items-center gap-1.5 max-sm:hidden">
        <RunNowButton schedule={schedule} labelled />
        <PauseButton schedule={schedule} labelled />
      </span>
      <span className="flex items-center sm:hidden">
        <RunNowButton schedule={schedule} />
        <PauseButton schedule={schedule} />
      </span>
      <RouteLink
        to={{ page: "schedule", scheduleId: schedule.id, tab: "edit" }}
        className={cn(buttonVariants({ variant: "outline", size: "sm" }), "max-sm:hidden")}
        data-testid="edit-schedule"
      >
        <PencilIcon />
        Edit
      </RouteLink>
      <ScheduleMenu schedule={schedule} onDeleted={() => navigate({ page: "schedules" }, { replace: true })} />
    </div>
  );
}

function Detail({ view }: { view: ScheduleView }) {
  const { schedule, spec, runs, hasEarlier } = view;
  const now = useNow(15_000);
  const minute = useNow(60_000);
  const zone = zoneOf(spec.when);
  const latest = useMemo((): Ledger => ({ runs, hasEarlier }), [runs, hasEarlier]);
  const ledger = useLedger({ scheduleId: schedule.id }, latest);
  const [picked, setPicked] = useState<RunId | null>(null);
  const pick = (run: RunSummary) => {
    setPicked(run.id);
    document.getElementById(runRowId(run))?.scrollIntoView({ block: "center", behavior: "smooth" });
  };
  const known = ledger.runs ?? runs;
  return (
    <>
      {schedule.reason != null && (schedule.state === "paused" || schedule.isDeleted) && (
        <p
          className="rounded-lg border border-wait/30 bg-wait/10 px-3 py-2 text-sm text-wait"
          data-testid="schedule-reason"
        >
          {readableLine(schedule.reason)}
          {!schedule.isDeleted && " Nothing fires until it is resumed."}
        </p>
      )}
      <div className="grid items-start gap-4 md:grid-cols-[minmax(0,1fr)_22rem]">
        <ScheduleFacts view={view} now={now} />
        {schedule.state === "enabled" && !schedule.isDeleted && spec.when.kind !== "unknown" && (
          <FiringPreview when={spec.when} now={minute} />
        )}
      </div>
      {known.length === 0 ? (
        <p
          className="rounded-xl border border-dashed px-6 py-10 text-center text-muted-foreground"
          data-testid="no-runs"
        >
          It has not fired yet. Each firing gets a row here, whatever becomes of it.
        </p>
      ) : (
        <>
          <DayTimeline
            runs={known}
            hasEarlier={ledger.hasEarlier}
            createdAt={schedule.createdAt}
            zone={zone}
            now={now}
            onPick={pick}
          />
          <section aria-label="Ledger" className="flex flex-col gap-2">
            <h2 className="text-sm font-semibold">Ledger</h2>
            <LedgerList ledger={{ ...ledger, runs: known }} zoneOfRun={() => zone} now={now} picked={picked} />
          </section>
        </>
      )}
    </>
  );
}
