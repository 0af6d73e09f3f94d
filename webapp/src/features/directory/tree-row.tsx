"use client";

import {
  BotIcon,
  ChevronRightIcon,
  CornerDownRightIcon,
  FileIcon,
  FolderGit2Icon,
  FolderIcon,
  FolderOpenIcon,
  FileQuestionMarkIcon,
  GitBranchIcon,
} from "lucide-react";
import { memo, type CSSProperties, type ReactNode } from "react";

import { RouteLink } from "@/components/route-link";
import { Badge } from "@/components/ui/badge";
import type { DirectoryEntry, MachineId, Repository, WorkerSummary } from "@/lib/backend/wire.gen";
import { byteSize } from "@/lib/text/bytes";
import { clockTime, shortAge } from "@/lib/text/time";
import { useNow } from "@/lib/use-now";
import { cn } from "@/lib/utils";

import { EntryMenu, type EntryAction } from "./entry-menu";
import { shownName } from "./paths";
import type { EntryRow } from "./rows";

export const INDENT_PX = 18;

interface Props {
  row: EntryRow;
  domId: string;
  machineId: MachineId;
  active: boolean;
  dimmed: boolean;
  repository: Repository | null | undefined;
  workers: readonly WorkerSummary[] | undefined;
  menuOpen: boolean;
  style: CSSProperties;
  onPick: (row: EntryRow) => void;
  onToggle: (row: EntryRow) => void;
  onOpen: (row: EntryRow) => void;
  onMenu: (row: EntryRow | null) => void;
  onAction: (action: EntryAction, row: EntryRow) => void;
}

/** One entry of the tree. */
export const TreeRow = memo(function TreeRow(props: Props) {
  const { row, active, dimmed, repository, workers, style } = props;
  const { entry, expanded } = row;
  const name = shownName(entry.name);
  return (
    <div
      role="treeitem"
      id={props.domId}
      aria-level={row.level}
      aria-posinset={row.position}
      aria-setsize={row.setSize}
      aria-expanded={expanded ?? undefined}
      aria-selected={active}
      aria-label={spoken(name, props)}
      data-testid="tree-row"
      data-path={row.path}
      data-kind={entry.kind}
      style={style}
      onClick={() => {
        props.onPick(row);
        if (expanded !== null) props.onToggle(row);
      }}
      onContextMenu={(event) => {
        event.preventDefault();
        props.onPick(row);
        props.onMenu(row);
      }}
      className={cn(
        "group/row absolute inset-x-0 flex items-center gap-1.5 pr-1 pl-2 text-sm select-none hover:bg-accent/50",
        active &&
          "bg-accent group-focus-visible/tree:ring-2 group-focus-visible/tree:ring-ring/60 group-focus-visible/tree:ring-inset",
      )}
    >
      <span className="shrink-0" style={{ width: (row.level - 1) * INDENT_PX }} />
      <ChevronRightIcon
        aria-hidden
        className={cn(
          "size-3.5 shrink-0 text-muted-foreground transition-transform duration-100",
          expanded === true && "rotate-90",
          expanded === null && "invisible",
        )}
      />
      <EntryIcon entry={entry} expanded={expanded === true} />
      <span className={cn("flex min-w-0 flex-1 items-center gap-2", dimmed && "opacity-60")}>
        <EntryName row={row} machineId={props.machineId} name={name} onOpen={props.onOpen} />
        {entry.kind === "link" && <span className="shrink-0 text-2xs text-muted-foreground">link</span>}
        {entry.git && <GitState entry={entry} repository={repository} />}
      </span>
      {workers?.map((worker) => (
        <RouteLink
          key={worker.id}
          to={{ page: "machine", machineId: props.machineId, worker: worker.id }}
          tabIndex={-1}
          onClick={(event) => event.stopPropagation()}
          title={`Worker ${worker.name}`}
          data-testid="row-worker"
          data-worker-id={worker.id}
        >
          <Badge variant="outline" className="max-w-32 bg-card hover:text-foreground">
            <BotIcon aria-label="Worker" />
            <span className="truncate">{worker.name}</span>
          </Badge>
        </RouteLink>
      ))}
      <EntryFacts entry={entry} />
      <EntryMenu
        row={row}
        name={name}
        open={props.menuOpen}
        onOpenChange={(open) => props.onMenu(open ? row : null)}
        onAction={props.onAction}
      />
    </div>
  );
});

