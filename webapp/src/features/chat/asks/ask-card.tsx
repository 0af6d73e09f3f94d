"use client";

import { MessageCircleQuestionIcon, ShieldQuestionIcon } from "lucide-react";

import { Badge } from "@/components/ui/badge";
import type { Ask } from "@/lib/backend/wire.gen";
import { clockTime, countdown } from "@/lib/text/time";
import { useNow } from "@/lib/use-now";

import { PermissionAsk } from "./permission-ask";
import { QuestionAsk } from "./question-ask";

/** Within this of its deadline an ask shows the countdown. */
const COUNTDOWN_MS = 60 * 60 * 1_000;

/** A permission request or a question that waits for the person. */
export function AskCard({ ask, away }: { ask: Ask; away: string | null }) {
  const isQuestion = ask.body.kind === "question";
  return (
    <section
      id={`ask-${ask.id}`}
      tabIndex={-1}
      aria-label={isQuestion ? "A question for you" : "A permission request"}
      className="overflow-clip rounded-xl border border-wait/40 bg-card shadow-sm outline-none focus-visible:ring-[3px] focus-visible:ring-ring/50"
      data-testid="ask-card"
      data-ask-id={ask.id}
      data-kind={ask.body.kind}
    >
      <header className="flex items-center gap-2 border-b border-wait/25 bg-wait/10 px-3 py-1.5 text-xs">
        {isQuestion ? (
          <MessageCircleQuestionIcon className="size-4 shrink-0 text-wait" />
        ) : (
          <ShieldQuestionIcon className="size-4 shrink-0 text-wait" />
        )}
        <span className="font-medium">{isQuestion ? "The agent has a question" : "The agent asks for permission"}</span>
        <Deadline ask={ask} />
      </header>
      {away !== null && (
        <p className="border-b bg-muted/50 px-3 py-1.5 text-xs text-muted-foreground">
          {away} Your answer is kept and given when it is back.
        </p>
      )}
      {ask.body.kind === "permission" && <PermissionAsk ask={ask} body={ask.body} />}
      {ask.body.kind === "question" && <QuestionAsk ask={ask} body={ask.body} />}
      {ask.body.kind === "unknown" && (
        <p className="p-3 text-sm text-muted-foreground">
          This page does not know this kind of request. Reload it to get its newest version.
        </p>
      )}
    </section>
  );
}

function Deadline({ ask }: { ask: Ask }) {
  const now = useNow();
  const left = ask.deadline - now;
  return (
    <Badge
      variant={left < COUNTDOWN_MS ? "wait" : "outline"}
      className="ml-auto tabular-nums"
      title={`Asked at ${clockTime(ask.createdAt)}. Without an answer it is denied at ${clockTime(ask.deadline)}.`}
    >
      {left < COUNTDOWN_MS ? `denied in ${countdown(left)}` : `asked ${clockTime(ask.createdAt)}`}
    </Badge>
  );
}
