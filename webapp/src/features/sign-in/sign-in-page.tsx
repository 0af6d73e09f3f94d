"use client";

import { ArrowRightIcon, LinkIcon } from "lucide-react";
import { useState, type ReactNode } from "react";

import { ErrorNote } from "@/components/error-note";
import { Logo } from "@/components/logo";
import { Button } from "@/components/ui/button";
import { asBackendError, type WaysIn } from "@/lib/backend/backend";
import { useBackend } from "@/lib/backend/react";

import { PasswordSignIn } from "./password-sign-in";

export function SignInPage({ problem, onSignedIn }: { problem: string | null; onSignedIn: () => Promise<void> }) {
  const { auth } = useBackend();
  const [error, setError] = useState<string | null>(problem);

  const trying = async (way: () => Promise<void>) => {
    setError(null);
    try {
      await way();
    } catch (thrown) {
      setError(asBackendError(thrown).message);
      throw thrown;
    }
  };

  return (
    <main className="grid min-h-dvh place-items-center p-6" data-testid="sign-in-page">
      <div className="flex w-full max-w-[22rem] flex-col gap-6">
        <div className="flex flex-col items-start gap-4">
          <Logo className="size-10" />
          <div className="flex flex-col gap-1">
            <h1 className="text-xl font-semibold tracking-tight">Sign in to Orchestrator</h1>
            <p className="text-muted-foreground">Your machines, their workers and every chat, in one place.</p>
          </div>
        </div>
        {error !== null && <ErrorNote testId="sign-in-error">{error}</ErrorNote>}
        {auth.ways.provider !== null && <ProviderSignIn name={auth.ways.provider} trying={trying} />}
        {auth.ways.password && <PasswordSignIn trying={trying} onSignedIn={onSignedIn} />}
        <LinkHint ways={auth.ways} />
      </div>
    </main>
  );
}

/** Runs a way in; what it was refused with is on the page, and thrown. */
export type Trying = (way: () => Promise<void>) => Promise<void>;

function ProviderSignIn({ name, trying }: { name: string; trying: Trying }) {
  const { auth } = useBackend();
  const [pending, setPending] = useState(false);
  const go = async () => {
    setPending(true);
    try {
      await trying(async () => window.location.assign(await auth.providerAddress()));
    } catch {
      setPending(false);
    }
  };
  return (
    <Button size="lg" disabled={pending} onClick={() => void go()} autoFocus data-testid="sign-in-provider">
      {pending ? "One moment…" : `Sign in with ${name}`}
      <ArrowRightIcon />
    </Button>
  );
}

function LinkHint({ ways }: { ways: WaysIn }) {
  return (
    <div className="flex gap-3 rounded-lg border bg-muted/60 p-3 text-xs leading-relaxed text-muted-foreground">
      <LinkIcon className="mt-0.5 size-3.5 shrink-0" />
      {ways.link === "once" ? (
        <p>
          First time here, or no password yet? Open the sign-in link that <Code>./start</Code> printed in the terminal.
          A link works once; <Code>orchestrator link</Code> prints another.
        </p>
      ) : (
        <p>
          {ways.provider !== null && "No account there? "}Open the sign-in link that <Code>./start</Code> printed in the
          terminal; <Code>orchestrator link</Code> prints another. Whoever has the link is signed in until it expires:
          keep it to yourself.
        </p>
      )}
    </div>
  );
}

function Code({ children }: { children: ReactNode }) {
  return <code className="font-mono text-foreground">{children}</code>;
}
