import type { ReactNode } from "react";

import { cn } from "@/lib/utils";

export function Figures({ columns, children }: { columns: 3 | 4; children: ReactNode }) {
  return (
    <dl className={cn("grid grid-cols-2 gap-x-6 gap-y-5", columns === 4 ? "lg:grid-cols-4" : "sm:grid-cols-3")}>
      {children}
    </dl>
  );
}

/** A figure with what it means. */
export function Figure(props: {
  label: string;
  value: ReactNode;
  testId: string;
  note?: string | null;
  meter?: ReactNode;
  children: ReactNode;
}) {
  return (
    <div className="flex min-w-0 flex-col gap-1" data-testid={props.testId}>
      <dt className="text-xs text-muted-foreground">{props.label}</dt>
      <dd className="flex min-w-0 flex-col gap-1">
        <span className="min-w-0 break-words tabular-nums">{props.value}</span>
        {props.meter}
        {props.note != null && <span className="text-xs tabular-nums">{props.note}</span>}
        <span className="text-2xs text-muted-foreground">{props.children}</span>
      </dd>
    </div>
  );
}

/** How much of a limit is used; stands out when nothing is left. */
export function Meter({ label, value, max, text }: { label: string; value: number; max: number; text: string }) {
  const share = max > 0 ? Math.min(1, value / max) : 1;
  return (
    <span
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={max}
      aria-valuenow={Math.min(value, max)}
      aria-valuetext={text}
      className="block h-1.5 overflow-hidden rounded-full bg-accent"
    >
      <span
        className={cn("block h-full rounded-full", share < 1 ? "bg-busy" : "bg-wait")}
        style={{ width: `${share * 100}%` }}
      />
    </span>
  );
}
