"use client";

import { CalendarClockIcon, ChevronRightIcon, FolderIcon, PlusIcon, SearchIcon, SettingsIcon } from "lucide-react";
import { useState } from "react";

import { ChatStateIcon } from "@/components/chat-state";
import { Logo } from "@/components/logo";
import { PresenceDot, isThere, presenceOf } from "@/components/presence";
import { RouteLink } from "@/components/route-link";
import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { Kbd } from "@/components/ui/kbd";
import { Skeleton } from "@/components/ui/skeleton";
import { useStartChat } from "@/features/machine/use-start-chat";
import { AddMachineDialog } from "@/features/machines/add-machine-dialog";
import { useWatch } from "@/lib/backend/react";
import type { ChatSummary, MachineSummary, WorkerSummary } from "@/lib/backend/wire.gen";
import type { Route } from "@/lib/route";
import { shortAge } from "@/lib/text/time";
import { useNow } from "@/lib/use-now";
import { cn } from "@/lib/utils";

import { useFleet } from "./fleet";
import { SWITCHER_KEY } from "./quick-switcher";
import { readOpen, writeOpen } from "./open-machines";

/** Chats shown below one worker; the others are on the machine's page. */
const CHATS_SHOWN = 8;
/** Machines that are open in the tree before a person has opened or closed any. */
const OPEN_AT_FIRST = 5;

export function Sidebar({ route, onSearch, onFollow }: { route: Route; onSearch: () => void; onFollow?: () => void }) {
  const { list } = useFleet();
  const machines = list.value?.machines;
  return (
    <>
      <div className="flex h-12 shrink-0 items-center gap-2 px-3">
        <RouteLink
          to={{ page: "home" }}
          onClick={onFollow}
          className="flex items-center gap-2 rounded-md outline-none focus-visible:ring-[3px] focus-visible:ring-ring/50"
          data-testid="nav-home"
        >
          <Logo className="size-6" />
          <span className="font-semibold tracking-tight">Orchestrator</span>
        </RouteLink>
      </div>
      <div className="px-2 pb-2">
        <button
          type="button"
          onClick={onSearch}
          className="flex h-8 w-full items-center gap-2 rounded-md border bg-background/60 px-2 text-xs text-muted-foreground outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50 max-md:h-10"
          data-testid="open-switcher"
        >
          <SearchIcon className="size-3.5" />
          Find a chat
          <Kbd className="ml-auto max-md:hidden">{SWITCHER_KEY}</Kbd>
        </button>
      </div>
      <div className="px-2 pb-2">
        <RouteLink
          to={{ page: "schedules" }}
          onClick={onFollow}
          aria-current={route.page === "schedules" ? "page" : undefined}
          className={cn(ROW, isOfSchedules(route) && ROW_CURRENT)}
          data-testid="nav-schedules"
        >
          <CalendarClockIcon className="size-3.5 text-muted-foreground" />
          Schedules
        </RouteLink>
      </div>
      <div className="flex items-center justify-between px-3 pt-1 pb-1">
        <h2 className="text-2xs font-medium tracking-wide text-muted-foreground uppercase">Machines</h2>
        <AddMachineDialog>
          <Button
            variant="ghost"
            size="icon-sm"
            className="-mr-1 size-6"
            aria-label="Add machine"
            data-testid="sidebar-add-machine"
          >
            <PlusIcon />
          </Button>
        </AddMachineDialog>
      </div>
      <nav
        aria-label="Machines and chats"
        className="min-h-0 flex-1 overflow-y-auto px-2 pb-4 scroll-thin"
        data-testid="sidebar"
      >
        {machines === undefined && <TreeSkeleton />}
        {machines?.length === 0 && <p className="px-2 py-3 text-xs text-muted-foreground">No machine yet.</p>}
        <ul className="flex flex-col gap-0.5">
          {machines?.map((machine, index) => (
            <MachineNode
              key={machine.id}
              machine={machine}
              openAtFirst={index < OPEN_AT_FIRST}
              route={route}
              onFollow={onFollow}
            />
          ))}
        </ul>
      </nav>
      <div className="flex shrink-0 items-center gap-1 border-t px-2 py-1.5">
        <RouteLink
          to={{ page: "settings" }}
          onClick={onFollow}
          aria-current={route.page === "settings" ? "page" : undefined}
          className={cn(ROW, "flex-1 text-muted-foreground", route.page === "settings" && ROW_CURRENT)}
          data-testid="nav-settings"
        >
          <SettingsIcon className="size-3.5" />
          Settings
        </RouteLink>
      </div>
    </>
  );
}

const ROW =
  "flex h-7 min-w-0 items-center gap-2 rounded-md px-2 text-[0.8125rem] outline-none transition-colors hover:bg-accent focus-visible:ring-[3px] focus-visible:ring-ring/50 max-md:h-9";
const ROW_CURRENT = "bg-accent font-medium text-foreground";

function isOfSchedules({ page }: Route): boolean {
  return page === "schedules" || page === "schedule" || page === "new-schedule";
}

interface NodeProps {
  route: Route;
  onFollow: (() => void) | undefined;
}

