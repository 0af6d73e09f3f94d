"use client";

import { ImageOffIcon } from "lucide-react";
import { memo, type ComponentProps } from "react";
import rehypeSanitize, { defaultSchema } from "rehype-sanitize";
import { Streamdown, type Components, type ExtraProps } from "streamdown";

import { hasEndlessWord, readable, readableLine, safeHref } from "@/lib/text/sanitise";
import { cn } from "@/lib/utils";

import { FencedCode } from "./fenced-code";

/**
 * What a model wrote, as Markdown. Hostile by assumption: HTML is shown as the text it is (there is no raw-HTML
 * plugin in the list), links open only http, https and mailto, images load only when a person asks, and nothing
 * is executed: no diagrams, no formulas.
 */
export const Markdown = memo(function Markdown({
  text,
  streaming = false,
  className,
}: {
  text: string;
  streaming?: boolean;
  className?: string;
}) {
  return (
    <Streamdown
      mode={streaming ? "streaming" : "static"}
      parseIncompleteMarkdown={streaming}
      isAnimating={streaming}
      controls={false}
      linkSafety={NO_LINK_MODAL}
      rehypePlugins={REHYPE_PLUGINS}
      components={COMPONENTS}
      className={cn("markdown", streaming && "markdown-streaming", hasEndlessWord(text) && "no-kerning", className)}
    >
      {readable(text)}
    </Streamdown>
  );
});

const NO_LINK_MODAL = { enabled: false };

const SCHEMA = {
  ...defaultSchema,
  // "src" stays as data for the component that replaces images; nothing loads by itself.
  protocols: { href: ["http", "https", "mailto"], src: ["http", "https"] },
};
const REHYPE_PLUGINS: ComponentProps<typeof Streamdown>["rehypePlugins"] = [[rehypeSanitize, SCHEMA]];

function Link({ href, children }: ComponentProps<"a"> & ExtraProps) {
  const safe = safeHref(href);
  if (safe === null) return <span className="underline decoration-dotted underline-offset-4">{children}</span>;
  return (
    <a href={safe} title={safe} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

/** A remote image tells its server who reads; so it is a link until a person follows it. */
function Image({ src, alt }: ComponentProps<"img"> & ExtraProps) {
  const safe = safeHref(src);
  const label = readableLine(alt ?? "") || "image";
  return (
    <span className="inline-flex max-w-full items-center gap-1.5 rounded-md border bg-muted px-2 py-0.5 align-middle text-xs text-muted-foreground">
      <ImageOffIcon className="size-3.5 shrink-0" />
      {safe === null || safe.startsWith("mailto:") ? (
        <span className="truncate">{label}</span>
      ) : (
        <a href={safe} title={safe} target="_blank" rel="noopener noreferrer nofollow" className="truncate">
          {label} ({new URL(safe).host})
        </a>
      )}
    </span>
  );
}

function Table({ children }: ComponentProps<"table"> & ExtraProps) {
  return (
    <div className="markdown-table" tabIndex={0} role="region" aria-label="Table">
      <table>{children}</table>
    </div>
  );
}

// Plain tags, styled by markdown.css: the library's own components bring controls and classes that are not wanted.
const PLAIN = [
  "blockquote",
  "h1",
  "h2",
  "h3",
  "h4",
  "h5",
  "h6",
  "hr",
  "li",
  "ol",
  "p",
  "section",
  "strong",
  "sub",
  "sup",
  "tbody",
  "td",
  "th",
  "thead",
  "tr",
  "ul",
  "code",
] as const;

const COMPONENTS: Components = {
  ...Object.fromEntries(PLAIN.map((tag) => [tag, tag])),
  a: Link,
  img: Image,
  table: Table,
  pre: FencedCode,
};
