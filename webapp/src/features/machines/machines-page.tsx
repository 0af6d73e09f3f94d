"use client";

import { PlusIcon, TriangleAlertIcon } from "lucide-react";

import { ErrorNote } from "@/components/error-note";
import { PresenceText } from "@/components/presence";
import { RouteLink } from "@/components/route-link";
import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { Skeleton } from "@/components/ui/skeleton";
import { useFleet } from "@/features/shell/fleet";
import { PageHeader } from "@/features/shell/page-header";
import { useIdentity } from "@/features/sign-in/signed-in";
import { useBackend } from "@/lib/backend/react";
import type { MachineSummary } from "@/lib/backend/wire.gen";

import { AddMachineDialog } from "./add-machine-dialog";
import { ChatRow } from "./chat-row";
import { FirstSteps } from "./first-steps";

const RECENT_CHATS = 12;

export function MachinesPage() {
  const { list, chats, views } = useFleet();
  const { auth } = useBackend();
  const { me } = useIdentity();
  const machines = list.value?.machines;
  const waiting = chats.filter((chat) => chat.pendingAskCount > 0);
  const recent = chats.filter((chat) => chat.pendingAskCount === 0 && chat.state !== "closed").slice(0, RECENT_CHATS);

  return (
    <>
      <PageHeader>
        <h1 className="font-semibold">Machines</h1>
        <AddMachineDialog>
          <Button size="sm" className="ml-auto" data-testid="add-machine">
            <PlusIcon />
            Add machine
          </Button>
        </AddMachineDialog>
      </PageHeader>
      <div className="min-h-0 flex-1 overflow-y-auto scroll-thin">
        <div className="mx-auto flex w-full max-w-4xl flex-col gap-8 p-4 md:p-6">
          {auth.ways.password && !me.hasPassword && (
            <p
              className="flex flex-wrap items-center gap-x-3 gap-y-1 rounded-lg border bg-muted/50 px-3 py-2 text-xs text-muted-foreground"
              data-testid="password-hint"
            >
              You signed in by a link that works once. Set a password, and you can also sign in from another browser.
              <RouteLink to={{ page: "settings" }} className="font-medium text-foreground underline underline-offset-4">
                Set a password
              </RouteLink>
            </p>
          )}
          {list.state.kind === "refused" && <ErrorNote>{list.state.error.message}</ErrorNote>}
          {waiting.length > 0 && (
            <section aria-labelledby="waiting" className="flex flex-col gap-2" data-testid="waiting-chats">
              <h2 id="waiting" className="flex items-center gap-2 text-sm font-medium">
                Waiting for you <Badge variant="wait">{waiting.length}</Badge>
              </h2>
              <div className="divide-y overflow-hidden rounded-lg border border-wait/30 bg-wait/5">
                {waiting.map((chat) => (
                  <ChatRow key={chat.id} chat={chat} view={views.get(chat.machineId)} />
                ))}
              </div>
            </section>
          )}
          {machines === undefined ? <ListSkeleton /> : <FirstSteps />}
          {machines !== undefined && machines.length > 0 && (
            <section
              aria-label="All machines"
              className="grid grid-cols-[minmax(0,1fr)_auto] overflow-hidden rounded-lg border bg-card md:grid-cols-[minmax(8rem,auto)_auto_minmax(0,1fr)_auto]"
              data-testid="machine-list"
            >
              {machines.map((machine) => (
                <MachineRow key={machine.id} machine={machine} />
              ))}
            </section>
          )}
          {recent.length > 0 && (
            <section aria-labelledby="recent" className="flex flex-col gap-2" data-testid="recent-chats">
              <h2 id="recent" className="text-sm font-medium">
                Chats
              </h2>
              <div className="divide-y overflow-hidden rounded-lg border bg-card">
                {recent.map((chat) => (
                  <ChatRow key={chat.id} chat={chat} view={views.get(chat.machineId)} />
                ))}
              </div>
            </section>
          )}
        </div>
      </div>
    </>
  );
}

function MachineRow({ machine }: { machine: MachineSummary }) {
  const { info } = machine;
  return (
    <RouteLink
      to={{ page: "machine", machineId: machine.id }}
      data-testid="machine-row"
      data-machine-id={machine.id}
      className="col-span-full grid grid-cols-subgrid items-center gap-x-6 gap-y-1 border-b px-3 py-2.5 outline-none last:border-b-0 hover:bg-accent/60 focus-visible:ring-[3px] focus-visible:ring-ring/50 focus-visible:ring-inset"
    >
      <span className="flex min-w-0 items-center gap-2 font-medium">
        <span className="truncate">{machine.name}</span>
        {machine.pendingAskCount > 0 && (
          <Badge variant="wait">{machine.pendingAskCount === 1 ? "1 ask" : `${machine.pendingAskCount} asks`}</Badge>
        )}
      </span>
      <PresenceText machine={machine} className="text-xs" />
      <span className="min-w-0 truncate font-mono text-xs text-muted-foreground max-md:col-span-2">
        {info ? `${info.hostname} · ${info.os}/${info.arch} · ${info.root}` : "—"}
      </span>
      <span className="flex items-center justify-end gap-3 text-xs text-muted-foreground tabular-nums max-md:col-span-2 max-md:justify-start">
        {info?.problem != null && (
          <span className="flex items-center gap-1 text-wait" title={info.problem}>
            <TriangleAlertIcon className="size-3.5" />
            problem
          </span>
        )}
        <span>{counted(machine.workerCount, "worker")}</span>
        <span>{counted(machine.openChatCount, "chat")}</span>
      </span>
    </RouteLink>
  );
}

function counted(count: number, noun: string): string {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}

function ListSkeleton() {
  return (
    <div className="flex flex-col gap-2">
      <Skeleton className="h-12" />
      <Skeleton className="h-12" />
    </div>
  );
}
