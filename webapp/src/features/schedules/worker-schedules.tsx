"use client";

import { CalendarClockIcon, PlusIcon } from "lucide-react";

import { RouteLink } from "@/components/route-link";
import { buttonVariants } from "@/components/ui/button";
import { useWatch } from "@/lib/backend/react";
import type { ScheduleSummary, WorkerSummary } from "@/lib/backend/wire.gen";
import { readableLine } from "@/lib/text/sanitise";
import { useNow } from "@/lib/use-now";
import { cn } from "@/lib/utils";

import { LastRun, NextFiring, OpenRuns, ScheduleStateBadge } from "./schedule-state";
import { byNextFiring } from "./use-schedules";

/** Schedules shown below one worker; the others are on their own page. */
const SHOWN = 3;

/** What a worker does at set times: its next few schedules, and the way to all of them. */
export function WorkerSchedules({ worker }: { worker: WorkerSummary }) {
  const { value } = useWatch("schedule.list", { workerId: worker.id });
  const now = useNow(15_000);
  if (!value) return null;
  const schedules = [...value.schedules].sort(byNextFiring);
  const more = schedules.length - SHOWN;
  return (
    <section aria-label={`Schedules of ${worker.name}`} className="border-t" data-testid="worker-schedules">
      <div className="flex items-center gap-2 px-3 py-1.5 text-xs text-muted-foreground">
        <CalendarClockIcon className="size-3.5 shrink-0" aria-hidden />
        {schedules.length === 0 ? (
          <span>No schedule</span>
        ) : (
          <RouteLink
            to={{ page: "schedules", worker: worker.id }}
            className="rounded-sm underline-offset-4 outline-none hover:text-foreground hover:underline focus-visible:ring-[3px] focus-visible:ring-ring/50"
            data-testid="worker-schedules-all"
          >
            {countText(schedules.length, value.hasMore)}
            {more > 0 && `, ${more} not shown here`}
          </RouteLink>
        )}
        <RouteLink
          to={{ page: "new-schedule", worker: worker.id }}
          className={cn(buttonVariants({ variant: "ghost", size: "sm" }), "ml-auto h-6")}
          data-testid="worker-new-schedule"
        >
          <PlusIcon />
          Schedule
        </RouteLink>
      </div>
      <ul>
        {schedules.slice(0, SHOWN).map((schedule) => (
          <Row key={schedule.id} schedule={schedule} now={now} />
        ))}
      </ul>
    </section>
  );
}

function Row({ schedule, now }: { schedule: ScheduleSummary; now: number }) {
  return (
    <li>
      <RouteLink
        to={{ page: "schedule", scheduleId: schedule.id }}
        className="flex min-w-0 flex-wrap items-center gap-x-3 gap-y-0.5 px-3 py-1.5 outline-none hover:bg-accent/60 focus-visible:ring-[3px] focus-visible:ring-ring/50 focus-visible:ring-inset"
        data-testid="worker-schedule"
        data-schedule-id={schedule.id}
      >
        <span className="flex min-w-0 flex-1 basis-40 items-center gap-2">
          <span className="truncate">{readableLine(schedule.name)}</span>
          {schedule.state !== "enabled" && <ScheduleStateBadge schedule={schedule} />}
          <OpenRuns count={schedule.openRunCount} />
        </span>
        <LastRun schedule={schedule} now={now} />
        <NextFiring schedule={schedule} now={now} />
      </RouteLink>
    </li>
  );
}

function countText(count: number, hasMore: boolean): string {
  if (hasMore) return `More than ${count} schedules`;
  return count === 1 ? "1 schedule" : `${count} schedules`;
}
