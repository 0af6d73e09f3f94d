"use client";

import { ClockIcon } from "lucide-react";
import { toast } from "sonner";

import { Button } from "@/components/ui/button";
import { useAction } from "@/lib/backend/react";
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
        <CancelAll items={items} />
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

function CancelAll({ items }: { items: readonly TurnItem[] }) {
  const { run, pending } = useAction("worker.chat.cancelTurn", (error) =>
    toast.error("Not all messages were cancelled", { description: error.message }),
  );
  const waiting = items.flatMap(({ summary }) => summary?.id ?? []);
  if (waiting.length < 2) return null;
  const cancelAll = async () => {
    // The last one first: none moves up and is taken while those before it are cancelled.
    for (const turnId of waiting.toReversed()) if (!(await run({ turnId }))) return;
  };
  return (
    <Button
      variant="ghost"
      size="sm"
      className="-my-1 ml-auto"
      disabled={pending}
      onClick={() => void cancelAll()}
      data-testid="cancel-queue"
    >
      Cancel all
    </Button>
  );
}
