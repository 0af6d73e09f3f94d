"use client";

import { stateOf, type ShownState, type Turns } from "@/lib/chat/turns";

/** Says in words, for those who listen, what the page shows; changes with a state, never with a word of an answer. */
export function StatusLine({ turns, askCount }: { turns: Turns; askCount: number }) {
  const latest = turns.running ?? turns.shown.at(-1);
  const text = askCount > 0 ? "The agent waits for your answer." : latest ? TEXTS[stateOf(latest)] : "";
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
