"use client";

import { FileTextIcon, MessageCircleQuestionIcon, RadioIcon, ShieldXIcon, SquareIcon } from "lucide-react";
import { toast } from "sonner";

import { RouteLink } from "@/components/route-link";
import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { useAction } from "@/lib/backend/react";
import type { RunSummary } from "@/lib/backend/wire.gen";
import { readableLine } from "@/lib/text/sanitise";
import { duration, elapsed } from "@/lib/text/time";
import { useNow } from "@/lib/use-now";
import { cn } from "@/lib/utils";

import { isOpenRun, lookOfRun, RunShape } from "./run-look";
import { usageFacts } from "./run-text";
import { momentIn, untilText } from "./zone-time";

export function runRowId(run: RunSummary): string {
  return `ledger-${run.id}`;
}

/** One row of the ledger: when it was due, what became of it and why, and what it took. */
export function RunRow(props: { run: RunSummary; zone: string; now: number; withName: boolean; isPicked: boolean }) {
  const { run, zone, now, withName, isPicked } = props;
  const { variant, text } = lookOfRun(run);
  return (
    <li
      id={runRowId(run)}
      className={cn("flex scroll-m-24 flex-wrap items-start gap-x-3 gap-y-1 px-3 py-2", isPicked && "bg-accent")}
      data-testid="run-row"
      data-run-id={run.id}
      data-state={run.state}
      data-due={run.dueAt}
    >
      <span className="flex w-44 shrink-0 items-center gap-2 text-sm tabular-nums max-sm:w-full">
        <RunShape state={run.state} />
        <time dateTime={new Date(run.dueAt).toISOString()} title={zone}>
          {momentIn(zone, run.dueAt, now)}
        </time>
      </span>
      <div className="flex min-w-0 flex-1 basis-52 flex-col gap-0.5">
        <span className="flex flex-wrap items-center gap-1.5">
          <Badge variant={variant}>{text}</Badge>
          {run.isManual && <Badge variant="outline">by hand</Badge>}
          {run.count > 1 && <Badge variant="outline">{run.count} firings</Badge>}
          {withName && (
            <RouteLink
              to={{ page: "schedule", scheduleId: run.scheduleId }}
              className="truncate rounded-sm text-sm outline-none hover:underline focus-visible:ring-[3px] focus-visible:ring-ring/50"
            >
              {readableLine(run.scheduleName)}
            </RouteLink>
          )}
        </span>
        {run.until != null && (
          <span className="text-xs text-muted-foreground">until {momentIn(zone, run.until, now)}</span>
        )}
        {run.reason != null && run.reason !== "" && (
          <span className="text-xs break-words text-muted-foreground" data-testid="run-reason">
            {readableLine(run.reason)}
          </span>
        )}
        {run.startsAt != null && isOpenRun(run) && (
          <span className="text-xs text-muted-foreground">
            {run.tries > 0 ? "Tried again" : "Starts"} {untilText(run.startsAt, now)}
          </span>
        )}
        {run.denied.length > 0 && <Denied denied={run.denied} />}
      </div>
      <span className="flex flex-wrap items-center justify-end gap-x-3 gap-y-1 text-xs text-muted-foreground tabular-nums max-sm:w-full max-sm:justify-start">
        <Facts run={run} />
        <Links run={run} />
      </span>
    </li>
  );
}

function Facts({ run }: { run: RunSummary }) {
  const facts = usageFacts(run);
  return (
    <>
      {run.tries > 1 && <span data-testid="run-tries">{run.tries} tries</span>}
      {facts.length > 0 && <span data-testid="run-usage">{facts.join(" · ")}</span>}
      {run.startedAt != null && (
        <span className="text-right" data-testid="run-duration">
          {run.endedAt == null ? <Since at={run.startedAt} /> : duration(run.endedAt - run.startedAt)}
        </span>
      )}
    </>
  );
}

/** Counts by itself, so that the rows that have ended stand still. */
function Since({ at }: { at: number }) {
  return elapsed(useNow() - at);
}

function Links({ run }: { run: RunSummary }) {
  const { run: cancel, pending } = useAction("schedule.cancelRun", (error) =>
    toast.error("The run was not cancelled", { description: error.message }),
  );
  const isLive = run.state === "running";
  const Icon = run.isAsking ? MessageCircleQuestionIcon : isLive ? RadioIcon : FileTextIcon;
  return (
    <>
      {run.chatSessionId != null && (
        <RouteLink
          to={{ page: "chat", chatSessionId: run.chatSessionId }}
          className={cn(
            "inline-flex items-center gap-1 rounded-sm text-foreground underline-offset-4 outline-none hover:underline focus-visible:ring-[3px] focus-visible:ring-ring/50",
            run.isAsking && "font-medium text-wait",
          )}
          data-testid="run-transcript"
        >
          <Icon className={cn("size-3.5", isLive && !run.isAsking && "text-busy")} aria-hidden />
          {run.isAsking ? "Answer it" : isLive ? "Live output" : "Transcript"}
        </RouteLink>
      )}
      {isOpenRun(run) && (
        <Button
          variant="outline"
          size="sm"
          className="h-6"
          disabled={pending}
          onClick={() => void cancel({ runId: run.id })}
          data-testid="cancel-run"
        >
          <SquareIcon />
          Cancel
        </Button>
      )}
    </>
  );
}

function Denied({ denied }: { denied: string[] }) {
  return (
    <details className="text-xs text-wait" data-testid="run-denied">
      <summary className="inline-flex cursor-pointer list-none items-center gap-1 rounded-sm outline-none focus-visible:ring-[3px] focus-visible:ring-ring/50">
        <ShieldXIcon className="size-3.5" aria-hidden />
        {denied.length === 1 ? "1 thing was denied" : `${denied.length} things were denied`}
      </summary>
      <ul className="mt-0.5 ml-5 font-mono break-all">
        {denied.map((entry, place) => (
          <li key={`${place} ${entry}`}>{readableLine(entry)}</li>
        ))}
      </ul>
    </details>
  );
}
