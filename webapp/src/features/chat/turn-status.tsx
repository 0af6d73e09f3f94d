"use client";

import {
  CircleAlertIcon,
  CircleSlashIcon,
  ClockIcon,
  LoaderCircleIcon,
  PlayIcon,
  RotateCcwIcon,
  SendIcon,
  ShieldAlertIcon,
  ShieldCheckIcon,
  TriangleAlertIcon,
  XIcon,
} from "lucide-react";
import type { ReactNode } from "react";
import { toast } from "sonner";

import { Button } from "@/components/ui/button";
import { Tooltip } from "@/components/ui/tooltip";
import { useAction, useConnection } from "@/lib/backend/react";
import type { TurnSummary } from "@/lib/backend/wire.gen";
import { stateOf, type TurnItem } from "@/lib/chat/turns";
import { readable } from "@/lib/text/sanitise";
import { clockTime, elapsed } from "@/lib/text/time";
import { useNow } from "@/lib/use-now";
import { cn } from "@/lib/utils";

import { useChatContext } from "./chat-context";
import { TurnFacts } from "./turn-facts";

/** How a turn stands: always there, and with what can be done about it. */
export function TurnStatus({ item, waitsForAnswer }: { item: TurnItem; waitsForAnswer: boolean }) {
  const state = stateOf(item);
  return (
    <div
      className="flex min-h-7 flex-wrap items-center gap-x-2.5 gap-y-1 px-2.5 text-xs"
      data-testid="turn-status"
      data-state={state}
      data-check={item.check ?? undefined}
    >
      <StatusBody item={item} waitsForAnswer={waitsForAnswer} />
    </div>
  );
}

function StatusBody({ item, waitsForAnswer }: { item: TurnItem; waitsForAnswer: boolean }) {
  const { away, store, canWrite, chatState } = useChatContext();
  const { summary } = item;
  const state = stateOf(item);
  switch (state) {
    case "sending":
      return <Line icon={<LoaderCircleIcon className="animate-spin" />} text="Sending…" />;
    case "unsent":
      return (
        <>
          <Line icon={<CircleAlertIcon />} tone="text-bad" text={`Not sent: ${item.sendProblem ?? ""}`} />
          <Button
            size="sm"
            variant="outline"
            onClick={() => void store.send(item.message ?? "", item.key)}
            data-testid="send-again"
          >
            <SendIcon /> Send again
          </Button>
          <Button size="sm" variant="ghost" onClick={() => store.drop(item.key)} data-testid="send-drop">
            Discard
          </Button>
        </>
      );
    case "queued":
      return (
        <>
          <Line icon={<ClockIcon />} text={queuedText(away, chatState)} />
          {summary && <Cancel turn={summary} label="Cancel" />}
        </>
      );
    case "delivered":
    case "streaming":
      return (
        <>
          <Running turn={summary} waitsForAnswer={waitsForAnswer} away={away} begun={state === "streaming"} />
        </>
      );
    case "completed":
      return (
        <>
          <Verified item={item} />
          <TurnFacts item={item} />
        </>
      );
    case "interrupted":
      return (
        <>
          <Line
            icon={<TriangleAlertIcon />}
            tone="text-wait"
            text={`Interrupted: ${readable(summary?.reason ?? "the reason is not known")}`}
            testId="turn-reason"
          />
          {summary && canWrite && <Continue turn={summary} />}
          <TurnFacts item={item} />
        </>
      );
    case "failed":
      return (
        <>
          <Line
            icon={<CircleAlertIcon />}
            tone="text-bad"
            text={`Failed: ${readable(summary?.reason ?? "the reason is not known")}`}
            testId="turn-reason"
          />
          {item.message !== null && canWrite && (
            <Button
              size="sm"
              variant="outline"
              onClick={() => void store.send(item.message ?? "")}
              data-testid="send-as-new"
            >
              <RotateCcwIcon /> Send again
            </Button>
          )}
          <TurnFacts item={item} />
        </>
      );
    case "cancelled":
      return (
        <>
          <Line icon={<CircleSlashIcon />} text={item.parts.length > 0 ? "Stopped" : "Cancelled"} />
          <TurnFacts item={item} />
        </>
      );
    case "unknown":
      return (
        <Line
          icon={<TriangleAlertIcon />}
          text="In a state that this page does not know. Reload it to get its newest version."
        />
      );
  }
}

