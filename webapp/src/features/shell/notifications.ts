import { useSyncExternalStore } from "react";

const STORAGE_KEY = "orchestrator.notifications";
const listeners = new Set<() => void>();

export type NotificationChoice = "off" | "on" | "blocked" | "unavailable";

/** Whether the person wants to be called, and the browser lets the page call them. */
export function notificationsWanted(): boolean {
  return choice() === "on";
}

export function useNotificationChoice(): NotificationChoice {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    choice,
    () => "off",
  );
}

export async function setNotifications(on: boolean): Promise<void> {
  if (on && Notification.permission !== "granted") await Notification.requestPermission();
  try {
    if (on) window.localStorage.setItem(STORAGE_KEY, "on");
    else window.localStorage.removeItem(STORAGE_KEY);
  } catch {
    // Without storage the choice can't be kept; the switch shows it as off.
  }
  for (const listener of [...listeners]) listener();
}

function choice(): NotificationChoice {
  // Only there in a secure context: HTTPS, or this very computer.
  if (!("Notification" in window)) return "unavailable";
  if (Notification.permission === "denied") return "blocked";
  try {
    return Notification.permission === "granted" && window.localStorage.getItem(STORAGE_KEY) === "on" ? "on" : "off";
  } catch {
    return "off";
  }
}