function MachineNode({
  machine,
  openAtFirst,
  route,
  onFollow,
}: NodeProps & { machine: MachineSummary; openAtFirst: boolean }) {
  const [open, setOpen] = useState(() => readOpen(machine.id) ?? openAtFirst);
  const current = route.page === "machine" && route.machineId === machine.id;
  const toggle = () => {
    writeOpen(machine.id, !open);
    setOpen(!open);
  };
  return (
    <li data-testid="sidebar-machine" data-machine-id={machine.id}>
      <div className="group relative flex items-center">
        <button
          type="button"
          onClick={toggle}
          aria-expanded={open}
          aria-label={open ? `Close ${machine.name}` : `Open ${machine.name}`}
          className="absolute left-0.5 z-10 grid size-5 place-items-center rounded-sm text-muted-foreground outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50"
        >
          <ChevronRightIcon className={cn("size-3 transition-transform", open && "rotate-90")} />
        </button>
        <RouteLink
          to={{ page: "machine", machineId: machine.id }}
          onClick={onFollow}
          aria-current={current ? "page" : undefined}
          title={`${machine.name}: ${presenceOf(machine).text}`}
          className={cn(ROW, "flex-1 pl-6 font-medium", current && ROW_CURRENT)}
        >
          <PresenceDot machine={machine} />
          <span className="truncate">{machine.name}</span>
          {!open && <AskBadge count={machine.pendingAskCount} />}
        </RouteLink>
      </div>
      {open && <MachineBranch machine={machine} route={route} onFollow={onFollow} />}
    </li>
  );
}

function MachineBranch({ machine, route, onFollow }: NodeProps & { machine: MachineSummary }) {
  const { value } = useWatch("machine.view", { machineId: machine.id });
  if (!value) return null;
  if (value.workers.length === 0) {
    return (
      <RouteLink
        to={{ page: "machine", machineId: machine.id }}
        onClick={onFollow}
        className={cn(ROW, "ml-5 text-xs text-muted-foreground")}
      >
        {machine.state === "created" ? "Start it with its key" : "Add a worker"}
      </RouteLink>
    );
  }
  return (
    <ul className="mb-1 ml-[1.1rem] border-l pl-1.5">
      {value.workers.map((worker) => (
        <WorkerNode
          key={worker.id}
          worker={worker}
          machine={machine}
          chats={value.chats.filter((chat) => chat.workerId === worker.id)}
          route={route}
          onFollow={onFollow}
        />
      ))}
    </ul>
  );
}

function WorkerNode({
  worker,
  machine,
  chats,
  route,
  onFollow,
}: NodeProps & { worker: WorkerSummary; machine: MachineSummary; chats: ChatSummary[] }) {
  const { start, pending } = useStartChat();
  const now = useNow(60_000);
  const currentId = route.page === "chat" ? route.chatSessionId : null;
  const open = chats.filter((chat) => chat.state !== "closed" || chat.id === currentId);
  const shown = open.slice(0, CHATS_SHOWN);
  const startHere = async () => {
    if (await start({ workerId: worker.id })) onFollow?.();
  };
  return (
    <li data-testid="sidebar-worker" data-worker-id={worker.id}>
      <div className="group flex h-7 items-center gap-2 pr-0.5 pl-2 text-xs text-muted-foreground">
        <FolderIcon className={cn("size-3.5 shrink-0", worker.state === "unavailable" && "text-bad")} />
        <span className="truncate" title={worker.directory || "the machine's root"}>
          {worker.name}
        </span>
        <Button
          variant="ghost"
          size="icon-sm"
          className="ml-auto size-6 opacity-60 group-hover:opacity-100 focus-visible:opacity-100"
          aria-label={`Start a chat with ${worker.name}`}
          title="Start a chat"
          disabled={pending}
          onClick={() => void startHere()}
          data-testid="sidebar-start-chat"
        >
          <PlusIcon />
        </Button>
      </div>
      <ul>
        {shown.map((chat) => (
          <li key={chat.id}>
            <RouteLink
              to={{ page: "chat", chatSessionId: chat.id }}
              onClick={onFollow}
              aria-current={chat.id === currentId ? "page" : undefined}
              className={cn(ROW, "pl-3.5", chat.id === currentId && ROW_CURRENT)}
              data-testid="sidebar-chat"
              data-chat-id={chat.id}
            >
              <ChatStateIcon chat={chat} machineThere={isThere(machine)} />
              <span className="truncate">{chat.title || "New chat"}</span>
              <span className="ml-auto flex shrink-0 items-center gap-1 text-2xs font-normal text-muted-foreground tabular-nums">
                {chat.pendingAskCount > 0 ? (
                  <AskBadge count={chat.pendingAskCount} />
                ) : chat.queuedCount > 0 ? (
                  `${chat.queuedCount} queued`
                ) : (
                  shortAge(chat.activeAt, now)
                )}
              </span>
            </RouteLink>
          </li>
        ))}
        {open.length > shown.length && (
          <li>
            <RouteLink
              to={{ page: "machine", machineId: machine.id }}
              onClick={onFollow}
              className={cn(ROW, "text-xs text-muted-foreground")}
            >
              {open.length - shown.length} more
            </RouteLink>
          </li>
        )}
      </ul>
    </li>
  );
}

function AskBadge({ count }: { count: number }) {
  if (count === 0) return null;
  return (
    <Badge
      variant="wait"
      className="ml-auto"
      data-testid="ask-badge"
      aria-label={count === 1 ? "1 ask waits" : `${count} asks wait`}
    >
      {count}
    </Badge>
  );
}

function TreeSkeleton() {
  return (
    <div className="flex flex-col gap-2 p-2">
      <Skeleton className="h-4 w-3/4" />
      <Skeleton className="ml-4 h-4 w-2/3" />
      <Skeleton className="ml-4 h-4 w-1/2" />
    </div>
  );
}
