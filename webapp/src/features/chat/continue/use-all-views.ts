import { useCallback, useMemo, useState } from "react";
import { toast } from "sonner";

import { useFleet } from "@/features/shell/fleet";
import { asBackendError } from "@/lib/backend/backend";
import { useBackend } from "@/lib/backend/react";
import type { MachineView } from "@/lib/backend/wire.gen";

/** The machines with their workers: those that are followed anyway, and the others when they are asked for. */
export function useAllViews(): {
  views: readonly MachineView[];
  /** How many registered machines are not there yet. */
  leftOut: number;
  addLeftOut: () => Promise<void>;
} {
  const backend = useBackend();
  const { list, views: followed } = useFleet();
  const [fetched, setFetched] = useState<readonly MachineView[]>([]);
  const machines = list.value?.machines;
  const missing = useMemo(() => {
    const known = new Set([...followed.keys(), ...fetched.map(({ machine }) => machine.id)]);
    return (machines ?? []).filter(({ id, state }) => state === "registered" && !known.has(id));
  }, [machines, followed, fetched]);
  const addLeftOut = useCallback(async () => {
    // Asked once, not followed: a fleet of hundreds would be hundreds of watches for one choice.
    try {
      for (const { id } of missing) {
        const view = await backend.call("machine.view", { machineId: id });
        setFetched((before) => [...before, view]);
      }
    } catch (error) {
      toast.error("Not all machines could be listed", { description: asBackendError(error).message });
    }
  }, [backend, missing]);
  const views = useMemo(
    () => [...followed.values(), ...fetched.filter(({ machine }) => !followed.has(machine.id))],
    [followed, fetched],
  );
  return { views, leftOut: missing.length, addLeftOut };
}
