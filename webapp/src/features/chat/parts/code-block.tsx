"use client";

import { WrapTextIcon } from "lucide-react";
import { Fragment, memo, useState, type ReactNode } from "react";

import { CopyButton } from "@/components/copy-button";
import { Button } from "@/components/ui/button";
import { cn } from "@/lib/utils";

import { useHighlighted, type HighlightNode } from "./highlight";

/** Code with its language, to copy and to wrap; coloured once it is complete. */
export const CodeBlock = memo(function CodeBlock({
  code,
  language,
  live = false,
}: {
  code: string;
  language: string | null;
  live?: boolean;
}) {
  const [wrap, setWrap] = useState(false);
  const highlighted = useHighlighted(code, language, !live);
  return (
    <figure className="code-block group/code my-3 overflow-hidden rounded-lg border bg-code" data-testid="code-block">
      <figcaption className="flex h-7 items-center justify-between border-b pr-1 pl-3 text-2xs text-muted-foreground">
        <span className="truncate font-mono">{language ?? "text"}</span>
        <span className="flex items-center opacity-60 transition-opacity group-hover/code:opacity-100 focus-within:opacity-100">
          <Button
            variant="ghost"
            size="icon-sm"
            className={cn("size-6", wrap && "text-foreground")}
            aria-pressed={wrap}
            aria-label="Wrap long lines"
            title="Wrap long lines"
            onClick={() => setWrap(!wrap)}
          >
            <WrapTextIcon />
          </Button>
          <CopyButton text={code} label="Copy code" className="size-6" />
        </span>
      </figcaption>
      <pre
        className={cn(
          "overflow-x-auto px-3 py-2.5 font-mono text-xs leading-5 scroll-thin",
          wrap && "break-all whitespace-pre-wrap",
        )}
        tabIndex={0}
        dir="ltr"
      >
        <code>{highlighted ? highlighted.map(toReact) : code}</code>
      </pre>
    </figure>
  );
});

function toReact(node: HighlightNode, index: number): ReactNode {
  if (node.type === "text") return <Fragment key={index}>{node.value}</Fragment>;
  return (
    <span key={index} className={node.className}>
      {node.children.map(toReact)}
    </span>
  );
}
