"use client";

import { CopyPlusIcon, EllipsisIcon, PauseIcon, PencilIcon, PlayIcon, Trash2Icon, ZapIcon } from "lucide-react";
import { useState } from "react";
import { toast } from "sonner";

import { ConfirmDialog } from "@/components/confirm-dialog";
import { Button } from "@/components/ui/button";
import {
  DropdownMenu,
  DropdownMenuContent,
  DropdownMenuItem,
  DropdownMenuSeparator,
  DropdownMenuTrigger,
} from "@/components/ui/dropdown-menu";
import { useAction } from "@/lib/backend/react";
import type { ScheduleSummary } from "@/lib/backend/wire.gen";
import { navigate } from "@/lib/route";

/** Starts a run that is no firing. */
export function RunNowButton({ schedule, labelled = false }: { schedule: ScheduleSummary; labelled?: boolean }) {
  const { run, pending } = useRunNow(schedule);
  return (
    <Button
      variant={labelled ? "outline" : "ghost"}
      size={labelled ? "sm" : "icon-sm"}
      disabled={pending}
      aria-label={labelled ? undefined : `Run ${schedule.name} now`}
      title="Run now"
      onClick={() => void run()}
      data-testid="run-now"
    >
      <ZapIcon />
      {labelled && "Run now"}
    </Button>
  );
}

/** Stops it from firing, or lets it fire again. */
export function PauseButton({ schedule, labelled = false }: { schedule: ScheduleSummary; labelled?: boolean }) {
  const { toggle, pending } = usePause(schedule);
  const isPaused = schedule.state === "paused";
  return (
    <Button
      variant={labelled ? "outline" : "ghost"}
      size={labelled ? "sm" : "icon-sm"}
      disabled={pending}
      aria-label={labelled ? undefined : `${isPaused ? "Resume" : "Pause"} ${schedule.name}`}
      title={isPaused ? "Resume: it fires again from now on" : "Pause: nothing fires; runs that have begun go on"}
      onClick={() => void toggle()}
      data-testid="pause-schedule"
      data-paused={isPaused}
    >
      {isPaused ? <PlayIcon /> : <PauseIcon />}
      {labelled && (isPaused ? "Resume" : "Pause")}
    </Button>
  );
}

function useRunNow(schedule: ScheduleSummary) {
  const { run, pending } = useAction("schedule.runNow", (error) =>
    toast.error("No run was started", { description: error.message }),
  );
  return {
    pending,
    run: async () => {
      if (await run({ scheduleId: schedule.id })) toast.success(`A run of ${schedule.name} was started`);
    },
  };
}

function usePause(schedule: ScheduleSummary) {
  const pause = useAction("schedule.pause", (error) =>
    toast.error(`${schedule.name} was not paused`, { description: error.message }),
  );
  const resume = useAction("schedule.resume", (error) =>
    toast.error(`${schedule.name} was not resumed`, { description: error.message }),
  );
  return {
    pending: pause.pending || resume.pending,
    toggle: () => (schedule.state === "paused" ? resume : pause).run({ scheduleId: schedule.id }),
  };
}

/** Everything that can be done with a schedule. */
export function ScheduleMenu({ schedule, onDeleted }: { schedule: ScheduleSummary; onDeleted?: () => void }) {
  const [deleting, setDeleting] = useState(false);
  const runNow = useRunNow(schedule);
  const pause = usePause(schedule);
  const remove = useAction("schedule.delete");
  const isPaused = schedule.state === "paused";
  return (
    <>
      <DropdownMenu>
        <DropdownMenuTrigger asChild>
          <Button variant="ghost" size="icon-sm" aria-label={`Menu of ${schedule.name}`} data-testid="schedule-menu">
            <EllipsisIcon />
          </Button>
        </DropdownMenuTrigger>
        <DropdownMenuContent align="end">
          <DropdownMenuItem onSelect={() => void runNow.run()} data-testid="menu-run-now">
            <ZapIcon /> Run now
          </DropdownMenuItem>
          <DropdownMenuItem onSelect={() => void pause.toggle()} data-testid="menu-pause">
            {isPaused ? <PlayIcon /> : <PauseIcon />} {isPaused ? "Resume" : "Pause"}
          </DropdownMenuItem>
          <DropdownMenuSeparator />
          <DropdownMenuItem
            onSelect={() => navigate({ page: "schedule", scheduleId: schedule.id, tab: "edit" })}
            data-testid="menu-edit"
          >
            <PencilIcon /> Edit
          </DropdownMenuItem>
          <DropdownMenuItem
            onSelect={() => navigate({ page: "new-schedule", like: schedule.id })}
            data-testid="menu-duplicate"
          >
            <CopyPlusIcon /> Duplicate
          </DropdownMenuItem>
          <DropdownMenuSeparator />
          <DropdownMenuItem variant="destructive" onSelect={() => setDeleting(true)} data-testid="menu-delete">
            <Trash2Icon /> Delete…
          </DropdownMenuItem>
        </DropdownMenuContent>
      </DropdownMenu>
      <ConfirmDialog
        open={deleting}
        onClose={() => setDeleting(false)}
        title={`Delete ${schedule.name}?`}
        confirm="Delete schedule"
        error={remove.error}
        onConfirm={async () => {
          if (!(await remove.run({ scheduleId: schedule.id }))) return false;
          toast.success(`${schedule.name} was deleted`);
          onDeleted?.();
          return true;
        }}
      >
        It fires no more{openText(schedule.openRunCount)}. Its ledger stays, with every run and its transcript: find it
        under All runs. A deleted schedule can&apos;t be brought back; to stop it for a while, pause it.
      </ConfirmDialog>
    </>
  );
}

function openText(count: number): string {
  if (count === 0) return "";
  return count === 1 ? ", and its open run is cancelled" : `, and its ${count} open runs are cancelled`;
}
