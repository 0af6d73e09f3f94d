"use client";

import { CheckIcon } from "lucide-react";

import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";

import { Field, fieldProps } from "./choice";
import { FiringPreview } from "./firing-preview";
import type { Understood } from "./when";
import { ZonePicker } from "./zone-picker";

const EXAMPLES = [
  "every weekday at 9",
  "every day at 09:00 and 18:00",
  "every 15 minutes",
  "every 6 hours from 08:00",
  "on the first weekday of each month at 9",
  "*/30 9-17 * * 1-5",
];

const KINDS = { phrase: "phrase", cron: "cron expression", interval: "interval" } as const;

/** When it runs: one field for all ways to say it, which tells at once what it understood. */
export function WhenField(props: {
  text: string;
  zone: string;
  understood: Understood;
  now: number;
  /** What is missing is told only once somebody has tried to save. */
  problem: string | undefined;
  zoneProblem: string | undefined;
  onText: (text: string) => void;
  onZone: (zone: string) => void;
}) {
  const { understood } = props;
  return (
    <>
      <div className="grid gap-4 sm:grid-cols-[1fr_15rem]">
        <Field id="schedule-when" label="When" problem={props.problem}>
          <Input
            {...fieldProps("schedule-when", props.problem)}
            autoComplete="off"
            spellCheck={false}
            placeholder="every weekday at 9, every 15 minutes, 0 9 * * 1-5"
            value={props.text}
            onChange={(event) => props.onText(event.target.value)}
          />
          <p role="status" className="flex min-h-5 flex-wrap items-center gap-x-2 text-xs" data-testid="understood">
            {understood.kind === "ok" && (
              <>
                <CheckIcon className="size-3.5 text-ok" aria-hidden />
                <span className="font-medium">{understood.text}</span>
                <Badge variant="outline">{KINDS[understood.as]}</Badge>
                {understood.as === "phrase" && understood.cron !== null && (
                  <code className="text-2xs text-muted-foreground">{understood.cron}</code>
                )}
              </>
            )}
          </p>
        </Field>
        <ZonePicker zone={props.zone} problem={props.zoneProblem} now={props.now} onChange={props.onZone} />
      </div>
      {understood.kind === "ok" ? (
        <FiringPreview when={understood.when} now={props.now} />
      ) : (
        <div className="flex flex-wrap items-center gap-1.5" aria-label="Examples" role="group">
          <span className="text-xs text-muted-foreground">For example</span>
          {EXAMPLES.map((example) => (
            <Button
              key={example}
              variant="outline"
              size="sm"
              className="h-6 font-normal"
              onClick={() => props.onText(example)}
              data-testid="when-example"
            >
              {example}
            </Button>
          ))}
        </div>
      )}
    </>
  );
}