function queuedText(away: string | null, chatState: string): string {
  if (away !== null) return `Waiting. ${away} It is delivered when the machine is back.`;
  switch (chatState) {
    case "requested":
    case "starting":
      return "Queued: opencode is starting…";
    case "hibernated":
      return "Queued: waking opencode…";
    default:
      return "Queued";
  }
}

function Running({
  turn,
  waitsForAnswer,
  away,
  begun,
}: {
  turn: TurnSummary | null;
  waitsForAnswer: boolean;
  away: string | null;
  begun: boolean;
}) {
  const now = useNow();
  const connection = useConnection();
  const asOf = connection.kind === "stale" ? `, as of ${clockTime(connection.since)}` : null;
  const workedMs = turn?.deliveredAt == null ? null : Math.max(0, now - turn.deliveredAt);
  const cancelling = turn?.cancelRequested === true;
  const text = cancelling
    ? "Stopping…"
    : waitsForAnswer
      ? "Waiting for your answer"
      : begun
        ? "Working"
        : "Delivered, starting…";
  const tone = away !== null || asOf !== null || waitsForAnswer ? "text-wait" : "text-busy";
  const icon =
    waitsForAnswer && !cancelling ? (
      <ClockIcon />
    ) : (
      <LoaderCircleIcon className={away === null && asOf === null ? "animate-spin" : undefined} />
    );
  return (
    <>
      <Line icon={icon} tone={tone} text={text + (asOf ?? "")} />
      {asOf === null && workedMs !== null && workedMs >= 1_000 && (
        <span className="text-muted-foreground tabular-nums">{elapsed(workedMs)}</span>
      )}
      {away !== null && (
        <span className="text-muted-foreground">{away} What it did since then shows when it is back.</span>
      )}
    </>
  );
}

function Verified({ item }: { item: TurnItem }) {
  if (item.check === "mismatch") {
    return (
      <Tooltip hint="The text does not have the hash that its machine computed. Something changed it on the way, or the machine was at fault.">
        <span className="inline-flex items-center gap-1.5 text-bad" tabIndex={0}>
          <ShieldAlertIcon className="size-3.5" /> Complete, but not verified
        </span>
      </Tooltip>
    );
  }
  if (item.check === null)
    return <Line icon={<LoaderCircleIcon className="animate-spin" />} text="Complete, fetching the whole message…" />;
  return (
    <Tooltip
      hint={`Verified: the text has the SHA-256 that its machine computed${item.summary?.hash ? ` (${item.summary.hash.slice(0, 12)}…)` : ""}.`}
    >
      <span className="inline-flex items-center gap-1.5 text-ok" tabIndex={0}>
        <ShieldCheckIcon className="size-3.5" /> Complete
      </span>
    </Tooltip>
  );
}

export function Cancel({ turn, label }: { turn: TurnSummary; label: string }) {
  const { run, pending } = useAction("worker.chat.cancelTurn", (error) =>
    toast.error("The message was not cancelled", { description: error.message }),
  );
  return (
    <Button
      size="sm"
      variant="ghost"
      disabled={pending || turn.cancelRequested}
      onClick={() => void run({ turnId: turn.id })}
      data-testid="cancel-turn"
    >
      <XIcon /> {label}
    </Button>
  );
}

function Continue({ turn }: { turn: TurnSummary }) {
  const { run, pending } = useAction("worker.chat.continueTurn", (error) =>
    toast.error("It could not be continued", { description: error.message }),
  );
  return (
    <Button
      size="sm"
      variant="outline"
      disabled={pending}
      onClick={() => void run({ turnId: turn.id })}
      data-testid="continue-turn"
    >
      <PlayIcon /> Continue
    </Button>
  );
}

function Line({
  icon,
  text,
  tone = "text-muted-foreground",
  testId,
}: {
  icon: ReactNode;
  text: string;
  tone?: string;
  testId?: string;
}) {
  return (
    <span
      className={cn("inline-flex min-w-0 items-start gap-1.5 [&_svg]:mt-px [&_svg]:size-3.5 [&_svg]:shrink-0", tone)}
      data-testid={testId}
    >
      {icon}
      <span className="min-w-0 break-words">{text}</span>
    </span>
  );
}
