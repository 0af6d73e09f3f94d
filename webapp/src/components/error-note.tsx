import { CircleAlertIcon } from "lucide-react";
import type { ReactNode } from "react";

import { cn } from "@/lib/utils";

/** What went wrong, where it went wrong. */
export function ErrorNote({
  children,
  className,
  testId = "error",
}: {
  children: ReactNode;
  className?: string;
  testId?: string;
}) {
  return (
    <p
      role="alert"
      data-testid={testId}
      className={cn(
        "flex items-start gap-2 rounded-md border border-bad/25 bg-bad/8 px-3 py-2 text-sm text-bad",
        className,
      )}
    >
      <CircleAlertIcon className="mt-0.5 size-4 shrink-0" />
      <span className="min-w-0 break-words">{children}</span>
    </p>
  );
}
