import { useEffect, useState, useSyncExternalStore } from "react";

import { useBackend } from "../backend/react";
import type { ChatSessionId } from "../backend/wire.gen";
import { browserHost, ChatStore, type ChatSnapshot } from "./chat-store";

/** One chat session, live; the component is to be keyed by the chat session's id. */
export function useChat(chatSessionId: ChatSessionId): { store: ChatStore; snapshot: ChatSnapshot } {
  const backend = useBackend();
  const [store] = useState(() => new ChatStore(backend, chatSessionId, browserHost));
  useEffect(() => store.start(), [store]);
  return { store, snapshot: useSyncExternalStore(store.snapshot.subscribe, store.snapshot.get) };
}
