"use client";

import { CheckIcon, PlusIcon } from "lucide-react";
import { useState, type ReactNode } from "react";

import { isThere } from "@/components/presence";
import { RouteLink } from "@/components/route-link";
import { Button } from "@/components/ui/button";
import { AddWorkerDialog } from "@/features/machine/add-worker-dialog";
import { useStartChat } from "@/features/machine/use-start-chat";
import { useFleet } from "@/features/shell/fleet";
import { cn } from "@/lib/utils";

import { AddMachineDialog } from "./add-machine-dialog";

/** From nothing to the first chat, one step at a time; gone once there is one. */
export function FirstSteps() {
  const { list, views, chats } = useFleet();
  const { start, pending } = useStartChat();
  const [adding, setAdding] = useState(false);
  const machines = list.value?.machines ?? [];
  const machine = machines.find(isThere) ?? machines.find(({ state }) => state === "registered");
  const workers = [...views.values()].flatMap((view) => view.workers);
  const worker = workers.find(({ state }) => state === "ready") ?? workers[0];
  const shown = chats.length === 0 && views.size >= Math.min(machines.length, 1);

  const steps: { title: string; text: ReactNode; done: boolean; action: ReactNode }[] = [
    {
      title: "A machine",
      text: machine ? (
        <>
          <b className="font-medium text-foreground">{machine.name}</b>{" "}
          {isThere(machine) ? "is online" : "is registered, but not here now"}.
        </>
      ) : machines.length > 0 ? (
        "Added. Run its command there; it shows up here by itself."
      ) : (
        "A computer that runs opencode for you. Its key registers it; nothing on it needs a backup."
      ),
      done: machine !== undefined,
      action:
        machines.length === 0 ? (
          <Button size="sm" onClick={() => setAdding(true)} data-testid="first-steps-add-machine">
            <PlusIcon />
            Add machine
          </Button>
        ) : (
          machines[0] && (
            <Button size="sm" variant="outline" asChild>
              <RouteLink to={{ page: "machine", machineId: machines[0].id }}>Show it</RouteLink>
            </Button>
          )
        ),
    },
    {
      title: "A worker",
      text: worker ? (
        <>
          <b className="font-medium text-foreground">{worker.name}</b> works in{" "}
          <code className="font-mono text-xs">{worker.directory || "the root"}</code>.
        </>
      ) : (
        "A directory on the machine, below its root: usually one repository."
      ),
      done: worker !== undefined,
      action: machine && (
        <AddWorkerDialog machine={machine}>
          <Button size="sm" data-testid="first-steps-add-worker">
            <PlusIcon />
            Add worker
          </Button>
        </AddWorkerDialog>
      ),
    },
    {
      title: "A chat",
      text: "Say what is to be done. Every chat is an opencode process of its own; several run at the same time.",
      done: false,
      action: worker && (
        <Button
          size="sm"
          disabled={pending}
          onClick={() => void start({ workerId: worker.id })}
          data-testid="first-steps-start-chat"
        >
          Start chat
        </Button>
      ),
    },
  ];
  const next = steps.findIndex(({ done }) => !done);

  return (
    <>
      {shown && (
        <section aria-label="First steps" className="rounded-xl border bg-card" data-testid="first-steps">
          <ol>
            {steps.map((step, index) => (
              <li
                key={step.title}
                className="flex items-center gap-3 border-b px-4 py-3 last:border-b-0"
                aria-current={index === next ? "step" : undefined}
              >
                <span
                  className={cn(
                    "grid size-6 shrink-0 place-items-center rounded-full border text-xs font-medium tabular-nums",
                    step.done
                      ? "border-ok/40 bg-ok/10 text-ok"
                      : index === next
                        ? "border-primary bg-primary text-primary-foreground"
                        : "text-muted-foreground",
                  )}
                >
                  {step.done ? <CheckIcon className="size-3.5" aria-label="done" /> : index + 1}
                </span>
                <div className="min-w-0 flex-1">
                  <h3 className={cn("font-medium", index > next && "text-muted-foreground")}>{step.title}</h3>
                  <p className="text-xs leading-relaxed text-muted-foreground">{step.text}</p>
                </div>
                {index === next && step.action}
              </li>
            ))}
          </ol>
        </section>
      )}
      {/* Apart from the steps, which change as soon as there is a machine, and before its key has been read. */}
      <AddMachineDialog open={adding} onOpenChange={setAdding} />
    </>
  );
}
