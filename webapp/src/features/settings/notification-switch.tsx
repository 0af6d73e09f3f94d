"use client";

import { BellIcon, BellOffIcon } from "lucide-react";

import { Button } from "@/components/ui/button";
import { setNotifications, useNotificationChoice } from "@/features/shell/notifications";

export function NotificationSwitch() {
  const choice = useNotificationChoice();
  if (choice === "unavailable")
    return (
      <p className="text-xs text-muted-foreground">
        This browser notifies only for pages that come over HTTPS or from this very computer.
      </p>
    );
  if (choice === "blocked")
    return (
      <p className="text-xs text-muted-foreground">
        Notifications of this page are blocked in the browser&apos;s settings. Allow them there, then come back.
      </p>
    );
  return (
    <Button
      variant="outline"
      className="self-start"
      aria-pressed={choice === "on"}
      onClick={() => void setNotifications(choice !== "on")}
      data-testid="notifications"
    >
      {choice === "on" ? <BellIcon className="text-ok" /> : <BellOffIcon />}
      {choice === "on" ? "On" : "Off"}
    </Button>
  );
}
