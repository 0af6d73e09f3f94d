import { HourglassIcon } from "lucide-react";

import { ErrorNote } from "@/components/error-note";
import { isThere } from "@/components/presence";
import type { MachineSummary } from "@/lib/backend/wire.gen";

import { hasEnded, type Command } from "./commands";
import { problemOf } from "./directory-store";

/** How a dialog's command stands: what the machine refused, or that it waits. */
export function CommandNote({ command, machine }: { command: Command; machine: MachineSummary }) {
  if (command.error) return <ErrorNote>{command.error.message}</ErrorNote>;
  if (!command.view) return null;
  const { state } = command.view.command;
  if (state === "succeeded") return null;
  if (hasEnded(state)) return <ErrorNote>{problemOf(command.view)}</ErrorNote>;
  if (isThere(machine)) return null;
  return (
    <p
      role="status"
      className="flex items-start gap-2 rounded-md border border-wait/30 bg-wait/10 px-3 py-2 text-sm"
      data-testid="command-waits"
    >
      <HourglassIcon className="mt-0.5 size-4 shrink-0 text-wait" />
      <span>
        {machine.name} is away. This waits, and is done when it is back; you can close this and cancel it on the
        machine&apos;s page.
      </span>
    </p>
  );
}
