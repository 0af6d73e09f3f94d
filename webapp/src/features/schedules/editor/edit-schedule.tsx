"use client";

import { useMemo, useState } from "react";
import { toast } from "sonner";

import { Button } from "@/components/ui/button";
import { useAction } from "@/lib/backend/react";
import type { ScheduleSpec, ScheduleView } from "@/lib/backend/wire.gen";
import { Timing } from "@/lib/schedule";
import { navigate } from "@/lib/route";
import { useNow } from "@/lib/use-now";

import { browserZone, momentIn, untilText, zoneOf } from "../zone-time";
import { differences, draftOf, type Draft } from "./draft";
import { ScheduleForm } from "./schedule-form";

/** Changes a schedule from now on; says so if somebody else has changed it meanwhile. */
export function EditSchedule({ view }: { view: ScheduleView }) {
  const { schedule } = view;
  const [base, setBase] = useState(view);
  const [draft, setDraft] = useState<Draft>(() => draftFrom(view));
  const { run, pending, error, clearError } = useAction("schedule.edit");
  const now = useNow(60_000);
  const kept = useMemo(() => ({ text: draftFrom(base).when, when: base.spec.when }), [base]);
  const isBehind = schedule.revision !== base.schedule.revision;
  const save = async (spec: ScheduleSpec) => {
    const saved = await run({ scheduleId: schedule.id, revision: base.schedule.revision, spec });
    if (!saved) return;
    toast.success(`${spec.name} was changed`);
    navigate({ page: "schedule", scheduleId: schedule.id }, { replace: true });
  };
  const take = (theirs: boolean) => {
    setBase(view);
    if (theirs) setDraft(draftFrom(view));
    clearError();
  };
  return (
    <>
      {isBehind && <Conflict base={base} view={view} draft={draft} onTake={take} />}
      <ScheduleForm
        draft={draft}
        onDraft={setDraft}
        kept={kept}
        workerIsFixed
        submit="Save"
        pending={pending || isBehind}
        error={isBehind ? null : error}
        onSubmit={(_, spec) => void save(spec)}
        onCancel={() => navigate({ page: "schedule", scheduleId: schedule.id }, { replace: true })}
        note={(spec) => <HoldsFrom spec={spec} view={view} now={now} />}
      />
    </>
  );
}

function draftFrom({ spec, schedule }: ScheduleView): Draft {
  return draftOf(spec, schedule.workerId, browserZone());
}

function HoldsFrom({ spec, view, now }: { spec: ScheduleSpec | null; view: ScheduleView; now: number }) {
  if (!spec) return null;
  const runs = view.schedule.openRunCount > 0 ? " Runs that have begun end with what they began with." : "";
  if (view.schedule.state === "paused") return `It is paused: the change holds from when it is resumed.${runs}`;
  const next = Timing.of(spec.when).nextFire(now);
  if (next === null) return `It never fires again.${runs}`;
  return `Holds from the next firing: ${momentIn(zoneOf(spec.when), next, now)}, ${untilText(next, now)}.${runs}`;
}

function Conflict(props: { base: ScheduleView; view: ScheduleView; draft: Draft; onTake: (theirs: boolean) => void }) {
  const [first, theirs] = [draftFrom(props.base), draftFrom(props.view)];
  const changed = differences(first, theirs);
  const mine = differences(first, props.draft);
  return (
    <div
      role="alert"
      className="flex flex-col gap-2 rounded-lg border border-wait/30 bg-wait/10 px-3 py-2.5 text-sm"
      data-testid="edit-conflict"
    >
      <p>
        <span className="font-medium">Somebody else has changed this schedule while you edited it.</span>{" "}
        {changed.length > 0 ? `Changed there: ${changed.join(", ")}. ` : ""}
        {mine.length > 0 ? `Changed by you: ${mine.join(", ")}.` : "You have changed nothing yet."}
      </p>
      <div className="flex flex-wrap gap-2">
        <Button variant="outline" size="sm" onClick={() => props.onTake(true)} data-testid="conflict-theirs">
          Take theirs, drop mine
        </Button>
        <Button variant="outline" size="sm" onClick={() => props.onTake(false)} data-testid="conflict-mine">
          Keep mine, over theirs
        </Button>
      </div>
    </div>
  );
}
