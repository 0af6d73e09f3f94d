import type { ProcessWait } from "@/lib/backend/wire.gen";

/** Why a message waits although its machine is there, in one sentence. */
export function waitSentence({ ahead, processes, processLimit, forMemory }: ProcessWait): string {
  const first = ahead === 0 ? "this chat is next" : ahead === 1 ? "1 chat comes first" : `${ahead} chats come first`;
  return forMemory
    ? `Waits for free memory: ${first} (${processes} of ${processLimit} run).`
    : `Waits for a free process: ${first} (${processes} of ${processLimit} run).`;
}
