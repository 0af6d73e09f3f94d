"use client";

import { UnplugIcon } from "lucide-react";
import { useEffect, useState } from "react";

import { Button } from "@/components/ui/button";
import { onWake } from "@/lib/backend/backoff";

const RETRY_MS = 3_000;

/** The backend does not answer: keeps trying, and says so. */
export function Unreachable({ message, onRetry }: { message: string; onRetry: () => Promise<void> }) {
  const [trying, setTrying] = useState(false);
  useEffect(() => {
    const timer = setInterval(() => void onRetry(), RETRY_MS);
    const stop = onWake(() => void onRetry());
    return () => {
      clearInterval(timer);
      stop();
    };
  }, [onRetry]);
  const retry = async () => {
    setTrying(true);
    await onRetry();
    setTrying(false);
  };
  return (
    <main className="grid h-dvh place-items-center p-6" data-testid="unreachable">
      <div className="flex max-w-sm flex-col items-center gap-3 text-center">
        <UnplugIcon className="size-8 text-muted-foreground" />
        <h1 className="text-base font-semibold">The backend does not answer</h1>
        <p className="text-muted-foreground">{message}</p>
        <p className="text-xs text-muted-foreground">The page keeps trying and goes on by itself.</p>
        <Button variant="outline" onClick={() => void retry()} disabled={trying}>
          Try now
        </Button>
      </div>
    </main>
  );
}
