"use client";

import { usePathname, useSearchParams } from "next/navigation";
import { useSyncExternalStore } from "react";

import { Toaster } from "@/components/ui/sonner";
import { TooltipProvider } from "@/components/ui/tooltip";
import { SignedIn } from "@/features/sign-in/signed-in";
import { BackendProvider } from "@/lib/backend/react";
import { backend } from "@/lib/backend";
import { parseRoute } from "@/lib/route";

import { Shell } from "./shell";
import { Splash } from "./splash";

const never = () => () => undefined;

export function App() {
  const route = parseRoute(usePathname(), useSearchParams());
  // All that is shown comes from the backend, so nothing is rendered ahead of time but the splash.
  const inBrowser = useSyncExternalStore(
    never,
    () => true,
    () => false,
  );
  if (!inBrowser) return <Splash />;
  return (
    <BackendProvider backend={backend}>
      <TooltipProvider delayDuration={350}>
        <SignedIn route={route}>
          <Shell route={route} />
        </SignedIn>
        <Toaster />
      </TooltipProvider>
    </BackendProvider>
  );
}
