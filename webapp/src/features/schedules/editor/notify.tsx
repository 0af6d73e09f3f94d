"use client";

import { NotificationSwitch } from "@/features/settings/notification-switch";

import { Choice, Part } from "./choice";
import type { Draft } from "./draft";

/** Whom to tell, and of what. */
export function NotifyPart({ draft, change }: { draft: Draft; change: (change: Partial<Draft>) => void }) {
  const isTold = draft.onFailure || draft.onSuccess || draft.onAsk;
  return (
    <Part title="Notifications">
      <div className="grid gap-2 sm:grid-cols-3">
        <Choice
          type="checkbox"
          checked={draft.onFailure}
          onChange={(onFailure) => change({ onFailure })}
          label="On failure"
          testId="notify-failure"
        >
          Also when runs are missed, and when it pauses by itself.
        </Choice>
        <Choice
          type="checkbox"
          checked={draft.onSuccess}
          onChange={(onSuccess) => change({ onSuccess })}
          label="On success"
          testId="notify-success"
        >
          Each time a run was completed.
        </Choice>
        <Choice
          type="checkbox"
          checked={draft.onAsk}
          onChange={(onAsk) => change({ onAsk })}
          label="Needs an answer"
          testId="notify-ask"
        >
          When a run waits for a person.
        </Choice>
      </div>
      {isTold && (
        <div className="flex flex-wrap items-center gap-x-3 gap-y-2 text-xs text-muted-foreground">
          <span className="min-w-0 flex-1 basis-60">
            In this browser, while a page of the orchestrator is open. The browser asks once whether it may.
          </span>
          <NotificationSwitch />
        </div>
      )}
    </Part>
  );
}
