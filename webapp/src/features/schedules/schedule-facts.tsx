"use client";

import type { ReactNode } from "react";

import { CopyButton } from "@/components/copy-button";
import { RouteLink } from "@/components/route-link";
import type { ScheduleSpec, ScheduleView } from "@/lib/backend/wire.gen";
import { sentence } from "@/lib/schedule";
import { readable, readableLine } from "@/lib/text/sanitise";
import { duration } from "@/lib/text/time";

import { usePlaces } from "./places";
import { LastRun, NextFiring } from "./schedule-state";

/** What a schedule is, in brief. */
export function ScheduleFacts({ view, now }: { view: ScheduleView; now: number }) {
  const { schedule, spec, chatSessionId, webhookSecret } = view;
  const place = usePlaces();
  const model = [spec.agent, spec.model].filter(Boolean).join(" · ");
  return (
    <section aria-label="Summary" className="min-w-0 rounded-xl border bg-card" data-testid="schedule-facts">
      <dl className="grid grid-cols-[5.5rem_minmax(0,1fr)] gap-x-3 gap-y-2 px-3 py-3 text-sm">
        <Fact label="When">{sentence(spec.when)}</Fact>
        <Fact label="Next">
          <NextFiring schedule={schedule} now={now} />
        </Fact>
        <Fact label="Last run">
          <LastRun schedule={schedule} now={now} />
        </Fact>
        <Fact label="Worker">
          <RouteLink
            to={{ page: "machine", machineId: schedule.machineId, worker: schedule.workerId }}
            className="rounded-sm underline-offset-4 outline-none hover:underline focus-visible:ring-[3px] focus-visible:ring-ring/50"
          >
            {place(schedule.workerId) ?? "its worker"}
          </RouteLink>
        </Fact>
        <Fact label="Prompt">
          <span className="line-clamp-6 break-words whitespace-pre-wrap" data-testid="schedule-facts-prompt">
            {readable(spec.prompt)}
          </span>
        </Fact>
        <Fact label="Session">
          {sessionText(spec)}
          {chatSessionId != null && (
            <>
              {" "}
              <RouteLink
                to={{ page: "chat", chatSessionId }}
                className="rounded-sm underline underline-offset-4 outline-none focus-visible:ring-[3px] focus-visible:ring-ring/50"
              >
                Open it
              </RouteLink>
            </>
          )}
        </Fact>
        {model !== "" && (
          <Fact label="Model">
            <span className="font-mono text-xs">{readableLine(model)}</span>
          </Fact>
        )}
        <Fact label="Unattended">{unattendedText(spec)}</Fact>
        <Fact label="Policies">{policiesText(spec)}</Fact>
        <Fact label="Tells">{notifyText(spec)}</Fact>
        {webhookSecret != null && (
          <Fact label="Secret">
            <span className="flex items-center gap-1">
              <code className="truncate text-xs" data-testid="webhook-secret">
                {webhookSecret.slice(0, 4)}…
              </code>
              <CopyButton text={webhookSecret} label="Copy the webhook's secret" className="size-6" />
            </span>
          </Fact>
        )}
      </dl>
    </section>
  );
}

function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-xs leading-5 text-muted-foreground">{label}</dt>
      <dd className="min-w-0">{children}</dd>
    </>
  );
}

function sessionText({ session }: ScheduleSpec): string {
  switch (session.kind) {
    case "new":
      return session.ownWorktree ? "A new one each time, in its own git worktree" : "A new one each time";
    case "continue":
      return "One that goes on from run to run";
    case "unknown":
      return "Of a kind that this page does not know; reload it";
  }
}

function unattendedText({ unattended }: ScheduleSpec): ReactNode {
  switch (unattended.kind) {
    case "ask":
      return "As in a chat: what is asked waits for a person";
    case "only":
      return unattended.allow.length === 0 ? (
        "Nothing is allowed; everything is denied at once"
      ) : (
        <>
          Only <span className="font-mono text-xs break-words">{readableLine(unattended.allow.join(", "))}</span>; the
          rest is denied at once
        </>
      );
    case "unknown":
      return "Of a kind that this page does not know: everything is denied";
  }
}

function policiesText(spec: ScheduleSpec): string {
  const overlap = {
    skip: "skips while one runs",
    queue: "lets one wait",
    cancel: "cancels the running one",
    parallel: "runs side by side",
    unknown: "skips while one runs",
  }[spec.overlap];
  const catchUp = {
    latest: "missed: the latest once",
    all: `missed: all of ${spec.catchUp.kind === "all" ? duration(spec.catchUp.withinMs) : ""}`,
    skip: "missed: left out",
    unknown: "missed: left out",
  }[spec.catchUp.kind];
  const facts = [overlap, catchUp];
  if (spec.jitterMs > 0) facts.push(`starts spread over ${duration(spec.jitterMs)}`);
  facts.push(spec.timeLimitMs == null ? "no time limit" : `stopped after ${duration(spec.timeLimitMs)}`);
  const { most } = spec.retries;
  facts.push(most === 0 ? "no retries" : most === 1 ? "1 retry" : `${most} retries`);
  facts.push(spec.pauseAfter === 0 ? "never pauses by itself" : `pauses after ${spec.pauseAfter} failures in a row`);
  return facts.join(" · ");
}

function notifyText({ notify }: ScheduleSpec): string {
  const of = [
    notify.onFailure ? "failures" : null,
    notify.onSuccess ? "successes" : null,
    notify.onAsk ? "questions" : null,
  ].filter((what) => what !== null);
  if (of.length === 0) return "nobody";
  return `of ${of.join(", ")}${notify.webhook == null ? "" : `, also at ${readableLine(notify.webhook)}`}`;
}
