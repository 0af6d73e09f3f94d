import type { Progress } from "@/lib/backend/wire.gen";
import { readableLine } from "@/lib/text/sanitise";
import { cn } from "@/lib/utils";

import { progressFacts } from "./describe";

/** How far a command is: its phase, a bar, and what is known in numbers. */
export function ProgressBar({ label, progress }: { label: string; progress: Progress | null }) {
  const percent = progress?.percent ?? null;
  const facts = progress ? progressFacts(progress) : "";
  const phase = progress ? readableLine(progress.phase) : "Starting";
  return (
    <div className="flex min-w-0 flex-col gap-1.5" data-testid="progress" data-percent={percent ?? ""}>
      <div className="flex flex-wrap justify-between gap-x-4 text-xs text-muted-foreground tabular-nums">
        <span data-testid="progress-phase">
          {phase}
          {percent !== null && ` ${percent} %`}
        </span>
        <span data-testid="progress-facts">{facts}</span>
      </div>
      <div
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent ?? undefined}
        aria-valuetext={`${phase}${percent === null ? "" : `, ${percent} %`}`}
        className="h-1.5 overflow-hidden rounded-full bg-accent"
      >
        <div
          className={cn(
            "h-full rounded-full bg-busy transition-[width] duration-200",
            percent === null && "w-1/3 animate-pulse",
          )}
          style={percent === null ? undefined : { width: `${percent}%` }}
        />
      </div>
    </div>
  );
}
