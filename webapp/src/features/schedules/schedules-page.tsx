"use client";

import { PlusIcon, XIcon } from "lucide-react";

import { ErrorNote } from "@/components/error-note";
import { RouteLink } from "@/components/route-link";
import { Button, buttonVariants } from "@/components/ui/button";
import { Skeleton } from "@/components/ui/skeleton";
import { PageHeader } from "@/features/shell/page-header";
import type { Route } from "@/lib/route";
import { useNow } from "@/lib/use-now";
import { cn } from "@/lib/utils";

import { AllRuns } from "./all-runs";
import { NoSchedules } from "./no-schedules";
import { usePlaces } from "./places";
import { ScheduleRow } from "./schedule-row";
import { Scrolled } from "./scrolled";
import { useSchedules } from "./use-schedules";
import { WeekView } from "./week-view";

type SchedulesRoute = Extract<Route, { page: "schedules" }>;

/** All schedules, or those of one worker: as a list, and over the days. */
export function SchedulesPage({ route }: { route: SchedulesRoute }) {
  const { worker, tab = "list" } = route;
  const { schedules, state, hasMore, showMore } = useSchedules(worker ?? null);
  const place = usePlaces();
  const now = useNow(15_000);
  const ofWorker = worker === undefined ? {} : { worker };
  return (
    <>
      <PageHeader>
        <h1 className="truncate font-semibold">Schedules</h1>
        {worker !== undefined && (
          <RouteLink
            to={{ page: "schedules", ...(tab === "timeline" ? { tab } : {}) }}
            aria-label={`Of ${place(worker) ?? "one worker"}: show all`}
            title="Show all schedules"
            className="inline-flex min-w-0 items-center gap-1 rounded-full border bg-muted px-2 py-0.5 text-xs outline-none hover:bg-accent focus-visible:ring-[3px] focus-visible:ring-ring/50"
            data-testid="worker-filter"
          >
            <span className="truncate">{place(worker) ?? "one worker"}</span>
            <XIcon className="size-3 shrink-0" aria-hidden />
          </RouteLink>
        )}
        <RouteLink
          to={{ page: "new-schedule", ...ofWorker }}
          className={cn(buttonVariants({ size: "sm" }), "ml-auto")}
          data-testid="new-schedule"
        >
          <PlusIcon />
          New schedule
        </RouteLink>
      </PageHeader>
      <nav aria-label="Views of the schedules" className="flex shrink-0 gap-1 border-b px-3 md:px-4">
        <Tab to={{ page: "schedules", ...ofWorker }} current={tab === "list"} testId="tab-list">
          List
        </Tab>
        <Tab
          to={{ page: "schedules", ...ofWorker, tab: "timeline" }}
          current={tab === "timeline"}
          testId="tab-timeline"
        >
          Timeline
        </Tab>
        <Tab to={{ page: "schedules", ...ofWorker, tab: "runs" }} current={tab === "runs"} testId="tab-runs">
          All runs
        </Tab>
      </nav>
      <Scrolled>
        {state.kind === "refused" && <ErrorNote>{state.error.message}</ErrorNote>}
        {!schedules && state.kind !== "refused" && <Skeleton className="h-32" />}
        {tab === "runs" && <AllRuns worker={worker} now={now} />}
        {tab !== "runs" && schedules?.length === 0 && <NoSchedules worker={worker} />}
        {tab !== "runs" &&
          schedules !== undefined &&
          schedules.length > 0 &&
          (tab === "timeline" ? (
            <WeekView schedules={schedules} now={now} />
          ) : (
            <ul className="divide-y rounded-xl border bg-card" aria-label="Schedules" data-testid="schedule-list">
              {schedules.map((schedule) => (
                <ScheduleRow
                  key={schedule.id}
                  schedule={schedule}
                  place={worker === undefined ? place(schedule.workerId) : null}
                  now={now}
                />
              ))}
            </ul>
          ))}
        {hasMore && tab !== "runs" && (
          <Button variant="outline" className="self-center" onClick={showMore} data-testid="more-schedules">
            Show more
          </Button>
        )}
      </Scrolled>
    </>
  );
}

function Tab(props: { to: Route; current: boolean; testId: string; children: string }) {
  return (
    <RouteLink
      to={props.to}
      aria-current={props.current ? "page" : undefined}
      className={cn(
        "-mb-px border-b-2 border-transparent px-2 py-2 text-xs font-medium text-muted-foreground outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50 focus-visible:ring-inset",
        props.current && "border-foreground text-foreground",
      )}
      data-testid={props.testId}
    >
      {props.children}
    </RouteLink>
  );
}
