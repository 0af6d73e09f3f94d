"use client";

import { createContext, useContext } from "react";

import type { ChatState, MachineId, ProcessWait } from "@/lib/backend/wire.gen";
import type { ChatStore } from "@/lib/chat/chat-store";

interface ChatContextValue {
  store: ChatStore;
  chatState: ChatState;
  /** A sentence that says that the machine is away, or null while it is there. */
  away: string | null;
  /** The machine is away so that a stop ends a turn at once, without it. */
  gone: boolean;
  machineId: MachineId | null;
  /** Why the next message waits, if it waits for a process. */
  wait: ProcessWait | null;
  /** Messages can still be sent. */
  canWrite: boolean;
}

export const ChatContext = createContext<ChatContextValue | null>(null);

export function useChatContext(): ChatContextValue {
  const value = useContext(ChatContext);
  if (!value) throw new Error("useChatContext outside ChatPage");
  return value;
}

/** The worker's directory on its machine: paths in it are shown as seen from there. */
export const DirectoryContext = createContext<string | null>(null);

export function useDirectory(): string | null {
  return useContext(DirectoryContext);
}
