import { TriangleAlertIcon } from "lucide-react";

import { presenceOf } from "@/components/presence";
import type { MachineSummary } from "@/lib/backend/wire.gen";
import { clockTime } from "@/lib/text/time";

/** What a machine told about itself, and what its absence means. */
export function MachineFacts({ machine }: { machine: MachineSummary }) {
  const { info, presence } = machine;
  const facts: [string, string][] = [
    ...(info
      ? ([
          ["Host", info.hostname],
          ["System", `${info.os} / ${info.arch}`],
          ["Root", info.root],
          ["Agent", info.agentVersion],
          ["opencode", info.opencodeVersion ?? "not found"],
        ] satisfies [string, string][])
      : []),
    ["Added", clockTime(machine.createdAt)],
    ...(presence.state === "online"
      ? ([["Connected", `since ${clockTime(presence.since)}`]] satisfies [string, string][])
      : []),
  ];
  return (
    <div className="flex flex-col gap-3">
      {info?.problem != null && (
        <p
          className="flex gap-2 rounded-lg border border-wait/30 bg-wait/10 px-3 py-2 text-wait"
          role="alert"
          data-testid="machine-problem"
        >
          <TriangleAlertIcon className="mt-0.5 size-4 shrink-0" />
          <span className="min-w-0 break-words">Chats can&apos;t run here: {info.problem}</span>
        </p>
      )}
      {(presence.state === "unknown" || presence.state === "offline") && (
        <p className="rounded-lg border bg-muted/50 px-3 py-2 text-muted-foreground" data-testid="machine-away">
          {presence.state === "unknown"
            ? `The connection was lost; whether the machine still works is ${presenceOf(machine).text}. `
            : `The machine said goodbye at ${clockTime(presence.since)}. `}
          Messages you send now are kept and delivered when it is back. Start it again there with{" "}
          <code className="font-mono text-xs text-foreground">./start machine</code>.
        </p>
      )}
      <dl className="grid grid-cols-2 gap-x-6 gap-y-3 sm:grid-cols-4" data-testid="machine-facts">
        {facts.map(([label, text]) => (
          <div key={label} className="min-w-0">
            <dt className="text-2xs text-muted-foreground">{label}</dt>
            <dd className="truncate font-mono text-xs" title={text}>
              {text}
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
