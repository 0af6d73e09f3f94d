"use client";

import { useMemo } from "react";

import type { RunSummary } from "@/lib/backend/wire.gen";
import { cn } from "@/lib/utils";

import { Legend } from "./legend";
import { RunMark, useMarks } from "./marks";
import { placeIn } from "./zone-time";

const DAYS_SHOWN = 14;
/** More marks than this on one day are drawn small. */
const CROWDED = 24;
const DAY_MS = 86_400_000;

interface Day {
  day: string;
  runs: { run: RunSummary; share: number }[];
}

/** The runs of a schedule, a line for each day and a mark for each run. */
export function DayTimeline(props: {
  runs: readonly RunSummary[];
  hasEarlier: boolean;
  createdAt: number;
  zone: string;
  now: number;
  onPick: (run: RunSummary) => void;
}) {
  const { runs, hasEarlier, createdAt, zone, now, onPick } = props;
  const from = hasEarlier ? (runs.at(-1)?.dueAt ?? now) : Math.min(createdAt, runs.at(-1)?.dueAt ?? now);
  const days = useMemo(() => daysOf(runs, from, now, zone), [runs, from, now, zone]);
  const shown = useMemo(() => days.flatMap((day) => day.runs.map(({ run }) => run)), [days]);
  const marks = useMarks(shown);
  const today = placeIn(zone, now);
  return (
    <section aria-label="Timeline" className="flex flex-col gap-2" data-testid="day-timeline">
      <div
        role="group"
        aria-label={`Runs of the last ${days.length} days. The arrow keys go from one to the next.`}
        onKeyDown={marks.onKeyDown}
        className="rounded-xl border bg-card px-3 pt-2 pb-3"
      >
        <Hours />
        {days.map(({ day, runs: marked }) => (
          <div key={day} className="flex items-center gap-3">
            <span className="w-16 shrink-0 text-xs text-muted-foreground tabular-nums">{shortDay(day)}</span>
            <div
              className={cn("relative h-6 min-w-0 flex-1 border-b border-dashed", isWeekend(day) && "bg-muted/60")}
              data-testid="timeline-day"
              data-day={day}
            >
              {[0.25, 0.5, 0.75].map((share) => (
                <span
                  key={share}
                  className="absolute inset-y-0 w-px bg-border/60"
                  style={{ left: `${share * 100}%` }}
                />
              ))}
              {day === today.day && (
                <span
                  className="absolute inset-y-0 w-px bg-busy"
                  style={{ left: `${today.share * 100}%` }}
                  title="now"
                  aria-hidden
                />
              )}
              {marked.map(({ run, share }) => (
                <RunMark
                  key={run.id}
                  run={run}
                  zone={zone}
                  now={now}
                  share={share}
                  isSmall={marked.length > CROWDED}
                  isStop={run.id === marks.stop}
                  onFocus={marks.onFocus}
                  onPick={onPick}
                />
              ))}
            </div>
          </div>
        ))}
      </div>
      <Legend runs={shown} />
    </section>
  );
}

function Hours() {
  return (
    <div className="flex gap-3 text-2xs text-muted-foreground tabular-nums" aria-hidden>
      <span className="w-16 shrink-0" />
      <span className="flex flex-1 justify-between">
        {["00", "06", "12", "18", "24"].map((hour) => (
          <span key={hour}>{hour}</span>
        ))}
      </span>
    </div>
  );
}

/** The days up to today, latest first, as far back as is known. */
function daysOf(runs: readonly RunSummary[], from: number, now: number, zone: string): Day[] {
  const days = new Map<string, Day>();
  const first = placeIn(zone, from).day;
  for (let day = placeIn(zone, now).day; day >= first && days.size < DAYS_SHOWN; day = dayBefore(day))
    days.set(day, { day, runs: [] });
  // Earliest first, so that the right arrow goes to the right.
  for (const run of runs.toReversed()) {
    const { day, share } = placeIn(zone, run.dueAt);
    days.get(day)?.runs.push({ run, share });
  }
  return [...days.values()];
}

function dayBefore(day: string): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) - DAY_MS).toISOString().slice(0, 10);
}

function shortDay(day: string): string {
  const options = { weekday: "short", day: "numeric", timeZone: "UTC" } as const;
  return new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", options);
}

function isWeekend(day: string): boolean {
  return [0, 6].includes(new Date(`${day}T00:00:00Z`).getUTCDay());
}
