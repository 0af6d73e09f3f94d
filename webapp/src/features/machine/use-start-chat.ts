import { useCallback } from "react";
import { toast } from "sonner";

import { useAction } from "@/lib/backend/react";
import type { StartSessionArgs } from "@/lib/backend/wire.gen";
import { navigate } from "@/lib/route";

/** Starts a chat session and goes to it. */
export function useStartChat() {
  const { run, pending } = useAction("worker.chat.startSession", (error) =>
    toast.error("The chat was not started", { description: error.message }),
  );
  const start = useCallback(
    async (args: StartSessionArgs): Promise<boolean> => {
      const reply = await run(args);
      if (!reply) return false;
      navigate({ page: "chat", chatSessionId: reply.chatSessionId });
      return true;
    },
    [run],
  );
  return { start, pending };
}
