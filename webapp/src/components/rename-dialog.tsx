"use client";

import { useState, type SubmitEvent } from "react";

import { ErrorNote } from "@/components/error-note";
import { Button } from "@/components/ui/button";
import {
  Dialog,
  DialogContent,
  DialogDescription,
  DialogFooter,
  DialogHeader,
  DialogTitle,
} from "@/components/ui/dialog";
import { Input } from "@/components/ui/input";
import { Label } from "@/components/ui/label";
import type { BackendError } from "@/lib/backend/backend";
import { LIMITS } from "@/lib/backend/wire.gen";
import { byteLength } from "@/lib/text/bytes";

interface Props {
  open: boolean;
  onClose: () => void;
  title: string;
  label: string;
  current: string;
  /** True once it is renamed; then the dialog closes. */
  onRename: (name: string) => Promise<boolean>;
  error: BackendError | null;
}

export function RenameDialog({ open, onClose, ...form }: Props) {
  return (
    <Dialog open={open} onOpenChange={(next) => !next && onClose()}>
      {open && (
        <DialogContent data-testid="rename-dialog">
          <RenameForm onClose={onClose} {...form} />
        </DialogContent>
      )}
    </Dialog>
  );
}

function RenameForm({ onClose, title, label, current, onRename, error }: Omit<Props, "open">) {
  const [name, setName] = useState(current);
  const [pending, setPending] = useState(false);
  const tooLong = byteLength(name.trim()) > LIMITS.nameMaxBytes;
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setPending(true);
    const done = await onRename(name.trim());
    setPending(false);
    if (done) onClose();
  };
  return (
    <form className="flex flex-col gap-4" onSubmit={(event) => void submit(event)}>
      <DialogHeader>
        <DialogTitle>{title}</DialogTitle>
        <DialogDescription className="sr-only">Type the new name.</DialogDescription>
      </DialogHeader>
      <div className="flex flex-col gap-1.5">
        <Label htmlFor="new-name">{label}</Label>
        <Input
          id="new-name"
          autoFocus
          autoComplete="off"
          required
          value={name}
          aria-invalid={tooLong}
          onFocus={(event) => event.target.select()}
          onChange={(event) => setName(event.target.value)}
          data-testid="rename-input"
        />
        {tooLong && (
          <p className="text-xs text-bad">
            A {label.toLowerCase()} has at most {LIMITS.nameMaxBytes} bytes.
          </p>
        )}
      </div>
      {error && <ErrorNote>{error.message}</ErrorNote>}
      <DialogFooter>
        <Button variant="outline" onClick={onClose}>
          Cancel
        </Button>
        <Button
          type="submit"
          disabled={pending || tooLong || name.trim() === "" || name.trim() === current}
          data-testid="rename-submit"
        >
          Rename
        </Button>
      </DialogFooter>
    </form>
  );
}
