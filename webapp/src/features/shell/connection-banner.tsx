"use client";

import { LoaderCircleIcon, WifiOffIcon } from "lucide-react";

import { useConnection } from "@/lib/backend/react";
import { clockTime } from "@/lib/text/time";

/** While the page is cut off it says so, and as of when the things on it are true. */
export function ConnectionBanner() {
  const connection = useConnection();
  return (
    <div role="status" aria-live="polite" data-testid="connection" data-connection={connection.kind}>
      {connection.kind === "stale" && (
        <p
          className="flex items-center justify-center gap-2 border-b border-wait/30 bg-wait/12 px-3 py-1.5 text-xs text-wait"
          data-testid="connection-banner"
        >
          <WifiOffIcon className="size-3.5 shrink-0" />
          <span>
            Reconnecting… showing state as of <time>{clockTime(connection.since)}</time>.
          </span>
          <LoaderCircleIcon className="size-3.5 shrink-0 animate-spin" />
        </p>
      )}
    </div>
  );
}
