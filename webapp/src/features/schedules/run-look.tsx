import type { RunState, RunSummary } from "@/lib/backend/wire.gen";
import type { BadgeVariant } from "@/components/ui/badge";
import { cn } from "@/lib/utils";

interface Look {
  tone: string;
  variant: BadgeVariant;
  text: string;
  shape: Shape;
}

type Shape = "disc" | "diamond" | "triangle" | "square" | "ring" | "dashes" | "dot";

/** How a run stands: a colour and a shape, so that it is told apart without the colour too, and a word. */
export const RUN_LOOKS: Record<RunState, Look> = {
  due: { tone: "text-busy", variant: "busy", text: "due", shape: "ring" },
  queued: { tone: "text-busy", variant: "busy", text: "waits", shape: "ring" },
  running: { tone: "text-busy", variant: "busy", text: "runs", shape: "dot" },
  completed: { tone: "text-ok", variant: "ok", text: "completed", shape: "disc" },
  interrupted: { tone: "text-wait", variant: "wait", text: "interrupted", shape: "triangle" },
  failed: { tone: "text-bad", variant: "bad", text: "failed", shape: "diamond" },
  cancelled: { tone: "text-quiet", variant: "quiet", text: "cancelled", shape: "square" },
  skipped: { tone: "text-quiet", variant: "quiet", text: "skipped", shape: "ring" },
  missed: { tone: "text-wait", variant: "wait", text: "missed", shape: "dashes" },
  unknown: { tone: "text-quiet", variant: "quiet", text: "unknown", shape: "square" },
};

export function lookOfRun(run: RunSummary): Look {
  const look = RUN_LOOKS[run.state];
  return run.isAsking ? { ...look, tone: "text-wait", variant: "wait", text: "waits for your answer" } : look;
}

export function isOpenRun({ state }: RunSummary): boolean {
  return state === "due" || state === "queued" || state === "running";
}

/** The mark of a state; its meaning is said by whoever shows it. */
export function RunShape({ state, className }: { state: RunState; className?: string }) {
  const { tone, shape } = RUN_LOOKS[state];
  return (
    <svg viewBox="0 0 12 12" aria-hidden className={cn("size-3 shrink-0 overflow-visible", tone, className)}>
      <Drawn shape={shape} />
    </svg>
  );
}

function Drawn({ shape }: { shape: Shape }) {
  const line = { fill: "none", stroke: "currentColor", strokeWidth: 1.75 } as const;
  switch (shape) {
    case "disc":
      return <circle cx="6" cy="6" r="4.5" fill="currentColor" />;
    case "diamond":
      return <path d="M6 0.2 11.8 6 6 11.8 0.2 6Z" fill="currentColor" />;
    case "triangle":
      return <path d="M6 0.8 11.5 10.8H0.5Z" fill="currentColor" />;
    case "square":
      return <rect x="2" y="2" width="8" height="8" rx="1" {...line} />;
    case "ring":
      return <circle cx="6" cy="6" r="4" {...line} />;
    case "dashes":
      return <circle cx="6" cy="6" r="4" {...line} strokeDasharray="2.1 2.1" />;
    case "dot":
      return (
        <>
          <circle cx="6" cy="6" r="5" {...line} strokeWidth={1.25} />
          <circle cx="6" cy="6" r="2.5" fill="currentColor" className="animate-pulse" />
        </>
      );
  }
}
