import type { Backend } from "@/lib/backend/backend";
import type { CommandId, MachineId, MachineSummary } from "@/lib/backend/wire.gen";

/** Every command of a machine as JSON Lines, latest first: one command a line, as the wire has it. */
export async function activityAsJsonLines(
  backend: Backend,
  machineId: MachineId,
  reads: boolean,
  onProgress: (count: number) => void,
  signal: AbortSignal,
): Promise<string[]> {
  const lines: string[] = [];
  let before: CommandId | null = null;
  for (;;) {
    const page: Awaited<ReturnType<typeof pageOf>> = await pageOf(backend, machineId, reads, before);
    signal.throwIfAborted();
    for (const command of page.commands) lines.push(`${JSON.stringify(command)}\n`);
    onProgress(lines.length);
    before = page.commands.at(-1)?.id ?? null;
    if (!page.hasEarlier || before === null) return lines;
  }
}

function pageOf(backend: Backend, machineId: MachineId, reads: boolean, before: CommandId | null) {
  return backend.call("machine.activity", { machineId, reads, before });
}

/** Gives the browser a file to save. */
export function saveFile(name: string, parts: string[], type: string): void {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken hold of it by the time the click has been handled.
  setTimeout(() => URL.revokeObjectURL(url));
}

export function exportName(machine: MachineSummary, at: Date): string {
  const name = machine.name.replace(/[^\p{L}\p{N}._-]+/gu, "-");
  return `activity-${name}-${at.toISOString().slice(0, 10)}.jsonl`;
}
