"use client";

import { ArrowRightIcon } from "lucide-react";
import { useState, type SubmitEvent } from "react";

import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import { Label } from "@/components/ui/label";
import { useBackend } from "@/lib/backend/react";

import type { Trying } from "./sign-in-page";

export function PasswordSignIn({ trying, onSignedIn }: { trying: Trying; onSignedIn: () => Promise<void> }) {
  const { auth } = useBackend();
  const [password, setPassword] = useState("");
  const [pending, setPending] = useState(false);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setPending(true);
    try {
      await trying(() => auth.signInWithPassword(password));
      await onSignedIn();
    } catch {
      setPending(false);
    }
  };

  return (
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
  );
}
