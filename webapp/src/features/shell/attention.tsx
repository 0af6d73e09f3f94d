"use client";

import { useEffect, useRef } from "react";

import type { ChatSummary } from "@/lib/backend/wire.gen";
import { navigate, type Route } from "@/lib/route";
import { readableLine } from "@/lib/text/sanitise";

import { useFleet } from "./fleet";
import { newsOf } from "./news";
import { notificationsWanted } from "./notifications";

/** Calls the person: a number in the tab's title while somebody waits, and a notification while the page is out of sight. */
export function Attention({ route }: { route: Route }) {
  const { chats, pendingAskCount } = useFleet();
  const before = useRef<ReadonlyMap<string, ChatSummary> | null>(null);
  const current = route.page === "chat" ? chats.find(({ id }) => id === route.chatSessionId) : undefined;
  const place = current ? readableLine(current.title) || "New chat" : TITLES[route.page];

  useEffect(() => {
    document.title = `${pendingAskCount > 0 ? `(${pendingAskCount}) ` : ""}${place === null ? "" : `${place} · `}Orchestrator`;
  }, [pendingAskCount, place]);

  useEffect(() => {
    const now = new Map(chats.map((chat) => [chat.id, chat]));
    // What was so when the page was opened is no news.
    if (before.current && document.visibilityState === "hidden" && notificationsWanted()) {
      for (const { chat, text } of newsOf(before.current, now)) notify(chat, text);
    }
    before.current = now;
  }, [chats]);
  return null;
}

const TITLES: Record<Route["page"], string | null> = {
  home: null,
  "sign-in": null,
  machine: "Machine",
  chat: "Chat",
  schedules: "Schedules",
  "new-schedule": "New schedule",
  schedule: "Schedule",
  settings: "Settings",
  "not-found": "Not found",
};

function notify(chat: ChatSummary, text: string): void {
  try {
    const notification = new Notification(readableLine(chat.title) || "New chat", {
      body: text,
      tag: chat.id,
      icon: "/icon.svg",
    });
    notification.onclick = () => {
      window.focus();
      navigate({ page: "chat", chatSessionId: chat.id });
      notification.close();
    };
  } catch {
    // Phones only let a service worker notify; the tab's title has to do there.
  }
}
