"use client";

import { useMemo, useState } from "react";

import { RouteLink } from "@/components/route-link";
import { Button } from "@/components/ui/button";
import type { RunSummary, ScheduleSummary, Timestamp } from "@/lib/backend/wire.gen";
import { navigate } from "@/lib/route";
import { Timing, WhenError } from "@/lib/schedule";
import { readableLine } from "@/lib/text/sanitise";
import { cn } from "@/lib/utils";

import { Legend } from "./legend";
import { RunMark, useMarks } from "./marks";
import { usePastRuns } from "./use-past-runs";
import { browserZone, dayIn, momentIn, zoneOf } from "./zone-time";

const DAY_MS = 86_400_000;
const DAYS_EACH_WAY = 7;
const LANES_AT_FIRST = 40;
/** More firings than this in a week are drawn as a band. */
const BAND_FROM = 60;
/** More runs than this in a week are drawn small. */
const CROWDED = 42;

interface Span {
  start: Timestamp;
  end: Timestamp;
  /** The midnights in it. */
  days: Timestamp[];
}

/** All schedules side by side: what became of the past week's firings, and those of the next week. */
export function WeekView({ schedules, now }: { schedules: readonly ScheduleSummary[]; now: number }) {
  const [lanes, setLanes] = useState(LANES_AT_FIRST);
  const today = new Date(now).setHours(0, 0, 0, 0);
  const span = useMemo(() => spanAround(today), [today]);
  const { runs, isCut } = usePastRuns(span.start);
  const shown = useMemo(() => schedules.slice(0, lanes), [schedules, lanes]);
  const bySchedule = useMemo(() => grouped(runs), [runs]);
  const inView = useMemo(() => shown.flatMap(({ id }) => bySchedule.get(id) ?? []), [shown, bySchedule]);
  const marks = useMarks(inView);
  return (
    <section aria-label="Timeline of all schedules" className="flex flex-col gap-2" data-testid="week-view">
      <div
        role="group"
        aria-label="Runs of the past week and firings of the next one. The arrow keys go from run to run."
        onKeyDown={marks.onKeyDown}
        className="rounded-xl border bg-card p-3"
      >
        <DayNames span={span} now={now} />
        <ul className="flex flex-col">
          {shown.map((schedule) => (
            <li key={schedule.id} className="flex gap-x-3 border-t py-1.5 max-sm:flex-col" data-testid="lane">
              <RouteLink
                to={{ page: "schedule", scheduleId: schedule.id }}
                className={cn(
                  "w-40 shrink-0 truncate rounded-sm text-xs leading-6 outline-none hover:underline focus-visible:ring-[3px] focus-visible:ring-ring/50 max-sm:w-auto",
                  schedule.state === "paused" && "text-muted-foreground",
                )}
              >
                {readableLine(schedule.name)}
                {schedule.state === "paused" && " (paused)"}
              </RouteLink>
              <div className="relative h-6 min-w-0 sm:flex-1">
                <Grid span={span} now={now} />
                <Ahead schedule={schedule} span={span} now={now} />
                {(bySchedule.get(schedule.id) ?? []).map((run, _, all) => (
                  <RunMark
                    key={run.id}
                    run={run}
                    zone={zoneOf(schedule.when)}
                    now={now}
                    withName
                    share={shareOf(span, run.dueAt)}
                    isSmall={all.length > CROWDED}
                    isStop={run.id === marks.stop}
                    onFocus={marks.onFocus}
                    onPick={open}
                  />
                ))}
              </div>
            </li>
          ))}
        </ul>
      </div>
      <Legend runs={inView} />
      <p className="text-xs text-muted-foreground">
        Days are of {browserZone()}. Bars after now are firings to come.
        {isCut && " There were more runs than are shown: the earliest of the week are left out."}
      </p>
      {schedules.length > lanes && (
        <Button variant="outline" className="self-center" onClick={() => setLanes(lanes + LANES_AT_FIRST)}>
          Show {Math.min(LANES_AT_FIRST, schedules.length - lanes)} more schedules
        </Button>
      )}
    </section>
  );
}

function open(run: RunSummary): void {
  if (run.chatSessionId != null) navigate({ page: "chat", chatSessionId: run.chatSessionId });
  else navigate({ page: "schedule", scheduleId: run.scheduleId });
}

