"use client";

import { useState, type ReactNode } from "react";

import { ErrorNote } from "@/components/error-note";
import {
  AlertDialog,
  AlertDialogAction,
  AlertDialogCancel,
  AlertDialogContent,
  AlertDialogDescription,
  AlertDialogFooter,
  AlertDialogHeader,
  AlertDialogTitle,
} from "@/components/ui/alert-dialog";
import type { BackendError } from "@/lib/backend/backend";

interface Props {
  open: boolean;
  onClose: () => void;
  title: string;
  /** The button that does it, named by what it does. */
  confirm: string;
  /** True once it is done; then the dialog closes. */
  onConfirm: () => Promise<boolean>;
  error: BackendError | null;
  children: ReactNode;
}

/** Asks before something that can't be taken back, and says what it would do. */
export function ConfirmDialog({ open, onClose, title, confirm, onConfirm, error, children }: Props) {
  const [pending, setPending] = useState(false);
  const run = async () => {
    setPending(true);
    const done = await onConfirm();
    setPending(false);
    if (done) onClose();
  };
  return (
    <AlertDialog open={open} onOpenChange={(next) => !next && onClose()}>
      <AlertDialogContent data-testid="confirm-dialog">
        <AlertDialogHeader>
          <AlertDialogTitle>{title}</AlertDialogTitle>
          <AlertDialogDescription>{children}</AlertDialogDescription>
        </AlertDialogHeader>
        {error && <ErrorNote>{error.message}</ErrorNote>}
        <AlertDialogFooter>
          <AlertDialogCancel>Cancel</AlertDialogCancel>
          <AlertDialogAction
            disabled={pending}
            onClick={(event) => {
              event.preventDefault();
              void run();
            }}
            data-testid="confirm"
          >
            {confirm}
          </AlertDialogAction>
        </AlertDialogFooter>
      </AlertDialogContent>
    </AlertDialog>
  );
}
