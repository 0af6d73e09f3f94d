"use client";

import {
  BotIcon,
  CircleAlertIcon,
  CircleCheckIcon,
  CircleDashedIcon,
  CircleHelpIcon,
  FilePenIcon,
  FileTextIcon,
  GlobeIcon,
  ListTodoIcon,
  LoaderCircleIcon,
  MessageCircleQuestionIcon,
  SearchIcon,
  TerminalIcon,
  WrenchIcon,
} from "lucide-react";
import { memo, useState, type ComponentType } from "react";

import { CopyButton } from "@/components/copy-button";
import type { Part, ToolState } from "@/lib/backend/wire.gen";
import { fromDirectory } from "@/lib/text/paths";
import { plainOutput, readable, readableLine } from "@/lib/text/sanitise";
import { duration, elapsed } from "@/lib/text/time";
import { useNow } from "@/lib/use-now";
import { cn } from "@/lib/utils";

import { useDirectory } from "../chat-context";
import { DiffView } from "./diff-view";
import { Fold } from "./fold";
import { inputOf } from "./tool-input";

type ToolPartData = Extract<Part, { kind: "tool" }>;

/** Output beyond this is shown on demand; the end is what matters. */
const OUTPUT_SHOWN_CHARS = 12_000;

/** One call of a tool: what, how it stands, what went in and what came out. */
export const ToolPart = memo(function ToolPart({ part, live }: { part: ToolPartData; live: boolean }) {
  // A turn that is over has no running tools, whatever their last chunk said.
  const state: ToolState = !live && (part.state === "running" || part.state === "pending") ? "unknown" : part.state;
  const input = inputOf(part.tool, part.input);
  const title = fromDirectory(readableLine(part.title ?? "") || readableLine(input.headline), useDirectory());
  const output = part.output ?? "";
  const empty = input.rows.length === 0 && input.diff === null && output === "" && part.error == null;
  return (
    <Fold
      testId="tool-card"
      state={state}
      empty={empty}
      openByDefault={state === "failed" || (state === "running" && part.tool === "bash")}
      className={cn("overflow-hidden rounded-lg border bg-card", state === "failed" && "border-bad/30")}
      summary={
        <>
          <ToolStateIcon state={state} />
          <ToolIcon tool={part.tool} />
          <span className="shrink-0 font-mono font-medium" data-testid="tool-name">
            {readableLine(part.tool) || "tool"}
          </span>
          <span className="truncate font-mono text-muted-foreground">{title}</span>
          <ToolTime part={part} running={state === "running"} />
        </>
      }
    >
      <div className="flex flex-col gap-2 border-t px-3 py-2.5">
        {input.diff !== null && <DiffView diff={input.diff} />}
        {input.rows.map(({ label, text }) => (
          <Block key={label} label={label} text={text} testId="tool-input" />
        ))}
        {output !== "" && <Output text={output} live={state === "running"} />}
        {part.error != null && (
          <pre
            className="rounded-md bg-bad/8 px-2.5 py-2 font-mono text-xs break-words whitespace-pre-wrap text-bad"
            data-testid="tool-error"
          >
            {plainOutput(part.error)}
          </pre>
        )}
        {part.truncated && (
          <p className="text-2xs text-muted-foreground">Some of it was left out because it was too long.</p>
        )}
      </div>
    </Fold>
  );
});

const STATES: Record<ToolState, { icon: ComponentType<{ className?: string }>; tone: string; text: string }> = {
  pending: { icon: CircleDashedIcon, tone: "text-muted-foreground", text: "about to run" },
  running: { icon: LoaderCircleIcon, tone: "text-busy animate-spin", text: "running" },
  completed: { icon: CircleCheckIcon, tone: "text-ok", text: "done" },
  failed: { icon: CircleAlertIcon, tone: "text-bad", text: "failed" },
  unknown: { icon: CircleHelpIcon, tone: "text-muted-foreground", text: "its end is not known" },
};

