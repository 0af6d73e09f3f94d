import type { ChatSummary } from "@/lib/backend/wire.gen";

export interface News {
  chat: ChatSummary;
  text: string;
}

/** What a person who looked away wants to hear of: somebody waits for them, or a turn has ended. */
export function newsOf(before: ReadonlyMap<string, ChatSummary>, now: ReadonlyMap<string, ChatSummary>): News[] {
  const news: News[] = [];
  for (const [id, chat] of now) {
    const old = before.get(id);
    if (!old) continue;
    if (chat.pendingAskCount > old.pendingAskCount) news.push({ chat, text: "Waits for your answer." });
    else if (old.state === "busy" && chat.state === "ready") news.push({ chat, text: "The turn has ended." });
    else if (old.state !== "failed" && chat.state === "failed")
      news.push({ chat, text: "opencode could not be started." });
  }
  return news;
}
