"use client";

import {
  EllipsisIcon,
  FolderIcon,
  MessageSquarePlusIcon,
  PencilIcon,
  Settings2Icon,
  ShieldCheckIcon,
  SlidersHorizontalIcon,
  Trash2Icon,
} from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { toast } from "sonner";

import { ConfirmDialog } from "@/components/confirm-dialog";
import { RenameDialog } from "@/components/rename-dialog";
import { RouteLink } from "@/components/route-link";
import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import {
  DropdownMenu,
  DropdownMenuContent,
  DropdownMenuItem,
  DropdownMenuSeparator,
  DropdownMenuTrigger,
} from "@/components/ui/dropdown-menu";
import { shownName } from "@/features/directory/paths";
import { ChatRow } from "@/features/machines/chat-row";
import { WorkerSchedules } from "@/features/schedules/worker-schedules";
import { useAction } from "@/lib/backend/react";
import type {
  ChatSummary,
  MachineSummary,
  MachineView,
  WorkerSettings,
  WorkerState,
  WorkerSummary,
} from "@/lib/backend/wire.gen";
import { cn } from "@/lib/utils";

import { StartChatDialog } from "./start-chat-dialog";
import { useStartChat } from "./use-start-chat";
import { WorkerSettingsDialog } from "./worker-settings";

/** A worker with its chats. */
export function WorkerCard({
  worker,
  view,
  chats,
  highlighted = false,
}: {
  worker: WorkerSummary;
  view: MachineView;
  chats: ChatSummary[];
  /** Somebody followed a link to it. */
  highlighted?: boolean;
}) {
  const card = useRef<HTMLElement>(null);
  useEffect(() => {
    if (highlighted) card.current?.scrollIntoView({ block: "center" });
  }, [highlighted]);
  const { start, pending } = useStartChat();
  const [showEnded, setShowEnded] = useState(false);
  const open = chats.filter((chat) => chat.state !== "closed");
  const sharing = open.filter((chat) => chat.worktree == null && chat.state !== "failed").length;
  const ended = chats.filter((chat) => chat.state === "closed");
  return (
    <section
      aria-label={worker.name}
      ref={card}
      className={cn("overflow-hidden rounded-xl border bg-card", highlighted && "ring-[3px] ring-ring/35")}
      data-testid="worker-card"
      data-worker-id={worker.id}
    >
      <header className="flex min-h-12 flex-wrap items-center gap-x-3 gap-y-1 border-b px-3 py-2">
        <FolderIcon className="size-4 shrink-0 text-muted-foreground" />
        <h2 className="font-medium" data-testid="worker-title">
          {worker.name}
        </h2>
        <RouteLink
          to={{ page: "machine", machineId: worker.machineId, tab: "files", directory: worker.directory }}
          className="min-w-0 truncate rounded-sm font-mono text-xs text-muted-foreground underline-offset-4 outline-none hover:text-foreground hover:underline focus-visible:ring-[3px] focus-visible:ring-ring/50"
          title="Show its files"
          data-testid="worker-files"
        >
          {worker.directory === "" ? "the root itself" : shownName(worker.directory)}
        </RouteLink>
        <WorkerBadge state={worker.state} />
        <SettingsBadges settings={worker.settings} />
        <div className="ml-auto flex items-center gap-1">
          <WorkerMenu worker={worker} machine={view.machine} />
          <StartChatDialog worker={worker}>
            <Button
              variant="ghost"
              size="icon-sm"
              aria-label={`Start a chat with ${worker.name}, with a model and agent of your choice`}
              title="Start with options…"
              data-testid="start-chat-options"
            >
              <SlidersHorizontalIcon />
            </Button>
          </StartChatDialog>
          <Button
            variant="outline"
            size="sm"
            disabled={pending}
            onClick={() => void start({ workerId: worker.id })}
            data-testid="start-chat"
          >
            <MessageSquarePlusIcon />
            Start chat
          </Button>
        </div>
      </header>
      {worker.state === "unavailable" && (
        <p className="border-b bg-bad/8 px-3 py-2 text-xs text-bad" data-testid="worker-reason">
          {worker.reason ?? "The machine can't use this directory."}
        </p>
      )}
      <div className="divide-y">
        {sharing > 1 && (
          <p className="bg-wait/8 px-3 py-2 text-xs text-wait" data-testid="shared-folder">
            {sharing} chats work in this one folder and can overwrite each other&apos;s work. Start the next one with
            options, and give it its own git worktree.
          </p>
        )}
        {open.length === 0 && (
          <p className="px-3 py-3 text-xs text-muted-foreground">
            No open chat. Start one: each has its own opencode process, and several run side by side.
          </p>
        )}
        {open.map((chat) => (
          <ChatRow key={chat.id} chat={chat} view={view} showPlace={false} />
        ))}
        {ended.length > 0 && (
          <button
            type="button"
            className="w-full px-3 py-1.5 text-left text-xs text-muted-foreground outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50 focus-visible:ring-inset"
            aria-expanded={showEnded}
            onClick={() => setShowEnded(!showEnded)}
            data-testid="show-ended-chats"
          >
            {showEnded ? "Hide ended chats" : ended.length === 1 ? "1 ended chat" : `${ended.length} ended chats`}
          </button>
        )}
        {showEnded && ended.map((chat) => <ChatRow key={chat.id} chat={chat} view={view} showPlace={false} />)}
      </div>
      <WorkerSchedules worker={worker} />
    </section>
  );
}

