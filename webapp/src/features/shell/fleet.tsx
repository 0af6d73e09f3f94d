"use client";

import { createContext, useContext, useMemo, type ReactNode } from "react";

import { useWatch, useWatchMany, type Watched } from "@/lib/backend/react";
import type { ChatSummary, MachineId, MachineList, MachineView } from "@/lib/backend/wire.gen";

/** Machines followed in full at all times; beyond it a machine is followed while it is open in the tree. */
const FOLLOWED_MACHINES = 24;

interface Fleet {
  list: Watched<MachineList>;
  views: ReadonlyMap<MachineId, MachineView>;
  /** Every chat session that is known, latest activity first. */
  chats: readonly ChatSummary[];
  /** Asks that wait, on all machines. */
  pendingAskCount: number;
}

const FleetContext = createContext<Fleet | null>(null);

export function useFleet(): Fleet {
  const fleet = useContext(FleetContext);
  if (!fleet) throw new Error("useFleet outside FleetProvider");
  return fleet;
}

/** Everything the person owns, live: what the tree, the switcher and the notifications are made of. */
export function FleetProvider({ children }: { children: ReactNode }) {
  const list = useWatch("machine.list", NO_ARGS);
  const machines = list.value?.machines;
  const followed = useMemo(
    () => (machines ?? []).slice(0, FOLLOWED_MACHINES).map(({ id }) => ({ machineId: id })),
    [machines],
  );
  const watched = useWatchMany("machine.view", followed);
  const fleet = useMemo(() => {
    const views = new Map(watched.map((view) => [view.machine.id, view]));
    const chats = [...views.values()].flatMap((view) => view.chats).sort((a, b) => b.activeAt - a.activeAt);
    const pendingAskCount = (machines ?? []).reduce((count, machine) => count + machine.pendingAskCount, 0);
    return { list, views, chats, pendingAskCount };
  }, [list, machines, watched]);
  return <FleetContext value={fleet}>{children}</FleetContext>;
}

const NO_ARGS = {};
