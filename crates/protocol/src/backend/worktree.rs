//! Git worktrees: a chat session may have one for itself, so that two in one directory do not overwrite each
//! other's work. It goes with its chat session, unless work would be lost.

use super::rows::{Rows, load};
use super::tables::{ChatRow, CommandRow, WorkerRow, key};
use super::{Actor, Backend};
use crate::error::{CallError, ErrorCode};
use crate::ids::{ChatSessionId, MachineId};
use crate::state::{ChatState, CommandState};
use crate::wire::{Operation, Worktree, WorktreeState};

/// Where worktrees are, below the root.
const WORKTREES: &str = ".orchestrator-worktrees";
/// How much of a chat session's id its branch is named by.
const BRANCH_ID_CHARS: usize = 8;

/// The worktree that a new chat session gets.
pub(super) fn own_worktree(chat: &ChatSessionId) -> Worktree {
    let id = chat.as_str();
    Worktree {
        directory: format!("{WORKTREES}/{id}"),
        branch: format!("orchestrator/{}", &id[id.len() - BRANCH_ID_CHARS..]),
        state: WorktreeState::Wanted,
        reason: None,
    }
}

impl<R: Rows> Backend<'_, R> {
    /// The chat session has ended: asks its machine to remove the worktree.
    pub(super) fn remove_worktree_of(
        &mut self,
        actor: &Actor,
        chat: &ChatRow,
        force: bool,
    ) -> Result<(), CallError> {
        let (Some(_), Actor::Person(person)) = (&chat.worktree, actor) else {
            return Ok(());
        };
        let operation = self.removal(&chat.machine, &chat.id, force)?;
        self.wait_for_machine(&chat.machine, person, operation)?;
        Ok(())
    }

    /// What a machine is asked to do to remove a chat session's worktree.
    pub(super) fn removal(
        &self,
        machine: &MachineId,
        chat: &ChatSessionId,
        force: bool,
    ) -> Result<Operation, CallError> {
        let missing = || CallError::not_found("worktree");
        let chat = load::<ChatRow>(self.rows, &key::chat(chat))?
            .filter(|chat| chat.machine == *machine)
            .ok_or_else(missing)?;
        let worktree = chat.worktree.ok_or_else(missing)?;
        if chat.state != ChatState::Closed {
            return Err(CallError::new(
                ErrorCode::Conflict,
                "The chat session still works in this worktree. End it first.",
            ));
        }
        let worker: WorkerRow = load(self.rows, &key::worker(&chat.worker))?.ok_or_else(missing)?;
        Ok(Operation::RemoveWorktree {
            chat_session_id: chat.id,
            force,
            repository: worker.directory,
            directory: worktree.directory,
            branch: worktree.branch,
        })
    }

    /// A command has ended: if it was to remove a worktree, the chat session shows what came of it.
    pub(super) fn worktree_command_ended(&mut self, command: &CommandRow) -> Result<(), CallError> {
        let Operation::RemoveWorktree {
            chat_session_id, ..
        } = &command.operation
        else {
            return Ok(());
        };
        let Some(mut chat) = load::<ChatRow>(self.rows, &key::chat(chat_session_id))? else {
            return Ok(());
        };
        if let Some(worktree) = &mut chat.worktree {
            if command.state == CommandState::Succeeded {
                worktree.state = WorktreeState::Removed;
                worktree.reason = None;
            } else {
                worktree.state = WorktreeState::Kept;
                worktree.reason = Some(match &command.error {
                    Some(error) => error.message.clone(),
                    None => "Removing it was given up before the machine came to it.".to_owned(),
                });
            }
            self.save_chat(&chat)?;
        }
        Ok(())
    }
}
