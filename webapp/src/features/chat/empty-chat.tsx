"use client";

import { CircleCheckIcon, LoaderCircleIcon, MoonIcon, WifiOffIcon } from "lucide-react";
import type { ReactNode } from "react";

import { isThere, presenceOf } from "@/components/presence";
import type { ChatSummary, MachineSummary, WorkerSummary } from "@/lib/backend/wire.gen";

/** Before the first message: what this chat is, and how far its process is. */
export function EmptyChat({
  chat,
  machine,
  worker,
}: {
  chat: ChatSummary;
  machine: MachineSummary | undefined;
  worker: WorkerSummary | undefined;
}) {
  return (
    <div className="flex flex-1 flex-col items-center justify-center gap-4 py-16 text-center" data-testid="empty-chat">
      <Readiness chat={chat} machine={machine} />
      <p className="max-w-md text-muted-foreground">
        {worker && machine ? (
          <>
            opencode runs in <code className="font-mono text-xs text-foreground">{worker.directory || "the root"}</code>{" "}
            on {machine.name}. Say what is to be done; a message sent before it is ready waits for it.
          </>
        ) : (
          "Say what is to be done."
        )}
      </p>
    </div>
  );
}

function Readiness({ chat, machine }: { chat: ChatSummary; machine: MachineSummary | undefined }) {
  if (machine && !isThere(machine))
    return (
      <Line icon={<WifiOffIcon className="text-wait" />} text={`${machine.name} is ${presenceOf(machine).text}`} />
    );
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
