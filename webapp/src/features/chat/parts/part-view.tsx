"use client";

import { InfoIcon } from "lucide-react";
import { memo } from "react";

import type { Part } from "@/lib/backend/wire.gen";
import { readable } from "@/lib/text/sanitise";

import { Markdown } from "./markdown";
import { ReasoningPart } from "./reasoning-part";
import { ToolPart } from "./tool-part";

/** One piece of an answer. `growing`: text may still be added to it. */
export const PartView = memo(function PartView({
  part,
  live,
  growing,
}: {
  part: Part;
  live: boolean;
  growing: boolean;
}) {
  switch (part.kind) {
    case "text":
      return part.text === "" ? null : (
        <div data-testid="text-part">
          <Markdown text={part.text} streaming={growing} />
        </div>
      );
    case "reasoning":
      return <ReasoningPart text={part.text} live={growing} />;
    case "tool":
      return <ToolPart part={part} live={live} />;
    case "notice":
      return part.text === "" ? null : (
        <p className="flex items-start gap-2 px-2.5 text-xs text-muted-foreground" data-testid="notice">
          <InfoIcon className="mt-px size-3.5 shrink-0" />
          {readable(part.text)}
        </p>
      );
    case "unknown":
      return (
        <p className="px-2.5 text-xs text-muted-foreground">
          A part of the answer that this page does not know. Reload the page to get its newest version.
        </p>
      );
  }
});