const WORKER_STATES: Record<WorkerState, { variant: "ok" | "quiet" | "bad"; text: string }> = {
  registered: { variant: "quiet", text: "not checked yet" },
  ready: { variant: "ok", text: "ready" },
  unavailable: { variant: "bad", text: "unavailable" },
  removed: { variant: "quiet", text: "removed" },
  unknown: { variant: "quiet", text: "unknown" },
};

function WorkerBadge({ state }: { state: WorkerState }) {
  const { variant, text } = WORKER_STATES[state];
  return (
    <Badge variant={variant} data-testid="worker-state" data-state={state}>
      {text}
    </Badge>
  );
}

function SettingsBadges({ settings }: { settings: WorkerSettings }) {
  const chosen = [settings.agent, settings.model].filter(Boolean).join(" · ");
  return (
    <>
      {settings.sandbox === "workspace" && (
        <Badge variant="outline" data-testid="worker-sandbox">
          <ShieldCheckIcon /> sandbox
        </Badge>
      )}
      {chosen !== "" && (
        <span className="max-w-56 truncate font-mono text-2xs text-muted-foreground" title={chosen}>
          {chosen}
        </span>
      )}
    </>
  );
}

function WorkerMenu({ worker, machine }: { worker: WorkerSummary; machine: MachineSummary }) {
  const [dialog, setDialog] = useState<"rename" | "settings" | "remove" | null>(null);
  const rename = useAction("worker.rename");
  const remove = useAction("worker.remove");
  const close = () => setDialog(null);
  return (
    <>
      <DropdownMenu>
        <DropdownMenuTrigger asChild>
          <Button variant="ghost" size="icon-sm" aria-label={`Menu of ${worker.name}`} data-testid="worker-menu">
            <EllipsisIcon />
          </Button>
        </DropdownMenuTrigger>
        <DropdownMenuContent align="end">
          <DropdownMenuItem onSelect={() => setDialog("rename")}>
            <PencilIcon /> Rename…
          </DropdownMenuItem>
          <DropdownMenuItem onSelect={() => setDialog("settings")} data-testid="worker-settings">
            <Settings2Icon /> Settings…
          </DropdownMenuItem>
          <DropdownMenuSeparator />
          <DropdownMenuItem variant="destructive" onSelect={() => setDialog("remove")} data-testid="worker-remove">
            <Trash2Icon /> Remove…
          </DropdownMenuItem>
        </DropdownMenuContent>
      </DropdownMenu>
      <RenameDialog
        open={dialog === "rename"}
        onClose={close}
        title={`Rename ${worker.name}`}
        label="Name"
        current={worker.name}
        error={rename.error}
        onRename={async (name) => (await rename.run({ workerId: worker.id, name })) !== null}
      />
      {dialog === "settings" && <WorkerSettingsDialog worker={worker} machine={machine} onClose={close} />}
      <ConfirmDialog
        open={dialog === "remove"}
        onClose={close}
        title={`Remove ${worker.name}?`}
        confirm="Remove worker"
        error={remove.error}
        onConfirm={async () => {
          if (!(await remove.run({ workerId: worker.id }))) return false;
          toast.success(`${worker.name} was removed`);
          return true;
        }}
      >
        {worker.openChatCount === 0
          ? "It has no open chat."
          : worker.openChatCount === 1
            ? "Its open chat ends."
            : `Its ${worker.openChatCount} open chats end.`}{" "}
        The directory and everything in it stay on the machine.
      </ConfirmDialog>
    </>
  );
}
