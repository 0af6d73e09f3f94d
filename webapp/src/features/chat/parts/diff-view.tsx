import { memo } from "react";

import { readable } from "@/lib/text/sanitise";
import { cn } from "@/lib/utils";

const LINES_SHOWN = 400;
/** The lines before the first change of a diff of one file: its name stands above it already. */
const HEADER = /^(?:(?:diff |index |Index: |={3,}|--- |\+\+\+ ).*\n)+(?=@@)/;

/** A unified diff, its lines told apart by sign and colour. */
export const DiffView = memo(function DiffView({ diff }: { diff: string }) {
  const lines = readable(diff).replace(HEADER, "").replace(/\n$/, "").split("\n");
  const shown = lines.slice(0, LINES_SHOWN);
  return (
    <pre
      className="max-h-96 overflow-auto rounded-md bg-code py-1.5 font-mono text-xs leading-5 scroll-thin"
      data-testid="diff"
      tabIndex={0}
    >
      <code className="block w-max min-w-full">
        {shown.map((text, index) => (
          <span key={index} className={cn("block px-2.5", toneOf(text))}>
            {text === "" ? " " : text}
          </span>
        ))}
        {lines.length > shown.length && (
          <span className="block px-2.5 text-muted-foreground">… {lines.length - shown.length} more lines</span>
        )}
      </code>
    </pre>
  );
});

function toneOf(line: string): string {
  if (/^(diff |index |={3,}|--- |\+\+\+ |Index: )/.test(line)) return "text-muted-foreground";
  if (line.startsWith("@@")) return "text-busy";
  if (line.startsWith("+")) return "bg-ok/10 text-ok";
  if (line.startsWith("-")) return "bg-bad/10 text-bad";
  return "";
}
