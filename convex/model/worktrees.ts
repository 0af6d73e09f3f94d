/**
 * Git worktrees: a chat session may have one for itself, so that two in one directory do not overwrite each other's
 * work. It goes with its chat session, unless work would be lost.
 */

import type { Doc } from "../functions/_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../functions/_generated/server";
import { chatById, workerById } from "./access";
import { queueCommand } from "./commands";
import type { Operation, Worktree } from "./gen/wire";
import { notFound, refusal } from "./refusal";

/** Where worktrees are, below the root. */
const WORKTREES = ".orchestrator-worktrees";
/** How much of a chat session's id its branch is named by. */
const BRANCH_ID_CHARS = 8;

/** The worktree that a new chat session gets. */
export const ownWorktree = (chat: string): Worktree => ({
  directory: `${WORKTREES}/${chat}`,
  branch: `orchestrator/${chat.slice(-BRANCH_ID_CHARS)}`,
  state: "wanted",
  reason: null,
});

/** The chat session has ended: asks its machine to remove the worktree. */
export async function removeWorktreeOf(
  ctx: MutationCtx,
  person: string,
  chat: Doc<"chats">,
  force: boolean,
): Promise<void> {
  await queueCommand(ctx, chat.machine, person, await removal(ctx, chat.machine, chat.id, force));
}

/** What a machine is asked to do to remove a chat session's worktree. */
export async function removal(ctx: QueryCtx, machine: string, chatId: string, force: boolean): Promise<Operation> {
  const chat = await chatById(ctx, chatId);
  if (chat?.machine !== machine || chat.worktree === null) {
    throw notFound("worktree");
  }
  if (chat.state !== "closed") {
    throw refusal("conflict", "The chat session still works in this worktree. End it first.");
  }
  const worker = await workerById(ctx, chat.worker);
  if (worker === null) {
    throw notFound("worktree");
  }
  const { directory, branch } = chat.worktree;
  return { kind: "remove_worktree", chatSessionId: chat.id, force, repository: worker.directory, directory, branch };
}

/** A command has ended: if it was to remove a worktree, the chat session shows what came of it. */
export async function worktreeCommandEnded(ctx: MutationCtx, command: Doc<"commands">): Promise<void> {
  if (command.operation.kind !== "remove_worktree") {
    return;
  }
  const chat = await chatById(ctx, command.operation.chatSessionId);
  if (chat?.worktree == null) {
    return;
  }
  const outcome: Pick<Worktree, "state" | "reason"> =
    command.state === "succeeded"
      ? { state: "removed", reason: null }
      : {
          state: "kept",
          reason: command.error?.message ?? "Removing it was given up before the machine came to it.",
        };
  await ctx.db.patch(chat._id, { worktree: { ...chat.worktree, ...outcome } });
}
