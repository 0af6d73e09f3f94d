"use client";

import { ArrowDownIcon } from "lucide-react";
import { memo, useState } from "react";

import { Skeleton } from "@/components/ui/skeleton";
import { isEnded } from "@/lib/chat/chat-state";
import { stateOf, type TurnItem } from "@/lib/chat/turns";
import { hasEndlessWord, readable } from "@/lib/text/sanitise";
import { clockTime } from "@/lib/text/time";
import { cn } from "@/lib/utils";

import { PartView } from "./parts/part-view";
import { TurnStatus } from "./turn-status";

/** One message of the person and all that answers it. `still`: its machine is gone, so nothing grows to be seen. */
export const TurnView = memo(function TurnView({
  item,
  askIds,
  still,
}: {
  item: TurnItem;
  askIds: string;
  still: boolean;
}) {
  const state = stateOf(item);
  const live = item.summary !== null && !isEnded(item.summary.state);
  // A turn that was seen to run keeps being laid out: its height is not known otherwise, and the page would jump at its end.
  const [old] = useState(() => item.summary !== null && isEnded(item.summary.state));
  const asks = askIds === "" ? [] : askIds.split(" ");
  return (
    <article
      className={cn("flex flex-col gap-2.5", old && "off-screen-free")}
      data-testid="turn"
      data-turn-id={item.id ?? undefined}
      data-state={state}
      data-key={item.key}
    >
      <PersonMessage item={item} />
      {item.parts.length > 0 && (
        <div className="flex flex-col gap-1.5" data-testid="answer">
          {item.parts.map((part, index) => (
            <div key={part.id} className={part.kind === "text" ? "px-2.5 py-1 empty:hidden" : undefined}>
              <PartView
                part={part}
                live={live}
                growing={live && !still && item.check === null && index === item.parts.length - 1}
              />
            </div>
          ))}
        </div>
      )}
      {asks.map((id) => (
        <button
          key={id}
          type="button"
          onClick={() => document.getElementById(`ask-${id}`)?.focus()}
          className="mx-2.5 flex items-center gap-2 self-start rounded-md border border-wait/40 bg-wait/10 px-2.5 py-1 text-xs text-wait outline-none focus-visible:ring-[3px] focus-visible:ring-ring/50"
          data-testid="ask-marker"
        >
          The agent waits here for your answer <ArrowDownIcon className="size-3.5" />
        </button>
      ))}
      <TurnStatus item={item} waitsForAnswer={asks.length > 0} />
    </article>
  );
});

const LONG_CHARS = 1_200;
const LONG_LINES = 14;

function PersonMessage({ item }: { item: TurnItem }) {
  const [all, setAll] = useState(false);
  const { message } = item;
  const long =
    message !== null && (message.length > LONG_CHARS || message.split("\n", LONG_LINES + 1).length > LONG_LINES);
  return (
    <div className="flex flex-col items-end gap-1 pl-8 sm:pl-16">
      {message === null ? (
        <Skeleton className="h-9 w-1/2" />
      ) : (
        <div className="max-w-full min-w-0 rounded-xl rounded-br-sm border bg-secondary/70 px-3.5 py-2">
          <p
            className={cn(
              "break-words whitespace-pre-wrap",
              long && !all && "line-clamp-[12]",
              hasEndlessWord(message) && "no-kerning",
            )}
            data-testid="person-message"
          >
            {readable(message)}
          </p>
          {long && (
            <button
              type="button"
              className="mt-1 text-xs text-muted-foreground underline underline-offset-4 outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50"
              onClick={() => setAll(!all)}
            >
              {all ? "Show less" : "Show all"}
            </button>
          )}
        </div>
      )}
      <time className="text-2xs text-muted-foreground tabular-nums" dateTime={new Date(item.sentAt).toISOString()}>
        {clockTime(item.sentAt)}
      </time>
    </div>
  );
}
