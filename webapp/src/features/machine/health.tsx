"use client";

import type { ReactNode } from "react";

import { ErrorNote } from "@/components/error-note";
import { PresenceText } from "@/components/presence";
import { RouteLink } from "@/components/route-link";
import { Skeleton } from "@/components/ui/skeleton";
import { useWatch } from "@/lib/backend/react";
import type { ChatSessionId, MachineHealth, MachineStatus, MachineView } from "@/lib/backend/wire.gen";
import { byteSize } from "@/lib/text/bytes";
import { readable, readableLine } from "@/lib/text/sanitise";
import { clockTime, elapsed, exactTime } from "@/lib/text/time";
import { useNow } from "@/lib/use-now";
import { useVisible } from "@/lib/use-visible";

import { Figure, Figures, Meter } from "./figures";

/** How a machine is, for whoever looks into a problem. Followed only while somebody looks. */
export function Health({ view }: { view: MachineView }) {
  const visible = useVisible();
  const machineId = view.machine.id;
  const { value, state } = useWatch("machine.health", visible ? { machineId } : null);
  if (state.kind === "refused") return <ErrorNote>{state.error.message}</ErrorNote>;
  if (!value) return <Skeleton className="h-48" />;
  return (
    <div className="flex flex-col gap-8" data-testid="health" data-presence={value.presence.state}>
      <Connection health={value} view={view} />
      <OpenWork health={value} />
      {value.status ? (
        <Told status={value.status} at={value.statusAt ?? null} view={view} />
      ) : (
        <NothingTold health={value} name={view.machine.name} />
      )}
    </div>
  );
}

function Connection({ health, view }: { health: MachineHealth; view: MachineView }) {
  const now = useNow();
  const { presence, seenAt, leaseUntil, epoch } = health;
  const leaseHolds = leaseUntil != null && (presence.state === "online" || presence.state === "draining");
  return (
    <Section title="Connection">
      <Figures columns={4}>
        <Figure
          label="Presence"
          testId="health-presence"
          value={<PresenceText machine={{ ...view.machine, presence }} className="font-sans" />}
          note={presence.state === "online" ? `This connection began at ${clockTime(presence.since)}.` : null}
        >
          Whether the backend hears from the machine now.
        </Figure>
        <Figure
          label="Last sign of life"
          testId="health-seen"
          value={seenAt == null ? "never" : exactTime(seenAt)}
          note={seenAt == null ? null : `${elapsed(now - seenAt)} ago`}
        >
          A machine gives one every few seconds to a minute, also while it has nothing to do.
        </Figure>
        <Figure
          label="Lease"
          testId="health-lease"
          value={leaseHolds ? `until ${exactTime(leaseUntil)}` : leaseUntil == null ? "none" : "over"}
          note={leaseHolds || leaseUntil == null ? null : overNote(leaseUntil, now)}
        >
          Until then it counts as online without another sign of life; after that, as unknown.
        </Figure>
        <Figure label="Connection number" testId="health-epoch" value={epoch === 0 ? "none yet" : String(epoch)}>
          Its epoch: higher whenever its process connects anew, which shuts out any older process of this machine.
        </Figure>
      </Figures>
    </Section>
  );
}

/** A backend that sees a connection break or end does not wait for the lease. */
function overNote(leaseUntil: number, now: number): string {
  return leaseUntil > now ? "It ended with its connection." : `It ended at ${exactTime(leaseUntil)}.`;
}

function OpenWork({ health }: { health: MachineHealth }) {
  return (
    <Section title="Open work, as the backend has it">
      <Figures columns={3}>
        <Figure label="Messages" testId="health-turns" value={String(health.openTurnCount)}>
          Sent and not answered to the end: they wait or are under way.
        </Figure>
        <Figure label="Commands" testId="health-commands" value={String(health.openCommandCount)}>
          Listings, clones and the like that wait or run.
        </Figure>
        <Figure label="Asks" testId="health-asks" value={String(health.pendingAskCount)}>
          Permissions and questions that wait for a person.
        </Figure>
      </Figures>
    </Section>
  );
}

function NothingTold({ health: { presence }, name }: { health: MachineHealth; name: string }) {
  const connected = presence.state === "online" || presence.state === "draining";
  return (
    <Section title="As the machine tells it">
      <p
        className="rounded-lg border border-dashed px-4 py-6 text-center text-muted-foreground"
        data-testid="health-untold"
      >
        {connected
          ? `${name} has told nothing of its own work on this connection. It does so with its next signs of life; an agent of an older version never does. Update it to see processes, memory and errors here.`
          : presence.state === "never"
            ? `${name} has never connected, so it has told nothing yet.`
            : `${name} told nothing of its own work on its latest connection. Processes, memory and errors show here once it is back, if its agent is new enough to tell them.`}
      </p>
    </Section>
  );
}

