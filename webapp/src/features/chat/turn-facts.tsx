"use client";

import { CopyButton } from "@/components/copy-button";
import type { TurnItem } from "@/lib/chat/turns";
import { readableLine } from "@/lib/text/sanitise";
import { clockTime, duration } from "@/lib/text/time";

/** What a turn took, and its text to copy. */
export function TurnFacts({ item }: { item: TurnItem }) {
  const { summary, usage, model } = item;
  const text = item.parts.flatMap((part) => (part.kind === "text" && part.text !== "" ? [part.text] : [])).join("\n\n");
  const facts: string[] = [];
  if (summary?.endedAt != null) facts.push(duration(summary.endedAt - (summary.deliveredAt ?? summary.createdAt)));
  if (usage && usage.inputTokens + usage.outputTokens > 0)
    facts.push(`${compact(usage.inputTokens)} in, ${compact(usage.outputTokens)} out`);
  if (usage && usage.costMicroUsd > 0)
    facts.push(`$${(usage.costMicroUsd / 1_000_000).toFixed(usage.costMicroUsd < 10_000 ? 4 : 2)}`);
  if (model) facts.push(readableLine(model));
  return (
    <>
      {facts.length > 0 && (
        <span
          className="text-muted-foreground tabular-nums"
          title={summary?.endedAt == null ? undefined : `Ended ${clockTime(summary.endedAt)}`}
        >
          {facts.join(" · ")}
        </span>
      )}
      {text !== "" && <CopyButton text={text} label="Copy the answer" className="size-6" data-testid="copy-answer" />}
    </>
  );
}

function compact(count: number): string {
  return count < 1_000 ? String(count) : `${(count / 1_000).toFixed(count < 10_000 ? 1 : 0)}k`;
}
