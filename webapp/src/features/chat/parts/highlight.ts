import { useEffect, useState } from "react";

/** Longer code stays plain: colouring it would hold the page up. */
const MAX_CHARS = 20_000;

export type HighlightNode =
  { type: "text"; value: string } | { type: "element"; className: string; children: HighlightNode[] };

type Highlighter = (code: string, language: string) => HighlightNode[] | null;

let loading: Promise<Highlighter> | null = null;

/** Coloured code, or null while it is plain. The grammars are loaded when the first code block needs them. */
export function useHighlighted(code: string, language: string | null, ready: boolean): HighlightNode[] | null {
  const [result, setResult] = useState<{ code: string; nodes: HighlightNode[] | null } | null>(null);
  const wanted = ready && language !== null && code.length <= MAX_CHARS;
  useEffect(() => {
    if (!wanted) return;
    let current = true;
    loading ??= import("./highlighter").then(({ highlight }) => highlight);
    void loading.then((highlight) => {
      if (current) setResult({ code, nodes: highlight(code, language) });
    });
    return () => {
      current = false;
    };
  }, [wanted, code, language]);
  return wanted && result?.code === code ? result.nodes : null;
}
