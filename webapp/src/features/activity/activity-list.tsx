"use client";

import { DownloadIcon, Undo2Icon } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { toast } from "sonner";

import { ErrorNote } from "@/components/error-note";
import { ShowEarlier } from "@/components/show-earlier";
import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { Skeleton } from "@/components/ui/skeleton";
import { hasEnded } from "@/features/directory/commands";
import { restore } from "@/features/directory/trash";
import { useIdentity } from "@/features/sign-in/signed-in";
import { asBackendError } from "@/lib/backend/backend";
import { useBackend } from "@/lib/backend/react";
import type { CommandSummary, MachineSummary } from "@/lib/backend/wire.gen";
import { clockTime, duration, elapsed } from "@/lib/text/time";
import { useNow } from "@/lib/use-now";

import { COMMAND_STATES, describeOperation } from "./describe";
import { activityAsJsonLines, exportName, saveFile } from "./export";
import { ProgressBar } from "./progress-bar";
import { useActivity } from "./use-activity";

/** Everything that was asked of a machine: who, what, when, how long, and how it ended. */
export function ActivityList({ machine }: { machine: MachineSummary }) {
  const [reads, setReads] = useState(false);
  return (
    <section aria-label="Activity" className="flex flex-col gap-3" data-testid="activity">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
        <label className="flex items-center gap-2 text-sm">
          <input
            type="checkbox"
            role="switch"
            checked={reads}
            onChange={(event) => setReads(event.target.checked)}
            className="size-4 accent-(--primary)"
            data-testid="activity-reads"
          />
          Include what only reads
        </label>
        <Export machine={machine} reads={reads} />
      </div>
      <Pages key={String(reads)} machine={machine} reads={reads} />
      <p className="text-xs text-muted-foreground">
        Changes are kept for a year, reads for a week. This is what was asked through the product; what a chat&apos;s
        agent does is in its transcript.
      </p>
    </section>
  );
}

function Pages({ machine, reads }: { machine: MachineSummary; reads: boolean }) {
  const { commands, state, hasEarlier, loadEarlier, loading, error } = useActivity(machine.id, reads);
  if (state.kind === "refused") return <ErrorNote>{state.error.message}</ErrorNote>;
  if (!commands) return <Skeleton className="h-24" />;
  if (commands.length === 0) {
    return (
      <div className="rounded-xl border border-dashed px-6 py-12 text-center" data-testid="no-activity">
        <h2 className="font-medium">Nothing yet</h2>
        <p className="mx-auto mt-1 max-w-sm text-muted-foreground">
          New folders, clones, renames and what goes to the trash on {machine.name} will be listed here.
        </p>
      </div>
    );
  }
  return (
    <>
      <ol className="divide-y overflow-hidden rounded-lg border bg-card">
        {commands.map((command) => (
          <ActivityRow key={command.id} command={command} machine={machine} />
        ))}
      </ol>
      {error && <ErrorNote>{error.message}</ErrorNote>}
      {hasEarlier && <ShowEarlier loading={loading} onLoad={loadEarlier} testId="activity-earlier" />}
    </>
  );
}

function ActivityRow({ command, machine }: { command: CommandSummary; machine: MachineSummary }) {
  const { me } = useIdentity();
  const backend = useBackend();
  const { operation, state } = command;
  const { variant, text } = COMMAND_STATES[state];
  const isOpen = !hasEnded(state);
  return (
    <li
      className="flex flex-wrap items-baseline gap-x-3 gap-y-1 px-3 py-2"
      data-testid="activity-row"
      data-kind={operation.kind}
      data-state={state}
    >
      <Badge variant={variant} className="w-18">
        {text}
      </Badge>
      <div className="flex min-w-0 flex-1 basis-60 flex-col gap-1">
        <span className="min-w-0 break-words">{describeOperation(operation)}</span>
        {command.error && <span className="text-xs break-words text-bad">{command.error.message}</span>}
        {isOpen && command.progress && <ProgressBar label={describeOperation(operation)} progress={command.progress} />}
      </div>
      <span className="flex items-center gap-3 text-xs text-muted-foreground tabular-nums">
        {operation.kind === "trash" && state === "succeeded" && (
          <Button
            variant="ghost"
            size="sm"
            className="h-6"
            onClick={() => restore(backend, machine, command.id, operation.path)}
            data-testid="activity-restore"
          >
            <Undo2Icon /> Put back
          </Button>
        )}
        <span>{command.requestedBy === me.person.id ? "you" : command.requestedBy}</span>
        <Took command={command} />
        <time
          dateTime={new Date(command.createdAt).toISOString()}
          title={new Date(command.createdAt).toLocaleString()}
          className="min-w-10 text-right"
        >
          {clockTime(command.createdAt)}
        </time>
      </span>
    </li>
  );
}

/** How long the machine worked on it; for what has not begun, nothing is claimed. */
function Took({ command: { startedAt, endedAt } }: { command: CommandSummary }) {
  if (startedAt == null) return null;
  return (
    <span className="w-14 text-right">{endedAt == null ? <Since at={startedAt} /> : took(endedAt - startedAt)}</span>
  );
}

/** Counts by itself, so that the rows that have ended stand still. */
function Since({ at }: { at: number }) {
  return elapsed(useNow() - at);
}

function took(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : duration(ms);
}

function Export({ machine, reads }: { machine: MachineSummary; reads: boolean }) {
  const backend = useBackend();
  const [count, setCount] = useState<number | null>(null);
  const abort = useRef<AbortController | null>(null);
  useEffect(() => () => abort.current?.abort(), []);
  const run = async () => {
    const controller = new AbortController();
    abort.current = controller;
    setCount(0);
    try {
      const lines = await activityAsJsonLines(backend, machine.id, reads, setCount, controller.signal);
      saveFile(exportName(machine, new Date()), lines, "application/jsonl");
    } catch (thrown) {
      if (!controller.signal.aborted)
        toast.error("The activity was not exported", { description: asBackendError(thrown).message });
    } finally {
      setCount(null);
    }
  };
  return (
    <div className="ml-auto flex items-center gap-2">
      <span role="status" className="text-xs text-muted-foreground tabular-nums" data-testid="export-progress">
        {count !== null && `${count.toLocaleString("en")} read so far…`}
      </span>
      {count === null ? (
        <Button variant="outline" size="sm" onClick={() => void run()} data-testid="activity-export">
          <DownloadIcon />
          Export as JSON Lines
        </Button>
      ) : (
        <Button variant="outline" size="sm" onClick={() => abort.current?.abort()}>
          Stop
        </Button>
      )}
    </div>
  );
}
