"use client";

import { ArrowDownIcon, LoaderCircleIcon } from "lucide-react";
import { useEffect, useLayoutEffect, useRef, type ReactNode, type RefObject } from "react";

import { ErrorNote } from "@/components/error-note";
import { Button } from "@/components/ui/button";
import type { Ask } from "@/lib/backend/wire.gen";
import type { ChatSnapshot } from "@/lib/chat/chat-store";

import { useChatContext } from "./chat-context";
import { TurnView } from "./turn-view";

const NO_ASKS: readonly Ask[] = [];

interface Props {
  snapshot: ChatSnapshot;
  /** The element that scrolls. */
  containerRef: RefObject<HTMLDivElement | null>;
  /** What grows in it. */
  contentRef: RefObject<HTMLDivElement | null>;
  atBottom: boolean;
  onToBottom: () => void;
  empty: ReactNode;
}

/** All turns, the latest at the bottom; earlier ones come as the person scrolls up. */
export function TranscriptView({ snapshot, containerRef, contentRef, atBottom, onToBottom, empty }: Props) {
  const { store, gone } = useChatContext();
  const { turns, data } = snapshot;
  const asks = data.view?.asks ?? NO_ASKS;
  const sentinel = useRef<HTMLDivElement>(null);
  useKeepPlace(containerRef, turns.shown[0]?.key);

  useEffect(() => {
    const top = sentinel.current;
    if (!top || !snapshot.hasEarlier || snapshot.loadingEarlier || snapshot.problem) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some(({ isIntersecting }) => isIntersecting)) void store.loadEarlier();
      },
      { root: containerRef.current, rootMargin: "600px 0px 0px 0px" },
    );
    observer.observe(top);
    return () => observer.disconnect();
  }, [store, containerRef, snapshot.hasEarlier, snapshot.loadingEarlier, snapshot.problem]);

  return (
    <div className="relative min-h-0 flex-1">
      <div
        ref={containerRef}
        className="h-full overflow-x-hidden overflow-y-auto overscroll-contain scroll-thin"
        data-testid="transcript-scroll"
        tabIndex={-1}
      >
        <div ref={contentRef} className="mx-auto flex min-h-full w-full max-w-3xl flex-col px-3 pt-4 pb-6 md:px-6">
          <div ref={sentinel} />
          {snapshot.hasEarlier && (
            <div className="flex justify-center pb-4">
              <Button
                variant="ghost"
                size="sm"
                disabled={snapshot.loadingEarlier}
                onClick={() => void store.loadEarlier()}
                data-testid="load-earlier"
              >
                {snapshot.loadingEarlier && <LoaderCircleIcon className="animate-spin" />}
                Earlier messages
              </Button>
            </div>
          )}
          {snapshot.problem && (
            <ErrorNote className="mb-4">{snapshot.problem.message} The page tries again by itself.</ErrorNote>
          )}
          {turns.shown.length === 0 && empty}
          <div
            role="log"
            aria-label="Conversation"
            aria-live="off"
            aria-busy={turns.running !== null}
            className="flex flex-col gap-7"
            data-testid="transcript"
          >
            {turns.shown.map((item) => (
              <TurnView
                key={item.key}
                item={item}
                still={gone}
                askIds={asks
                  .filter((ask) => ask.turnId === item.id)
                  .map(({ id }) => id)
                  .join(" ")}
              />
            ))}
          </div>
        </div>
      </div>
      {!atBottom && (
        <Button
          variant="outline"
          size="sm"
          className="absolute bottom-3 left-1/2 -translate-x-1/2 rounded-full bg-popover shadow-md"
          onClick={onToBottom}
          data-testid="jump-to-latest"
        >
          <ArrowDownIcon />
          Jump to latest
        </Button>
      )}
    </div>
  );
}

/** When earlier turns come above, what the person reads stays where it is, also where the browser does not see to it. */
function useKeepPlace(containerRef: RefObject<HTMLDivElement | null>, firstKey: string | undefined): void {
  const place = useRef<{ key: string; top: number } | null>(null);
  useLayoutEffect(() => {
    const element = containerRef.current;
    if (!element) return;
    const topOf = (key: string) =>
      element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.getBoundingClientRect().top;
    const before = place.current;
    if (before && before.key !== firstKey) {
      const now = topOf(before.key);
      if (now !== undefined && Math.abs(now - before.top) > 1) element.scrollBy(0, now - before.top);
    }
    const remember = () => {
      const top = firstKey === undefined ? undefined : topOf(firstKey);
      place.current = firstKey === undefined || top === undefined ? null : { key: firstKey, top };
    };
    remember();
    element.addEventListener("scroll", remember, { passive: true });
    return () => element.removeEventListener("scroll", remember);
  }, [containerRef, firstKey]);
}
