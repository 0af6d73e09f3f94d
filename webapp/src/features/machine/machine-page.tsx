"use client";

import { EllipsisIcon, KeyRoundIcon, PencilIcon, PlusIcon, Trash2Icon } from "lucide-react";
import { useState, type ReactNode } from "react";
import { toast } from "sonner";

import { ConfirmDialog } from "@/components/confirm-dialog";
import { ErrorNote } from "@/components/error-note";
import { PresenceText } from "@/components/presence";
import { RenameDialog } from "@/components/rename-dialog";
import { Button } from "@/components/ui/button";
import { Dialog, DialogContent, DialogDescription, DialogHeader, DialogTitle } from "@/components/ui/dialog";
import {
  DropdownMenu,
  DropdownMenuContent,
  DropdownMenuItem,
  DropdownMenuSeparator,
  DropdownMenuTrigger,
} from "@/components/ui/dropdown-menu";
import { Skeleton } from "@/components/ui/skeleton";
import { ActivityList } from "@/features/activity/activity-list";
import { OpenCommands } from "@/features/activity/open-commands";
import { DirectoryBrowser } from "@/features/directory/directory-browser";
import { KeyPanel } from "@/features/machines/key-panel";
import { NotFound } from "@/features/shell/not-found";
import { PageHeader } from "@/features/shell/page-header";
import { useAction, useWatch } from "@/lib/backend/react";
import type { MachineSummary, MachineView, RegistrationKeyReply, WorkerId } from "@/lib/backend/wire.gen";
import { navigate, type Route } from "@/lib/route";

import { AddWorkerDialog, AddWorkerForm } from "./add-worker-dialog";
import { Health } from "./health";
import { MachineFacts } from "./machine-facts";
import { MachineTabs } from "./machine-tabs";
import { WorkerCard } from "./worker-card";

export type MachineRoute = Extract<Route, { page: "machine" }>;

export function MachinePage({ route }: { route: MachineRoute }) {
  const { machineId } = route;
  const { value, state } = useWatch("machine.view", { machineId });
  if (state.kind === "refused" && state.error.code === "not_found")
    return <NotFound what="This machine does not exist, or has been revoked." />;
  if (!value) {
    return (
      <>
        <PageHeader>
          <Skeleton className="h-5 w-40" />
        </PageHeader>
        <div className="p-6">
          {state.kind === "refused" ? (
            <ErrorNote>{state.error.message}</ErrorNote>
          ) : (
            <Skeleton className="h-24 max-w-4xl" />
          )}
        </div>
      </>
    );
  }
  const { machine } = value;
  return (
    <>
      <PageHeader>
        <h1 className="truncate font-semibold" data-testid="machine-title">
          {machine.name}
        </h1>
        <PresenceText machine={machine} className="text-xs" />
        <div className="ml-auto flex items-center gap-1.5">
          <MachineMenu machine={machine} />
          <AddWorkerDialog machine={machine}>
            <Button size="sm" disabled={machine.state !== "registered"} data-testid="add-worker">
              <PlusIcon />
              Add worker
            </Button>
          </AddWorkerDialog>
        </div>
      </PageHeader>
      {machine.state === "registered" && <MachineTabs route={route} workerCount={value.workers.length} />}
      <MachineBody view={value} route={route} />
    </>
  );
}

function MachineBody({ view, route }: { view: MachineView; route: MachineRoute }) {
  const { machine } = view;
  const { value: latest } = useWatch("machine.activity", { machineId: machine.id, reads: false });
  const [workerAt, setWorkerAt] = useState<string | null>(null);
  const tab = "tab" in route ? route.tab : "workers";
  return (
    <>
      <OpenCommands view={view} changes={latest?.commands} onAddWorker={setWorkerAt} />
      {tab === "files" && "directory" in route ? (
        <DirectoryBrowser view={view} directory={route.directory} changes={latest?.commands} />
      ) : (
        <Scrolled>
          {tab === "activity" ? (
            <ActivityList machine={machine} />
          ) : tab === "health" ? (
            <Health view={view} />
          ) : (
            <Workers view={view} highlighted={"worker" in route ? route.worker : undefined} />
          )}
        </Scrolled>
      )}
      <Dialog open={workerAt !== null} onOpenChange={(open) => !open && setWorkerAt(null)}>
        {workerAt !== null && (
          <AddWorkerForm machine={machine} initialDirectory={workerAt} onClose={() => setWorkerAt(null)} />
        )}
      </Dialog>
    </>
  );
}

function Scrolled({ children }: { children: ReactNode }) {
  return (
    <div className="min-h-0 flex-1 overflow-y-auto scroll-thin">
      <div className="mx-auto flex w-full max-w-4xl flex-col gap-6 p-4 md:p-6">{children}</div>
    </div>
  );
}

