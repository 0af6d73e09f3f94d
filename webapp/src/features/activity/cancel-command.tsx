"use client";

import { ClockIcon } from "lucide-react";
import { toast } from "sonner";

import { isGone, presenceOf } from "@/components/presence";
import { Button } from "@/components/ui/button";
import { useAction } from "@/lib/backend/react";
import type { CommandSummary, MachineSummary } from "@/lib/backend/wire.gen";

interface Props {
  command: CommandSummary;
  machine: MachineSummary;
  label: string;
  testId: string;
  size?: "sm";
}

/** Asks the machine to stop. A machine that is gone never hears of it; asked again, the backend ends the command. */
export function CancelCommand(props: Props) {
  const gone = isGone(props.machine);
  // Another wish once the machine has gone: repeated as the same one, it would get the answer that it got before.
  return <CancelButton key={gone ? "gone" : "there"} {...props} gone={gone} />;
}

function CancelButton({ command, gone, label, testId, size }: Props & { gone: boolean }) {
  const { run, pending, error } = useAction("machine.command.cancel", (refusal) =>
    toast.error("It was not stopped", { description: refusal.message }),
  );
  const asked = command.cancelRequested && !gone && error === null;
  return (
    <Button
      variant="outline"
      size={size}
      disabled={pending || asked}
      onClick={() => void run({ commandId: command.id })}
      data-testid={testId}
    >
      {pending || asked ? "Stopping…" : label}
    </Button>
  );
}

/** Its machine had taken it when it was last seen: nobody knows whether it still works on it. */
export function isLastSeenWorking(command: CommandSummary, machine: MachineSummary): boolean {
  return (command.state === "leased" || command.state === "running") && isGone(machine);
}

/** What became of a command whose machine has gone, as far as is known, and what stopping it here means. */
export function LastSeenWorking({ command, machine }: { command: CommandSummary; machine: MachineSummary }) {
  return (
    <p className="flex min-w-0 items-start gap-1.5 text-xs text-muted-foreground" data-testid="command-last-seen">
      <ClockIcon className="mt-px size-3.5 shrink-0 text-wait" />
      <span className="min-w-0 break-words">
        {machine.name} is {presenceOf(machine).text}.{" "}
        {command.cancelRequested
          ? "It was asked to stop this before, and may not have heard. Stop it here: what it had begun may be finished or half-done there."
          : "It was working on this when it was last seen, and begins again when it is back. Or stop it here: what it had begun may be finished or half-done there."}
      </span>
    </p>
  );
}
