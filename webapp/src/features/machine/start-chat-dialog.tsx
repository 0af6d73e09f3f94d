"use client";

import { useState, type SubmitEvent, type ReactNode } from "react";

import { Button } from "@/components/ui/button";
import {
  Dialog,
  DialogContent,
  DialogDescription,
  DialogFooter,
  DialogHeader,
  DialogTitle,
  DialogTrigger,
} from "@/components/ui/dialog";
import { Input } from "@/components/ui/input";
import { Label } from "@/components/ui/label";
import { LIMITS, type WorkerSummary } from "@/lib/backend/wire.gen";
import { byteLength } from "@/lib/text/bytes";

import { useStartChat } from "./use-start-chat";
import { MODEL_FORM } from "./worker-settings";

/** Starts a chat with a title, model or agent of one's choice. */
export function StartChatDialog({ worker, children }: { worker: WorkerSummary; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <Dialog open={open} onOpenChange={setOpen}>
      <DialogTrigger asChild>{children}</DialogTrigger>
      {open && <Options worker={worker} onClose={() => setOpen(false)} />}
    </Dialog>
  );
}

function Options({ worker, onClose }: { worker: WorkerSummary; onClose: () => void }) {
  const { start, pending } = useStartChat();
  const [title, setTitle] = useState("");
  const [model, setModel] = useState("");
  const [agent, setAgent] = useState("");
  const [ownWorktree, setOwnWorktree] = useState(false);
  const modelWrong = model.trim() !== "" && !MODEL_FORM.test(model.trim());
  const titleTooLong = byteLength(title.trim()) > LIMITS.nameMaxBytes;

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const started = await start({
      workerId: worker.id,
      title: title.trim() || null,
      model: model.trim() || null,
      agent: agent.trim() || null,
      ownWorktree,
    });
    if (started) onClose();
  };

  return (
    <DialogContent data-testid="start-chat-dialog">
      <DialogHeader>
        <DialogTitle>Start a chat with {worker.name}</DialogTitle>
        <DialogDescription>
          What you leave empty is as the worker is set, or else opencode&apos;s own choice.
        </DialogDescription>
      </DialogHeader>
      <form className="flex flex-col gap-4" onSubmit={(event) => void submit(event)}>
        <Field
          id="new-chat-title"
          label="Title"
          placeholder="the beginning of your first message"
          value={title}
          onChange={setTitle}
          problem={titleTooLong ? `A title has at most ${LIMITS.nameMaxBytes} bytes.` : null}
        />
        <Field
          id="new-chat-model"
          label="Model"
          placeholder="provider/model"
          mono
          value={model}
          onChange={setModel}
          problem={modelWrong ? "Write it as provider/model." : null}
        />
        <Field
          id="new-chat-agent"
          label="Agent"
          placeholder="build, plan, …"
          mono
          value={agent}
          onChange={setAgent}
          problem={null}
        />
        <label className="flex cursor-pointer items-start gap-2.5 rounded-md border px-3 py-2 has-checked:border-ring has-checked:bg-accent/50 has-focus-visible:ring-[3px] has-focus-visible:ring-ring/35">
          <input
            type="checkbox"
            checked={ownWorktree}
            onChange={(event) => setOwnWorktree(event.target.checked)}
            className="mt-0.5 size-3.5 accent-(--primary)"
            data-testid="own-worktree"
          />
          <span className="min-w-0">
            <span className="font-medium">Its own git worktree</span>
            <span className="block text-xs text-muted-foreground">
              {worker.openChatCount > 0
                ? "Chats in one folder overwrite each other's work. With its own worktree, this one works on a branch of its own beside them. "
                : "The chat works on a branch of its own, apart from the folder itself. "}
              Only for a git repository. It goes when the session ends, unless there is work in it that is nowhere else.
            </span>
          </span>
        </label>
        <DialogFooter>
          <Button variant="outline" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" disabled={pending || modelWrong || titleTooLong} data-testid="start-chat-submit">
            {pending ? "Starting…" : "Start chat"}
          </Button>
        </DialogFooter>
      </form>
    </DialogContent>
  );
}

function Field(props: {
  id: string;
  label: string;
  placeholder: string;
  value: string;
  onChange: (value: string) => void;
  problem: string | null;
  mono?: boolean;
}) {
  return (
    <div className="flex flex-col gap-1.5">
      <Label htmlFor={props.id}>{props.label}</Label>
      <Input
        id={props.id}
        data-testid={props.id}
        autoComplete="off"
        spellCheck={false}
        className={props.mono ? "font-mono md:text-xs" : undefined}
        placeholder={props.placeholder}
        value={props.value}
        aria-invalid={props.problem !== null}
        onChange={(event) => props.onChange(event.target.value)}
      />
      {props.problem !== null && <p className="text-xs text-bad">{props.problem}</p>}
    </div>
  );
}
