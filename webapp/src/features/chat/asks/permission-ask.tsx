"use client";

import { BanIcon, CheckCheckIcon, CheckIcon } from "lucide-react";
import { useId, useState, type SubmitEvent } from "react";

import { ErrorNote } from "@/components/error-note";
import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import type { Ask, AskBody } from "@/lib/backend/wire.gen";
import { fromDirectory } from "@/lib/text/paths";
import { readable, readableLine } from "@/lib/text/sanitise";

import { useDirectory } from "../chat-context";
import { DiffView } from "../parts/diff-view";
import { parse } from "../parts/tool-input";
import { useAnswer } from "./use-answer";

type PermissionBody = Extract<AskBody, { kind: "permission" }>;

export function PermissionAsk({ ask, body }: { ask: Ask; body: PermissionBody }) {
  const { answer, busy, error } = useAnswer(ask);
  const [denying, setDenying] = useState(false);
  const directory = useDirectory();
  const detail = detailOf(body);
  return (
    <div className="flex flex-col gap-3 p-3">
      <p className="text-sm font-medium" data-testid="ask-title">
        {TITLES[body.permission] ?? `Allow ${readableLine(body.permission)}?`}
      </p>
      {detail.command !== null ? (
        <Lines lines={[detail.command]} prompt />
      ) : (
        body.patterns.length > 0 && <Lines lines={body.patterns.map((pattern) => fromDirectory(pattern, directory))} />
      )}
      {detail.diff !== null && <DiffView diff={detail.diff} />}
      {detail.rest !== "" && (
        <details className="text-xs">
          <summary className="cursor-pointer text-muted-foreground outline-none hover:text-foreground focus-visible:ring-[3px] focus-visible:ring-ring/50">
            Details
          </summary>
          <pre className="mt-1.5 max-h-48 overflow-auto rounded-md bg-code px-2.5 py-2 font-mono leading-5 break-words whitespace-pre-wrap">
            {detail.rest}
          </pre>
        </details>
      )}
      {error && <ErrorNote>{error.message}</ErrorNote>}
      {denying ? (
        <DenyForm
          busy={busy}
          onBack={() => setDenying(false)}
          onDeny={(message) => void answer(message === "" ? { kind: "reject" } : { kind: "reject", message })}
        />
      ) : (
        <div className="sticky bottom-0 -mx-3 -mb-3 flex flex-col gap-2 bg-card px-3 pb-3">
          <div className="flex flex-wrap gap-2">
            <Button
              size="sm"
              disabled={busy}
              onClick={() => void answer({ kind: "once" })}
              data-testid="ask-allow-once"
            >
              <CheckIcon />
              Allow once
            </Button>
            {body.always.length > 0 && (
              <Button
                size="sm"
                variant="outline"
                disabled={busy}
                onClick={() => void answer({ kind: "always" })}
                data-testid="ask-allow-always"
              >
                <CheckCheckIcon />
                Allow always
              </Button>
            )}
            <Button size="sm" variant="ghost" disabled={busy} onClick={() => setDenying(true)} data-testid="ask-deny">
              <BanIcon />
              Deny…
            </Button>
          </div>
          {body.always.length > 0 && (
            <p className="text-xs leading-relaxed text-muted-foreground" data-testid="ask-always-scope">
              Always allows{" "}
              {body.always.map((pattern, index) => (
                <span key={index}>
                  {index > 0 && ", "}
                  <code className="rounded-sm bg-muted px-1 py-px font-mono text-2xs text-foreground">
                    {readableLine(pattern)}
                  </code>
                </span>
              ))}{" "}
              {body.always.includes("*") && "(everything of this kind) "}for as long as this chat&apos;s process lives.
            </p>
          )}
        </div>
      )}
    </div>
  );
}

const TITLES: Record<string, string> = {
  bash: "Run this command?",
  edit: "Change this file?",
  webfetch: "Read this page from the web?",
  websearch: "Search the web for this?",
  external_directory: "Work outside the worker's directory?",
  task: "Start a sub-agent?",
  doom_loop: "Go on, although it repeats itself?",
};

function DenyForm({ busy, onBack, onDeny }: { busy: boolean; onBack: () => void; onDeny: (message: string) => void }) {
  const [message, setMessage] = useState("");
  const id = useId();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    onDeny(message.trim());
  };
  return (
    <form className="flex flex-col gap-2" onSubmit={submit}>
      <label htmlFor={id} className="text-xs text-muted-foreground">
        What should it do instead? Without a word, denying ends the turn.
      </label>
      <div className="flex flex-wrap gap-2">
        <Input
          id={id}
          autoFocus
          className="min-w-48 flex-1"
          value={message}
          onChange={(event) => setMessage(event.target.value)}
          placeholder="Use the test script instead"
          data-testid="ask-deny-reason"
        />
        <Button
          type="submit"
          size="sm"
          variant="destructive"
          className="h-8"
          disabled={busy}
          data-testid="ask-deny-confirm"
        >
          {message.trim() === "" ? "Deny" : "Deny and say so"}
        </Button>
        <Button size="sm" variant="ghost" className="h-8" onClick={onBack}>
          Back
        </Button>
      </div>
    </form>
  );
}

function Lines({ lines, prompt = false }: { lines: string[]; prompt?: boolean }) {
  return (
    <pre
      className="max-h-56 overflow-auto rounded-md border bg-code px-2.5 py-2 font-mono text-xs leading-5 break-words whitespace-pre-wrap scroll-thin"
      data-testid="ask-patterns"
      tabIndex={0}
    >
      {lines.map((text, index) => (
        <span key={index} className="block">
          {prompt && (
            <span className="text-muted-foreground select-none" aria-hidden>
              ${" "}
            </span>
          )}
          {readable(text)}
        </span>
      ))}
    </pre>
  );
}

interface Detail {
  command: string | null;
  diff: string | null;
  rest: string;
}

function detailOf({ detail, patterns }: PermissionBody): Detail {
  const known = parse(detail);
  if (!known) return { command: null, diff: null, rest: readable(detail) };
  const { command, diff, ...rest } = known;
  const entries = Object.entries(rest).filter(
    ([, value]) => value !== null && value !== "" && !(typeof value === "string" && patterns.includes(value)),
  );
  return {
    command: typeof command === "string" ? command : null,
    diff: typeof diff === "string" && diff !== "" ? diff : null,
    rest: entries
      .map(([name, value]) =>
        readable(`${name}: ${typeof value === "string" ? value : JSON.stringify(value, null, 2)}`),
      )
      .join("\n"),
  };
}
