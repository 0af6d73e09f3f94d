"use client";

import { useMemo, useState, type ReactNode, type SubmitEvent } from "react";

import { ErrorNote } from "@/components/error-note";
import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import type { BackendError } from "@/lib/backend/backend";
import type { ScheduleSpec, WorkerId } from "@/lib/backend/wire.gen";
import { useNow } from "@/lib/use-now";

import { Choice, Field, fieldProps, Part } from "./choice";
import { fieldOfRefusal, readDraft, type Draft, type Field as FieldName, type Problems } from "./draft";
import { NotifyPart } from "./notify";
import { Policies } from "./policies";
import { PromptField } from "./prompt-field";
import { UnattendedPart } from "./unattended";
import { WhenField } from "./when-field";
import type { Kept } from "./when";
import { WorkerField } from "./worker-field";

/** A schedule to be written: everything a person chooses of it. */
export function ScheduleForm(props: {
  draft: Draft;
  onDraft: (draft: Draft) => void;
  kept?: Kept;
  /** The worker of one that there is stays. */
  workerIsFixed?: boolean;
  submit: string;
  pending: boolean;
  error: BackendError | null;
  onSubmit: (workerId: WorkerId, spec: ScheduleSpec) => void;
  onCancel: () => void;
  /** From when it holds. */
  note: (spec: ScheduleSpec | null) => ReactNode;
  extra?: ReactNode;
}) {
  const { draft, onDraft, kept, error } = props;
  const now = useNow(60_000);
  const [tried, setTried] = useState(false);
  const { understood, spec, problems: all } = useMemo(() => readDraft(draft, now, kept), [draft, now, kept]);
  const change = (part: Partial<Draft>) => onDraft({ ...draft, ...part });
  const refused = error?.code === "invalid" ? fieldOfRefusal(error.message) : null;
  // What is missing is told once somebody wants to save; what is wrong, at once.
  const told = Object.entries(all).filter(([field]) => {
    const value = draft[field as FieldName];
    return tried || (value !== "" && value !== null);
  });
  const problems: Problems = Object.fromEntries(told);
  if (refused !== null && error) problems[refused] ??= error.message;

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    setTried(true);
    if (spec && draft.workerId !== null) {
      props.onSubmit(draft.workerId, spec);
      return;
    }
    const form = event.currentTarget as HTMLElement;
    // Once what is wrong is shown, the first of it has the focus.
    requestAnimationFrame(() => form.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
  };

  return (
    <form className="flex min-w-0 flex-col gap-5" noValidate onSubmit={submit} data-testid="schedule-form">
      <div className="grid gap-4 sm:grid-cols-[1fr_15rem]">
        <Field id="schedule-name" label="Name" problem={problems.name}>
          <Input
            {...fieldProps("schedule-name", problems.name)}
            autoComplete="off"
            placeholder="Morning report"
            value={draft.name}
            onChange={(event) => change({ name: event.target.value })}
          />
        </Field>
        <WorkerField
          workerId={draft.workerId}
          fixed={props.workerIsFixed ?? false}
          problem={problems.workerId}
          onChange={(workerId) => change({ workerId })}
        />
      </div>
      <WhenField
        text={draft.when}
        zone={draft.zone}
        understood={understood}
        now={now}
        problem={problems.when}
        zoneProblem={problems.zone}
        onText={(when) => change({ when })}
        onZone={(zone) => change({ zone })}
      />
      <PromptField value={draft.prompt} problem={problems.prompt} onChange={(prompt) => change({ prompt })} />
      <Part title="Session">
        <div className="grid gap-2 sm:grid-cols-2">
          <Choice
            type="radio"
            name="session"
            checked={draft.session === "new"}
            onChange={() => change({ session: "new" })}
            label="A new one each time"
            testId="session-new"
          >
            It ends with the run; its transcript stays.
          </Choice>
          <Choice
            type="radio"
            name="session"
            checked={draft.session === "continue"}
            onChange={() => change({ session: "continue" })}
            label="One that goes on"
            testId="session-continue"
          >
            Each run knows what the ones before it did.
          </Choice>
        </div>
        {draft.session === "new" && (
          <Choice
            type="checkbox"
            checked={draft.ownWorktree}
            onChange={(ownWorktree) => change({ ownWorktree })}
            label="Its own git worktree"
            testId="schedule-own-worktree"
          >
            Each run works on a branch of its own, apart from the folder itself. Only for a git repository.
          </Choice>
        )}
        <div className="grid gap-4 sm:grid-cols-2">
          <Field id="schedule-model" label={<Optional>Model</Optional>} problem={problems.model}>
            <Input
              {...fieldProps("schedule-model", problems.model)}
              autoComplete="off"
              spellCheck={false}
              className="font-mono md:text-xs"
              placeholder="provider/model"
              value={draft.model}
              onChange={(event) => change({ model: event.target.value })}
            />
          </Field>
          <Field id="schedule-agent" label={<Optional>Agent</Optional>} problem={problems.agent}>
            <Input
              {...fieldProps("schedule-agent", problems.agent)}
              autoComplete="off"
              spellCheck={false}
              className="font-mono md:text-xs"
              placeholder="build, plan, …"
              value={draft.agent}
              onChange={(event) => change({ agent: event.target.value })}
            />
          </Field>
        </div>
      </Part>
      <UnattendedPart draft={draft} problems={problems} change={change} />
      <Policies draft={draft} problems={problems} change={change} />
      <NotifyPart draft={draft} change={change} />
      {props.extra}
      {tried && spec === null && (
        <ErrorNote testId="form-problem">Something is missing or wrong above; it is marked there.</ErrorNote>
      )}
      {error && <ErrorNote>{error.message}</ErrorNote>}
      <div className="sticky bottom-0 -mx-4 flex flex-wrap items-center justify-end gap-x-3 gap-y-2 border-t bg-background px-4 py-3 md:-mx-6 md:px-6">
        <p className="min-w-0 flex-1 basis-60 text-xs text-muted-foreground" data-testid="holds-from">
          {props.note(spec)}
        </p>
        <span className="flex gap-2">
          <Button variant="outline" onClick={props.onCancel}>
            Cancel
          </Button>
          <Button type="submit" disabled={props.pending} data-testid="schedule-submit">
            {props.pending ? "Saving…" : props.submit}
          </Button>
        </span>
      </div>
    </form>
  );
}

function Optional({ children }: { children: ReactNode }) {
  return (
    <>
      {children} <span className="font-normal text-muted-foreground">optional</span>
    </>
  );
}
