"use client";

import { useBackend } from "@/lib/backend/react";
import type { DirectoryEntry, MachineView } from "@/lib/backend/wire.gen";
import { AddWorkerForm } from "@/features/machine/add-worker-dialog";
import { Dialog } from "@/components/ui/dialog";

import { CloneDialog } from "./clone-dialog";
import { FileDialog } from "./file-dialog";
import { NewFolderDialog, RenameEntryDialog } from "./name-dialogs";
import { isWithin } from "./paths";
import { TrashDialog } from "./trash-dialog";

export type BrowserDialog =
  | { kind: "new-folder" | "clone" | "add-worker"; directory: string }
  | { kind: "rename" | "trash" | "view"; path: string; entry: DirectoryEntry };

/** Whatever dialog is open over the tree; when it closes, the focus is back on the tree. */
export function BrowserDialogs(props: {
  dialog: BrowserDialog | null;
  view: MachineView;
  onClose: () => void;
  onReturn: () => void;
  onDialog: (dialog: BrowserDialog) => void;
}) {
  const { dialog, view, onClose } = props;
  const { machine } = view;
  const backend = useBackend();
  if (!dialog) return null;
  const frame = { machine, onClose, onReturn: props.onReturn };
  switch (dialog.kind) {
    case "new-folder":
      return <NewFolderDialog {...frame} directory={dialog.directory} />;
    case "clone":
      return (
        <CloneDialog
          {...frame}
          directory={dialog.directory}
          onAddWorker={(directory) => props.onDialog({ kind: "add-worker", directory })}
        />
      );
    case "add-worker":
      return (
        <Dialog open onOpenChange={(open) => !open && onClose()}>
          <AddWorkerForm
            machine={machine}
            initialDirectory={dialog.directory}
            onClose={onClose}
            onReturn={props.onReturn}
          />
        </Dialog>
      );
    case "rename":
      return <RenameEntryDialog {...frame} path={dialog.path} workers={workersIn(view, dialog.path)} />;
    case "trash":
      return <TrashDialog {...frame} backend={backend} path={dialog.path} workers={workersIn(view, dialog.path)} />;
    case "view":
      return <FileDialog {...frame} path={dialog.path} />;
  }
}

function workersIn({ workers }: MachineView, path: string) {
  return workers.filter(({ directory }) => isWithin(directory, path));
}
