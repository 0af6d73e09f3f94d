import { TriangleAlertIcon } from "lucide-react";

import type { WorkerSummary } from "@/lib/backend/wire.gen";

/** Says who lives in a folder that is about to go away, and what that does to them. */
export function WorkersWarning({ workers, consequence }: { workers: readonly WorkerSummary[]; consequence: string }) {
  if (workers.length === 0) return null;
  const names = workers.map(({ name }) => name).join(", ");
  const open = workers.reduce((count, worker) => count + worker.openChatCount, 0);
  return (
    <p
      role="alert"
      className="flex items-start gap-2 rounded-md border border-wait/30 bg-wait/10 px-3 py-2 text-sm"
      data-testid="workers-warning"
    >
      <TriangleAlertIcon className="mt-0.5 size-4 shrink-0 text-wait" />
      <span className="min-w-0 break-words">
        {workers.length === 1 ? `The worker ${names} lives in it` : `${workers.length} workers live in it (${names})`}
        {open > 0 && (open === 1 ? ", with one open chat" : `, with ${open} open chats`)}. They {consequence}.
      </span>
    </p>
  );
}
