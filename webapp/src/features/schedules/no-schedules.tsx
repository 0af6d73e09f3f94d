import { CalendarClockIcon } from "lucide-react";

import { RouteLink } from "@/components/route-link";
import { buttonVariants } from "@/components/ui/button";
import type { WorkerId } from "@/lib/backend/wire.gen";

/** What schedules are, for whoever has none yet. */
export function NoSchedules({ worker }: { worker?: WorkerId | undefined }) {
  return (
    <div
      className="flex flex-col items-center gap-3 rounded-xl border border-dashed px-6 py-12 text-center"
      data-testid="no-schedules"
    >
      <CalendarClockIcon className="size-6 text-muted-foreground" aria-hidden />
      <h2 className="font-medium">No schedule yet</h2>
      <p className="max-w-md text-muted-foreground">
        A schedule sends a prompt to a worker at set times: “every weekday at 9, summarise what changed”. Say what it
        may do while nobody is there; each time it was due is listed with what became of it, also when it was skipped or
        missed.
      </p>
      <ul className="max-w-md list-inside list-disc text-left text-xs text-muted-foreground">
        <li>every weekday at 9: a report of what changed since the last run</li>
        <li>every 6 hours: security fixes of dependencies, each run on a branch of its own</li>
        <li>on the last day of each month at 18:00: a draft of the release notes</li>
      </ul>
      <RouteLink
        to={{ page: "new-schedule", ...(worker === undefined ? {} : { worker }) }}
        className={buttonVariants({})}
        data-testid="first-schedule"
      >
        New schedule
      </RouteLink>
    </div>
  );
}
