"use client";

import { CircleAlertIcon, MessageSquarePlusIcon, MoveRightIcon } from "lucide-react";
import { useMemo, useState } from "react";

import { ErrorNote } from "@/components/error-note";
import { isGone, isThere, presenceOf } from "@/components/presence";
import { Button } from "@/components/ui/button";
import { Skeleton } from "@/components/ui/skeleton";
import { useStartChat } from "@/features/machine/use-start-chat";
import { NotFound } from "@/features/shell/not-found";
import { PageHeader } from "@/features/shell/page-header";
import { useWatch } from "@/lib/backend/react";
import type { ChatSessionId, ChatSummary, MachineSummary, WorkerSummary } from "@/lib/backend/wire.gen";
import { useChat } from "@/lib/chat/use-chat";
import { absoluteDirectory } from "@/lib/text/paths";
import { readable } from "@/lib/text/sanitise";

import { AskCard } from "./asks/ask-card";
import { AwayNote } from "./away-note";
import { ChatContext, DirectoryContext } from "./chat-context";
import { ChatHeader } from "./chat-header";
import { Composer } from "./composer";
import { ContinueDialog } from "./continue/continue-dialog";
import { ContinuedMarks } from "./continue/continued-marks";
import { EmptyChat } from "./empty-chat";
import { EndSessionDialog } from "./end-session-dialog";
import { QueueList } from "./queue-list";
import { StatusLine } from "./status-line";
import { TranscriptView } from "./transcript-view";
import { useStickToBottom } from "./use-stick-to-bottom";

export function ChatPage({ chatSessionId }: { chatSessionId: ChatSessionId }) {
  const { store, snapshot } = useChat(chatSessionId);
  const { containerRef, contentRef, atBottom, toBottom } = useStickToBottom();
  const view = snapshot.data.view;
  const chat = view?.chat;
  const machineView = useWatch("machine.view", chat ? { machineId: chat.machineId } : null).value;
  const machine = machineView?.machine;
  const worker = machineView?.workers.find(({ id }) => id === chat?.workerId);
  const away = machine && !isThere(machine) ? awaySentence(machine) : null;
  const gone = machine !== undefined && isGone(machine);
  const wait = view?.wait ?? null;
  const machineId = chat?.machineId ?? null;
  const chatState = chat?.state ?? "unknown";
  const context = useMemo(
    () => ({ store, away, gone, wait, machineId, chatState, canWrite: chatState !== "closed" }),
    [store, away, gone, wait, machineId, chatState],
  );
  const [dialog, setDialog] = useState<"continue" | "end" | null>(null);
  const onContinue = () => setDialog("continue");
  const onEnd = () => setDialog("end");
  const closeDialog = () => setDialog(null);

  if (snapshot.refused?.code === "not_found") return <NotFound what="This chat does not exist, or is not yours." />;
  const { turns } = snapshot;
  const busy = turns.running !== null || turns.queued.length > 0;

  const directory = machine?.info && worker ? absoluteDirectory(machine.info.root, worker.directory) : null;

  return (
    <ChatContext value={context}>
      <DirectoryContext value={directory}>
        {chat ? (
          <ChatHeader
            chat={chat}
            machine={machine}
            worker={worker}
            waits={wait !== null}
            onContinue={onContinue}
            onEnd={onEnd}
          />
        ) : (
          <HeaderSkeleton />
        )}
        {chat && <ContinuedMarks chat={chat} />}
        {snapshot.refused && <ErrorNote className="m-3">{snapshot.refused.message}</ErrorNote>}
        <TranscriptView
          snapshot={snapshot}
          containerRef={containerRef}
          contentRef={contentRef}
          atBottom={atBottom}
          onToBottom={() => toBottom("smooth")}
          empty={chat ? <EmptyChat chat={chat} machine={machine} worker={worker} wait={wait} /> : <TurnSkeleton />}
        />
        <StatusLine turns={turns} askCount={view?.asks.length ?? 0} wait={wait} />
        <div className="mx-auto flex w-full max-w-3xl shrink-0 flex-col gap-2 px-3 pb-[max(0.75rem,env(safe-area-inset-bottom))] md:px-6 md:pb-4">
          {chat && <AwayNote chat={chat} machine={machine} onContinue={onContinue} onEnd={onEnd} />}
          {chat?.state === "failed" && <FailedNote chat={chat} onContinue={gone ? null : onContinue} />}
          {view && view.asks.length > 0 && (
            <div className="flex max-h-[55dvh] flex-col gap-2 overflow-y-auto scroll-thin" data-testid="asks">
              {view.asks.map((ask) => (
                <AskCard key={ask.id} ask={ask} away={away} />
              ))}
            </div>
          )}
          <QueueList items={turns.queued} />
          {chat?.state === "closed" ? (
            <Ended chat={chat} worker={worker} onContinue={onContinue} />
          ) : (
            <Composer chatSessionId={chatSessionId} running={turns.running} busy={busy} onSent={() => toBottom()} />
          )}
        </div>
        {chat && <EndSessionDialog chat={chat} machine={machine} open={dialog === "end"} onClose={closeDialog} />}
        {chat && dialog === "continue" && (
          <ContinueDialog chat={chat} machine={machine} worker={worker} onClose={closeDialog} />
        )}
      </DirectoryContext>
    </ChatContext>
  );
}

