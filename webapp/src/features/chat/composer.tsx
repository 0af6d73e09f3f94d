"use client";

import { ArrowUpIcon, SquareIcon } from "lucide-react";
import { useEffect, useRef, useState, type KeyboardEvent, type SubmitEvent } from "react";
import { toast } from "sonner";

import { Button } from "@/components/ui/button";
import { Kbd } from "@/components/ui/kbd";
import { useAction } from "@/lib/backend/react";
import { LIMITS, type ChatSessionId } from "@/lib/backend/wire.gen";
import type { TurnItem } from "@/lib/chat/turns";
import { byteLength, byteSize } from "@/lib/text/bytes";
import { cn } from "@/lib/utils";

import { useChatContext } from "./chat-context";
import { readDraft, writeDraft } from "./draft";

/** From this share of the limit on, the size is shown. */
const NEAR_LIMIT = 0.8;

export function Composer({
  chatSessionId,
  running,
  busy,
  onSent,
}: {
  chatSessionId: ChatSessionId;
  running: TurnItem | null;
  busy: boolean;
  onSent: () => void;
}) {
  const { store, away } = useChatContext();
  const [text, setText] = useState(() => readDraft(chatSessionId));
  const area = useRef<HTMLTextAreaElement>(null);
  const bytes = byteLength(text);
  const tooLong = bytes > LIMITS.messageMaxBytes;
  const sendable = text.trim() !== "" && !tooLong;

  useEffect(() => {
    writeDraft(chatSessionId, text);
  }, [chatSessionId, text]);
  useEffect(() => {
    // On a phone the keyboard would cover what the person came to read.
    if (!isTouch()) area.current?.focus();
  }, []);

  const send = () => {
    if (!sendable) return;
    setText("");
    void store.send(text.trim());
    onSent();
    area.current?.focus();
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    send();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const plainEnter = event.key === "Enter" && !event.shiftKey && !event.altKey && !event.nativeEvent.isComposing;
    // On a phone Enter is the only way to a new line; its button sends.
    if (!plainEnter || (isTouch() && !event.metaKey && !event.ctrlKey)) return;
    event.preventDefault();
    send();
  };

  return (
    <form onSubmit={submit} className="flex flex-col gap-1.5" data-testid="composer">
      <div
        className={cn(
          "rounded-xl border border-input bg-card shadow-sm transition-[border-color,box-shadow] focus-within:border-ring/70 focus-within:ring-[3px] focus-within:ring-ring/15",
          tooLong && "border-destructive",
        )}
      >
        {/* With kerning, one unbroken word of 256 KiB takes ten seconds to lay out, at each key anew. */}
        <textarea
          ref={area}
          rows={1}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKeyDown}
          placeholder={
            busy
              ? "Write the next message; it queues"
              : away === null
                ? "What is to be done?"
                : "Write a message; it is delivered when the machine is back"
          }
          aria-label="Message"
          aria-invalid={tooLong}
          className="no-kerning field-sizing-content max-h-[40dvh] min-h-10 w-full resize-none bg-transparent px-3.5 pt-2.5 pb-1 text-base leading-6 outline-none placeholder:text-muted-foreground/80 md:text-sm scroll-thin"
          data-testid="composer-input"
        />
        <div className="flex items-center gap-2 px-2 pb-2">
          <span className="pl-1.5 text-2xs text-muted-foreground max-sm:hidden">
            <Kbd>Enter</Kbd> {busy ? "queues" : "sends"}, <Kbd>Shift</Kbd> <Kbd>Enter</Kbd> new line
          </span>
          {bytes > LIMITS.messageMaxBytes * NEAR_LIMIT && (
            <span
              className={cn("text-2xs tabular-nums", tooLong ? "text-bad" : "text-wait")}
              role="status"
              data-testid="composer-size"
            >
              {byteSize(bytes)} of {byteSize(LIMITS.messageMaxBytes)}
              {tooLong && ": too long. Put it into a file in the directory and refer to that."}
            </span>
          )}
          <div className="ml-auto flex items-center gap-1.5">
            {running?.summary && <Stop item={running} />}
            <Button type="submit" size="sm" className="rounded-lg" disabled={!sendable} data-testid="composer-send">
              <ArrowUpIcon />
              {busy ? "Queue" : "Send"}
            </Button>
          </div>
        </div>
      </div>
    </form>
  );
}

function Stop({ item }: { item: TurnItem }) {
  const { gone } = useChatContext();
  const { run, pending } = useAction("worker.chat.cancelTurn", (error) =>
    toast.error("The turn was not stopped", { description: error.message }),
  );
  const { summary } = item;
  if (!summary) return null;
  // A machine that is gone never hears of it; asked again, the backend ends the turn without it.
  const stopping = pending || (summary.cancelRequested && !gone);
  return (
    <Button
      variant="outline"
      size="sm"
      className="rounded-lg"
      disabled={stopping}
      onClick={() => void run({ turnId: summary.id })}
      data-testid="stop-turn"
    >
      <SquareIcon className="fill-current" />
      {stopping ? "Stopping…" : "Stop"}
    </Button>
  );
}

function isTouch(): boolean {
  return window.matchMedia("(pointer: coarse)").matches;
}
