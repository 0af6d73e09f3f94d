import { useEffect, useMemo, useState, useSyncExternalStore } from "react";

import { changedDirectories } from "@/features/activity/describe";
import { useBackend } from "@/lib/backend/react";
import type { CommandSummary, MachineId } from "@/lib/backend/wire.gen";

import { DirectoryStore, type Place } from "./directory-store";
import { openPlaces, rowsOf, type RowCache } from "./rows";

/** Which folders of a machine were open, for whoever comes back to it. */
const openBefore = new Map<MachineId, ReadonlySet<string>>();

export function useExpanded(machineId: MachineId) {
  const [expanded, setExpanded] = useState<ReadonlySet<string>>(() => openBefore.get(machineId) ?? new Set());
  useEffect(() => {
    openBefore.set(machineId, expanded);
  }, [machineId, expanded]);
  return [expanded, setExpanded] as const;
}

/** The tree below a place, live. */
export function useDirectories(machineId: MachineId, hidden: boolean, top: Place, expanded: ReadonlySet<string>) {
  const backend = useBackend();
  const store = useMemo(() => new DirectoryStore(backend, machineId, hidden), [backend, machineId, hidden]);
  const state = useSyncExternalStore(store.subscribe, store.get, store.get);
  const { directory, filter } = top;
  useEffect(() => {
    store.show(openPlaces({ directory, filter }, expanded));
  }, [store, directory, filter, expanded]);
  useEffect(() => () => store.show([]), [store]);
  const { folders } = state;
  const [cache] = useState((): RowCache => new Map());
  const rows = useMemo(
    () => rowsOf(folders, { directory, filter }, expanded, cache),
    [folders, directory, filter, expanded, cache],
  );
  return { store, state, rows };
}

/** Lists anew what a command has changed, whoever asked for it. */
export function useRefreshAfterChanges(store: DirectoryStore, changes: readonly CommandSummary[] | undefined): void {
  const [seen] = useState(() => new Map<string, boolean>());
  useEffect(() => {
    if (!changes) return;
    const isFirst = seen.size === 0;
    for (const { id, state, operation } of changes) {
      const done = state === "succeeded";
      // What was done before this page came is in the listings already.
      if (done && seen.get(id) !== true && !isFirst) {
        for (const directory of changedDirectories(operation)) store.refresh(directory);
      }
      seen.set(id, done);
    }
    // Else the first change of all would be taken for an old one.
    seen.set("", true);
  }, [store, changes, seen]);
}
