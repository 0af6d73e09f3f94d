import type { RunSummary } from "@/lib/backend/wire.gen";
import { readableLine } from "@/lib/text/sanitise";
import { duration } from "@/lib/text/time";

import { lookOfRun } from "./run-look";
import { momentIn } from "./zone-time";

/** One run in a sentence: for its mark, which has no words of its own. */
export function runText(run: RunSummary, zone: string, now: number, withName = false): string {
  const when = momentIn(zone, run.dueAt, now);
  const what = run.count > 1 ? `${run.count} firings from ${when}` : `${run.isManual ? "run by hand, " : ""}${when}`;
  const took = run.startedAt != null && run.endedAt != null ? `, took ${duration(run.endedAt - run.startedAt)}` : "";
  const why = run.reason != null && run.reason !== "" ? `. ${readableLine(run.reason)}` : "";
  const name = withName ? `${readableLine(run.scheduleName)}: ` : "";
  return `${name}${lookOfRun(run).text}, ${what}${took}${why}`;
}

/** `18.7k in, 2.1k out`, `$0.09`: what a run took, as far as opencode reports it. */
export function usageFacts({ usage }: RunSummary): string[] {
  if (!usage) return [];
  const facts: string[] = [];
  if (usage.inputTokens + usage.outputTokens > 0)
    facts.push(`${compact(usage.inputTokens)} in, ${compact(usage.outputTokens)} out`);
  if (usage.costMicroUsd > 0)
    facts.push(`$${(usage.costMicroUsd / 1_000_000).toFixed(usage.costMicroUsd < 10_000 ? 4 : 2)}`);
  return facts;
}

function compact(count: number): string {
  return count < 1_000 ? String(count) : `${(count / 1_000).toFixed(count < 10_000 ? 1 : 0)}k`;
}
