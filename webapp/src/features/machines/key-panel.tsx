"use client";

import { CheckIcon, InfoIcon, LoaderCircleIcon, TimerIcon } from "lucide-react";

import { CopyButton } from "@/components/copy-button";
import { ErrorNote } from "@/components/error-note";
import { isThere } from "@/components/presence";
import { Button } from "@/components/ui/button";
import { useFleet } from "@/features/shell/fleet";
import { useAction, useBackend } from "@/lib/backend/react";
import type { RegistrationKeyReply } from "@/lib/backend/wire.gen";
import { navigate } from "@/lib/route";
import { countdown } from "@/lib/text/time";
import { useNow } from "@/lib/use-now";
import { cn } from "@/lib/utils";

const HURRY_MS = 60_000;

/** A registration key with the command to paste, until the machine has come. */
export function KeyPanel({
  issued,
  onReissued,
  onClose,
}: {
  issued: RegistrationKeyReply;
  onReissued: (next: RegistrationKeyReply) => void;
  onClose: () => void;
}) {
  const { list } = useFleet();
  const now = useNow();
  const reissue = useAction("machine.reissueKey");
  const machine = list.value?.machines.find(({ id }) => id === issued.machineId);
  const { machineAddress } = useBackend();
  const command = `./start machine --backend ${machineAddress} --key ${issued.registrationKey}`;
  const registered = machine?.state === "registered";
  const online = machine !== undefined && isThere(machine);
  const left = issued.expiresAt - now;
  const expired = left <= 0 && !registered;

  const issueAgain = async () => {
    const next = await reissue.run({ machineId: issued.machineId });
    if (next) onReissued(next);
  };
  const open = () => {
    navigate({ page: "machine", machineId: issued.machineId });
    onClose();
  };

  return (
    <div className="flex min-w-0 flex-col gap-4">
      <div className={cn("flex min-w-0 flex-col gap-3 transition-opacity", (expired || registered) && "opacity-50")}>
        <Copyable label="Command" text={command} testId="key-command" prompt />
        <Copyable
          label="Or, when it asks for the registration key"
          text={issued.registrationKey}
          testId="registration-key"
        />
        {isLocal(machineAddress) && (
          <p className="flex gap-2 text-xs text-muted-foreground">
            <InfoIcon className="mt-px size-3.5 shrink-0" />
            <span>
              <code className="font-mono">{machineAddress}</code> is only known on this computer. For another one, use
              an address of it that the other can reach.
            </span>
          </p>
        )}
      </div>
      {reissue.error && <ErrorNote>{reissue.error.message}</ErrorNote>}
      <div
        className="flex flex-wrap items-center justify-between gap-3 rounded-lg border bg-muted/50 px-3 py-2.5"
        role="status"
        aria-live="polite"
        data-testid="key-status"
        data-status={online ? "online" : registered ? "registered" : expired ? "expired" : "waiting"}
      >
        {online ? (
          <Status icon={<CheckIcon className="size-4 text-ok" />} text={`${machine.name} is online.`} />
        ) : registered ? (
          <Status
            icon={<LoaderCircleIcon className="size-4 animate-spin text-busy" />}
            text="Registered. Waiting for its connection…"
          />
        ) : expired ? (
          <Status icon={<TimerIcon className="size-4 text-bad" />} text="The key has expired." />
        ) : (
          <Status
            icon={<LoaderCircleIcon className="size-4 animate-spin text-muted-foreground" />}
            text="Waiting for the machine…"
          />
        )}
        {registered ? (
          <Button size="sm" onClick={open} data-testid="key-open-machine">
            Open machine
          </Button>
        ) : expired ? (
          <Button size="sm" onClick={() => void issueAgain()} disabled={reissue.pending} data-testid="key-reissue">
            New key
          </Button>
        ) : (
          <span
            className={cn("text-xs tabular-nums", left < HURRY_MS ? "text-wait" : "text-muted-foreground")}
            aria-live="off"
            data-testid="key-countdown"
          >
            expires in {countdown(left)}
          </span>
        )}
      </div>
    </div>
  );
}

function Copyable({
  label,
  text,
  testId,
  prompt = false,
}: {
  label: string;
  text: string;
  testId: string;
  prompt?: boolean;
}) {
  return (
    <div className="flex min-w-0 flex-col gap-1.5">
      <span className="text-xs font-medium">{label}</span>
      <div className="flex min-w-0 items-start gap-1 rounded-md border bg-code py-1 pr-1 pl-3">
        <code className="min-w-0 flex-1 py-1 font-mono text-xs leading-5 break-all" data-testid={testId}>
          {prompt && (
            <span className="text-muted-foreground select-none" aria-hidden>
              ${" "}
            </span>
          )}
          <span data-value>{text}</span>
        </code>
        <CopyButton text={text} label={`Copy the ${label.toLowerCase()}`} data-testid={`${testId}-copy`} />
      </div>
    </div>
  );
}

function Status({ icon, text }: { icon: React.ReactNode; text: string }) {
  return (
    <span className="flex items-center gap-2 text-sm">
      {icon}
      {text}
    </span>
  );
}

function isLocal(address: string): boolean {
  const { hostname } = new URL(address.replace(/^convex\+/, ""));
  return (
    hostname === "localhost" || hostname.endsWith(".localhost") || hostname.startsWith("127.") || hostname === "[::1]"
  );
}
