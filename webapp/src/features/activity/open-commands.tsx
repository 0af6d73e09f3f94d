"use client";

import { CircleAlertIcon, CircleCheckIcon, ClockIcon, HourglassIcon, LoaderCircleIcon, XIcon } from "lucide-react";
import { useState } from "react";

import { isThere } from "@/components/presence";
import { Button } from "@/components/ui/button";
import { hasEnded } from "@/features/directory/commands";
import type { CommandId, CommandSummary, MachineSummary, MachineView } from "@/lib/backend/wire.gen";
import { navigate } from "@/lib/route";
import { clockTime } from "@/lib/text/time";
import { useNow } from "@/lib/use-now";

import { CancelCommand, isLastSeenWorking, LastSeenWorking } from "./cancel-command";
import { describeOperation } from "./describe";
import { ProgressBar } from "./progress-bar";

/** What is over sooner is not worth a line that comes and goes. */
const SHOWN_AFTER_MS = 1_500;
/** How long a clone that has ended is still news, and what was stopped without its machine. */
const NEWS_MS = 10 * 60_000;

const dismissedBefore = new Set<CommandId>();

/** What the machine works on and what waits for it; what there is to know or to do after its end stays a while. */
export function OpenCommands({
  view,
  changes,
  onAddWorker,
}: {
  view: MachineView;
  changes: readonly CommandSummary[] | undefined;
  onAddWorker: (directory: string) => void;
}) {
  const now = useNow();
  const [dismissed, setDismissed] = useState<ReadonlySet<CommandId>>(dismissedBefore);
  const { machine, workers } = view;
  const hasWorker = (directory: string) => workers.some((worker) => worker.directory === directory);
  const shown = (changes ?? []).filter((command) => {
    const { operation, state, createdAt, endedAt } = command;
    const isClone = operation.kind === "clone";
    if (!hasEnded(state)) return isClone || !isThere(machine) || now - createdAt > SHOWN_AFTER_MS;
    if (dismissed.has(command.id) || now - (endedAt ?? 0) > NEWS_MS) return false;
    // Its machine was away: it may be half-done there.
    if (state === "cancelled") return command.error != null;
    if (!isClone) return false;
    return state === "failed" || state === "expired" || (state === "succeeded" && !hasWorker(operation.path));
  });
  if (shown.length === 0) return null;
  const open = shown.filter(({ state }) => !hasEnded(state));
  const dismiss = (id: CommandId) => {
    dismissedBefore.add(id);
    setDismissed(new Set(dismissedBefore));
  };
  return (
    <section
      aria-label={`What ${machine.name} does`}
      className="max-h-[40dvh] shrink-0 divide-y overflow-y-auto border-b bg-card scroll-thin"
      data-testid="open-commands"
    >
      {[...open, ...shown.filter(({ state }) => hasEnded(state))].map((command) => (
        <CommandLine
          key={command.id}
          command={command}
          machine={machine}
          onDismiss={() => dismiss(command.id)}
          onAddWorker={onAddWorker}
        />
      ))}
    </section>
  );
}

function CommandLine(props: {
  command: CommandSummary;
  machine: MachineSummary;
  onDismiss: () => void;
  onAddWorker: (directory: string) => void;
}) {
  const { command, machine } = props;
  const text = describeOperation(command.operation);
  const isOpen = !hasEnded(command.state);
  const waits = command.state === "queued" && !isThere(machine);
  const lastSeen = isLastSeenWorking(command, machine);
  const path = command.operation.kind === "clone" ? command.operation.path : null;
  return (
    <div
      className="flex flex-wrap items-start gap-x-3 gap-y-1.5 px-3 py-2 text-sm md:px-4"
      data-testid="open-command"
      data-state={command.state}
      data-kind={command.operation.kind}
    >
      <StateIcon command={command} waits={waits} lastSeen={lastSeen} />
      <div className="flex min-w-0 flex-1 basis-60 flex-col gap-1">
        <p className="min-w-0 break-all">{text}</p>
        {waits && (
          <p className="text-xs text-muted-foreground">
            Waits for {machine.name}; given up at {clockTime(command.expiresAt)}.
          </p>
        )}
        {lastSeen && <LastSeenWorking command={command} machine={machine} />}
        {isOpen && !waits && !lastSeen && command.operation.kind === "clone" && (
          <ProgressBar label={text} progress={command.progress ?? null} />
        )}
        {command.error && <p className="text-xs break-words text-bad">{command.error.message}</p>}
        {command.state === "expired" && (
          <p className="text-xs text-muted-foreground">The machine did not come for it in time.</p>
        )}
      </div>
      <div className="flex shrink-0 items-center gap-1.5">
        {isOpen && (
          <CancelCommand
            command={command}
            machine={machine}
            label={waits ? "Cancel" : "Stop"}
            size="sm"
            testId="cancel-command"
          />
        )}
        {command.state === "succeeded" && path !== null && (
          <>
            <Button
              variant="outline"
              size="sm"
              onClick={() => navigate({ page: "machine", machineId: machine.id, tab: "files", directory: path })}
            >
              Open
            </Button>
            <Button size="sm" onClick={() => props.onAddWorker(path)} data-testid="open-command-add-worker">
              Add worker here
            </Button>
          </>
        )}
        {!isOpen && (
          <Button variant="ghost" size="icon-sm" aria-label={`Dismiss: ${text}`} onClick={props.onDismiss}>
            <XIcon />
          </Button>
        )}
      </div>
    </div>
  );
}

function StateIcon({ command, waits, lastSeen }: { command: CommandSummary; waits: boolean; lastSeen: boolean }) {
  const look = "mt-0.5 size-4 shrink-0";
  if (command.state === "succeeded") return <CircleCheckIcon aria-label="Done" className={`${look} text-ok`} />;
  if (command.state === "cancelled") return <CircleAlertIcon aria-label="Stopped" className={`${look} text-wait`} />;
  if (hasEnded(command.state)) return <CircleAlertIcon aria-label="Failed" className={`${look} text-bad`} />;
  if (waits) return <HourglassIcon aria-label="Waiting" className={`${look} text-wait`} />;
  if (lastSeen) return <ClockIcon aria-label="Last seen running" className={`${look} text-wait`} />;
  return <LoaderCircleIcon aria-label="Running" className={`${look} animate-spin text-busy`} />;
}
