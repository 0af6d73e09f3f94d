import { isThere } from "@/components/presence";
import type { ChatSummary, MachineSummary, MachineView, WorkerId, WorkerSummary } from "@/lib/backend/wire.gen";

/** A worker that could go on with a chat. */
export interface Target {
  readonly worker: WorkerSummary;
  /** Its folder seems to be the same repository: it has the same name. */
  readonly matches: boolean;
  /** It is the chat's own worker. */
  readonly isSource: boolean;
  /** Chats can't run there now. */
  readonly usable: boolean;
}

export interface TargetGroup {
  readonly machine: MachineSummary;
  /** It can begin at once. */
  readonly there: boolean;
  readonly targets: readonly Target[];
}

/** Where a chat can be continued, by machine: those that are there and have a folder of this name come first. */
export function targetsFor(
  chat: ChatSummary,
  source: WorkerSummary | undefined,
  views: readonly MachineView[],
): readonly TargetGroup[] {
  return views
    .filter(({ machine, workers }) => machine.state === "registered" && workers.some(isOffered))
    .map(({ machine, workers }) => ({
      machine,
      there: isThere(machine),
      targets: workers
        .filter(isOffered)
        .map((worker) => ({
          worker,
          matches: source !== undefined && haveSameName(worker, source),
          isSource: worker.id === chat.workerId,
          usable: worker.state !== "unavailable",
        }))
        .sort((a, b) => rankOf(a) - rankOf(b) || a.worker.name.localeCompare(b.worker.name)),
    }))
    .sort((a, b) => rankOfGroup(a) - rankOfGroup(b) || a.machine.name.localeCompare(b.machine.name));
}

/** What is chosen before the person has chosen: the first that can begin at once. */
export function firstChoice(groups: readonly TargetGroup[]): WorkerId | null {
  const usable = groups.filter(({ there }) => there).flatMap(({ targets }) => targets.filter((each) => each.usable));
  return (usable.find(({ matches }) => matches) ?? usable[0])?.worker.id ?? null;
}

function isOffered({ state }: WorkerSummary): boolean {
  return state !== "removed";
}

function haveSameName(a: WorkerSummary, b: WorkerSummary): boolean {
  const names = new Set(namesOf(a));
  return namesOf(b).some((name) => names.has(name));
}

/** What a folder is called: by people and on disk. */
function namesOf({ name, directory }: WorkerSummary): string[] {
  return [name, directory.split("/").at(-1) ?? ""]
    .map((each) => each.trim().toLowerCase())
    .filter((each) => each !== "");
}

function rankOf({ usable, matches, isSource }: Target): number {
  if (!usable) return 3;
  if (!matches) return 2;
  return isSource ? 1 : 0;
}

function rankOfGroup({ there, targets }: TargetGroup): number {
  const best = Math.min(...targets.map(rankOf));
  return (there ? 0 : 4) + best;
}
