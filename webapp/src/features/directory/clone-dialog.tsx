"use client";

import { CircleCheckIcon } from "lucide-react";
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
import { CancelCommand, isLastSeenWorking, LastSeenWorking } from "@/features/activity/cancel-command";
import { ProgressBar } from "@/features/activity/progress-bar";
import { LIMITS, type MachineSummary } from "@/lib/backend/wire.gen";
import { navigate } from "@/lib/route";
import { byteLength } from "@/lib/text/bytes";
import { isThere } from "@/components/presence";

import { CommandNote } from "./command-note";
import { useCommand, type Command } from "./commands";
import type { DialogFrame } from "./name-dialogs";
import { escapedName, folderOfUrl, joinPath, nameOf, parentOf, problemOfName, shownName } from "./paths";

interface Wanted {
  url: string;
  branch: string;
  name: string;
}

/** Clones a repository. The clone belongs to the machine: closing this, or the page, does not stop it. */
export function CloneDialog({
  machine,
  directory,
  onClose,
  onReturn,
  onAddWorker,
}: DialogFrame & { directory: string; onAddWorker: (directory: string) => void }) {
  const command = useCommand(machine.id);
  const [wanted, setWanted] = useState<Wanted>({ url: "", branch: "", name: "" });
  const state = command.view?.command.state;
  const operation = command.view?.command.operation;
  const path = operation?.kind === "clone" ? operation.path : directory;
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()}>
      <DialogContent
        data-testid="clone-dialog"
        onCloseAutoFocus={(event) => {
          event.preventDefault();
          onReturn();
        }}
      >
        <DialogHeader>
          <DialogTitle>Clone a repository</DialogTitle>
          <DialogDescription className="break-words">
            Into {directory === "" ? "the root" : shownName(directory)} on {machine.name}, with the git and the
            credentials of that machine.
          </DialogDescription>
        </DialogHeader>
        {state === "succeeded" ? (
          <Cloned path={path} machine={machine} onClose={onClose} onAddWorker={onAddWorker} />
        ) : command.pending && command.view !== null ? (
          <Cloning command={command} machine={machine} path={path} onClose={onClose} />
        ) : (
          <CloneForm {...{ machine, directory, command, wanted, setWanted, onClose }} />
        )}
      </DialogContent>
    </Dialog>
  );
}

function CloneForm(props: {
  machine: MachineSummary;
  directory: string;
  command: Command;
  wanted: Wanted;
  setWanted: (wanted: Wanted) => void;
  onClose: () => void;
}) {
  const { machine, directory, command, wanted, setWanted } = props;
  const derived = folderOfUrl(wanted.url);
  const name = wanted.name === "" ? derived : wanted.name;
  const urlProblem =
    byteLength(wanted.url.trim()) > LIMITS.urlMaxBytes ? `An address has at most ${LIMITS.urlMaxBytes} bytes.` : null;
  const nameProblem = problemOfName(name);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const branch = wanted.branch.trim() || null;
    command.run({ kind: "clone", url: wanted.url.trim(), branch, path: joinPath(directory, escapedName(name)) });
  };
  return (
    <form className="flex flex-col gap-4" onSubmit={submit}>
      <Field
        id="clone-url"
        label="Address"
        placeholder="https://github.com/owner/name.git"
        value={wanted.url}
        onChange={(url) => setWanted({ ...wanted, url })}
        problem={urlProblem}
        autoFocus
        required
      />
      <div className="grid gap-4 sm:grid-cols-2">
        <Field
          id="clone-branch"
          label="Branch or tag"
          placeholder="the repository's own choice"
          optional
          value={wanted.branch}
          onChange={(branch) => setWanted({ ...wanted, branch })}
          problem={null}
        />
        <Field
          id="clone-name"
          label="Folder name"
          placeholder={derived || "from the address"}
          optional
          value={wanted.name}
          onChange={(typed) => setWanted({ ...wanted, name: typed })}
          problem={nameProblem}
        />
      </div>
      <p className="min-h-4 text-xs break-all text-muted-foreground" data-testid="clone-target">
        {name !== "" && nameProblem === null && (
          <>
            It will be in <code className="font-mono text-foreground">{joinPath(shownName(directory), name)}</code>
          </>
        )}
      </p>
      <CommandNote command={command} machine={machine} />
      <DialogFooter>
        <Button variant="outline" onClick={props.onClose}>
          Cancel
        </Button>
        <Button
          type="submit"
          disabled={
            command.pending || wanted.url.trim() === "" || name === "" || nameProblem !== null || urlProblem !== null
          }
          data-testid="clone-submit"
        >
          {command.pending ? "Asking…" : "Clone"}
        </Button>
      </DialogFooter>
    </form>
  );
}

