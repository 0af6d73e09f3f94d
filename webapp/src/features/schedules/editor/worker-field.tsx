"use client";

import { presenceOf } from "@/components/presence";
import { Button } from "@/components/ui/button";
import { useAllViews } from "@/features/chat/continue/use-all-views";
import type { WorkerId } from "@/lib/backend/wire.gen";

import { Field, fieldProps } from "./choice";
import { SELECT } from "./policies";

/** The worker that does it, of any machine. */
export function WorkerField(props: {
  workerId: WorkerId | null;
  fixed: boolean;
  problem: string | undefined;
  onChange: (workerId: WorkerId | null) => void;
}) {
  const { views, leftOut, addLeftOut } = useAllViews();
  const withWorkers = views.filter(({ workers }) => workers.length > 0);
  const unlisted =
    props.workerId !== null && !views.some(({ workers }) => workers.some(({ id }) => id === props.workerId));
  return (
    <Field id="schedule-worker" label="Worker" problem={props.problem}>
      <select
        {...fieldProps("schedule-worker", props.problem)}
        className={SELECT}
        disabled={props.fixed}
        value={props.workerId ?? ""}
        onChange={(event) => props.onChange(event.target.value || null)}
      >
        <option value="">Choose a worker</option>
        {unlisted && <option value={props.workerId ?? ""}>a worker that is not in this list</option>}
        {withWorkers.map(({ machine, workers }) => (
          <optgroup key={machine.id} label={`${machine.name} (${presenceOf(machine).text})`}>
            {workers.map((worker) => (
              <option key={worker.id} value={worker.id}>
                {worker.name}
              </option>
            ))}
          </optgroup>
        ))}
      </select>
      {props.fixed && <p className="text-xs text-muted-foreground">For another worker, duplicate it.</p>}
      {!props.fixed && leftOut > 0 && (
        <Button variant="ghost" size="sm" className="self-start" onClick={() => void addLeftOut()}>
          Show workers of {leftOut} more machines
        </Button>
      )}
    </Field>
  );
}
