"use client";

import { ChevronRightIcon } from "lucide-react";
import type { ReactNode } from "react";

import { Input } from "@/components/ui/input";

import { Field, fieldProps } from "./choice";
import type { Draft, Field as FieldName, Problems } from "./draft";

const OVERLAPS: Record<Draft["overlap"], { label: string; text: string }> = {
  skip: { label: "Skip the new one", text: "It is left out while the run before is still going on." },
  queue: { label: "Let one wait", text: "It starts when the run before has ended; a further one is left out." },
  cancel: {
    label: "Cancel the running one",
    text: "The run that goes on is stopped, and the new one takes its place.",
  },
  parallel: { label: "Run side by side", text: "Both go on, up to ten; give each its own worktree." },
};

const CATCH_UPS: Record<Draft["catchUp"], { label: string; text: string }> = {
  latest: { label: "Run the latest once", text: "However many were missed, one run makes up for them." },
  all: { label: "Run all within a window", text: "Each one that is not too old is run, up to a hundred." },
  skip: { label: "Leave them out", text: "They are listed as missed, and nothing is made up for." },
};

type Change = (change: Partial<Draft>) => void;

/** What becomes of a firing when things are not as planned; folded, since the defaults do for most. */
export function Policies({ draft, problems, change }: { draft: Draft; problems: Problems; change: Change }) {
  const wrong = POLICY_FIELDS.some((field) => problems[field] !== undefined);
  return (
    <details className="group border-t pt-4" open={wrong || undefined} data-testid="policies">
      <summary className="flex cursor-pointer list-none flex-wrap items-baseline gap-x-2 rounded-sm text-sm outline-none focus-visible:ring-[3px] focus-visible:ring-ring/50 [&::-webkit-details-marker]:hidden">
        <ChevronRightIcon className="size-3.5 self-center transition-transform group-open:rotate-90" aria-hidden />
        <span className="font-semibold">Policies</span>
        <span className="text-xs text-muted-foreground">{summaryOf(draft)}</span>
      </summary>
      <div className="mt-3 grid gap-4 sm:grid-cols-2">
        <Field id="schedule-overlap" label="When the run before is still going on" hint={OVERLAPS[draft.overlap].text}>
          <Select
            {...fieldProps("schedule-overlap", undefined, true)}
            value={draft.overlap}
            options={OVERLAPS}
            onChange={(overlap) => change({ overlap })}
          />
        </Field>
        <Field
          id="schedule-catch-up"
          label="When firings were missed because the service was away"
          hint={CATCH_UPS[draft.catchUp].text}
          problem={problems.catchUpHours}
        >
          <div className="flex gap-2">
            <Select
              {...fieldProps("schedule-catch-up", undefined, true)}
              value={draft.catchUp}
              options={CATCH_UPS}
              onChange={(catchUp) => change({ catchUp })}
            />
            {draft.catchUp === "all" && (
              <Input
                aria-label="Hours back"
                inputMode="decimal"
                className="w-20"
                value={draft.catchUpHours}
                aria-invalid={problems.catchUpHours !== undefined}
                onChange={(event) => change({ catchUpHours: event.target.value })}
                data-testid="schedule-catch-up-hours"
              />
            )}
          </div>
        </Field>
        <Amount
          id="schedule-jitter"
          label="Spread of starts, in minutes"
          hint="Each run starts up to this much later, so that not all begin in the same second; 0 is on time."
          value={draft.jitterMinutes}
          problem={problems.jitterMinutes}
          onChange={(jitterMinutes) => change({ jitterMinutes })}
        />
        <Amount
          id="schedule-time-limit"
          label="Time limit, in minutes"
          hint="A run that takes longer is stopped and has failed; empty lets it take as long as it takes."
          value={draft.timeLimitMinutes}
          problem={problems.timeLimitMinutes}
          onChange={(timeLimitMinutes) => change({ timeLimitMinutes })}
        />
        <Amount
          id="schedule-retries"
          label="Retries"
          hint="How often it is tried again after a busy provider, a crash or a lost machine, with longer waits each time."
          value={draft.retries}
          problem={problems.retries}
          onChange={(retries) => change({ retries })}
        />
        <Amount
          id="schedule-pause-after"
          label="Pause after failures in a row"
          hint="So many failed runs in a row pause the schedule until a person looks; 0 never does."
          value={draft.pauseAfter}
          problem={problems.pauseAfter}
          onChange={(pauseAfter) => change({ pauseAfter })}
        />
      </div>
    </details>
  );
}

const POLICY_FIELDS: FieldName[] = ["catchUpHours", "jitterMinutes", "timeLimitMinutes", "retries", "pauseAfter"];

function summaryOf(draft: Draft): string {
  const facts = [
    OVERLAPS[draft.overlap].label.toLowerCase(),
    `missed: ${CATCH_UPS[draft.catchUp].label.toLowerCase()}`,
  ];
  facts.push(draft.timeLimitMinutes.trim() === "" ? "no time limit" : `${draft.timeLimitMinutes} min at most`);
  facts.push(draft.retries === "1" ? "1 retry" : `${draft.retries} retries`);
  if (draft.pauseAfter !== "0") facts.push(`pauses after ${draft.pauseAfter} failures`);
  return facts.join(" · ");
}

function Amount(props: {
  id: string;
  label: ReactNode;
  hint: string;
  value: string;
  problem: string | undefined;
  onChange: (value: string) => void;
}) {
  return (
    <Field id={props.id} label={props.label} hint={props.hint} problem={props.problem}>
      <Input
        {...fieldProps(props.id, props.problem, true)}
        inputMode="decimal"
        autoComplete="off"
        className="max-w-32"
        value={props.value}
        onChange={(event) => props.onChange(event.target.value)}
      />
    </Field>
  );
}

function Select<Value extends string>({
  value,
  options,
  onChange,
  ...rest
}: {
  id: string;
  value: Value;
  options: Record<Value, { label: string }>;
  onChange: (value: Value) => void;
}) {
  return (
    <select {...rest} value={value} onChange={(event) => onChange(event.target.value as Value)} className={SELECT}>
      {(Object.keys(options) as Value[]).map((option) => (
        <option key={option} value={option}>
          {options[option].label}
        </option>
      ))}
    </select>
  );
}

export const SELECT =
  "h-8 w-full min-w-0 rounded-md border border-input bg-card px-2 text-base shadow-xs outline-none focus-visible:border-ring focus-visible:ring-[3px] focus-visible:ring-ring/35 aria-invalid:border-destructive md:text-sm";
