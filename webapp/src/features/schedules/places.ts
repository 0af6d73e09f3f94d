import { useMemo } from "react";

import { useFleet } from "@/features/shell/fleet";
import type { WorkerId } from "@/lib/backend/wire.gen";

/** The name of each worker with its machine's, of the machines that are followed. */
export function usePlaces(): (workerId: WorkerId) => string | null {
  const { views } = useFleet();
  return useMemo(() => {
    const places = new Map<WorkerId, string>();
    for (const { machine, workers } of views.values())
      for (const worker of workers) places.set(worker.id, `${worker.name} on ${machine.name}`);
    return (workerId: WorkerId) => places.get(workerId) ?? null;
  }, [views]);
}
