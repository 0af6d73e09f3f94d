"use client";

import { RouteLink } from "@/components/route-link";
import type { ScheduleSummary } from "@/lib/backend/wire.gen";
import { sentence } from "@/lib/schedule";
import { readableLine } from "@/lib/text/sanitise";

import { PauseButton, RunNowButton, ScheduleMenu } from "./schedule-actions";
import { LastRun, NextFiring, OpenRuns, ScheduleStateBadge } from "./schedule-state";

/** A schedule in a list: when it runs, when next, and how the last run went. */
export function ScheduleRow({
  schedule,
  place,
  now,
}: {
  schedule: ScheduleSummary;
  /** Its worker and machine; nothing where they are plain. */
  place: string | null;
  now: number;
}) {
  return (
    <li
      className="grid grid-cols-[minmax(0,1fr)_auto] items-center gap-x-4 gap-y-1.5 px-3 py-2.5 md:grid-cols-[minmax(0,1fr)_13rem_11rem_auto]"
      data-testid="schedule-row"
      data-schedule-id={schedule.id}
    >
      <div className="min-w-0">
        <div className="flex min-w-0 items-center gap-2">
          <RouteLink
            to={{ page: "schedule", scheduleId: schedule.id }}
            className="truncate rounded-sm font-medium outline-none hover:underline focus-visible:ring-[3px] focus-visible:ring-ring/50"
            data-testid="schedule-link"
          >
            {readableLine(schedule.name)}
          </RouteLink>
          <ScheduleStateBadge schedule={schedule} />
          <OpenRuns count={schedule.openRunCount} />
        </div>
        <p className="text-xs text-muted-foreground">
          {sentence(schedule.when)}
          {place !== null && (
            <>
              {" · "}
              <span className="sm:whitespace-nowrap">{place}</span>
            </>
          )}
        </p>
        {schedule.state === "paused" && schedule.reason != null && (
          <p className="text-xs text-wait" data-testid="schedule-reason">
            {readableLine(schedule.reason)}
          </p>
        )}
      </div>
      <div className="col-start-1 md:col-start-2">
        <NextFiring schedule={schedule} now={now} />
      </div>
      <div className="col-start-1 md:col-start-3">
        <LastRun schedule={schedule} now={now} />
      </div>
      <div className="col-start-2 row-span-3 row-start-1 flex items-center max-md:self-start md:col-start-4 md:row-span-1">
        <RunNowButton schedule={schedule} />
        <PauseButton schedule={schedule} />
        <ScheduleMenu schedule={schedule} />
      </div>
    </li>
  );
}
