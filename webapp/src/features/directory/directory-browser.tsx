"use client";

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { toast } from "sonner";

import { isThere, presenceOf } from "@/components/presence";
import { Button } from "@/components/ui/button";
import { useAction } from "@/lib/backend/react";
import type { CommandSummary, MachineView, WorkerSummary } from "@/lib/backend/wire.gen";
import { copyText } from "@/lib/copy";
import { navigate } from "@/lib/route";
import { absoluteDirectory } from "@/lib/text/paths";
import { clockTime } from "@/lib/text/time";

import { Breadcrumb } from "./breadcrumb";
import { BrowserDialogs, type BrowserDialog } from "./browser-dialogs";
import { BrowserToolbar } from "./browser-toolbar";
import { placeKey, type Folder } from "./directory-store";
import type { EntryAction } from "./entry-menu";
import { parentOf, shownName, typedName } from "./paths";
import { withOpen, type EntryRow } from "./rows";
import { TreeView, type TreeHandle } from "./tree-view";
import { useDirectories, useExpanded, useRefreshAfterChanges } from "./use-directories";
import { useSettled } from "./use-later";

const FILTER_SETTLES_MS = 200;

/** The directories of a machine, from one of them down. */
export function DirectoryBrowser({
  view,
  directory,
  changes,
}: {
  view: MachineView;
  directory: string;
  /** What was done on the machine lately, by whomever. */
  changes: readonly CommandSummary[] | undefined;
}) {
  const { machine, workers } = view;
  const machineId = machine.id;
  const tree = useRef<TreeHandle>(null);
  const [hidden, setHidden] = useState(false);
  const [typed, setTyped] = useState({ directory, filter: "" });
  // A filter is of one folder; in the next one it would only hide things.
  const filter = typed.directory === directory ? typed.filter : "";
  const top = { directory, filter: useSettled(filter, FILTER_SETTLES_MS).trim() };
  const [expanded, setExpanded] = useExpanded(machineId);
  const { store, state, rows } = useDirectories(machineId, hidden, top, expanded);
  useRefreshAfterChanges(store, changes);
  const [dialog, setDialog] = useState<BrowserDialog | null>(null);
  const cancel = useAction("machine.command.cancel", (error) =>
    toast.error("The request was not cancelled", { description: error.message }),
  );
  const there = isThere(machine);
  const folder = state.folders.get(placeKey(top));
  const workersAt = useMemo(() => byDirectory(workers), [workers]);

  const goTo = useCallback(
    (path: string) => navigate({ page: "machine", machineId, tab: "files", directory: path }),
    [machineId],
  );
  const toggle = useCallback(
    ({ path }: EntryRow) =>
      setExpanded((before) => {
        if (!before.has(path)) return withOpen(before, directory, path);
        const after = new Set(before);
        after.delete(path);
        return after;
      }),
    [setExpanded, directory],
  );
  const root = machine.info?.root ?? "";
  const act = useCallback(
    (action: EntryAction, row: EntryRow) => {
      if (action === "open") goTo(row.path);
      else if (action === "copy-path") void copyPath(absoluteDirectory(root, typedName(row.path) ?? row.path));
      else if (action === "new-folder" || action === "clone" || action === "add-worker")
        setDialog({ kind: action, directory: row.path });
      else setDialog({ kind: action, path: row.path, entry: row.entry });
    },
    [goTo, root],
  );
  const seen = useCallback(
    (paths: readonly string[]) => {
      // A question about what changes all the time is not worth waiting for a machine that is away.
      if (there) store.inspect(paths);
    },
    [store, there],
  );
  const retry = useCallback((of: Folder) => store.refresh(of.directory), [store]);
  const more = useCallback((of: Folder) => store.loadMore(of), [store]);
  const cancelListing = (of: Folder) => of.command && void cancel.run({ commandId: of.command.id });

  const wasThere = useRef(there);
  useEffect(() => {
    // What was asked too long ago was given up; the machine is back, so it is asked again.
    if (there && !wasThere.current) for (const { directory: open } of store.get().folders.values()) store.refresh(open);
    wasThere.current = there;
  }, [there, store]);

  return (
    <div className="flex min-h-0 flex-1 flex-col" data-testid="directory-browser">
      <div className="flex shrink-0 flex-col gap-2 border-b px-3 py-2 md:px-4">
        <Breadcrumb machineId={machineId} root={root || machine.name} directory={directory} />
        <BrowserToolbar
          filter={filter}
          onFilter={(text) => setTyped({ directory, filter: text })}
          onDown={() => tree.current?.focus()}
          hidden={hidden}
          onHidden={setHidden}
          onRefresh={() => store.get().folders.forEach((open) => store.refresh(open.directory))}
          onDialog={(kind) => setDialog({ kind, directory })}
          canAct={machine.state === "registered"}
        />
      </div>
      {!there && (
        <div
          className="flex shrink-0 flex-wrap items-center gap-x-3 gap-y-1 border-b bg-wait/8 px-3 py-1.5 text-xs md:px-4"
          data-testid="browser-away"
        >
          <span className="min-w-0">
            {machine.name} is {presenceOf(machine).text}.{" "}
            {folder?.asOf != null ? `This is what was known as of ${clockTime(folder.asOf)}. ` : ""}
            What you ask for waits until it is back.
          </span>
          {folder?.command?.state === "queued" && folder.entries !== null && (
            <Button variant="outline" size="sm" className="h-6" onClick={() => cancelListing(folder)}>
              Cancel the request for this folder
            </Button>
          )}
        </div>
      )}
      <TreeView
        key={directory}
        ref={tree}
        label={`Files in ${directory === "" ? machine.name : shownName(directory)}`}
        rows={rows}
        machineId={machineId}
        machineName={machine.name}
        machineThere={there}
        repositories={state.repositories}
        workersAt={workersAt}
        onToggle={toggle}
        onAction={act}
        onUp={() => directory !== "" && goTo(parentOf(directory))}
        onRetry={retry}
        onMore={more}
        onCancel={cancelListing}
        onSeen={seen}
      />
      <div
        role="status"
        className="flex shrink-0 justify-between gap-4 border-t px-3 py-1.5 text-xs text-muted-foreground tabular-nums md:px-4"
        data-testid="browser-status"
      >
        <span data-testid="browser-count">{folder ? countOf(folder) : ""}</span>
        {folder?.asOf != null && <span>as of {clockTime(folder.asOf)}</span>}
      </div>
      <BrowserDialogs
        dialog={dialog}
        view={view}
        onClose={() => setDialog(null)}
        onReturn={() => tree.current?.focus()}
        onDialog={setDialog}
      />
    </div>
  );
}

function countOf({ entries, total, filter }: Folder): string {
  if (entries === null) return "";
  const noun = filter === "" ? (total === 1 ? "entry" : "entries") : total === 1 ? "match" : "matches";
  const all = total.toLocaleString("en");
  return entries.length < total ? `${entries.length.toLocaleString("en")} of ${all} ${noun} shown` : `${all} ${noun}`;
}

function byDirectory(workers: readonly WorkerSummary[]): ReadonlyMap<string, readonly WorkerSummary[]> {
  const at = new Map<string, WorkerSummary[]>();
  for (const worker of workers) at.set(worker.directory, [...(at.get(worker.directory) ?? []), worker]);
  return at;
}

async function copyPath(path: string): Promise<void> {
  if (await copyText(path)) toast.success("The path is in the clipboard");
  else toast.error("The browser did not let the page copy.", { description: path });
}
