"use client";

import { GitBranchIcon, Trash2Icon } from "lucide-react";
import { useState } from "react";
import { toast } from "sonner";

import { ConfirmDialog } from "@/components/confirm-dialog";
import { RouteLink } from "@/components/route-link";
import { Button } from "@/components/ui/button";
import { shownName } from "@/features/directory/paths";
import { useAction } from "@/lib/backend/react";
import type { ChatSummary } from "@/lib/backend/wire.gen";
import { readableLine } from "@/lib/text/sanitise";
import { cn } from "@/lib/utils";

/** The git worktree that a chat has for itself, and what is to be decided when it was kept at the chat's end. */
export function WorktreeMark({ chat }: { chat: ChatSummary }) {
  const [asking, setAsking] = useState(false);
  const remove = useAction("machine.command.request");
  const { worktree } = chat;
  if (!worktree || worktree.state === "removed") return null;
  const isKept = worktree.state === "kept";
  const branch = shownName(worktree.branch);
  const reason = worktree.reason == null ? "" : readableLine(worktree.reason);
  return (
    <>
      <RouteLink
        to={{ page: "machine", machineId: chat.machineId, tab: "files", directory: worktree.directory }}
        title={
          isKept
            ? reason || "The worktree was kept at the session's end."
            : `Works in its own git worktree: ${shownName(worktree.directory)}, branch ${branch}`
        }
        className={cn(
          "flex min-w-0 shrink items-center gap-1 rounded-sm font-mono text-2xs text-muted-foreground outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50",
          isKept && "text-wait",
        )}
        data-testid="worktree"
        data-state={worktree.state}
      >
        <GitBranchIcon aria-label="Own worktree, branch" className="size-3 shrink-0" />
        <span className="truncate max-sm:sr-only">{branch}</span>
        {isKept && <span className="shrink-0">kept</span>}
      </RouteLink>
      {isKept && chat.state === "closed" && (
        <Button
          variant="ghost"
          size="icon-sm"
          aria-label="Remove the worktree"
          title="Remove the worktree…"
          onClick={() => setAsking(true)}
          data-testid="worktree-remove"
        >
          <Trash2Icon />
        </Button>
      )}
      <ConfirmDialog
        open={asking}
        onClose={() => setAsking(false)}
        title="Remove the worktree with what is in it?"
        confirm="Remove worktree"
        error={remove.error}
        onConfirm={async () => {
          const asked = await remove.run({
            machineId: chat.machineId,
            operation: {
              kind: "remove_worktree",
              chatSessionId: chat.id,
              force: true,
              repository: "",
              directory: "",
              branch: "",
            },
          });
          if (!asked) return false;
          toast.success("The machine removes the worktree");
          return true;
        }}
      >
        {reason || "It was kept at the session's end."} What is only there is lost.
      </ConfirmDialog>
    </>
  );
}
