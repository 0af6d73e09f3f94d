import { useMemo, useState } from "react";

import { useWatch, useWatchMany } from "@/lib/backend/react";
import type { ListSchedulesArgs, ScheduleId, ScheduleSummary, WorkerId } from "@/lib/backend/wire.gen";

/** The person's schedules, or those of one worker: a page at a time, each live, by their next firing. */
export function useSchedules(workerId: WorkerId | null) {
  const [pages, setPages] = useState<{ of: WorkerId | null; after: ScheduleId[] }>({ of: workerId, after: [] });
  const first = useWatch("schedule.list", workerId === null ? {} : { workerId });
  const after = pages.of === workerId ? pages.after : NONE;
  const further = useWatchMany(
    "schedule.list",
    after.map((id): ListSchedulesArgs => ({ workerId, after: id })),
  );
  const schedules = useMemo(() => {
    if (!first.value) return undefined;
    const all = new Map([first.value, ...further].flatMap((page) => page.schedules.map((row) => [row.id, row])));
    return [...all.values()].sort(byNextFiring);
  }, [first.value, further]);
  const lastPage = further.at(-1) ?? first.value;
  const last = lastPage?.schedules.at(-1)?.id;
  return {
    schedules,
    state: first.state,
    hasMore: lastPage?.hasMore ?? false,
    showMore: () => {
      if (last !== undefined && !after.includes(last)) setPages({ of: workerId, after: [...after, last] });
    },
  };
}

const NONE: ScheduleId[] = [];

/** Those that fire, the next one first; then those that don't, by name. */
export function byNextFiring(one: ScheduleSummary, other: ScheduleSummary): number {
  const [a, b] = [one.nextAt ?? Infinity, other.nextAt ?? Infinity];
  return a === b ? one.name.localeCompare(other.name) : a - b;
}
