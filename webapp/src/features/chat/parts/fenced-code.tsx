"use client";

import type { ComponentProps } from "react";
import { useIsCodeFenceIncomplete, type ExtraProps } from "streamdown";

import { CodeBlock } from "./code-block";

type Hast = NonNullable<ExtraProps["node"]>;

/** A fenced block of Markdown as a code block. */
export function FencedCode({ node }: ComponentProps<"pre"> & ExtraProps) {
  const incomplete = useIsCodeFenceIncomplete();
  const code = node?.children.find((child): child is Hast => child.type === "element" && child.tagName === "code");
  return <CodeBlock code={textOf(code).replace(/\n$/, "")} language={languageOf(code)} live={incomplete} />;
}

function textOf(node: Hast | undefined): string {
  return (node?.children ?? [])
    .map((child) => (child.type === "text" ? child.value : child.type === "element" ? textOf(child) : ""))
    .join("");
}

function languageOf(node: Hast | undefined): string | null {
  const classes = node?.properties.className;
  if (!Array.isArray(classes)) return null;
  const name = classes.map(String).find((value) => value.startsWith("language-"));
  return name ? name.slice("language-".length) : null;
}
