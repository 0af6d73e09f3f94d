"use client";

import { CircleCheckIcon, ClockIcon, LoaderCircleIcon, MoonIcon, WifiOffIcon } from "lucide-react";
import type { ReactNode } from "react";

import { isThere, presenceOf } from "@/components/presence";
import type { ChatSummary, MachineSummary, ProcessWait, WorkerSummary } from "@/lib/backend/wire.gen";

import { waitSentence } from "./wait";

/** Before the first message: what this chat is, and how far its process is. */
export function EmptyChat({
  chat,
  machine,
  worker,
  wait,
}: {
  chat: ChatSummary;
  machine: MachineSummary | undefined;
  worker: WorkerSummary | undefined;
  wait: ProcessWait | null;
}) {
  return (
    <div className="flex flex-1 flex-col items-center justify-center gap-4 py-16 text-center" data-testid="empty-chat">
      <Readiness chat={chat} machine={machine} wait={wait} />
      <p className="max-w-md text-muted-foreground">
        {chat.continues != null &&
          "The conversation so far goes to opencode with your first message here; say how to go on. "}
        {worker && machine ? (
          <>
            opencode runs in <code className="font-mono text-xs text-foreground">{worker.directory || "the root"}</code>{" "}
            on {machine.name}. {chat.continues == null && "Say what is to be done; "}
            {chat.continues == null ? "a message" : "A message"} sent before it is ready waits for it.
          </>
        ) : (
          "Say what is to be done."
        )}
      </p>
    </div>
  );
}

function Readiness({
  chat,
  machine,
  wait,
}: {
  chat: ChatSummary;
  machine: MachineSummary | undefined;
  wait: ProcessWait | null;
}) {
  if (machine && !isThere(machine))
    return (
      <Line icon={<WifiOffIcon className="text-wait" />} text={`${machine.name} is ${presenceOf(machine).text}`} />
    );
  if (wait) return <Line icon={<ClockIcon className="text-wait" />} text={waitSentence(wait)} />;
  switch (chat.state) {
    case "requested":
    case "starting":
      return <Line icon={<LoaderCircleIcon className="animate-spin text-busy" />} text="Starting opencode…" />;
    case "ready":
    case "busy":
      return <Line icon={<CircleCheckIcon className="text-ok" />} text="Ready" />;
    case "hibernated":
      return <Line icon={<MoonIcon className="text-muted-foreground" />} text="Asleep. The next message wakes it." />;
    case "failed":
    case "closed":
    case "unknown":
      return null;
  }
}

function Line({ icon, text }: { icon: ReactNode; text: string }) {
  return (
    <p className="flex items-center gap-2 text-sm font-medium [&_svg]:size-4" data-testid="readiness">
      {icon}
      {text}
    </p>
  );
}
