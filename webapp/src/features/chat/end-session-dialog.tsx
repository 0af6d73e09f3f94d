"use client";

import { useState } from "react";
import { toast } from "sonner";

import { ConfirmDialog } from "@/components/confirm-dialog";
import { isGone } from "@/components/presence";
import { useAction } from "@/lib/backend/react";
import type { ChatSummary, MachineSummary } from "@/lib/backend/wire.gen";

/** Asks before a session is ended, and says what ends with it. */
export function EndSessionDialog({
  chat,
  machine,
  open,
  onClose,
}: {
  chat: ChatSummary;
  machine: MachineSummary | undefined;
  open: boolean;
  onClose: () => void;
}) {
  const end = useAction("worker.chat.endSession");
  const [discardWorktree, setDiscardWorktree] = useState(false);
  const hasWorktree = chat.worktree?.state === "present" || chat.worktree?.state === "wanted";
  const gone = machine !== undefined && isGone(machine);
  return (
    <ConfirmDialog
      open={open}
      onClose={onClose}
      title="End this session?"
      confirm="End session"
      error={end.error}
      onConfirm={async () => {
        if (!(await end.run({ chatSessionId: chat.id, discardWorktree }))) return false;
        toast.success("The session has ended");
        return true;
      }}
    >
      {gone ? (
        <>
          It ends here at once{chat.state === "busy" && ", and the turn that is under way with it"}
          {queuedWords(chat)}. {machine.name} is away: if opencode still runs there, it may work on until {machine.name}{" "}
          is back and hears of it.
        </>
      ) : (
        <>
          Its opencode process stops{chat.state === "busy" && ", and the turn that is under way with it"}
          {queuedWords(chat)}.
        </>
      )}{" "}
      The transcript stays, and so do all files{hasWorktree && " but its own worktree"}. An ended session can&apos;t be
      taken up again; a new chat can continue its conversation.
      {hasWorktree && (
        <label className="mt-3 flex items-start gap-2 text-foreground">
          <input
            type="checkbox"
            checked={discardWorktree}
            onChange={(event) => setDiscardWorktree(event.target.checked)}
            className="mt-0.5 size-3.5 accent-(--primary)"
            data-testid="discard-worktree"
          />
          Remove its worktree even if there is work in it that is nowhere else. Otherwise it is kept then.
        </label>
      )}
    </ConfirmDialog>
  );
}

function queuedWords({ queuedCount }: ChatSummary): string {
  if (queuedCount === 0) return "";
  return queuedCount === 1 ? "; the queued message is cancelled" : `; ${queuedCount} queued messages are cancelled`;
}
