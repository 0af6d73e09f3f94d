"use client";

import { CircleAlertIcon, HourglassIcon, LoaderCircleIcon, RotateCwIcon } from "lucide-react";
import type { CSSProperties, ReactNode } from "react";

import { Button } from "@/components/ui/button";
import { Skeleton } from "@/components/ui/skeleton";
import { cn } from "@/lib/utils";

import type { Folder } from "./directory-store";
import type { Row } from "./rows";
import { INDENT_PX } from "./tree-row";
import { useLater } from "./use-later";

/** A listing that comes sooner needs no sign that it is on its way. */
const SKELETON_AFTER_MS = 150;

interface Props {
  row: Exclude<Row, { kind: "entry" }>;
  domId: string;
  active: boolean;
  style: CSSProperties;
  machineName: string;
  machineThere: boolean;
  onRetry: (folder: Folder) => void;
  onMore: (folder: Folder) => void;
  onCancel: (folder: Folder) => void;
}

/** A line of the tree that is no entry: how a folder's listing stands. */
export function StateRow({ row, domId, active, style, ...props }: Props) {
  return (
    <div
      role="treeitem"
      id={domId}
      aria-level={row.level}
      aria-selected={active}
      style={style}
      data-testid={`tree-${row.kind}`}
      className={cn(
        "absolute inset-x-0 flex items-center gap-2 pr-2 pl-2 text-xs text-muted-foreground",
        active &&
          "bg-accent/60 group-focus-visible/tree:ring-2 group-focus-visible/tree:ring-ring/60 group-focus-visible/tree:ring-inset",
      )}
    >
      <span className="shrink-0" style={{ width: (row.level - 1) * INDENT_PX + 20 }} />
      <Content row={row} {...props} />
    </div>
  );
}

function Content({
  row,
  machineName,
  machineThere,
  onRetry,
  onMore,
  onCancel,
}: Omit<Props, "domId" | "active" | "style">) {
  switch (row.kind) {
    case "loading":
      return machineThere ? (
        <Loading />
      ) : (
        <>
          <HourglassIcon className="size-3.5 shrink-0 text-wait" />
          <span className="min-w-0 truncate">Never listed before. The request waits for {machineName}.</span>
          {row.folder.command?.state === "queued" && (
            <Act onClick={() => onCancel(row.folder)} testId="cancel-listing">
              Cancel
            </Act>
          )}
        </>
      );
    case "failed":
      return (
        <>
          <CircleAlertIcon className="size-3.5 shrink-0 text-bad" />
          <span className="min-w-0 truncate text-bad" title={row.problem}>
            {row.problem}
          </span>
          <Act onClick={() => onRetry(row.folder)} testId="retry-listing">
            <RotateCwIcon />
            Try again
          </Act>
        </>
      );
    case "empty":
      return <span>{row.folder.filter === "" ? "Nothing here." : "No name here contains that."}</span>;
    case "more": {
      const { pending, problem } = row.folder.more;
      const shown = `${row.shown.toLocaleString("en")} of ${row.folder.total.toLocaleString("en")} shown`;
      return (
        <>
          {pending && <LoaderCircleIcon className="size-3.5 shrink-0 animate-spin" />}
          <span className={cn("min-w-0 truncate tabular-nums", problem !== null && "text-bad")}>
            {problem ?? shown}
          </span>
          {!pending && (
            <Act onClick={() => onMore(row.folder)} testId="show-more">
              {problem === null ? "Show more" : "Try again"}
            </Act>
          )}
        </>
      );
    }
  }
}

function Loading() {
  if (!useLater(SKELETON_AFTER_MS)) return <span className="sr-only">Loading</span>;
  return (
    <span className="flex w-full items-center gap-2" data-testid="tree-skeleton">
      <span className="sr-only">Loading</span>
      <Skeleton className="size-4" />
      <Skeleton className="h-3.5 w-2/5 max-w-64" />
    </span>
  );
}

function Act({ onClick, testId, children }: { onClick: () => void; testId: string; children: ReactNode }) {
  return (
    <Button
      variant="outline"
      size="sm"
      tabIndex={-1}
      className="h-6 pointer-coarse:h-8"
      onClick={(event) => {
        event.stopPropagation();
        onClick();
      }}
      data-testid={testId}
    >
      {children}
    </Button>
  );
}
