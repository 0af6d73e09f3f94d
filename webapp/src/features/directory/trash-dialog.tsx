"use client";

import { useEffect } from "react";

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
import type { Backend } from "@/lib/backend/backend";
import type { WorkerSummary } from "@/lib/backend/wire.gen";

import type { DialogFrame } from "./name-dialogs";
import { nameOf, shownName } from "./paths";
import { moveToTrash } from "./trash";
import { WorkersWarning } from "./workers-warning";

/** Moves to the trash at once, since that can be undone; asks first where workers would lose their folder. */
export function TrashDialog({
  backend,
  machine,
  path,
  workers,
  onClose,
  onReturn,
}: DialogFrame & { backend: Backend; path: string; workers: readonly WorkerSummary[] }) {
  const asks = workers.length > 0;
  useEffect(() => {
    if (asks) return;
    // A timer, so that an effect that is run twice for a check moves it once.
    const timer = setTimeout(() => {
      moveToTrash(backend, machine, path);
      onClose();
      onReturn();
    });
    return () => clearTimeout(timer);
  }, [asks, backend, machine, path, onClose, onReturn]);
  if (!asks) return null;
  const move = () => {
    moveToTrash(backend, machine, path);
    onClose();
  };
  return (
    <AlertDialog open onOpenChange={(open) => !open && onClose()}>
      <AlertDialogContent
        data-testid="trash-dialog"
        onCloseAutoFocus={(event) => {
          event.preventDefault();
          onReturn();
        }}
      >
        <AlertDialogHeader>
          <AlertDialogTitle className="break-words">Move {shownName(nameOf(path))} to the trash?</AlertDialogTitle>
          <AlertDialogDescription>It can be put back from there.</AlertDialogDescription>
        </AlertDialogHeader>
        <WorkersWarning workers={workers} consequence="can't work until it is put back" />
        <AlertDialogFooter>
          <AlertDialogCancel>Cancel</AlertDialogCancel>
          <AlertDialogAction onClick={move} data-testid="trash-confirm">
            Move to trash
          </AlertDialogAction>
        </AlertDialogFooter>
      </AlertDialogContent>
    </AlertDialog>
  );
}
