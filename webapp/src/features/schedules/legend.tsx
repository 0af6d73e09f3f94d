import type { RunState, RunSummary } from "@/lib/backend/wire.gen";

import { RUN_LOOKS, RunShape } from "./run-look";

const ORDER: RunState[] = ["completed", "running", "queued", "failed", "interrupted", "missed", "skipped", "cancelled"];

/** What the marks of a timeline mean, of those that are there, and how many there are of each. */
export function Legend({ runs }: { runs: readonly RunSummary[] }) {
  const count = (state: RunState) =>
    runs
      .filter((run) => run.state === state || (state === "queued" && run.state === "due"))
      .reduce((sum, run) => sum + run.count, 0);
  const counts = ORDER.map((state) => ({ state, count: count(state) })).filter((entry) => entry.count > 0);
  return (
    <ul className="flex flex-wrap gap-x-4 gap-y-1 text-xs text-muted-foreground" data-testid="legend">
      {counts.map((entry) => (
        <li key={entry.state} className="flex items-center gap-1.5">
          <RunShape state={entry.state} className="size-2.5" />
          {entry.count} {RUN_LOOKS[entry.state].text}
        </li>
      ))}
    </ul>
  );
}
