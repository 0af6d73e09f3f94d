import { useCallback } from "react";
import { toast } from "sonner";

import { useAction } from "@/lib/backend/react";
import type { StartSessionArgs } from "@/lib/backend/wire.gen";
import { navigate } from "@/lib/route";

/** Where nothing else is said, a chat works in the worker's own folder. */
type Wanted = Omit<StartSessionArgs, "ownWorktree"> & { ownWorktree?: boolean };

/** Starts a chat session and goes to it. */
export function useStartChat() {
  const { run, pending } = useAction("worker.chat.startSession", (error) =>
    toast.error("The chat was not started", { description: error.message }),
  );
  const start = useCallback(
    async (args: Wanted): Promise<boolean> => {
      const reply = await run({ ownWorktree: false, ...args });
      if (!reply) return false;
      navigate({ page: "chat", chatSessionId: reply.chatSessionId });
      return true;
    },
    [run],
  );
  return { start, pending };
}