function Cloning(props: { command: Command; machine: MachineSummary; path: string; onClose: () => void }) {
  const { command, machine, path } = props;
  const row = command.view?.command;
  if (!row) return null;
  return (
    <div className="flex flex-col gap-4" data-testid="cloning" data-state={row.state}>
      {isLastSeenWorking(row, machine) ? (
        <LastSeenWorking command={row} machine={machine} />
      ) : isThere(machine) || row.state !== "queued" ? (
        <ProgressBar label={`Cloning ${shownName(nameOf(path))}`} progress={row.progress ?? null} />
      ) : (
        <CommandNote command={command} machine={machine} />
      )}
      <p className="text-xs text-muted-foreground">
        {isThere(machine)
          ? `You can close this, and even the page: ${machine.name} goes on, and its page shows how far it is.`
          : `You can close this, and even the page: what becomes of it shows on the page of ${machine.name}.`}
      </p>
      <DialogFooter>
        <CancelCommand command={row} machine={machine} label="Stop cloning" testId="clone-cancel" />
        <Button onClick={props.onClose} data-testid="clone-close">
          {isThere(machine) ? "Close, and let it go on" : "Close"}
        </Button>
      </DialogFooter>
    </div>
  );
}

function Cloned(props: {
  path: string;
  machine: MachineSummary;
  onClose: () => void;
  onAddWorker: (directory: string) => void;
}) {
  const { path, machine } = props;
  return (
    <div className="flex flex-col gap-4" data-testid="cloned">
      <p className="flex items-start gap-2">
        <CircleCheckIcon className="mt-0.5 size-4 shrink-0 text-ok" />
        <span className="min-w-0 break-words">
          <strong className="font-medium">{shownName(nameOf(path))}</strong> is cloned
          {parentOf(path) === "" ? "" : ` into ${shownName(parentOf(path))}`}.
        </span>
      </p>
      <DialogFooter>
        <Button
          variant="outline"
          onClick={() => {
            props.onClose();
            navigate({ page: "machine", machineId: machine.id, tab: "files", directory: path });
          }}
        >
          Open the folder
        </Button>
        <Button autoFocus onClick={() => props.onAddWorker(path)} data-testid="clone-add-worker">
          Add worker here
        </Button>
      </DialogFooter>
    </div>
  );
}

function Field(props: {
  id: string;
  label: string;
  placeholder: string;
  value: string;
  onChange: (value: string) => void;
  problem: string | null;
  optional?: boolean;
  autoFocus?: boolean;
  required?: boolean;
}) {
  return (
    <div className="flex min-w-0 flex-col gap-1.5">
      <Label htmlFor={props.id}>
        {props.label} {props.optional && <span className="font-normal text-muted-foreground">optional</span>}
      </Label>
      <Input
        id={props.id}
        data-testid={props.id}
        autoFocus={props.autoFocus}
        required={props.required}
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        className="font-mono md:text-xs"
        placeholder={props.placeholder}
        value={props.value}
        aria-invalid={props.problem !== null}
        aria-describedby={`${props.id}-problem`}
        onChange={(event) => props.onChange(event.target.value)}
      />
      <p id={`${props.id}-problem`} className="text-xs text-bad empty:hidden">
        {props.problem}
      </p>
    </div>
  );
}
