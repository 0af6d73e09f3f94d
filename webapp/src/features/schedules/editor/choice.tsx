import type { ReactNode } from "react";

import { Label } from "@/components/ui/label";
import { cn } from "@/lib/utils";

/** A box to tick or one of several to choose, with what it means. */
export function Choice(props: {
  type: "checkbox" | "radio";
  name?: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
  label: string;
  children?: ReactNode;
  testId: string;
}) {
  return (
    <label className="flex min-w-0 cursor-pointer items-start gap-2.5 rounded-md border px-3 py-2 has-checked:border-ring has-checked:bg-accent/50 has-focus-visible:ring-[3px] has-focus-visible:ring-ring/35">
      <input
        type={props.type}
        name={props.name}
        checked={props.checked}
        onChange={(event) => props.onChange(event.target.checked)}
        className="mt-0.5 size-3.5 shrink-0 accent-(--primary)"
        data-testid={props.testId}
      />
      <span className="min-w-0">
        <span className="font-medium">{props.label}</span>
        {props.children !== undefined && <span className="block text-xs text-muted-foreground">{props.children}</span>}
      </span>
    </label>
  );
}

/** A part of the form. */
export function Part({ title, children, className }: { title: string; children: ReactNode; className?: string }) {
  return (
    <fieldset className={cn("flex min-w-0 flex-col gap-3 border-t pt-4", className)}>
      <legend className="float-left mb-1 text-sm font-semibold">{title}</legend>
      {children}
    </fieldset>
  );
}

/** A field with its label, what it means, and what is wrong with it. */
export function Field(props: {
  id: string;
  label: ReactNode;
  hint?: ReactNode;
  problem?: string | undefined;
  className?: string;
  children: ReactNode;
}) {
  return (
    <div className={cn("flex min-w-0 flex-col gap-1.5", props.className)}>
      <Label htmlFor={props.id}>{props.label}</Label>
      {props.children}
      {props.hint !== undefined && (
        <p id={`${props.id}-hint`} className="text-xs text-muted-foreground">
          {props.hint}
        </p>
      )}
      {props.problem !== undefined && (
        <p id={`${props.id}-problem`} className="text-xs text-bad" data-testid={`${props.id}-problem`}>
          {props.problem}
        </p>
      )}
    </div>
  );
}

/** What ties a control to its field's words. */
export function fieldProps(id: string, problem: string | undefined, hasHint = false) {
  const described = [hasHint ? `${id}-hint` : null, problem === undefined ? null : `${id}-problem`].filter(Boolean);
  return {
    id,
    "data-testid": id,
    "aria-invalid": problem !== undefined,
    "aria-describedby": described.length > 0 ? described.join(" ") : undefined,
  };
}
