"use client";

import { EllipsisIcon, PencilIcon, SquareXIcon } from "lucide-react";
import { useState } from "react";
import { toast } from "sonner";

import { ChatStateIcon, lookOfChat } from "@/components/chat-state";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { PresenceDot, isThere, presenceOf } from "@/components/presence";
import { RenameDialog } from "@/components/rename-dialog";
import { RouteLink } from "@/components/route-link";
import { Button } from "@/components/ui/button";
import {
  DropdownMenu,
  DropdownMenuContent,
  DropdownMenuItem,
  DropdownMenuSeparator,
  DropdownMenuTrigger,
} from "@/components/ui/dropdown-menu";
import { PageHeader } from "@/features/shell/page-header";
import { useAction } from "@/lib/backend/react";
import type { ChatSummary, MachineSummary, WorkerSummary } from "@/lib/backend/wire.gen";
import { readableLine } from "@/lib/text/sanitise";

import { WorktreeMark } from "./worktree";

export function ChatHeader({
  chat,
  machine,
  worker,
}: {
  chat: ChatSummary;
  machine: MachineSummary | undefined;
  worker: WorkerSummary | undefined;
}) {
  const there = machine ? isThere(machine) : true;
  const look = lookOfChat(chat, there);
  return (
    <PageHeader>
      <div className="flex min-w-0 flex-1 items-baseline gap-3">
        <h1 className="truncate font-semibold" data-testid="chat-title">
          {readableLine(chat.title) || "New chat"}
        </h1>
        {machine && (
          <RouteLink
            to={{ page: "machine", machineId: machine.id }}
            title={`${worker?.directory ?? ""} on ${machine.name}: ${presenceOf(machine).text}`}
            className="flex min-w-0 shrink items-center gap-1.5 truncate rounded-sm text-xs text-muted-foreground outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50 max-sm:hidden"
          >
            <PresenceDot machine={machine} />
            <span className="truncate">
              {worker?.name} · {machine.name}
            </span>
          </RouteLink>
        )}
      </div>
      <WorktreeMark chat={chat} />
      {(chat.model != null || chat.agent != null) && (
        <span className="truncate font-mono text-2xs text-muted-foreground max-lg:hidden" data-testid="chat-model">
          {[chat.agent, chat.model].filter(Boolean).join(" · ")}
        </span>
      )}
      <span
        className="flex shrink-0 items-center gap-1.5 text-xs text-muted-foreground"
        data-testid="chat-state"
        data-state={chat.state}
      >
        <ChatStateIcon chat={chat} machineThere={there} />
        <span className="max-sm:sr-only">{look.text}</span>
      </span>
      <ChatMenu chat={chat} />
    </PageHeader>
  );
}

function ChatMenu({ chat }: { chat: ChatSummary }) {
  const [dialog, setDialog] = useState<"rename" | "end" | null>(null);
  const rename = useAction("worker.chat.renameSession");
  const end = useAction("worker.chat.endSession");
  const [discardWorktree, setDiscardWorktree] = useState(false);
  const hasWorktree = chat.worktree?.state === "present" || chat.worktree?.state === "wanted";
  const close = () => setDialog(null);
  return (
    <>
      <DropdownMenu>
        <DropdownMenuTrigger asChild>
          <Button variant="ghost" size="icon-sm" aria-label="Menu of this chat" data-testid="chat-menu">
            <EllipsisIcon />
          </Button>
        </DropdownMenuTrigger>
        <DropdownMenuContent align="end">
          <DropdownMenuItem onSelect={() => setDialog("rename")} data-testid="chat-rename">
            <PencilIcon /> Rename…
          </DropdownMenuItem>
          {chat.state !== "closed" && (
            <>
              <DropdownMenuSeparator />
              <DropdownMenuItem variant="destructive" onSelect={() => setDialog("end")} data-testid="end-session">
                <SquareXIcon /> End session…
              </DropdownMenuItem>
            </>
          )}
        </DropdownMenuContent>
      </DropdownMenu>
      <RenameDialog
        open={dialog === "rename"}
        onClose={close}
        title="Rename this chat"
        label="Title"
        current={chat.title}
        error={rename.error}
        onRename={async (title) => (await rename.run({ chatSessionId: chat.id, title })) !== null}
      />
      <ConfirmDialog
        open={dialog === "end"}
        onClose={close}
        title="End this session?"
        confirm="End session"
        error={end.error}
        onConfirm={async () => {
          if (!(await end.run({ chatSessionId: chat.id, discardWorktree }))) return false;
          toast.success("The session has ended");
          return true;
        }}
      >
        Its opencode process stops{chat.state === "busy" && ", and the turn that is under way with it"}
        {chat.queuedCount > 0 &&
          `; ${chat.queuedCount === 1 ? "the queued message is" : `${chat.queuedCount} queued messages are`} cancelled`}
        . The transcript stays, and so do all files{hasWorktree && " but its own worktree"}. An ended session can&apos;t
        be taken up again.
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
    </>
  );
}