function awaySentence(machine: MachineSummary): string {
  const { text } = presenceOf(machine);
  return machine.presence.state === "draining"
    ? `${machine.name} is ${text} and takes nothing new.`
    : `${machine.name} is ${text}.`;
}

function FailedNote({ chat, onContinue }: { chat: ChatSummary; onContinue: (() => void) | null }) {
  return (
    <div
      className="flex items-start gap-2 rounded-lg border border-bad/25 bg-bad/8 px-3 py-2 text-xs"
      role="alert"
      data-testid="chat-failed"
    >
      <CircleAlertIcon className="mt-px size-4 shrink-0 text-bad" />
      <p className="min-w-0 flex-1 break-words">
        <span className="text-bad">
          opencode could not be started: {readable(chat.reason ?? "the reason is not known")}
        </span>{" "}
        <span className="text-muted-foreground">The next message tries again.</span>
      </p>
      {onContinue && (
        <Button size="sm" variant="outline" onClick={onContinue} data-testid="failed-continue">
          <MoveRightIcon /> Continue elsewhere…
        </Button>
      )}
    </div>
  );
}

function Ended({
  chat,
  worker,
  onContinue,
}: {
  chat: ChatSummary;
  worker: WorkerSummary | undefined;
  onContinue: () => void;
}) {
  const { start, pending } = useStartChat();
  return (
    <div
      className="flex flex-wrap items-center justify-between gap-2 rounded-xl border bg-muted/50 px-3.5 py-2.5 text-sm text-muted-foreground"
      data-testid="chat-ended"
    >
      This session has ended. Its transcript stays.
      <div className="flex flex-wrap gap-1.5">
        {worker && (
          <Button
            size="sm"
            variant="ghost"
            disabled={pending}
            onClick={() =>
              void start({ workerId: chat.workerId, model: chat.model ?? null, agent: chat.agent ?? null })
            }
          >
            <MessageSquarePlusIcon />
            New chat with {worker.name}
          </Button>
        )}
        <Button size="sm" variant="outline" onClick={onContinue} data-testid="ended-continue">
          <MoveRightIcon />
          Continue in a new chat…
        </Button>
      </div>
    </div>
  );
}

function HeaderSkeleton() {
  return (
    <PageHeader>
      <Skeleton className="h-5 w-48" />
    </PageHeader>
  );
}

function TurnSkeleton() {
  return (
    <div className="flex flex-col gap-4">
      <Skeleton className="h-9 w-2/5 self-end" />
      <Skeleton className="h-24" />
    </div>
  );
}