function Workers({ view, highlighted }: { view: MachineView; highlighted: WorkerId | undefined }) {
  const { machine, workers, chats } = view;
  return (
    <>
      <MachineFacts machine={machine} />
      {machine.state === "created" && <NotStarted machine={machine} />}
      {machine.state === "registered" && workers.length === 0 && (
        <div
          className="flex flex-col items-center gap-3 rounded-xl border border-dashed px-6 py-12 text-center"
          data-testid="no-workers"
        >
          <h2 className="font-medium">No worker yet</h2>
          <p className="max-w-sm text-muted-foreground">
            A worker is a directory below this machine&apos;s root, usually a repository. Chats run in it. Look for one
            under Files, or clone one there.
          </p>
          <AddWorkerDialog machine={machine}>
            <Button>
              <PlusIcon />
              Add worker
            </Button>
          </AddWorkerDialog>
        </div>
      )}
      {workers.map((worker) => (
        <WorkerCard
          key={worker.id}
          worker={worker}
          view={view}
          chats={chats.filter((chat) => chat.workerId === worker.id)}
          highlighted={worker.id === highlighted}
        />
      ))}
    </>
  );
}

function NotStarted({ machine }: { machine: MachineSummary }) {
  const reissue = useAction("machine.reissueKey");
  const [issued, setIssued] = useState<RegistrationKeyReply | null>(null);
  return (
    <section className="flex flex-col gap-3 rounded-xl border bg-card p-4" data-testid="not-started">
      <h2 className="font-medium">{machine.name} has not started yet</h2>
      {issued ? (
        <KeyPanel issued={issued} onReissued={setIssued} onClose={() => setIssued(null)} />
      ) : (
        <>
          <p className="text-muted-foreground">
            {machine.keyExpiresAt != null
              ? "Its registration key was shown once. If it got lost, make a new one: the old one stops working."
              : "Its registration key has expired. Make a new one and run the command on the machine."}
          </p>
          {reissue.error && <ErrorNote>{reissue.error.message}</ErrorNote>}
          <Button
            variant="outline"
            className="self-start"
            disabled={reissue.pending}
            onClick={() => void reissue.run({ machineId: machine.id }).then(setIssued)}
            data-testid="new-key"
          >
            <KeyRoundIcon />
            New registration key
          </Button>
        </>
      )}
    </section>
  );
}

function MachineMenu({ machine }: { machine: MachineSummary }) {
  const [dialog, setDialog] = useState<"rename" | "revoke" | "key" | null>(null);
  const rename = useAction("machine.rename");
  const revoke = useAction("machine.revoke");
  const reissue = useAction("machine.reissueKey", (error) =>
    toast.error("No new key was made", { description: error.message }),
  );
  const [issued, setIssued] = useState<RegistrationKeyReply | null>(null);
  const close = () => setDialog(null);
  const newKey = async () => {
    const reply = await reissue.run({ machineId: machine.id });
    if (!reply) return;
    setIssued(reply);
    setDialog("key");
  };
  return (
    <>
      <DropdownMenu>
        <DropdownMenuTrigger asChild>
          <Button variant="ghost" size="icon-sm" aria-label={`Menu of ${machine.name}`} data-testid="machine-menu">
            <EllipsisIcon />
          </Button>
        </DropdownMenuTrigger>
        <DropdownMenuContent align="end">
          <DropdownMenuItem onSelect={() => setDialog("rename")} data-testid="machine-rename">
            <PencilIcon /> Rename…
          </DropdownMenuItem>
          {machine.state === "created" && (
            <DropdownMenuItem onSelect={() => void newKey()}>
              <KeyRoundIcon /> New registration key
            </DropdownMenuItem>
          )}
          <DropdownMenuSeparator />
          <DropdownMenuItem variant="destructive" onSelect={() => setDialog("revoke")} data-testid="machine-revoke">
            <Trash2Icon /> Revoke…
          </DropdownMenuItem>
        </DropdownMenuContent>
      </DropdownMenu>
      <RenameDialog
        open={dialog === "rename"}
        onClose={close}
        title={`Rename ${machine.name}`}
        label="Name"
        current={machine.name}
        error={rename.error}
        onRename={async (name) => (await rename.run({ machineId: machine.id, name })) !== null}
      />
      <ConfirmDialog
        open={dialog === "revoke"}
        onClose={close}
        title={`Revoke ${machine.name}?`}
        confirm="Revoke machine"
        error={revoke.error}
        onConfirm={async () => {
          if (!(await revoke.run({ machineId: machine.id }))) return false;
          toast.success(`${machine.name} was revoked`);
          navigate({ page: "home" }, { replace: true });
          return true;
        }}
      >
        Its credentials stop working at once, its connection is cut and its{" "}
        {machine.openChatCount === 1 ? "open chat ends" : `${machine.openChatCount} open chats end`}. Files on the
        machine stay as they are. This can&apos;t be undone; to use the machine again, add it anew.
      </ConfirmDialog>
      <Dialog open={dialog === "key" && issued !== null} onOpenChange={(open) => !open && close()}>
        <DialogContent className="sm:max-w-xl">
          <DialogHeader>
            <DialogTitle>Start {machine.name}</DialogTitle>
            <DialogDescription>
              Run this on the machine, in a clone of the project. The key works once and is shown only here.
            </DialogDescription>
          </DialogHeader>
          {issued && <KeyPanel issued={issued} onReissued={setIssued} onClose={close} />}
        </DialogContent>
      </Dialog>
    </>
  );
}
