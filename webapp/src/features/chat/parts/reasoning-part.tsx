"use client";

import { BrainIcon } from "lucide-react";
import { memo } from "react";

import { Fold } from "./fold";
import { Markdown } from "./markdown";

/** What the model thought: folded away once it has begun to answer. */
export const ReasoningPart = memo(function ReasoningPart({ text, live }: { text: string; live: boolean }) {
  if (text.trim() === "" && !live) return null;
  return (
    <Fold
      testId="reasoning"
      state={live ? "live" : "done"}
      openByDefault={live}
      className="rounded-md"
      summary={
        <span className="flex min-w-0 items-center gap-2 text-muted-foreground">
          <BrainIcon className="size-3.5 shrink-0" />
          <span>{live ? "Thinking…" : "Thought"}</span>
          {!live && <span className="truncate opacity-70">{firstLine(text)}</span>}
        </span>
      }
    >
      <div className="ml-[1.05rem] border-l-2 py-1 pl-4 text-muted-foreground">
        <Markdown text={text} streaming={live} className="markdown-quiet" />
      </div>
    </Fold>
  );
});

function firstLine(text: string): string {
  return (
    text
      .replace(/[*_`#>]/g, "")
      .trim()
      .split("\n", 1)[0]
      ?.slice(0, 120) ?? ""
  );
}
