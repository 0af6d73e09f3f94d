import { useCallback, useEffect, useMemo, useState } from "react";

import { asBackendError, type BackendError, type WatchState } from "@/lib/backend/backend";
import { useBackend, useWatchMany } from "@/lib/backend/react";
import type { Activity, CommandSummary, MachineId } from "@/lib/backend/wire.gen";
import { hasEnded } from "@/features/directory/commands";

/** Commands that have left the live page and are followed one by one. */
const FOLLOWED_MAX = 100;

/** A machine's activity, latest first: the latest page live, earlier ones as they are asked for. */
export function useActivity(machineId: MachineId, reads: boolean) {
  const backend = useBackend();
  const [known, setKnown] = useState<Activity | null>(null);
  const [live, setLive] = useState<ReadonlySet<string>>(new Set());
  const [state, setState] = useState<WatchState>({ kind: "waiting" });
  const [loading, setLoading] = useState(false);
  const [error, setError] = useState<BackendError | null>(null);

  useEffect(
    () =>
      backend.watch(
        "machine.activity",
        { machineId, reads },
        (latest) => {
          setKnown((before) => withLatest(before, latest));
          setLive(new Set(latest.commands.map(({ id }) => id)));
        },
        setState,
      ),
    [backend, machineId, reads],
  );

  const followed = useWatchMany(
    "machine.command.view",
    (known?.commands ?? [])
      .filter((command) => !live.has(command.id) && !hasEnded(command.state))
      .slice(0, FOLLOWED_MAX)
      .map(({ id }) => ({ commandId: id })),
  );
  const commands = useMemo(() => {
    const fresh = new Map(followed.map(({ command }) => [command.id, command]));
    return known?.commands.map((command) => (live.has(command.id) ? command : (fresh.get(command.id) ?? command)));
  }, [known, live, followed]);

  const last = known?.commands.at(-1)?.id;
  const loadEarlier = useCallback(async () => {
    if (last === undefined) return;
    setLoading(true);
    setError(null);
    try {
      const page = await backend.call("machine.activity", { machineId, reads, before: last });
      setKnown((before) => before && withEarlier(before, page, last));
    } catch (thrown) {
      setError(asBackendError(thrown));
    } finally {
      setLoading(false);
    }
  }, [backend, machineId, reads, last]);

  return { commands, state, hasEarlier: known?.hasEarlier ?? false, loadEarlier, loading, error };
}

/** What is known with the latest page anew. If commands may be missing between the two, only the page is known. */
export function withLatest(known: Activity | null, latest: Activity): Activity {
  if (!known) return latest;
  const inLatest = new Set(latest.commands.map(({ id }) => id));
  const touches = known.commands.some(({ id }) => inLatest.has(id));
  if (!touches || !latest.hasEarlier) return latest;
  const earlier = known.commands.filter(({ id }) => !inLatest.has(id) && id < oldest(latest.commands));
  return { commands: [...latest.commands, ...earlier], hasEarlier: known.hasEarlier };
}

/** What is known with the page before its last command. */
export function withEarlier(known: Activity, page: Activity, last: string): Activity {
  // It was asked for before the list began anew.
  if (known.commands.at(-1)?.id !== last) return known;
  return { commands: [...known.commands, ...page.commands], hasEarlier: page.hasEarlier };
}

function oldest(commands: readonly CommandSummary[]): string {
  return commands.at(-1)?.id ?? "";
}
