import { common, createLowlight } from "lowlight";

import type { HighlightNode } from "./highlight";

type Children = ReturnType<ReturnType<typeof createLowlight>["highlight"]>["children"];

const lowlight = createLowlight(common);

/** Colours code by its language's grammar; null if there is none. Makes nodes, never HTML. */
export function highlight(code: string, language: string): HighlightNode[] | null {
  const name = language.toLowerCase();
  if (!lowlight.registered(name)) return null;
  return nodesOf(lowlight.highlight(name, code).children);
}

function nodesOf(children: Children): HighlightNode[] {
  return children.flatMap((child): HighlightNode[] => {
    if (child.type === "text") return [{ type: "text", value: child.value }];
    if (child.type !== "element") return [];
    const classes = child.properties.className;
    return [
      {
        type: "element",
        className: Array.isArray(classes) ? classes.join(" ") : "",
        children: nodesOf(child.children),
      },
    ];
  });
}
