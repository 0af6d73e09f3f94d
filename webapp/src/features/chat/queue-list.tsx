"use client";

import { ClockIcon } from "lucide-react";

import type { TurnItem } from "@/lib/chat/turns";
import { readableLine } from "@/lib/text/sanitise";

import { Cancel } from "./turn-status";

/** Messages that wait behind the turn that is under way, in the order in which they will be given. */
export function QueueList({ items }: { items: readonly TurnItem[] }) {
  if (items.length === 0) return null;
  return (
    <section aria-label="Queued messages" className="overflow-hidden rounded-lg border bg-muted/50" data-testid="queue">
      <h2 className="flex items-center gap-1.5 border-b px-3 py-1 text-2xs font-medium text-muted-foreground">
        <ClockIcon className="size-3" />
        {items.length === 1 ? "1 message queued" : `${items.length} messages queued`}
      </h2>
      <ol className="max-h-36 divide-y overflow-y-auto scroll-thin">
        {items.map((item) => (
          <li
            key={item.key}
            className="flex min-h-8 items-center gap-2 pr-1 pl-3 text-xs"
            data-testid="queued-turn"
            data-turn-id={item.id ?? undefined}
          >
            <span className="min-w-0 flex-1 truncate">{item.message === null ? "…" : readableLine(item.message)}</span>
            {item.summary ? (
              <Cancel turn={item.summary} label="Cancel" />
            ) : (
              <span className="pr-2 text-muted-foreground">{item.send === "failed" ? "not sent" : "sending…"}</span>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}
