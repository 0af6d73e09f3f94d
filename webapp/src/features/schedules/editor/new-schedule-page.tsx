"use client";

import { useState } from "react";
import { toast } from "sonner";

import { ErrorNote } from "@/components/error-note";
import { Skeleton } from "@/components/ui/skeleton";
import { PageHeader } from "@/features/shell/page-header";
import { useAction, useWatch } from "@/lib/backend/react";
import type { ScheduleId, ScheduleSpec, ScheduleView, WorkerId } from "@/lib/backend/wire.gen";
import { Timing } from "@/lib/schedule";
import { hrefOf, navigate } from "@/lib/route";

import { browserZone, momentIn, untilText, zoneOf } from "../zone-time";
import { Choice } from "./choice";
import { draftOf, newDraft, type Draft } from "./draft";
import { Scrolled } from "../scrolled";
import { ScheduleForm } from "./schedule-form";

/** A new schedule: from nothing, for a worker, or like one that there is. */
export function NewSchedulePage({ worker, like }: { worker?: WorkerId | undefined; like?: ScheduleId | undefined }) {
  const { value, state } = useWatch("schedule.view", like === undefined ? null : { scheduleId: like });
  return (
    <>
      <PageHeader>
        <h1 className="truncate font-semibold" data-testid="schedule-editor-title">
          New schedule
        </h1>
      </PageHeader>
      <Scrolled>
        {like === undefined ? (
          <NewSchedule first={newDraft(worker ?? null, browserZone())} />
        ) : value ? (
          <NewSchedule first={likeDraft(value)} like={value} />
        ) : state.kind === "refused" ? (
          <ErrorNote>{state.error.message}</ErrorNote>
        ) : (
          <Skeleton className="h-64" />
        )}
      </Scrolled>
    </>
  );
}

function likeDraft({ spec, schedule }: ScheduleView): Draft {
  return { ...draftOf(spec, schedule.workerId, browserZone()), name: `${spec.name} (copy)` };
}

function NewSchedule({ first, like }: { first: Draft; like?: ScheduleView }) {
  const [draft, setDraft] = useState(first);
  const [paused, setPaused] = useState(false);
  const { run, pending, error } = useAction("schedule.create");
  // What the phrase leaves out of an interval is as in the original.
  const [kept] = useState(() => (like ? { text: first.when, when: like.spec.when } : undefined));
  const create = async (workerId: WorkerId, spec: ScheduleSpec) => {
    const made = await run({ workerId, spec, paused });
    if (!made) return;
    toast.success(`${spec.name} was scheduled`);
    navigate({ page: "schedule", scheduleId: made.schedule.id }, { replace: true });
  };
  const cancel = () => {
    if (window.history.length > 1) window.history.back();
    else window.location.assign(hrefOf({ page: "schedules" }));
  };
  return (
    <ScheduleForm
      draft={draft}
      onDraft={setDraft}
      {...(kept ? { kept } : {})}
      submit="Create schedule"
      pending={pending}
      error={error}
      onSubmit={(workerId, spec) => void create(workerId, spec)}
      onCancel={cancel}
      note={(spec) => (paused ? "It begins paused: nothing fires until you resume it." : firstText(spec))}
      extra={
        <Choice type="checkbox" checked={paused} onChange={setPaused} label="Begin paused" testId="begin-paused">
          It can be run by hand first, and resumed when it does what it should.
        </Choice>
      }
    />
  );
}

function firstText(spec: ScheduleSpec | null): string {
  if (!spec) return "";
  const now = Date.now();
  const next = Timing.of(spec.when).nextFire(now);
  return next === null
    ? "It never fires."
    : `First firing: ${momentIn(zoneOf(spec.when), next, now)}, ${untilText(next, now)}.`;
}
