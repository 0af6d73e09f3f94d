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
import { LIMITS, type RegistrationKeyReply } from "@/lib/backend/wire.gen";
import { byteLength } from "@/lib/text/bytes";

import { KeyPanel } from "./key-panel";

/** Names a machine, then shows its registration key, this once. Beside a trigger it can be opened by its owner. */
export function AddMachineDialog({
  children,
  ...controlled
}: {
  children?: ReactNode;
  open?: boolean;
  onOpenChange?: (open: boolean) => void;
}) {
  const [openByTrigger, setOpenByTrigger] = useState(false);
  const { open = openByTrigger, onOpenChange = setOpenByTrigger } = controlled;
  return (
    <Dialog open={open} onOpenChange={onOpenChange}>
      {children && <DialogTrigger asChild>{children}</DialogTrigger>}
      {open && <AddMachine onClose={() => onOpenChange(false)} />}
    </Dialog>
  );
}

function AddMachine({ onClose }: { onClose: () => void }) {
  const { run, pending, error } = useAction("machine.create");
  const [name, setName] = useState("");
  const [issued, setIssued] = useState<RegistrationKeyReply | null>(null);
  const tooLong = byteLength(name.trim()) > LIMITS.nameMaxBytes;

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setIssued(await run({ name: name.trim() }));
  };

  if (issued) {
    return (
      <DialogContent
        className="sm:max-w-xl"
        data-testid="key-dialog"
        onInteractOutside={(event) => event.preventDefault()}
      >
        <DialogHeader>
          <DialogTitle>Start {name.trim()}</DialogTitle>
          <DialogDescription>
            Run this on the machine, in a clone of the project. The key works once and is shown only here.
          </DialogDescription>
        </DialogHeader>
        <KeyPanel issued={issued} onReissued={setIssued} onClose={onClose} />
      </DialogContent>
    );
  }
  return (
    <DialogContent data-testid="add-machine-dialog">
      <DialogHeader>
        <DialogTitle>Add a machine</DialogTitle>
        <DialogDescription>
          Any computer that can reach this page: a laptop, a build box, a server. You get a key to start it with.
        </DialogDescription>
      </DialogHeader>
      <form className="flex flex-col gap-4" onSubmit={(event) => void submit(event)}>
        <div className="flex flex-col gap-1.5">
          <Label htmlFor="machine-name">Name</Label>
          <Input
            id="machine-name"
            autoFocus
            required
            autoComplete="off"
            placeholder="build-box"
            value={name}
            aria-invalid={tooLong}
            onChange={(event) => setName(event.target.value)}
            data-testid="machine-name"
          />
          {tooLong && <p className="text-xs text-bad">A name has at most {LIMITS.nameMaxBytes} bytes.</p>}
        </div>
        {error && <ErrorNote>{error.message}</ErrorNote>}
        <DialogFooter>
          <Button variant="outline" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" disabled={pending || tooLong || name.trim() === ""} data-testid="machine-create">
            {pending ? "Adding…" : "Add machine"}
          </Button>
        </DialogFooter>
      </form>
    </DialogContent>
  );
}