function ToolStateIcon({ state }: { state: ToolState }) {
  const { icon: Icon, tone, text } = STATES[state];
  return (
    <span role="img" aria-label={text} title={text} className="inline-flex">
      <Icon className={cn("size-3.5 shrink-0", tone)} />
    </span>
  );
}

const ICONS: Record<string, ComponentType<{ className?: string }>> = {
  bash: TerminalIcon,
  edit: FilePenIcon,
  write: FilePenIcon,
  patch: FilePenIcon,
  apply_patch: FilePenIcon,
  read: FileTextIcon,
  list: FileTextIcon,
  glob: SearchIcon,
  grep: SearchIcon,
  webfetch: GlobeIcon,
  websearch: GlobeIcon,
  task: BotIcon,
  question: MessageCircleQuestionIcon,
  todowrite: ListTodoIcon,
  todoread: ListTodoIcon,
};

function ToolIcon({ tool }: { tool: string }) {
  const Icon = ICONS[tool] ?? WrenchIcon;
  return <Icon className="size-3.5 shrink-0 text-muted-foreground" />;
}

function ToolTime({ part, running }: { part: ToolPartData; running: boolean }) {
  if (part.startedAt == null) return null;
  return (
    <span className="ml-auto shrink-0 pl-2 text-2xs text-muted-foreground tabular-nums">
      {running ? <Elapsed since={part.startedAt} /> : part.endedAt != null && duration(part.endedAt - part.startedAt)}
    </span>
  );
}

function Elapsed({ since }: { since: number }) {
  const now = useNow();
  return now - since < 1_000 ? null : elapsed(now - since);
}

function Block({ label, text, testId }: { label: string; text: string; testId: string }) {
  return (
    <div className="group/block relative min-w-0">
      <div className="mb-1 text-2xs text-muted-foreground">{label}</div>
      <pre
        className="max-h-72 overflow-auto rounded-md bg-code px-2.5 py-2 pr-8 font-mono text-xs leading-5 break-words whitespace-pre-wrap scroll-thin"
        data-testid={testId}
        tabIndex={0}
      >
        {readable(text)}
      </pre>
      <CopyButton
        text={text}
        label={`Copy ${label}`}
        className="absolute top-6 right-1 size-6 opacity-0 group-hover/block:opacity-100 focus-visible:opacity-100"
      />
    </div>
  );
}

function Output({ text, live }: { text: string; live: boolean }) {
  const [all, setAll] = useState(false);
  const cut = !all && text.length > OUTPUT_SHOWN_CHARS;
  const shown = plainOutput(cut ? text.slice(-OUTPUT_SHOWN_CHARS) : text).replace(/\n$/, "");
  return (
    <div className="group/block relative min-w-0">
      <div className="mb-1 flex items-center gap-2 text-2xs text-muted-foreground">
        output
        {cut && (
          <button
            type="button"
            className="underline underline-offset-2 outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50"
            onClick={() => setAll(true)}
          >
            show the {(text.length - OUTPUT_SHOWN_CHARS).toLocaleString()} characters before
          </button>
        )}
      </div>
      {/* Turned around, the scroll position sticks to the end by itself while output grows. */}
      <div
        className={cn(
          "flex max-h-80 overflow-auto rounded-md bg-code scroll-thin",
          live ? "flex-col-reverse" : "flex-col",
        )}
        tabIndex={0}
      >
        <pre
          className="min-w-0 px-2.5 py-2 pr-8 font-mono text-xs leading-5 break-words whitespace-pre-wrap"
          data-testid="tool-output"
        >
          {shown}
        </pre>
      </div>
      <CopyButton
        text={plainOutput(text)}
        label="Copy output"
        className="absolute top-6 right-1 size-6 opacity-0 group-hover/block:opacity-100 focus-visible:opacity-100"
      />
    </div>
  );
}