function Told({ status, at, view }: { status: MachineStatus; at: number | null; view: MachineView }) {
  const now = useNow();
  const { processes, processLimit, memoryBytes, memoryLimitBytes } = status;
  return (
    <Section
      title="As the machine tells it"
      aside={at === null ? null : `as of ${exactTime(at)}, ${elapsed(now - at)} ago`}
    >
      <Figures columns={3}>
        <Figure
          label="Processes"
          testId="health-processes"
          value={`${processes} of ${processLimit}`}
          meter={
            <Meter label="Processes" value={processes} max={processLimit} text={`${processes} of ${processLimit}`} />
          }
        >
          opencode processes that run, start or stop. Beyond the limit messages wait; idle chats give theirs back.
        </Figure>
        <Figure
          label="Memory"
          testId="health-memory"
          value={memoryText(memoryBytes ?? null, memoryLimitBytes ?? null)}
          meter={
            memoryBytes != null &&
            memoryLimitBytes != null && (
              <Meter
                label="Memory"
                value={memoryBytes}
                max={memoryLimitBytes}
                text={memoryText(memoryBytes, memoryLimitBytes)}
              />
            )
          }
        >
          {memoryBytes == null
            ? "This system does not tell how much those processes use."
            : "Of those processes and all that they have started. Beyond the limit no further one starts."}
        </Figure>
        <Figure label="Not sent yet" testId="health-spooled" value={byteSize(status.spooledBytes)}>
          Pieces of answers that the backend has not taken yet. Kept, and sent when it does.
        </Figure>
        <Figure label="Calls that wait" testId="health-calls" value={String(status.pendingCalls)}>
          Calls whose answer from the backend is not there yet. Many for long: a slow or broken network.
        </Figure>
        <Figure
          label="Reconnects"
          testId="health-reconnects"
          value={String(status.reconnects)}
          note={`Its process started at ${clockTime(status.startedAt)}.`}
        >
          How often it lost the backend and found it again since its process started.
        </Figure>
      </Figures>
      <Waiting ids={status.waiting} view={view} />
      <Errors status={status} />
      <p className="text-2xs text-muted-foreground">
        Times of its start and its errors are by the machine&apos;s own clock.
      </p>
    </Section>
  );
}

function Waiting({ ids, view }: { ids: readonly ChatSessionId[]; view: MachineView }) {
  return (
    <div className="flex flex-col gap-1.5" data-testid="health-waiting">
      <h3 className="text-xs font-medium">Chats that wait for a process</h3>
      {ids.length === 0 ? (
        <p className="text-xs text-muted-foreground">None: every message gets its process at once.</p>
      ) : (
        <ol className="divide-y overflow-hidden rounded-lg border">
          {ids.map((id, index) => {
            const chat = view.chats.find((each) => each.id === id);
            return (
              <li key={id}>
                <RouteLink
                  to={{ page: "chat", chatSessionId: id }}
                  className="flex min-w-0 items-center gap-3 px-3 py-2 text-xs outline-none hover:bg-accent/60 focus-visible:ring-[3px] focus-visible:ring-ring/50 focus-visible:ring-inset"
                >
                  <span className="text-muted-foreground tabular-nums">{index + 1}</span>
                  <span className="min-w-0 truncate">{chat ? readableLine(chat.title) || "New chat" : "A chat"}</span>
                </RouteLink>
              </li>
            );
          })}
        </ol>
      )}
    </div>
  );
}

function Errors({ status: { errors } }: { status: MachineStatus }) {
  return (
    <div className="flex flex-col gap-1.5" data-testid="health-errors">
      <h3 className="text-xs font-medium">What went wrong lately</h3>
      {errors.length === 0 ? (
        <p className="text-xs text-muted-foreground">Nothing since its process started.</p>
      ) : (
        <ol className="divide-y rounded-lg border" reversed>
          {errors.toReversed().map((error, index) => (
            <li
              key={`${error.at} ${errors.length - index}`}
              className="flex gap-3 px-3 py-2 text-xs max-sm:flex-col max-sm:gap-0.5"
            >
              <time
                className="shrink-0 text-muted-foreground tabular-nums sm:w-28"
                dateTime={new Date(error.at).toISOString()}
              >
                {exactTime(error.at)}
              </time>
              <span className="min-w-0 break-words whitespace-pre-wrap">{readable(error.message)}</span>
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

function memoryText(bytes: number | null, limitBytes: number | null): string {
  if (bytes === null) return "not measured";
  return limitBytes === null ? `${byteSize(bytes)}, no limit` : `${byteSize(bytes)} of ${byteSize(limitBytes)}`;
}

function Section({ title, aside, children }: { title: string; aside?: string | null; children: ReactNode }) {
  return (
    <section className="flex flex-col gap-4" aria-label={title}>
      <div className="flex flex-wrap items-baseline justify-between gap-x-4 border-b pb-1.5">
        <h2 className="text-sm font-medium">{title}</h2>
        {aside && <span className="text-2xs text-muted-foreground tabular-nums">{aside}</span>}
      </div>
      {children}
    </section>
  );
}
