"use client";

import { useCallback, useEffect, useId, useImperativeHandle, useMemo, useRef, useState, type Ref } from "react";

import type { MachineId, Repository, WorkerSummary } from "@/lib/backend/wire.gen";

import type { Folder } from "./directory-store";
import type { EntryAction } from "./entry-menu";
import type { EntryRow, Row } from "./rows";
import { StateRow } from "./state-row";
import { TreeRow } from "./tree-row";
import { useTreeKeys } from "./use-tree-keys";
import { useRowHeight, useWindow } from "./use-window";

interface Props {
  label: string;
  rows: readonly Row[];
  machineId: MachineId;
  machineName: string;
  machineThere: boolean;
  repositories: ReadonlyMap<string, Repository | null>;
  workersAt: ReadonlyMap<string, readonly WorkerSummary[]>;
  onToggle: (row: EntryRow) => void;
  onAction: (action: EntryAction, row: EntryRow) => void;
  onUp: () => void;
  onRetry: (folder: Folder) => void;
  onMore: (folder: Folder) => void;
  onCancel: (folder: Folder) => void;
  /** The repositories that are on screen. */
  onSeen: (repositories: readonly string[]) => void;
  ref?: Ref<TreeHandle>;
}

export interface TreeHandle {
  focus: () => void;
}

/**
 * The tree of a directory. Only the lines on screen exist, so that a folder of any size is as quick as a small one;
 * the focus stays on the tree, which names its active line.
 */
export function TreeView({
  label,
  rows,
  machineId,
  machineName,
  machineThere,
  repositories,
  workersAt,
  onToggle,
  onAction,
  onUp,
  onRetry,
  onMore,
  onCancel,
  onSeen,
  ref,
}: Props) {
  const prefix = useId();
  const tree = useRef<HTMLDivElement>(null);
  const rowHeight = useRowHeight();
  const { from, to } = useWindow(tree, rows.length, rowHeight);
  const [activeId, setActiveId] = useState<string | null>(null);
  const [menuId, setMenuId] = useState<string | null>(null);
  useImperativeHandle(ref, () => ({ focus: () => tree.current?.focus() }), []);

  const activeIndex = useMemo(() => {
    const found = activeId === null ? -1 : rows.findIndex(({ id }) => id === activeId);
    return found === -1 && rows.length > 0 ? 0 : found;
  }, [rows, activeId]);
  const active = rows[activeIndex];

  const reveal = (index: number) => {
    const element = tree.current;
    if (!element) return;
    const top = index * rowHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight > element.scrollTop + element.clientHeight)
      element.scrollTop = top + rowHeight - element.clientHeight;
  };
  const goTo = (id: string) => {
    setActiveId(id);
    const index = rows.findIndex((row) => row.id === id);
    if (index !== -1) reveal(index);
  };
  const open = useCallback(
    (row: EntryRow) => {
      if (row.entry.kind === "directory") onAction("open", row);
      else if (row.entry.kind === "file") onAction("view", row);
    },
    [onAction],
  );
  const onKeyDown = useTreeKeys(rows, activeIndex, {
    onActive: goTo,
    onToggle,
    onDefault: (row) => {
      if (row.kind === "entry") open(row);
      else if (row.kind === "more") onMore(row.folder);
      else if (row.kind === "failed") onRetry(row.folder);
    },
    onMenu: (row) => setMenuId(row.id),
    onRename: (row) => onAction("rename", row),
    onTrash: (row) => onAction("trash", row),
    onUp,
  });
  const pick = useCallback((row: EntryRow) => {
    setActiveId(row.id);
    tree.current?.focus({ preventScroll: true });
  }, []);
  const menu = useCallback((row: EntryRow | null) => setMenuId(row?.id ?? null), []);

  const seen = useSeen(rows, from, to, onSeen);
  useEffect(() => {
    // Whoever has scrolled to the end of what is known wants more of it.
    for (const row of seen.ends) {
      const { pending, problem } = row.folder.more;
      if (machineThere && !pending && problem === null) onMore(row.folder);
    }
  }, [seen, machineThere, onMore]);

  const drawn = rows.slice(from, to).map((row, index) => ({ row, index: from + index }));
  // The active line has to exist, or the tree would name one that nobody finds.
  if (active && (activeIndex < from || activeIndex >= to)) drawn.push({ row: active, index: activeIndex });
  return (
    <div
      ref={tree}
      role="tree"
      aria-label={label}
      aria-activedescendant={active ? `${prefix}${active.id}` : undefined}
      tabIndex={0}
      onKeyDown={onKeyDown}
      className="group/tree relative min-h-0 flex-1 overflow-y-auto scroll-thin outline-none"
      data-testid="tree"
    >
      <div role="presentation" className="relative" style={{ height: rows.length * rowHeight }}>
        {drawn.map(({ row, index }) => {
          const style = { height: rowHeight, transform: `translateY(${index * rowHeight}px)` };
          const domId = `${prefix}${row.id}`;
          if (row.kind === "entry")
            return (
              <TreeRow
                key={row.id}
                row={row}
                domId={domId}
                machineId={machineId}
                active={row.id === active?.id}
                dimmed={!machineThere}
                repository={repositories.get(row.path)}
                workers={workersAt.get(row.path)}
                menuOpen={menuId === row.id}
                style={style}
                onPick={pick}
                onToggle={onToggle}
                onOpen={open}
                onMenu={menu}
                onAction={onAction}
              />
            );
          return (
            <StateRow
              key={row.id}
              row={row}
              domId={domId}
              active={row.id === active?.id}
              style={style}
              machineName={machineName}
              machineThere={machineThere}
              onRetry={onRetry}
              onMore={onMore}
              onCancel={onCancel}
            />
          );
        })}
      </div>
    </div>
  );
}

/** What of the rows is on screen: the repositories are told to `onSeen`, the ends of what is known are returned. */
function useSeen(rows: readonly Row[], from: number, to: number, onSeen: (paths: readonly string[]) => void) {
  const seen = useMemo(() => {
    const drawn = rows.slice(from, to);
    return {
      repositories: drawn.flatMap((row) => (row.kind === "entry" && row.entry.git ? row.path : [])),
      ends: drawn.filter((row) => row.kind === "more"),
    };
  }, [rows, from, to]);
  const { repositories } = seen;
  useEffect(() => {
    onSeen(repositories);
  }, [repositories, onSeen]);
  return seen;
}
