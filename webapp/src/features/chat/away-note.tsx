"use client";

import { MoveRightIcon, SquareXIcon, WifiOffIcon } from "lucide-react";

import { isGone, presenceOf } from "@/components/presence";
import { Button } from "@/components/ui/button";
import type { ChatSummary, MachineSummary } from "@/lib/backend/wire.gen";

/** What can be done about a chat whose machine is away, perhaps for good. */
export function AwayNote({
  chat,
  machine,
  onContinue,
  onEnd,
}: {
  chat: ChatSummary;
  machine: MachineSummary | undefined;
  onContinue: () => void;
  onEnd: () => void;
}) {
  if (!machine || !isGone(machine) || chat.state === "closed") return null;
  return (
    <section
      aria-label={`${machine.name} is away`}
      className="flex flex-wrap items-center gap-x-3 gap-y-1.5 rounded-lg border border-wait/30 bg-wait/8 px-3 py-2 text-xs"
      data-testid="chat-away"
    >
      <WifiOffIcon className="size-4 shrink-0 text-wait" />
      <p className="min-w-0 flex-1 basis-56">
        <span className="font-medium">
          {machine.name} is {presenceOf(machine).text}.
        </span>{" "}
        <span className="text-muted-foreground">
          This chat goes on by itself when it is back. If you can&apos;t wait, continue elsewhere; what is under way or
          waits can be stopped here.
        </span>
      </p>
      <div className="flex gap-1.5">
        <Button size="sm" variant="outline" onClick={onContinue} data-testid="away-continue">
          <MoveRightIcon /> Continue elsewhere…
        </Button>
        <Button size="sm" variant="ghost" onClick={onEnd} data-testid="away-end">
          <SquareXIcon /> End session…
        </Button>
      </div>
    </section>
  );
}
