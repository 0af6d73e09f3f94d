"use client";

import { useEffect, useMemo } from "react";

import { Button } from "@/components/ui/button";
import { Dialog, DialogContent, DialogDescription, DialogHeader, DialogTitle } from "@/components/ui/dialog";
import { Skeleton } from "@/components/ui/skeleton";
import { CodeBlock } from "@/features/chat/parts/code-block";
import type { FileText } from "@/lib/backend/wire.gen";
import { byteLength, byteSize } from "@/lib/text/bytes";
import { readable } from "@/lib/text/sanitise";

import { CommandNote } from "./command-note";
import { hasEnded, useCommand } from "./commands";
import { languageOf } from "./language";
import type { DialogFrame } from "./name-dialogs";
import { nameOf, parentOf, shownName } from "./paths";
import { useLater } from "./use-later";

const SKELETON_AFTER_MS = 150;

/** The beginning of a text file. */
export function FileDialog({ machine, path, onClose, onReturn }: DialogFrame & { path: string }) {
  const command = useCommand(machine.id);
  const { run } = command;
  useEffect(() => run({ kind: "read_file", path }), [run, path]);
  const late = useLater(SKELETON_AFTER_MS);
  const file = command.view?.result?.kind === "file" ? command.view.result : null;
  const failed = command.error !== null || (command.view !== null && hasEnded(command.view.command.state) && !file);
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()}>
      <DialogContent
        className="flex max-h-[85dvh] flex-col sm:max-w-4xl"
        data-testid="file-dialog"
        onCloseAutoFocus={(event) => {
          event.preventDefault();
          onReturn();
        }}
      >
        <DialogHeader>
          <DialogTitle className="font-mono text-sm break-all">{shownName(nameOf(path))}</DialogTitle>
          <DialogDescription className="text-xs break-all">
            {parentOf(path) === "" ? "in the root" : `in ${shownName(parentOf(path))}`} on {machine.name}
            {file && ` · ${byteSize(file.size)}`}
          </DialogDescription>
        </DialogHeader>
        <CommandNote command={command} machine={machine} />
        {failed && (
          <Button variant="outline" className="self-start" onClick={() => run({ kind: "read_file", path })}>
            Try again
          </Button>
        )}
        {file ? <Contents file={file} path={path} /> : late && !failed && <Skeleton className="h-40" />}
      </DialogContent>
    </Dialog>
  );
}

function Contents({ file, path }: { file: FileText; path: string }) {
  const text = useMemo(() => readable(file.text), [file.text]);
  if (file.isBinary)
    return (
      <p
        className="rounded-lg border border-dashed px-4 py-8 text-center text-muted-foreground"
        data-testid="file-binary"
      >
        This is no text, so it is not shown.
      </p>
    );
  if (file.size === 0)
    return (
      <p className="rounded-lg border border-dashed px-4 py-8 text-center text-muted-foreground">The file is empty.</p>
    );
  return (
    <>
      {file.truncated && (
        <p className="text-xs text-muted-foreground" data-testid="file-truncated">
          The file goes on: its first {byteSize(byteLength(file.text))} of {byteSize(file.size)} are shown.
        </p>
      )}
      <div className="-my-3 min-h-0 flex-1 overflow-y-auto scroll-thin" data-testid="file-text">
        <CodeBlock code={text} language={languageOf(nameOf(path))} />
      </div>
    </>
  );
}
