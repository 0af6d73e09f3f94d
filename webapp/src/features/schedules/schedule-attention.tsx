"use client";

import { useEffect, useRef } from "react";
import { toast } from "sonner";

import { notificationsWanted, useNotificationChoice } from "@/features/shell/notifications";
import { asBackendError, type Backend } from "@/lib/backend/backend";
import { useBackend } from "@/lib/backend/react";
import type { RunId, RunSummary } from "@/lib/backend/wire.gen";
import { navigate } from "@/lib/route";
import { readableLine } from "@/lib/text/sanitise";

import { isWanted, runNews, type RunNews } from "./schedule-news";

const ALL = {};

/** Tells of runs as their schedules' notifications were chosen, while the page is open and the person wants to be called. */
export function ScheduleAttention() {
  const backend = useBackend();
  const choice = useNotificationChoice();
  const before = useRef<ReadonlyMap<RunId, RunSummary> | null>(null);
  const isOn = choice === "on";
  useEffect(() => {
    if (!isOn) return;
    before.current = null;
    return backend.watch("schedule.ledger", ALL, ({ runs }) => {
      // What was so when the page was opened is no news; nor are old rows that come back into the page.
      const oldest = Math.min(...(before.current ? [...before.current.values()].map(({ dueAt }) => dueAt) : []));
      const news =
        before.current === null
          ? []
          : runNews(
              before.current,
              runs.filter(({ dueAt }) => !(dueAt < oldest)),
            );
      before.current = new Map(runs.map((run) => [run.id, run]));
      for (const one of news) void tell(backend, one);
    });
  }, [backend, isOn]);
  return null;
}

async function tell(backend: Backend, news: RunNews): Promise<void> {
  const { run } = news;
  try {
    const { spec, schedule } = await backend.call("schedule.view", { scheduleId: run.scheduleId });
    if (!isWanted(news, spec.notify)) return;
    const paused = news.of === "failure" && schedule.state === "paused" && schedule.reason != null;
    show(run, paused ? `${news.text} ${readableLine(schedule.reason ?? "")}` : news.text, news.of);
  } catch (error) {
    // The schedule's choice can't be known; what happened is in its ledger.
    if (!asBackendError(error).isRetryable) return;
    show(run, news.text, news.of);
  }
}

function show(run: RunSummary, text: string, of: RunNews["of"]): void {
  const title = readableLine(run.scheduleName);
  const open = () =>
    navigate(
      run.chatSessionId == null
        ? { page: "schedule", scheduleId: run.scheduleId }
        : { page: "chat", chatSessionId: run.chatSessionId },
    );
  if (document.visibilityState === "visible" || !notificationsWanted()) {
    const say = of === "failure" ? toast.error : of === "success" ? toast.success : toast.warning;
    say(title, { description: text, action: { label: "Look", onClick: open } });
    return;
  }
  try {
    // The tag is the chat's, so that this takes the place of what is told of the chat itself.
    const notification = new Notification(title, { body: text, tag: run.chatSessionId ?? run.id, icon: "/icon.svg" });
    notification.onclick = () => {
      window.focus();
      open();
      notification.close();
    };
  } catch {
    // Phones only let a service worker notify; the tab's title has to do there.
  }
}