function DayNames({ span, now }: { span: Span; now: number }) {
  return (
    <div className="flex gap-x-3 pb-1" aria-hidden>
      <span className="w-40 shrink-0 max-sm:hidden" />
      <div className="relative h-4 flex-1 text-2xs text-muted-foreground">
        {span.days.map((day) => {
          const isToday = now >= day && now < day + DAY_MS;
          const [weekday = "", date = ""] = dayIn(browserZone(), day, now).split(" ");
          return (
            <span
              key={day}
              className={cn("absolute -translate-x-1/2", isToday && "font-semibold text-foreground")}
              style={{ left: `${shareOf(span, day + DAY_MS / 2) * 100}%` }}
            >
              <span className="whitespace-nowrap max-sm:hidden">{isToday ? "today" : `${weekday} ${date}`}</span>
              <span className="sm:hidden">{weekday.slice(0, 1)}</span>
            </span>
          );
        })}
      </div>
    </div>
  );
}

function Grid({ span, now }: { span: Span; now: number }) {
  return (
    <>
      {span.days.map((day) => (
        <span
          key={day}
          aria-hidden
          className="absolute inset-y-0 w-px bg-border/60"
          style={{ left: `${shareOf(span, day) * 100}%` }}
        />
      ))}
      <span
        aria-hidden
        title="now"
        className="absolute -inset-y-1.5 w-px bg-busy"
        style={{ left: `${shareOf(span, now) * 100}%` }}
      />
    </>
  );
}

/** The firings to come; a band where they are too many to tell apart. */
function Ahead({ schedule, span, now }: { schedule: ScheduleSummary; span: Span; now: number }) {
  const { when, nextAt } = schedule;
  const firings = useMemo(() => {
    if (nextAt == null) return [];
    try {
      return Timing.of(when).firings(Math.max(nextAt - 1, now), span.end, BAND_FROM + 1);
    } catch (error) {
      // What only a newer page can read has no firings here.
      if (error instanceof WhenError) return [];
      throw error;
    }
  }, [when, nextAt, now, span]);
  const [first] = firings;
  if (first === undefined) return null;
  const zone = zoneOf(when);
  if (firings.length > BAND_FROM) {
    const text = `Fires more than ${BAND_FROM} times in the next week, next ${momentIn(zone, first, now)}`;
    return (
      <span
        role="img"
        aria-label={text}
        title={text}
        data-testid="firing-band"
        className="absolute top-1/2 h-2.5 -translate-y-1/2 rounded-full bg-[repeating-linear-gradient(90deg,var(--quiet)_0_2px,transparent_2px_6px)]"
        style={{ left: `${shareOf(span, first) * 100}%`, right: 0 }}
      />
    );
  }
  return firings.map((at) => (
    <span
      key={at}
      role="img"
      aria-label={`Fires ${momentIn(zone, at, now)}`}
      title={`${readableLine(schedule.name)}: ${momentIn(zone, at, now)}, ${zone}`}
      data-testid="firing-ahead"
      className="absolute top-1/2 h-3.5 w-[3px] -translate-x-1/2 -translate-y-1/2 rounded-full bg-quiet"
      style={{ left: `${shareOf(span, at) * 100}%` }}
    />
  ));
}

function spanAround(today: Timestamp): Span {
  const midnight = (days: number) => {
    const date = new Date(today);
    // By the calendar, since days around a change of the clocks are no 24 hours.
    date.setDate(date.getDate() + days);
    return date.getTime();
  };
  const days = Array.from({ length: 2 * DAYS_EACH_WAY + 1 }, (_, place) => midnight(place - DAYS_EACH_WAY));
  return { start: midnight(-DAYS_EACH_WAY), end: midnight(DAYS_EACH_WAY + 1), days };
}

function shareOf(span: Span, at: Timestamp): number {
  return (at - span.start) / (span.end - span.start);
}

/** By their schedule, earliest first, so that the right arrow goes to the right. */
function grouped(runs: readonly RunSummary[]): Map<string, RunSummary[]> {
  const groups = new Map<string, RunSummary[]>();
  for (const run of runs.toReversed()) groups.set(run.scheduleId, [...(groups.get(run.scheduleId) ?? []), run]);
  return groups;
}
