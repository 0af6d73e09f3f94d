"use client";

import { useState, type KeyboardEvent, type ReactNode } from "react";

import type { RunId, RunSummary } from "@/lib/backend/wire.gen";
import { cn } from "@/lib/utils";

import { RunShape } from "./run-look";
import { runText } from "./run-text";

/** Marks that are one stop of the Tab key; the arrow keys go from one to the next. */
export function useMarks(runs: readonly RunSummary[]) {
  const [active, setActive] = useState<RunId | null>(null);
  const stop = runs.some(({ id }) => id === active) ? active : (runs[0]?.id ?? null);
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const marks = [...event.currentTarget.querySelectorAll<HTMLElement>("[data-mark]")];
    const at = marks.findIndex((mark) => mark === document.activeElement);
    const to = {
      ArrowRight: at + 1,
      ArrowDown: at + 1,
      ArrowLeft: at - 1,
      ArrowUp: at - 1,
      Home: 0,
      End: marks.length - 1,
    }[event.key];
    if (at < 0 || to === undefined || !marks[to]) return;
    event.preventDefault();
    marks[to].focus();
  };
  return { stop, onKeyDown, onFocus: setActive };
}

/** One run in a timeline, coloured and shaped by its outcome. */
export function RunMark(props: {
  run: RunSummary;
  zone: string;
  now: number;
  withName?: boolean;
  /** From the left, from 0 to 1. */
  share: number;
  isStop: boolean;
  isSmall: boolean;
  onFocus: (id: RunId) => void;
  onPick: (run: RunSummary) => void;
}): ReactNode {
  const { run, isSmall } = props;
  const text = runText(run, props.zone, props.now, props.withName);
  return (
    <button
      type="button"
      aria-label={text}
      title={text}
      tabIndex={props.isStop ? 0 : -1}
      onFocus={() => props.onFocus(run.id)}
      onClick={() => props.onPick(run)}
      style={{ left: `${(props.share * 100).toFixed(3)}%` }}
      className="absolute top-1/2 z-1 grid size-5 -translate-x-1/2 -translate-y-1/2 place-items-center rounded-full outline-none hover:z-2 hover:scale-125 focus-visible:z-2 focus-visible:ring-2 focus-visible:ring-ring"
      data-mark
      data-testid="run-mark"
      data-state={run.state}
    >
      <RunShape state={run.state} className={cn(isSmall && "size-2", props.withName && "max-sm:size-2")} />
    </button>
  );
}
