import { toast } from "sonner";

import { isThere } from "@/components/presence";
import type { Backend, BackendError } from "@/lib/backend/backend";
import { newIdempotencyKey } from "@/lib/backend/idempotency";
import type { CommandId, CommandView, MachineSummary, Operation } from "@/lib/backend/wire.gen";

import { hasEnded, requestAndFollow } from "./commands";
import { problemOf } from "./directory-store";
import { nameOf, shownName } from "./paths";

const UNDO_SHOWN_MS = 12_000;

/** Moves something to the trash and offers to undo it. Goes on whatever becomes of the page that asked for it. */
export function moveToTrash(backend: Backend, machine: MachineSummary, path: string): void {
  const name = shownName(nameOf(path));
  const texts = { done: `${name} is in the trash`, failed: `${name} was not moved to the trash` };
  request(backend, machine, { kind: "trash", path }, texts, ({ command }) => ({
    label: "Undo",
    onClick: () => restore(backend, machine, command.id, path),
  }));
}

/** Puts back what a command moved to the trash. */
export function restore(backend: Backend, machine: MachineSummary, trashed: CommandId, path: string): void {
  const name = shownName(nameOf(path));
  const texts = { done: `${name} is back`, failed: `${name} was not put back` };
  request(backend, machine, { kind: "restore", trashed, path }, texts);
}

function request(
  backend: Backend,
  machine: MachineSummary,
  operation: Operation,
  texts: { done: string; failed: string },
  actionOf?: (view: CommandView) => { label: string; onClick: () => void },
): void {
  const id = `${operation.kind}-${newIdempotencyKey()}`;
  const refused = (error: BackendError) => toast.error(texts.failed, { id, description: error.message });
  requestAndFollow(
    backend,
    machine.id,
    operation,
    (view) => {
      const { command } = view;
      if (command.state === "succeeded")
        toast.success(texts.done, { id, duration: UNDO_SHOWN_MS, description: null, action: actionOf?.(view) });
      else if (command.state === "cancelled") toast.dismiss(id);
      else if (hasEnded(command.state)) toast.error(texts.failed, { id, description: problemOf(view) });
      else if (!isThere(machine))
        toast.info(`${machine.name} is away; this waits until it is back`, {
          id,
          action: {
            label: "Cancel",
            onClick: () =>
              void backend
                .call("machine.command.cancel", { commandId: command.id }, { key: newIdempotencyKey() })
                .catch(refused),
          },
        });
    },
    refused,
  );
}
