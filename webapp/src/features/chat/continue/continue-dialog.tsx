"use client";

import { CheckIcon, XIcon } from "lucide-react";
import { useMemo, useState, type ReactNode, type SubmitEvent } from "react";
import { toast } from "sonner";

import { isGone } from "@/components/presence";
import { Button } from "@/components/ui/button";
import {
  Dialog,
  DialogContent,
  DialogDescription,
  DialogFooter,
  DialogHeader,
  DialogTitle,
} from "@/components/ui/dialog";
import { useStartChat } from "@/features/machine/use-start-chat";
import { useAction } from "@/lib/backend/react";
import type { ChatSummary, MachineSummary, WorkerSummary } from "@/lib/backend/wire.gen";
import { readableLine } from "@/lib/text/sanitise";

import { TargetList } from "./target-list";
import { firstChoice, targetsFor } from "./targets";
import { useAllViews } from "./use-all-views";

interface Props {
  chat: ChatSummary;
  machine: MachineSummary | undefined;
  worker: WorkerSummary | undefined;
  onClose: () => void;
}

/** Goes on with a chat in a new one: on another machine, or in another folder. Says what goes over and what does not. */
export function ContinueDialog(props: Props) {
  return (
    <Dialog open onOpenChange={(open) => !open && props.onClose()}>
      <DialogContent className="sm:max-w-xl" data-testid="continue-dialog">
        <DialogHeader>
          <DialogTitle className="break-words">Continue “{readableLine(props.chat.title) || "New chat"}”</DialogTitle>
          <DialogDescription>
            A new chat begins where you choose, and goes on with this conversation. This one keeps its transcript.
          </DialogDescription>
        </DialogHeader>
        <ContinueForm {...props} />
      </DialogContent>
    </Dialog>
  );
}

function ContinueForm({ chat, machine, worker, onClose }: Props) {
  const { start, pending } = useStartChat();
  const end = useAction("worker.chat.endSession", (error) =>
    toast.error("The old session was not ended", { description: error.message }),
  );
  const { views, leftOut, addLeftOut } = useAllViews();
  const groups = useMemo(() => targetsFor(chat, worker, views), [chat, worker, views]);
  const [picked, setPicked] = useState<string | null>(null);
  const [ownWorktree, setOwnWorktree] = useState(false);
  const [keepModel, setKeepModel] = useState(true);
  const [endOld, setEndOld] = useState(false);
  const chosen = picked ?? firstChoice(groups);
  const modelText = [chat.agent, chat.model].filter(Boolean).join(" · ");

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (chosen === null) return;
    const started = await start({
      workerId: chosen,
      title: chat.title || null,
      model: keepModel ? (chat.model ?? null) : null,
      agent: keepModel ? (chat.agent ?? null) : null,
      ownWorktree,
      continues: chat.id,
    });
    if (!started) return;
    onClose();
    if (endOld) await end.run({ chatSessionId: chat.id, discardWorktree: false });
  };

  return (
    <form className="flex min-w-0 flex-col gap-4" onSubmit={(event) => void submit(event)}>
      <HandedOver machine={machine} worker={worker} chat={chat} />
      <TargetList
        groups={groups}
        chosen={chosen}
        onChoose={setPicked}
        leftOut={leftOut}
        onAddLeftOut={() => void addLeftOut()}
      />
      <div className="flex flex-col gap-2">
        <Choice
          checked={ownWorktree}
          onChange={setOwnWorktree}
          testId="continue-own-worktree"
          label="Its own git worktree"
        >
          It works on a branch of its own, apart from the folder itself. Only for a git repository.
        </Choice>
        {modelText !== "" && (
          <Choice
            checked={keepModel}
            onChange={setKeepModel}
            testId="continue-keep-model"
            label="The same model and agent"
          >
            <span className="font-mono">{modelText}</span>. Otherwise they are as the chosen worker is set.
          </Choice>
        )}
        {chat.state !== "closed" && (
          <Choice checked={endOld} onChange={setEndOld} testId="continue-end-old" label="End the old session">
            {endingSentence(chat, machine)}
          </Choice>
        )}
      </div>
      <DialogFooter>
        <Button variant="outline" onClick={onClose}>
          Cancel
        </Button>
        <Button type="submit" disabled={pending || chosen === null} data-testid="continue-submit">
          {pending ? "Starting…" : "Continue there"}
        </Button>
      </DialogFooter>
    </form>
  );
}

function endingSentence(chat: ChatSummary, machine: MachineSummary | undefined): string {
  const waiting =
    chat.queuedCount === 0
      ? ""
      : chat.queuedCount === 1
        ? "its waiting message"
        : `its ${chat.queuedCount} waiting messages`;
  const away = machine !== undefined && isGone(machine);
  if (waiting === "") return "Otherwise it stays, and both can be written to.";
  return away
    ? `Cancels ${waiting}. Otherwise ${waiting} would run there once ${machine.name} is back.`
    : `Cancels ${waiting}. Otherwise they run there as well.`;
}

/** What the new chat knows, and what it can't know. */
function HandedOver({ chat, machine, worker }: Omit<Props, "onClose">) {
  const folder = chat.worktree?.directory ?? worker?.directory;
  return (
    <ul className="flex flex-col gap-1.5 rounded-lg border bg-muted/50 px-3 py-2 text-xs" data-testid="handed-over">
      <li className="flex gap-2">
        <CheckIcon className="mt-px size-3.5 shrink-0 text-ok" />
        <span className="min-w-0">
          <span className="font-medium">Goes over:</span> the conversation as text. opencode reads it with your first
          message there; a very long one without its beginning.
        </span>
      </li>
      <li className="flex gap-2">
        <XIcon className="mt-px size-3.5 shrink-0 text-bad" />
        <span className="min-w-0 break-words">
          <span className="font-medium">Stays behind:</span> all files, also changes that are not committed or not
          pushed
          {folder !== undefined && (
            <>
              {" "}
              in <code className="font-mono">{folder || "the root"}</code>
              {machine && ` on ${machine.name}`}
            </>
          )}
          , and what opencode itself remembers of its tools: which files it had read, what they wrote, what you allowed.
        </span>
      </li>
    </ul>
  );
}

function Choice(props: {
  checked: boolean;
  onChange: (checked: boolean) => void;
  label: string;
  testId: string;
  children: ReactNode;
}) {
  return (
    <label className="flex cursor-pointer items-start gap-2.5 text-sm">
      <input
        type="checkbox"
        checked={props.checked}
        onChange={(event) => props.onChange(event.target.checked)}
        className="mt-0.5 size-3.5 shrink-0 accent-(--primary)"
        data-testid={props.testId}
      />
      <span className="min-w-0">
        <span className="font-medium">{props.label}</span>
        <span className="block text-xs break-words text-muted-foreground">{props.children}</span>
      </span>
    </label>
  );
}
