"use client";

import { CornerDownRightIcon, MoveRightIcon } from "lucide-react";
import type { ReactNode } from "react";

import { RouteLink } from "@/components/route-link";
import { useFleet } from "@/features/shell/fleet";
import { useWatch } from "@/lib/backend/react";
import type { ChatSessionId, ChatSummary } from "@/lib/backend/wire.gen";
import { readableLine } from "@/lib/text/sanitise";

/** Which chat this one goes on with, and which one goes on with it. */
export function ContinuedMarks({ chat }: { chat: ChatSummary }) {
  if (chat.continues == null && chat.continuedBy == null) return null;
  return (
    <div className="flex shrink-0 flex-wrap gap-x-6 gap-y-1 border-b bg-muted/50 px-3 py-1.5 text-xs text-muted-foreground md:px-4">
      {chat.continues != null && (
        <Mark testId="continues" icon={<CornerDownRightIcon />} before="Continues" chatSessionId={chat.continues} />
      )}
      {chat.continuedBy != null && (
        <Mark testId="continued-by" icon={<MoveRightIcon />} before="Continued in" chatSessionId={chat.continuedBy} />
      )}
    </div>
  );
}

function Mark(props: { testId: string; icon: ReactNode; before: string; chatSessionId: ChatSessionId }) {
  const { list } = useFleet();
  const { chat, isGone } = useChatSummary(props.chatSessionId);
  const machine = list.value?.machines.find(({ id }) => id === chat?.machineId);
  return (
    <p
      className="flex min-w-0 items-center gap-1.5 [&_svg]:size-3.5 [&_svg]:shrink-0"
      data-testid={props.testId}
      data-chat-id={props.chatSessionId}
    >
      {props.icon}
      <span className="min-w-0 truncate">
        {props.before}{" "}
        {isGone ? (
          "a chat that no longer exists"
        ) : (
          <RouteLink
            to={{ page: "chat", chatSessionId: props.chatSessionId }}
            className="rounded-sm font-medium text-foreground underline underline-offset-2 outline-none focus-visible:ring-[3px] focus-visible:ring-ring/50"
          >
            {chat ? readableLine(chat.title) || "New chat" : "another chat"}
          </RouteLink>
        )}
        {machine && ` on ${machine.name}`}
      </span>
    </p>
  );
}

/** A chat session that is not the one on screen; most are known already, as part of the tree. */
export function useChatSummary(chatSessionId: ChatSessionId): { chat: ChatSummary | undefined; isGone: boolean } {
  const { chats } = useFleet();
  const known = chats.find(({ id }) => id === chatSessionId);
  const { value, state } = useWatch("worker.chat.view", known ? null : { chatSessionId });
  return { chat: known ?? value?.chat, isGone: state.kind === "refused" && state.error.code === "not_found" };
}
