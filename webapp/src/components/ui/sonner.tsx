"use client";

import { CircleAlertIcon, CircleCheckIcon, InfoIcon } from "lucide-react";
import type { CSSProperties } from "react";
import { Toaster as Sonner } from "sonner";

import { useTheme } from "@/lib/theme";

export function Toaster() {
  return (
    <Sonner
      theme={useTheme()}
      position="bottom-right"
      gap={8}
      icons={{
        success: <CircleCheckIcon className="size-4 text-ok" />,
        error: <CircleAlertIcon className="size-4 text-bad" />,
        info: <InfoIcon className="size-4 text-busy" />,
      }}
      style={
        {
          "--normal-bg": "var(--popover)",
          "--normal-text": "var(--popover-foreground)",
          "--normal-border": "var(--border)",
          "--border-radius": "var(--radius)",
          fontFamily: "var(--font-sans)",
        } as CSSProperties
      }
    />
  );
}
