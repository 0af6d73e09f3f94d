"use client";

import { PageHeader } from "@/features/shell/shell";
import { useWatch } from "@/lib/backend/react";
import type { ChatSessionId } from "@/lib/backend/wire.gen";

export function ChatPage({ chatSessionId }: { chatSessionId: ChatSessionId }) {
  const { value } = useWatch("worker.chat.view", { chatSessionId });
  return (
    <PageHeader>
      <h1 className="truncate font-semibold">{value?.chat.title || "New chat"}</h1>
    </PageHeader>
  );
}
