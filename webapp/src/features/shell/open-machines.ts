import type { MachineId } from "@/lib/backend/wire.gen";

const STORAGE_KEY = "orchestrator.openMachines";

function read(): Record<MachineId, boolean> {
  try {
    return JSON.parse(window.localStorage.getItem(STORAGE_KEY) ?? "{}") as Record<MachineId, boolean>;
  } catch {
    return {};
  }
}

/** Whether a person left the machine open in the tree; undefined if they never said. */
export function readOpen(id: MachineId): boolean | undefined {
  return read()[id];
}

export function writeOpen(id: MachineId, open: boolean): void {
  try {
    window.localStorage.setItem(STORAGE_KEY, JSON.stringify({ ...read(), [id]: open }));
  } catch {
    // Without storage the tree forgets; nothing else is lost.
  }
}
