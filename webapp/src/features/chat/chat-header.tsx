"use client";

import { EllipsisIcon, MoveRightIcon, PencilIcon, SquareXIcon } from "lucide-react";
import { useState } from "react";

import { ChatStateIcon, lookOfChat } from "@/components/chat-state";
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
  waits,
  onContinue,
  onEnd,
}: {
  chat: ChatSummary;
  machine: MachineSummary | undefined;
  worker: WorkerSummary | undefined;
  /** Its next message waits for a process. */
  waits: boolean;
  onContinue: () => void;
  onEnd: () => void;
}) {
  const there = machine ? isThere(machine) : true;
  const look = lookOfChat(chat, there, waits);
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
        <ChatStateIcon chat={chat} machineThere={there} waits={waits} />
        <span className="max-sm:sr-only">{look.text}</span>
      </span>
      <ChatMenu chat={chat} onContinue={onContinue} onEnd={onEnd} />
    </PageHeader>
  );
}

function ChatMenu({ chat, onContinue, onEnd }: { chat: ChatSummary; onContinue: () => void; onEnd: () => void }) {
  const [renaming, setRenaming] = useState(false);
  const rename = useAction("worker.chat.renameSession");
  return (
    <>
      <DropdownMenu>
        <DropdownMenuTrigger asChild>
          <Button variant="ghost" size="icon-sm" aria-label="Menu of this chat" data-testid="chat-menu">
            <EllipsisIcon />
          </Button>
        </DropdownMenuTrigger>
        <DropdownMenuContent align="end">
          <DropdownMenuItem onSelect={() => setRenaming(true)} data-testid="chat-rename">
            <PencilIcon /> Rename…
          </DropdownMenuItem>
          <DropdownMenuItem onSelect={onContinue} data-testid="chat-continue">
            <MoveRightIcon /> Continue elsewhere…
          </DropdownMenuItem>
          {chat.state !== "closed" && (
            <>
              <DropdownMenuSeparator />
              <DropdownMenuItem variant="destructive" onSelect={onEnd} data-testid="end-session">
                <SquareXIcon /> End session…
              </DropdownMenuItem>
            </>
          )}
        </DropdownMenuContent>
      </DropdownMenu>
      <RenameDialog
        open={renaming}
        onClose={() => setRenaming(false)}
        title="Rename this chat"
        label="Title"
        current={chat.title}
        error={rename.error}
        onRename={async (title) => (await rename.run({ chatSessionId: chat.id, title })) !== null}
      />
    </>
  );
}
