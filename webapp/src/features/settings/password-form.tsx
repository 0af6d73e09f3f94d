"use client";

import { useState, type SubmitEvent } from "react";
import { toast } from "sonner";

import { ErrorNote } from "@/components/error-note";
import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import { Label } from "@/components/ui/label";
import { useIdentity } from "@/features/sign-in/signed-in";
import { asBackendError } from "@/lib/backend/backend";
import { useBackend } from "@/lib/backend/react";

/** Shorter ones are refused here; the backend has the last word. */
const PASSWORD_MIN_CHARS = 8;

export function PasswordForm() {
  const { auth } = useBackend();
  const { me, refresh } = useIdentity();
  const [current, setCurrent] = useState("");
  const [password, setPassword] = useState("");
  const [pending, setPending] = useState(false);
  const [error, setError] = useState<string | null>(null);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setPending(true);
    setError(null);
    try {
      await auth.setPassword(password, me.hasPassword ? current : undefined);
      toast.success(me.hasPassword ? "Password changed" : "Password set");
      setCurrent("");
      setPassword("");
      await refresh();
    } catch (thrown) {
      setError(asBackendError(thrown).message);
    } finally {
      setPending(false);
    }
  };

  return (
    <form className="flex max-w-xs flex-col gap-3" onSubmit={(event) => void submit(event)}>
      <input type="text" name="username" value="owner" autoComplete="username" readOnly hidden />
      {me.hasPassword && (
        <div className="flex flex-col gap-1.5">
          <Label htmlFor="current-password">Current password</Label>
          <Input
            id="current-password"
            type="password"
            autoComplete="current-password"
            required
            value={current}
            onChange={(event) => setCurrent(event.target.value)}
            data-testid="current-password"
          />
        </div>
      )}
      <div className="flex flex-col gap-1.5">
        <Label htmlFor="new-password">New password</Label>
        <Input
          id="new-password"
          type="password"
          autoComplete="new-password"
          required
          minLength={PASSWORD_MIN_CHARS}
          value={password}
          onChange={(event) => setPassword(event.target.value)}
          data-testid="new-password"
        />
        <p className="text-xs text-muted-foreground">At least {PASSWORD_MIN_CHARS} characters.</p>
      </div>
      {error !== null && <ErrorNote>{error}</ErrorNote>}
      <Button
        type="submit"
        className="self-start"
        disabled={pending || password.length < PASSWORD_MIN_CHARS || (me.hasPassword && current === "")}
        data-testid="password-submit"
      >
        {me.hasPassword ? "Change password" : "Set password"}
      </Button>
    </form>
  );
}
