import type { ChatSessionId } from "@/lib/backend/wire.gen";

const PREFIX = "orchestrator.draft.";

/** What a person had begun to write in a chat: a reload takes nothing away. */
export function readDraft(id: ChatSessionId): string {
  try {
    return window.localStorage.getItem(PREFIX + id) ?? "";
  } catch {
    return "";
  }
}

export function writeDraft(id: ChatSessionId, text: string): void {
  try {
    if (text === "") window.localStorage.removeItem(PREFIX + id);
    else window.localStorage.setItem(PREFIX + id, text);
  } catch {
    // No storage, or full: the draft lives as long as the page.
  }
}
