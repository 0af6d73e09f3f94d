"use client";

import { useState, type SubmitEvent } from "react";

import { ErrorNote } from "@/components/error-note";
import { Button } from "@/components/ui/button";
import {
  Dialog,
  DialogContent,
  DialogDescription,
  DialogFooter,
  DialogHeader,
  DialogTitle,
} from "@/components/ui/dialog";
import { Input } from "@/components/ui/input";
import { Label } from "@/components/ui/label";
import { useAction } from "@/lib/backend/react";
import type { MachineSummary, Sandbox, WorkerSettings, WorkerSummary } from "@/lib/backend/wire.gen";

export const MODEL_FORM = /^[^\s/]+\/\S+$/;

const SANDBOXES: { value: Sandbox; label: string; text: string }[] = [
  { value: "off", label: "Off", text: "opencode may do whatever the machine's user may." },
  {
    value: "workspace",
    label: "Workspace",
    text: "opencode may write in the worker's folder, its own state and temporary files, and nowhere else.",
  },
];

export function cleanSettings({ model, agent, sandbox }: WorkerSettings): WorkerSettings {
  return { model: model?.trim() || null, agent: agent?.trim() || null, sandbox };
}

export function problemOfSettings({ model }: WorkerSettings): string | null {
  const typed = model?.trim() ?? "";
  return typed !== "" && !MODEL_FORM.test(typed) ? "Write it as provider/model." : null;
}

/** With which model and agent a worker's chats begin, and what the kernel keeps them from. */
export function SettingsFields({
  machine,
  settings,
  onChange,
}: {
  machine: MachineSummary;
  settings: WorkerSettings;
  onChange: (settings: WorkerSettings) => void;
}) {
  const modelProblem = problemOfSettings(settings);
  return (
    <>
      <div className="grid gap-4 sm:grid-cols-2">
        <div className="flex flex-col gap-1.5">
          <Label htmlFor="worker-model">
            Model <span className="font-normal text-muted-foreground">optional</span>
          </Label>
          <Input
            id="worker-model"
            autoComplete="off"
            spellCheck={false}
            className="font-mono md:text-xs"
            placeholder="provider/model"
            value={settings.model ?? ""}
            aria-invalid={modelProblem !== null}
            onChange={(event) => onChange({ ...settings, model: event.target.value })}
            data-testid="worker-model"
          />
          {modelProblem !== null && <p className="text-xs text-bad">{modelProblem}</p>}
        </div>
        <div className="flex flex-col gap-1.5">
          <Label htmlFor="worker-agent">
            Agent <span className="font-normal text-muted-foreground">optional</span>
          </Label>
          <Input
            id="worker-agent"
            autoComplete="off"
            spellCheck={false}
            className="font-mono md:text-xs"
            placeholder="build, plan, …"
            value={settings.agent ?? ""}
            onChange={(event) => onChange({ ...settings, agent: event.target.value })}
            data-testid="worker-agent"
          />
        </div>
      </div>
      <fieldset className="flex flex-col gap-1.5">
        <legend className="mb-1.5 text-xs font-medium">Sandbox</legend>
        {SANDBOXES.map(({ value, label, text }) => (
          <label
            key={value}
            className="flex cursor-pointer items-start gap-2.5 rounded-md border px-3 py-2 has-checked:border-ring has-checked:bg-accent/50 has-focus-visible:ring-[3px] has-focus-visible:ring-ring/35"
          >
            <input
              type="radio"
              name="sandbox"
              value={value}
              checked={settings.sandbox === value}
              onChange={() => onChange({ ...settings, sandbox: value })}
              className="mt-0.5 size-3.5 accent-(--primary)"
              data-testid={`sandbox-${value}`}
            />
            <span className="min-w-0">
              <span className="font-medium">{label}</span>
              <span className="block text-xs text-muted-foreground">{text}</span>
            </span>
          </label>
        ))}
        <p className="text-xs text-muted-foreground" data-testid="enforcement">
          {machine.info?.enforcement != null
            ? `On ${machine.name}: ${machine.info.enforcement}`
            : `${machine.name} has not said what its kernel can enforce.`}
        </p>
      </fieldset>
    </>
  );
}

/** Changes a worker's settings. */
export function WorkerSettingsDialog(props: { worker: WorkerSummary; machine: MachineSummary; onClose: () => void }) {
  const { worker, machine, onClose } = props;
  const { run, pending, error } = useAction("worker.configure");
  const [settings, setSettings] = useState<WorkerSettings>(worker.settings);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (await run({ workerId: worker.id, settings: cleanSettings(settings) })) onClose();
  };
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()}>
      <DialogContent data-testid="worker-settings-dialog">
        <DialogHeader>
          <DialogTitle>Settings of {worker.name}</DialogTitle>
          <DialogDescription>They hold for chats that start from now on.</DialogDescription>
        </DialogHeader>
        <form className="flex flex-col gap-4" onSubmit={(event) => void submit(event)}>
          <SettingsFields machine={machine} settings={settings} onChange={setSettings} />
          {error && <ErrorNote>{error.message}</ErrorNote>}
          <DialogFooter>
            <Button variant="outline" onClick={onClose}>
              Cancel
            </Button>
            <Button
              type="submit"
              disabled={pending || problemOfSettings(settings) !== null}
              data-testid="worker-settings-submit"
            >
              Save
            </Button>
          </DialogFooter>
        </form>
      </DialogContent>
    </Dialog>
  );
}
