import type { Backend } from "../backend";
import { sharedBackend, type Constants } from "./client";
import { electOwner, type Browser } from "./owner";

/** Tabs of one build share; what they say to each other changes with the code. */
const BUILD = process.env.NEXT_PUBLIC_BUILD ?? "dev";

/**
 * A backend whose connections all tabs of this browser share. Without locks, which browsers give to no page that
 * came by plain HTTP from another computer, each tab has its own.
 */
export function shareAmongTabs(name: string, open: () => Backend, constants: Constants): Backend {
  if (typeof navigator === "undefined" || typeof BroadcastChannel === "undefined") return open();
  const { locks } = navigator as { locks?: LockManager };
  if (!locks) return open();
  return sharedBackend(electOwner(`orchestrator.${BUILD}.${name}`, open, tabsOf(locks)), constants);
}

function tabsOf(locks: LockManager): Browser {
  return {
    lock: async (name, held, options) => {
      try {
        await locks.request(name, options, held);
      } catch {
        // Stolen, or not wanted any more.
      }
    },
    channel: (name) => new BroadcastChannel(name),
    isHidden: () => document.visibilityState === "hidden",
    onAway: (listener) => {
      window.addEventListener("pagehide", () => listener(true));
      window.addEventListener("pageshow", ({ persisted }) => {
        if (persisted) listener(false);
      });
    },
  };
}
