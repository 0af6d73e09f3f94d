import {
  CircleAlertIcon,
  CircleDashedIcon,
  CircleDotIcon,
  CircleIcon,
  CircleSlashIcon,
  ClockIcon,
  LoaderCircleIcon,
  MessageCircleQuestionIcon,
  MoonIcon,
} from "lucide-react";
import type { ComponentType } from "react";

import type { ChatSummary } from "@/lib/backend/wire.gen";
import { cn } from "@/lib/utils";

interface Look {
  icon: ComponentType<{ className?: string }>;
  tone: string;
  text: string;
}

/** How a chat session stands, for a list: an ask comes before everything else, since somebody waits. */
export function lookOfChat(chat: ChatSummary, machineThere = true, waitsForProcess = false): Look {
  if (chat.pendingAskCount > 0) {
    return {
      icon: MessageCircleQuestionIcon,
      tone: "text-wait",
      text: chat.pendingAskCount === 1 ? "waits for your answer" : `waits for ${chat.pendingAskCount} answers`,
    };
  }
  if (waitsForProcess && machineThere) return { icon: ClockIcon, tone: "text-wait", text: "waits for a process" };
  switch (chat.state) {
    case "requested":
      return machineThere
        ? { icon: CircleDashedIcon, tone: "text-busy", text: "starting" }
        : { icon: CircleDashedIcon, tone: "text-muted-foreground", text: "starts when its machine is back" };
    case "starting":
      return { icon: LoaderCircleIcon, tone: "text-busy animate-spin", text: "starting" };
    case "ready":
      return machineThere
        ? { icon: CircleIcon, tone: "text-ok", text: "ready" }
        : { icon: CircleIcon, tone: "text-muted-foreground", text: "its machine is away" };
    case "busy":
      return machineThere
        ? { icon: LoaderCircleIcon, tone: "text-busy animate-spin", text: "working" }
        : { icon: CircleDotIcon, tone: "text-wait", text: "was working when its machine was last seen" };
    case "hibernated":
      return { icon: MoonIcon, tone: "text-muted-foreground", text: "asleep; the next message wakes it" };
    case "failed":
      return { icon: CircleAlertIcon, tone: "text-bad", text: "failed" };
    case "closed":
      return { icon: CircleSlashIcon, tone: "text-quiet", text: "ended" };
    case "unknown":
      return {
        icon: CircleDotIcon,
        tone: "text-muted-foreground",
        text: "in a state this page does not know; reload it",
      };
  }
}

export function ChatStateIcon({
  chat,
  machineThere,
  waits,
  className,
}: {
  chat: ChatSummary;
  machineThere?: boolean;
  /** Its next message waits for a process. */
  waits?: boolean;
  className?: string;
}) {
  const { icon: Icon, tone, text } = lookOfChat(chat, machineThere, waits);
  return (
    <span
      role="img"
      aria-label={text}
      title={text}
      data-testid="chat-state-icon"
      data-state={chat.state}
      className="inline-flex"
    >
      <Icon className={cn("size-3.5 shrink-0", tone, className)} />
    </span>
  );
}
