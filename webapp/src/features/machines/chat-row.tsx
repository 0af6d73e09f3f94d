"use client";

import { ChatStateIcon, lookOfChat } from "@/components/chat-state";
import { isThere, presenceOf } from "@/components/presence";
import { RouteLink } from "@/components/route-link";
import type { ChatSummary, MachineView } from "@/lib/backend/wire.gen";
import { shortAge } from "@/lib/text/time";
import { useNow } from "@/lib/use-now";

/** A chat session in a list: what it is about, where it runs, how it stands. */
export function ChatRow({
  chat,
  view,
  showPlace = true,
}: {
  chat: ChatSummary;
  view: MachineView | undefined;
  showPlace?: boolean;
}) {
  const now = useNow(60_000);
  const worker = view?.workers.find(({ id }) => id === chat.workerId);
  const there = view ? isThere(view.machine) : true;
  return (
    <RouteLink
      to={{ page: "chat", chatSessionId: chat.id }}
      data-testid="chat-row"
      data-chat-id={chat.id}
      data-state={chat.state}
      className="flex min-w-0 items-center gap-2.5 px-3 py-2 outline-none hover:bg-accent/60 focus-visible:ring-[3px] focus-visible:ring-ring/50 focus-visible:ring-inset"
    >
      <ChatStateIcon chat={chat} machineThere={there} />
      <span className="min-w-0 flex-1 truncate">{chat.title || "New chat"}</span>
      {showPlace && view && (
        <span className="max-w-64 shrink truncate text-xs text-muted-foreground max-sm:hidden">
          {worker?.name ?? "—"} · {view.machine.name}
          {!there && ` (${presenceOf(view.machine).text})`}
        </span>
      )}
      <span className="shrink-0 text-right text-xs text-muted-foreground max-sm:hidden">
        {lookOfChat(chat, there).text}
      </span>
      <span className="w-8 shrink-0 text-right text-xs text-muted-foreground tabular-nums">
        {shortAge(chat.activeAt, now)}
      </span>
    </RouteLink>
  );
}
