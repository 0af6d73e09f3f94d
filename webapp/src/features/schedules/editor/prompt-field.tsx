"use client";

import { useRef } from "react";

import { Button } from "@/components/ui/button";
import { Textarea } from "@/components/ui/textarea";
import { VARIABLES } from "@/lib/schedule/shared.gen";

import { Field, fieldProps } from "./choice";

/** What is sent at each run; variables are put in where the cursor is. */
export function PromptField(props: { value: string; problem: string | undefined; onChange: (value: string) => void }) {
  const area = useRef<HTMLTextAreaElement>(null);
  const insert = (name: string) => {
    const { selectionStart: from, selectionEnd: to } = area.current ?? { selectionStart: 0, selectionEnd: 0 };
    const variable = `{{${name}}}`;
    props.onChange(props.value.slice(0, from) + variable + props.value.slice(to));
    // Once the value is in the field again, the cursor goes behind what was put in.
    requestAnimationFrame(() => {
      area.current?.focus();
      area.current?.setSelectionRange(from + variable.length, from + variable.length);
    });
  };
  return (
    <Field id="schedule-prompt" label="Prompt" problem={props.problem}>
      <Textarea
        {...fieldProps("schedule-prompt", props.problem)}
        ref={area}
        className="min-h-28"
        placeholder="What is to be done each time"
        value={props.value}
        onChange={(event) => props.onChange(event.target.value)}
      />
      <div role="group" aria-label="Insert a variable" className="flex flex-wrap items-center gap-1">
        <span className="text-xs text-muted-foreground">Insert</span>
        {VARIABLES.map(([name, about]) => (
          <Button
            key={name}
            variant="outline"
            size="sm"
            className="h-6 px-1.5 font-mono text-2xs font-normal"
            title={about}
            aria-label={`Insert ${name}: ${about}`}
            onClick={() => insert(name)}
            data-testid={`variable-${name}`}
          >
            {name}
          </Button>
        ))}
      </div>
    </Field>
  );
}
