"use client";

import { Badge } from "@/components/ui/badge";
import type { ScheduleSummary, Timestamp } from "@/lib/backend/wire.gen";
import { readableLine } from "@/lib/text/sanitise";

import { lookOfRun, RunShape } from "./run-look";
import { runText } from "./run-text";
import { browserZone, momentIn, sinceText, untilText, zoneOf } from "./zone-time";

/** Whether it fires, and if not, why. */
export function ScheduleStateBadge({ schedule }: { schedule: ScheduleSummary }) {
  const { state, reason, isDeleted } = schedule;
  const look = isDeleted
    ? ({ variant: "quiet", text: "deleted" } as const)
    : state === "enabled"
      ? ({ variant: "ok", text: "on" } as const)
      : state === "paused"
        ? ({ variant: "wait", text: "paused" } as const)
        : ({ variant: "quiet", text: "unknown" } as const);
  return (
    <Badge
      variant={look.variant}
      title={reason == null ? undefined : readableLine(reason)}
      data-testid="schedule-state"
      data-state={isDeleted ? "deleted" : state}
    >
      {look.text}
    </Badge>
  );
}

/** Its next firing: how long until then, and when that is on the clocks of its zone. */
export function NextFiring({ schedule, now }: { schedule: ScheduleSummary; now: number }) {
  const { nextAt, when, state, isDeleted } = schedule;
  if (nextAt == null)
    return (
      <span className="text-xs text-muted-foreground" data-testid="next-firing">
        {isDeleted ? "deleted" : state === "paused" ? "fires no more until resumed" : "never fires again"}
      </span>
    );
  const zone = zoneOf(when);
  return (
    <time
      dateTime={new Date(nextAt).toISOString()}
      title={zone}
      className="flex flex-wrap items-baseline gap-x-2 tabular-nums"
      data-testid="next-firing"
    >
      <span className="font-medium">{untilText(nextAt, now)}</span>
      <span className="text-xs text-muted-foreground">
        {momentIn(zone, nextAt, now)}
        {zone !== browserZone() && ` in ${zone}`}
      </span>
    </time>
  );
}

/** How its last run ended. */
export function LastRun({ schedule, now }: { schedule: ScheduleSummary; now: number }) {
  const { lastRun, when } = schedule;
  if (!lastRun) return <span className="text-xs text-muted-foreground">has not run yet</span>;
  const at: Timestamp = lastRun.endedAt ?? lastRun.startedAt ?? lastRun.dueAt;
  return (
    <span
      className="inline-flex items-center gap-1.5 text-xs"
      title={runText(lastRun, zoneOf(when), now)}
      data-testid="last-run"
      data-state={lastRun.state}
    >
      <RunShape state={lastRun.state} />
      <span>{lookOfRun(lastRun).text}</span>
      <span className="text-muted-foreground tabular-nums">{sinceText(at, now)}</span>
    </span>
  );
}

export function OpenRuns({ count }: { count: number }) {
  if (count === 0) return null;
  return (
    <Badge variant="busy" data-testid="open-runs">
      {count === 1 ? "1 open run" : `${count} open runs`}
    </Badge>
  );
}
