"use client";

import { ChevronRightIcon } from "lucide-react";
import { useId, useState, type ReactNode } from "react";

import { cn } from "@/lib/utils";

interface Props {
  summary: ReactNode;
  /** Open before a person has opened or closed it; may change while work goes on. */
  openByDefault?: boolean;
  testId: string;
  state?: string;
  className?: string;
  /** Nothing to open. */
  empty?: boolean;
  children: ReactNode;
}

/** A line that opens. What it hides is not rendered, so a long transcript stays light. */
export function Fold({ summary, openByDefault = false, testId, state, className, empty = false, children }: Props) {
  const [chosen, setChosen] = useState<boolean | null>(null);
  const id = useId();
  const open = !empty && (chosen ?? openByDefault);
  return (
    <div className={className} data-testid={testId} data-state={state} data-open={open}>
      <button
        type="button"
        aria-expanded={open}
        aria-controls={id}
        disabled={empty}
        onClick={() => setChosen(!open)}
        className="group/fold flex min-h-8 w-full min-w-0 items-center gap-2 rounded-[inherit] px-2.5 py-1 text-left text-xs outline-none focus-visible:ring-[3px] focus-visible:ring-ring/50 enabled:hover:bg-accent/50"
      >
        <span className="flex min-w-0 flex-1 items-center gap-2">{summary}</span>
        <ChevronRightIcon
          className={cn(
            "size-3.5 shrink-0 text-muted-foreground transition-transform",
            open && "rotate-90",
            empty && "invisible",
          )}
        />
      </button>
      {open && <div id={id}>{children}</div>}
    </div>
  );
}
