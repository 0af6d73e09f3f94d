"use client";

import type { ProcessWait } from "@/lib/backend/wire.gen";
import { stateOf, type ShownState, type Turns } from "@/lib/chat/turns";

import { waitSentence } from "./wait";

/** Says in words, for those who listen, what the page shows; changes with a state, never with a word of an answer. */
export function StatusLine({
  turns,
  askCount,
  wait,
}: {
  turns: Turns;
  askCount: number;
  /** Why the next message waits, if it waits for a process. */
  wait: ProcessWait | null;
}) {
  const latest = turns.running ?? turns.shown.at(-1);
  const state = latest ? stateOf(latest) : null;
  const told = state === "queued" && wait !== null ? waitSentence(wait) : state === null ? "" : TEXTS[state];
  const text = askCount > 0 ? "The agent waits for your answer." : told;
  return (
    <p role="status" aria-live="polite" className="sr-only" data-testid="status-line">
      {text}
      {turns.queued.length > 0 && ` ${turns.queued.length} queued.`}
    </p>
  );
}

const TEXTS: Record<ShownState, string> = {
  sending: "Sending.",
  unsent: "The message was not sent.",
  queued: "The message is queued.",
  delivered: "Delivered. The agent is starting.",
  streaming: "The agent is working.",
  completed: "The answer is complete.",
  interrupted: "The turn was interrupted.",
  failed: "The turn failed.",
  cancelled: "The turn was stopped.",
  unknown: "",
};
