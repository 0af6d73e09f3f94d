"use client";

import { useConnection } from "@/lib/backend/react";
import type { MachineSummary } from "@/lib/backend/wire.gen";
import { clockTime } from "@/lib/text/time";
import { cn } from "@/lib/utils";

export type PresenceTone = "ok" | "wait" | "quiet";

/** What is honestly known of a machine, in a word and a tone. Never "online" on hope. */
export function presenceOf({ state, presence, keyExpiresAt }: MachineSummary): { tone: PresenceTone; text: string } {
  if (state === "revoked") return { tone: "quiet", text: "revoked" };
  switch (presence.state) {
    case "online":
      return { tone: "ok", text: "online" };
    case "draining":
      return { tone: "wait", text: `draining since ${clockTime(presence.since)}` };
    case "unknown":
      return { tone: "wait", text: `unknown since ${clockTime(presence.since)}` };
    case "offline":
      return { tone: "quiet", text: `offline since ${clockTime(presence.since)}` };
    case "never":
      return { tone: "quiet", text: keyExpiresAt != null ? "waiting for its first start" : "never connected" };
  }
}

/** The machine can begin new work now. */
export function isThere(machine: MachineSummary): boolean {
  return machine.presence.state === "online";
}

/** Nothing that is asked of it now reaches it; nobody knows when it will, if ever. */
export function isGone({ state, presence }: MachineSummary): boolean {
  return state === "revoked" || (presence.state !== "online" && presence.state !== "draining");
}

const DOT: Record<PresenceTone, string> = {
  ok: "bg-ok ring-ok/20",
  wait: "bg-transparent ring-wait/0 border-[1.5px] border-wait",
  quiet: "bg-transparent ring-quiet/0 border-[1.5px] border-quiet",
};

export function PresenceDot({ machine, className }: { machine: MachineSummary; className?: string }) {
  const { tone, text } = presenceOf(machine);
  // While the page itself is cut off, a filled dot would claim what nobody knows.
  const known = useConnection().kind !== "stale";
  return (
    <span
      role="img"
      aria-label={known ? text : `${text}, as last seen`}
      data-testid="presence-dot"
      data-presence={machine.presence.state}
      className={cn("inline-block size-2 shrink-0 rounded-full ring-3", known ? DOT[tone] : DOT.quiet, className)}
    />
  );
}

const TEXT: Record<PresenceTone, string> = { ok: "text-ok", wait: "text-wait", quiet: "text-muted-foreground" };

export function PresenceText({ machine, className }: { machine: MachineSummary; className?: string }) {
  const { tone, text } = presenceOf(machine);
  const connection = useConnection();
  return (
    <span
      data-testid="presence"
      data-presence={machine.presence.state}
      className={cn("inline-flex items-center gap-1.5 whitespace-nowrap", TEXT[tone], className)}
    >
      <PresenceDot machine={machine} />
      {text}
      {connection.kind === "stale" && tone === "ok" && (
        <span className="text-muted-foreground">as of {clockTime(connection.since)}</span>
      )}
    </span>
  );
}
