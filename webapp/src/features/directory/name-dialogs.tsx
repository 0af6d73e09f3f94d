"use client";

import { useState, type SubmitEvent } from "react";

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
import type { MachineSummary, Operation, WorkerSummary } from "@/lib/backend/wire.gen";

import { CommandNote } from "./command-note";
import { useCommand } from "./commands";
import { escapedName, joinPath, nameOf, parentOf, problemOfName, shownName, typedName } from "./paths";
import { WorkersWarning } from "./workers-warning";

export interface DialogFrame {
  machine: MachineSummary;
  onClose: () => void;
  /** Gives the focus back to where it was before. */
  onReturn: () => void;
}

export function NewFolderDialog({ directory, ...frame }: DialogFrame & { directory: string }) {
  return (
    <NameDialog
      {...frame}
      testId="new-folder-dialog"
      title="New folder"
      description={`In ${directory === "" ? "the root" : shownName(directory)} on ${frame.machine.name}.`}
      current=""
      submit="Make folder"
      operation={(name) => ({ kind: "make_directory", path: joinPath(directory, name) })}
    />
  );
}

export function RenameEntryDialog({
  path,
  workers,
  ...frame
}: DialogFrame & { path: string; workers: readonly WorkerSummary[] }) {
  const name = nameOf(path);
  return (
    <NameDialog
      {...frame}
      testId="rename-entry-dialog"
      title={`Rename ${shownName(name)}`}
      description="It stays in its folder. Nothing that is there already is replaced."
      current={typedName(name) ?? ""}
      submit="Rename"
      operation={(to) => ({ kind: "rename", from: path, to: joinPath(parentOf(path), to) })}
    >
      <WorkersWarning workers={workers} consequence="will not find their folder under its new name" />
    </NameDialog>
  );
}

function NameDialog(
  props: DialogFrame & {
    testId: string;
    title: string;
    description: string;
    current: string;
    submit: string;
    operation: (name: string) => Operation;
    children?: React.ReactNode;
  },
) {
  const { machine, current, onClose } = props;
  const [name, setName] = useState(current);
  const command = useCommand(machine.id, onClose);
  const problem = problemOfName(name);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    command.run(props.operation(escapedName(name)));
  };
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()}>
      <DialogContent
        data-testid={props.testId}
        onCloseAutoFocus={(event) => {
          event.preventDefault();
          props.onReturn();
        }}
      >
        <form className="flex flex-col gap-4" onSubmit={submit}>
          <DialogHeader>
            <DialogTitle className="break-words">{props.title}</DialogTitle>
            <DialogDescription>{props.description}</DialogDescription>
          </DialogHeader>
          <div className="flex flex-col gap-1.5">
            <Label htmlFor="entry-name">Name</Label>
            <Input
              id="entry-name"
              autoFocus
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              required
              value={name}
              aria-invalid={problem !== null}
              aria-describedby="entry-name-problem"
              onFocus={(event) => selectStem(event.target)}
              onChange={(event) => setName(event.target.value)}
              data-testid="entry-name"
            />
            <p id="entry-name-problem" className="text-xs text-bad empty:hidden">
              {problem}
            </p>
          </div>
          {props.children}
          <CommandNote command={command} machine={machine} />
          <DialogFooter>
            <Button variant="outline" onClick={onClose}>
              {command.pending ? "Close" : "Cancel"}
            </Button>
            <Button
              type="submit"
              disabled={command.pending || problem !== null || name === "" || name === current}
              data-testid="entry-submit"
            >
              {props.submit}
            </Button>
          </DialogFooter>
        </form>
      </DialogContent>
    </Dialog>
  );
}

/** What is usually typed over: the name without its ending. */
function selectStem(input: HTMLInputElement): void {
  const dot = input.value.lastIndexOf(".");
  input.setSelectionRange(0, dot > 0 ? dot : input.value.length);
}
