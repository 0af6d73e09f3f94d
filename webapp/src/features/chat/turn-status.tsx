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

import { RouteLink } from "@/components/route-link";
import { Button } from "@/components/ui/button";
import { Tooltip } from "@/components/ui/tooltip";
import { useAction, useConnection } from "@/lib/backend/react";
import type { ChatState, ProcessWait, TurnSummary } from "@/lib/backend/wire.gen";
import { stateOf, type TurnItem } from "@/lib/chat/turns";
import { readable } from "@/lib/text/sanitise";
import { clockTime, elapsed } from "@/lib/text/time";
import { useNow } from "@/lib/use-now";
import { cn } from "@/lib/utils";

import { useChatContext } from "./chat-context";
import { TurnFacts } from "./turn-facts";
import { waitSentence } from "./wait";

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
  const { away, gone, wait, machineId, store, canWrite, chatState } = useChatContext();
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
          <Line icon={<ClockIcon />} text={queuedText(away, wait, chatState)} />
          {away === null && wait !== null && machineId !== null && (
            <RouteLink
              to={{ page: "machine", machineId, tab: "health" }}
              className="rounded-sm text-muted-foreground underline underline-offset-4 outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50"
            >
              How the machine is
            </RouteLink>
          )}
          {summary && <Cancel turn={summary} label="Cancel" />}
        </>
      );
    case "delivered":
    case "streaming":
      return (
        <>
          <Running
            turn={summary}
            waitsForAnswer={waitsForAnswer}
            away={away}
            gone={gone}
            begun={state === "streaming"}
          />
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
          <Line icon={<CircleSlashIcon />} text={cancelledText(item)} testId="turn-reason" />
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

function cancelledText({ summary, parts }: TurnItem): string {
  // Its reason says more than that it was stopped, and begins with it.
  if (summary?.reason) return readable(summary.reason);
  return summary?.deliveredAt == null && parts.length === 0 ? "Cancelled" : "Stopped";
}

function queuedText(away: string | null, wait: ProcessWait | null, chatState: ChatState): string {
  if (away !== null) return `Waiting. ${away} It is delivered when the machine is back.`;
  if (wait !== null) return waitSentence(wait);
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
  gone,
  begun,
}: {
  turn: TurnSummary | null;
  waitsForAnswer: boolean;
  away: string | null;
  gone: boolean;
  begun: boolean;
}) {
  const now = useNow();
  const connection = useConnection();
  const asOf = connection.kind === "stale" ? `, as of ${clockTime(connection.since)}` : null;
  const workedMs = turn?.deliveredAt == null ? null : Math.max(0, now - turn.deliveredAt);
  const cancelling = turn?.cancelRequested === true;
  if (gone && away !== null && turn) return <LastSeenWorking turn={turn} away={away} />;
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

/** Under way when its machine was last seen: nothing turns here, since nobody knows whether anything turns there. */
function LastSeenWorking({ turn, away }: { turn: TurnSummary; away: string }) {
  return (
    <>
      <Line
        icon={<ClockIcon />}
        tone="text-wait"
        text={
          turn.cancelRequested
            ? "Was to stop when its machine was last seen"
            : "Was working when its machine was last seen"
        }
      />
      <span className="min-w-0 text-muted-foreground">
        {away} What it did since then shows when it is back, or stop it here now.
      </span>
      <Cancel turn={turn} label="Stop" />
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
  const { gone } = useChatContext();
  const { run, pending } = useAction("worker.chat.cancelTurn", (error) =>
    toast.error("The message was not cancelled", { description: error.message }),
  );
  // A machine that is gone never hears of the request; asked again, the backend ends the turn without it.
  const asked = turn.cancelRequested && !gone;
  return (
    <Button
      size="sm"
      variant="ghost"
      disabled={pending || asked}
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
