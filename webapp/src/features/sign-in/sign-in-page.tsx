"use client";

import { ArrowRightIcon, LinkIcon } from "lucide-react";
import { useState, type SubmitEvent } from "react";

import { ErrorNote } from "@/components/error-note";
import { Logo } from "@/components/logo";
import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import { Label } from "@/components/ui/label";
import { asBackendError } from "@/lib/backend/backend";
import { useBackend } from "@/lib/backend/react";

export function SignInPage({ problem, onSignedIn }: { problem: string | null; onSignedIn: () => Promise<void> }) {
  const { auth } = useBackend();
  const [password, setPassword] = useState("");
  const [pending, setPending] = useState(false);
  const [error, setError] = useState<string | null>(problem);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setPending(true);
    setError(null);
    try {
      await auth.signInWithPassword(password);
      await onSignedIn();
    } catch (thrown) {
      setError(asBackendError(thrown).message);
      setPending(false);
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
        <form className="flex flex-col gap-3" onSubmit={(event) => void submit(event)}>
          <div className="flex flex-col gap-1.5">
            <Label htmlFor="password">Password</Label>
            {/* For password managers, which file a password under a name. */}
            <input type="text" name="username" value="owner" autoComplete="username" readOnly hidden />
            <Input
              id="password"
              name="password"
              type="password"
              autoComplete="current-password"
              autoFocus
              required
              value={password}
              onChange={(event) => setPassword(event.target.value)}
              className="h-9"
              data-testid="sign-in-password"
            />
          </div>
          <Button type="submit" size="lg" disabled={pending || password === ""} data-testid="sign-in-submit">
            {pending ? "Signing in…" : "Sign in"}
            <ArrowRightIcon />
          </Button>
        </form>
        <div className="flex gap-3 rounded-lg border bg-muted/60 p-3 text-xs leading-relaxed text-muted-foreground">
          <LinkIcon className="mt-0.5 size-3.5 shrink-0" />
          <p>
            First time here, or no password yet? Open the sign-in link that{" "}
            <code className="font-mono text-foreground">./start</code> printed in the terminal. A link works once;{" "}
            <code className="font-mono text-foreground">orchestrator link</code> prints another.
          </p>
        </div>
      </div>
    </main>
  );
}