const KINDS: Record<DirectoryEntry["kind"], string> = {
  directory: "folder",
  file: "file",
  link: "link",
  other: "special file",
  unknown: "special file",
};

/** The line in words, for who hears it. */
function spoken(name: string, { row, repository, workers }: Props): string {
  const { entry } = row;
  const parts = [name, entry.git ? "repository" : KINDS[entry.kind]];
  if (entry.git) parts.push(`branch ${shownName((repository ?? entry.git).branch ?? "none")}`);
  if (repository?.changedFiles != null)
    parts.push(repository.changedFiles === 0 ? "clean" : `${repository.changedFiles} changed`);
  for (const worker of workers ?? []) parts.push(`worker ${worker.name}`);
  return parts.join(", ");
}

function EntryIcon({ entry, expanded }: { entry: DirectoryEntry; expanded: boolean }) {
  const look = "size-4 shrink-0 text-muted-foreground";
  switch (entry.kind) {
    case "directory":
      if (entry.git) return <FolderGit2Icon aria-label="Repository" className={cn(look, "text-foreground/80")} />;
      return expanded ? (
        <FolderOpenIcon aria-label="Folder" className={look} />
      ) : (
        <FolderIcon aria-label="Folder" className={look} />
      );
    case "file":
      return <FileIcon aria-label="File" className={look} />;
    case "link":
      return <CornerDownRightIcon aria-label="Link" className={look} />;
    case "other":
    case "unknown":
      return <FileQuestionMarkIcon aria-label="Special file" className={look} />;
  }
}

/** A folder's name leads into it, a file's shows it; what is neither only has a name. */
function EntryName(props: { row: EntryRow; machineId: MachineId; name: string; onOpen: (row: EntryRow) => void }) {
  const { row, name } = props;
  const look = "min-w-0 truncate text-left";
  const inside: ReactNode = <bdi>{name}</bdi>;
  if (row.entry.kind === "directory") {
    return (
      <RouteLink
        to={{ page: "machine", machineId: props.machineId, tab: "files", directory: row.path }}
        tabIndex={-1}
        title={name}
        onClick={(event) => event.stopPropagation()}
        className={cn(look, "underline-offset-4 hover:underline")}
      >
        {inside}
      </RouteLink>
    );
  }
  if (row.entry.kind === "file") {
    return (
      <button
        type="button"
        tabIndex={-1}
        title={name}
        onClick={() => props.onOpen(row)}
        className={cn(look, "underline-offset-4 hover:underline")}
      >
        {inside}
      </button>
    );
  }
  return (
    <span className={cn(look, "text-muted-foreground")} title={name}>
      {inside}
    </span>
  );
}

function GitState({ entry, repository }: { entry: DirectoryEntry; repository: Repository | null | undefined }) {
  const branch = repository ? repository.branch : entry.git?.branch;
  const changed = repository?.changedFiles ?? null;
  return (
    <span
      className="flex min-w-0 shrink items-center gap-1 text-xs text-muted-foreground"
      data-testid="git-state"
      data-state={changed === null ? "unknown" : changed === 0 ? "clean" : "dirty"}
    >
      <GitBranchIcon aria-label="Branch" className="size-3 shrink-0" />
      <span className="truncate">{branch == null ? "no branch" : shownName(branch)}</span>
      {changed !== null && changed > 0 && (
        <span className="shrink-0 whitespace-nowrap text-wait">
          · {changed} <span className="max-sm:sr-only">changed</span>
        </span>
      )}
      {changed === 0 && <span className="shrink-0 max-sm:sr-only">· clean</span>}
    </span>
  );
}

function EntryFacts({ entry }: { entry: DirectoryEntry }) {
  const now = useNow(60_000);
  return (
    <span className="flex shrink-0 items-center text-xs text-muted-foreground tabular-nums max-sm:hidden">
      <span className="w-20 text-right">{entry.size != null ? byteSize(entry.size) : ""}</span>
      <span
        className="w-16 text-right"
        title={entry.modifiedAt != null ? `Changed ${clockTime(entry.modifiedAt)}` : undefined}
      >
        {entry.modifiedAt != null ? shortAge(entry.modifiedAt, now) : ""}
      </span>
    </span>
  );
}
