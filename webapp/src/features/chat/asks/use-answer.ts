import { useCallback, useState } from "react";

import { useAction } from "@/lib/backend/react";
import type { Ask, AskAnswer } from "@/lib/backend/wire.gen";

/** Answers an ask, once; the card goes when the backend has the answer. */
export function useAnswer(ask: Ask) {
  const { run, pending, error } = useAction("worker.chat.answerAsk");
  const [sent, setSent] = useState(false);
  const answer = useCallback(
    async (value: AskAnswer) => {
      const reply = await run({ askId: ask.id, answer: value });
      if (reply) setSent(true);
    },
    [run, ask.id],
  );
  return { answer, busy: pending || sent, error };
}
