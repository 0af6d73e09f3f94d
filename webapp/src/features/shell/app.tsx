"use client";

import { usePathname, useSearchParams } from "next/navigation";
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";

import { Toaster } from "@/components/ui/sonner";
import { TooltipProvider } from "@/components/ui/tooltip";
import { SignedIn } from "@/features/sign-in/signed-in";
import { Unreachable } from "@/features/sign-in/unreachable";
import { openBackend } from "@/lib/backend";
import { asBackendError, type Backend } from "@/lib/backend/backend";
import { BackendProvider } from "@/lib/backend/react";
import { parseRoute } from "@/lib/route";

import { Shell } from "./shell";
import { Splash } from "./splash";

const never = () => () => undefined;

type Opening = { kind: "opening" } | { kind: "open"; backend: Backend } | { kind: "failed"; message: string };

export function App() {
  const route = parseRoute(usePathname(), useSearchParams());
  // All that is shown comes from the backend, so nothing is rendered ahead of time but the splash.
  const inBrowser = useSyncExternalStore(
    never,
    () => true,
    () => false,
  );
  const [opening, setOpening] = useState<Opening>({ kind: "opening" });
  const open = useCallback(async () => setOpening(await opened()), []);
  useEffect(() => {
    void opened().then(setOpening);
  }, []);
  if (!inBrowser || opening.kind === "opening") return <Splash />;
  if (opening.kind === "failed") return <Unreachable message={opening.message} onRetry={open} />;
  return (
    <BackendProvider backend={opening.backend}>
      <TooltipProvider delayDuration={350}>
        <SignedIn route={route}>
          <Shell route={route} />
        </SignedIn>
        <Toaster />
      </TooltipProvider>
    </BackendProvider>
  );
}

async function opened(): Promise<Opening> {
  try {
    return { kind: "open", backend: await openBackend() };
  } catch (error) {
    return { kind: "failed", message: asBackendError(error).message };
  }
}
