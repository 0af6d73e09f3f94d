"use client";

import { useState, type SubmitEvent, type ReactNode } from "react";

import { ErrorNote } from "@/components/error-note";
import { Button } from "@/components/ui/button";
import {
  Dialog,
  DialogContent,
  DialogDescription,
  DialogFooter,
  DialogHeader,
  DialogTitle,
  DialogTrigger,
} from "@/components/ui/dialog";
import { Input } from "@/components/ui/input";
import { Label } from "@/components/ui/label";
import { useAction } from "@/lib/backend/react";
import { LIMITS, type MachineSummary, type WorkerSettings } from "@/lib/backend/wire.gen";
import { byteLength } from "@/lib/text/bytes";

import { cleanDirectory, problemOfDirectory } from "./directory";
import { cleanSettings, problemOfSettings, SettingsFields } from "./worker-settings";

export function AddWorkerDialog({ machine, children }: { machine: MachineSummary; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <Dialog open={open} onOpenChange={setOpen}>
      <DialogTrigger asChild>{children}</DialogTrigger>
      {open && <AddWorkerForm machine={machine} onClose={() => setOpen(false)} />}
    </Dialog>
  );
}

/** The inside of a dialog that adds a worker, for any directory or for one that was chosen before. */
export function AddWorkerForm({
  machine,
  initialDirectory = "",
  onClose,
  onReturn,
}: {
  machine: MachineSummary;
  initialDirectory?: string;
  onClose: () => void;
  /** Gives the focus back, where what opened the dialog is gone by then. */
  onReturn?: () => void;
}) {
  const { run, pending, error } = useAction("worker.register");
  const [directory, setDirectory] = useState(initialDirectory);
  const [name, setName] = useState("");
  const [settings, setSettings] = useState<WorkerSettings>({ sandbox: "off" });
  const root = machine.info?.root ?? "root";
  const problem = problemOfDirectory(directory, machine.info?.root);
  const nameTooLong = byteLength(name.trim()) > LIMITS.nameMaxBytes;

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const worker = await run({
      machineId: machine.id,
      directory: cleanDirectory(directory, machine.info?.root),
      name: name.trim() || null,
      settings: cleanSettings(settings),
    });
    if (worker) onClose();
  };

  return (
    <DialogContent
      data-testid="add-worker-dialog"
      onCloseAutoFocus={(event) => {
        if (!onReturn) return;
        event.preventDefault();
        onReturn();
      }}
    >
      <DialogHeader>
        <DialogTitle>Add a worker on {machine.name}</DialogTitle>
        <DialogDescription>
          A worker is a directory below the machine's root. Its chats run opencode there.
        </DialogDescription>
      </DialogHeader>
      <form className="flex flex-col gap-4" onSubmit={(event) => void submit(event)}>
        <div className="flex flex-col gap-1.5">
          <Label htmlFor="worker-directory">Directory</Label>
          <div className="flex min-w-0 items-center rounded-md border border-input bg-card shadow-xs focus-within:border-ring focus-within:ring-[3px] focus-within:ring-ring/35">
            <span className="max-w-[50%] shrink-0 truncate pl-2.5 font-mono text-xs text-muted-foreground" title={root}>
              {root.replace(/\/$/, "")}/
            </span>
            <input
              id="worker-directory"
              autoFocus={initialDirectory === ""}
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              placeholder="repos/api"
              value={directory}
              onChange={(event) => setDirectory(event.target.value)}
              className="h-8 min-w-0 flex-1 bg-transparent pr-2.5 font-mono text-base outline-none placeholder:text-muted-foreground/60 md:text-xs"
              data-testid="worker-directory"
            />
          </div>
          <p className={problem ? "text-xs text-bad" : "text-xs text-muted-foreground"}>
            {problem ?? "Leave it empty for the root itself."}
          </p>
        </div>
        <div className="flex flex-col gap-1.5">
          <Label htmlFor="worker-name">
            Name <span className="font-normal text-muted-foreground">optional</span>
          </Label>
          <Input
            id="worker-name"
            autoFocus={initialDirectory !== ""}
            autoComplete="off"
            placeholder={cleanDirectory(directory, machine.info?.root).split("/").at(-1) ?? ""}
            value={name}
            aria-invalid={nameTooLong}
            onChange={(event) => setName(event.target.value)}
            data-testid="worker-name"
          />
          {nameTooLong && <p className="text-xs text-bad">A name has at most {LIMITS.nameMaxBytes} bytes.</p>}
        </div>
        <SettingsFields machine={machine} settings={settings} onChange={setSettings} />
        {error && <ErrorNote>{error.message}</ErrorNote>}
        <DialogFooter>
          <Button variant="outline" onClick={onClose}>
            Cancel
          </Button>
          <Button
            type="submit"
            disabled={pending || problem !== null || nameTooLong || problemOfSettings(settings) !== null}
            data-testid="worker-create"
          >
            {pending ? "Adding…" : "Add worker"}
          </Button>
        </DialogFooter>
      </form>
    </DialogContent>
  );
}
