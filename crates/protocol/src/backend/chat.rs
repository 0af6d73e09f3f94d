//! Chat sessions: started, named and ended by people; their processes reported by machines.

use super::machine::{bounded_reason, machine};
use super::rows::{Rows, save};
use super::tables::{ChatRow, Entry, ReportPlace, TurnRow, WorkerRow, key};
use super::worktree::own_worktree;
use super::{Actor, Backend, Topic};
use crate::error::{CallError, ErrorCode};
use crate::ids::{ChatSessionId, MachineId, WorkerId};
use crate::limits::{NAME_MAX_BYTES, OPEN_CHATS_MAX};
use crate::schedule::FailureKind;
use crate::state::{ChatState, MachineState, TurnState, WorkerState};
use crate::wire::{
    Done, EndSessionArgs, RenameSessionArgs, ReportSessionArgs, StartSessionArgs,
    StartSessionReply, WorktreeState,
};

impl<R: Rows> Backend<'_, R> {
    pub(super) fn chat_start_session(
        &mut self,
        actor: &Actor,
        args: StartSessionArgs,
    ) -> Result<StartSessionReply, CallError> {
        let chat_session_id = self.start_session(actor, args, false)?;
        Ok(StartSessionReply { chat_session_id })
    }

    /// Begins a chat session, whose process asks before everything if `ask_first`.
    pub(super) fn start_session(
        &mut self,
        actor: &Actor,
        args: StartSessionArgs,
        ask_first: bool,
    ) -> Result<ChatSessionId, CallError> {
        let worker = self.usable_worker(actor, &args.worker_id)?;
        let title = args.title.as_deref().map(checked_title).transpose()?;
        let model = args.model.map(checked_model).transpose()?;
        let agent = args.agent.map(checked_agent).transpose()?;
        if self.open_chats(&worker.machine)?.len() >= OPEN_CHATS_MAX {
            return Err(CallError::new(
                ErrorCode::LimitReached,
                format!(
                    "This machine has {OPEN_CHATS_MAX} open chat sessions, which is the limit. End some first."
                ),
            ));
        }
        let id = ChatSessionId::generate(self.now, self.next_id_entropy());
        let source = args
            .continues
            .map(|source| self.continue_chat(actor, &source, &id))
            .transpose()?;
        let title = title.or_else(|| source.as_ref().map(|source| source.title.clone()));
        let row = ChatRow {
            id: id.clone(),
            machine: worker.machine,
            worker: worker.id,
            title: title.unwrap_or_default(),
            state: ChatState::Requested,
            reason: None,
            model: model.or(worker.settings.model),
            agent: agent.or(worker.settings.agent),
            agent_session_id: None,
            reported: ReportPlace::default(),
            last_ordinal: 0,
            queued_count: 0,
            pending_ask_count: 0,
            created_at: self.now,
            active_at: self.now,
            worktree: args.own_worktree.then(|| own_worktree(&id)),
            continues: source.map(|source| source.id),
            continued_by: None,
            background_for: None,
            ask_first,
        };
        save(self.rows, &key::open_chat_of(&row.machine, &row.id), &Entry)?;
        self.save_chat(&row)?;
        self.machine_changed(&row.machine)?;
        Ok(id)
    }

    /// The worker, if something can be begun there.
    pub(super) fn usable_worker(
        &self,
        actor: &Actor,
        id: &WorkerId,
    ) -> Result<WorkerRow, CallError> {
        let worker = self.worker_row(actor, id)?;
        if worker.state == WorkerState::Removed {
            return Err(CallError::new(
                ErrorCode::Conflict,
                "This worker was removed. Add it again to start a chat there.",
            ));
        }
        if self.machine_row(actor, &worker.machine)?.state == MachineState::Revoked {
            return Err(super::access::revoked());
        }
        Ok(worker)
    }

    pub(super) fn chat_rename_session(
        &mut self,
        actor: &Actor,
        args: RenameSessionArgs,
    ) -> Result<Done, CallError> {
        let mut row = self.chat_row(actor, &args.chat_session_id)?;
        row.title = checked_title(&args.title)?;
        self.save_chat(&row)?;
        Ok(Done {})
    }

    pub(super) fn chat_end_session(
        &mut self,
        actor: &Actor,
        args: EndSessionArgs,
    ) -> Result<Done, CallError> {
        let row = self.chat_row(actor, &args.chat_session_id)?;
        if row.state != ChatState::Closed {
            self.close_chat(actor, row, args.discard_worktree)?;
        }
        Ok(Done {})
    }

    pub(super) fn chat_report_session(
        &mut self,
        actor: &Actor,
        args: ReportSessionArgs,
    ) -> Result<Done, CallError> {
        let (_, epoch) = machine(actor)?;
        let mut row = self.chat_row(actor, &args.chat_session_id)?;
        let reported = args.state;
        if !matches!(
            reported,
            ChatState::Starting | ChatState::Ready | ChatState::Hibernated | ChatState::Failed
        ) {
            return Err(CallError::new(
                ErrorCode::Invalid,
                format!(
                    "A machine reports a chat session as starting, ready, hibernated or failed, not as {}.",
                    reported.as_str()
                ),
            ));
        }
        let place = ReportPlace(epoch, args.seq);
        if place <= row.reported {
            return Ok(Done {});
        }
        row.reported = place;
        if let Some(agent_session_id) = args.agent_session_id {
            row.agent_session_id = Some(short(&agent_session_id, "agentSessionId")?);
        }
        if row.state != reported {
            row.state = row.state.to(reported)?;
        }
        row.reason = args
            .reason
            .map(bounded_reason)
            .filter(|_| reported == ChatState::Failed);
        if let Some(worktree) = &mut row.worktree
            && reported == ChatState::Ready
        {
            worktree.state = WorktreeState::Present;
        }
        self.save_chat(&row)?;
        if reported == ChatState::Failed
            && let Some(turn) = self.head_turn(&row.id)?
        {
            // The message that needed the process tells its sender; it does not block those behind it.
            let outcome = if turn.state == TurnState::Queued {
                TurnState::Failed
            } else {
                TurnState::Interrupted
            };
            let reason = row.reason.clone();
            self.end_turn_as(turn, outcome, reason, Some(FailureKind::Process))?;
        }
        Ok(Done {})
    }

    /// Ends a chat session: what waits is cancelled, what runs is cancelled, nobody waits for an answer, and
    /// its worktree goes if nothing would be lost with it.
    pub(super) fn close_chat(
        &mut self,
        actor: &Actor,
        row: ChatRow,
        discard_worktree: bool,
    ) -> Result<(), CallError> {
        for turn in self.waiting_turns(&row.id)? {
            self.end_turn(turn, TurnState::Cancelled, None)?;
        }
        // Ending the turns has changed the row.
        let mut row = self.chat_by_id(&row.id)?;
        row.state = row.state.to(ChatState::Closed)?;
        row.reason = None;
        self.rows
            .delete(&key::open_chat_of(&row.machine, &row.id))?;
        save(
            self.rows,
            &key::closed_chat_of(&row.machine, &row.id),
            &Entry,
        )?;
        self.save_chat(&row)?;
        self.remove_worktree_of(actor, &row, discard_worktree)?;
        self.machine_changed(&row.machine)
    }

    pub(super) fn close_all_chats(
        &mut self,
        actor: &Actor,
        machine: &MachineId,
    ) -> Result<(), CallError> {
        for chat in self.open_chats(machine)? {
            self.close_chat(actor, chat, false)?;
        }
        Ok(())
    }

    pub(super) fn chat_by_id(&self, id: &ChatSessionId) -> Result<ChatRow, CallError> {
        super::rows::load(self.rows, &key::chat(id))?
            .ok_or_else(|| CallError::not_found("chat session"))
    }

    pub(super) fn save_chat(&mut self, row: &ChatRow) -> Result<(), CallError> {
        save(self.rows, &key::chat(&row.id), row)?;
        self.changed(Topic::Chat(row.id.clone()));
        self.changed(Topic::Machine(row.machine.clone()));
        self.changed(Topic::Inbox(row.machine.clone()));
        Ok(())
    }

    /// Writes a turn, and lets whoever watches its chat session know.
    pub(super) fn save_turn(&mut self, row: &TurnRow) -> Result<(), CallError> {
        save(self.rows, &key::turn(&row.id), row)?;
        self.changed(Topic::Chat(row.chat.clone()));
        self.changed(Topic::Inbox(row.machine.clone()));
        Ok(())
    }
}

fn checked_title(title: &str) -> Result<String, CallError> {
    super::machine::checked_name(title)
}

/// The beginning of a message as a title: its first line, cut at a word.
pub(super) fn title_from(message: &str) -> String {
    let line = message
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    if line.len() <= NAME_MAX_BYTES {
        return line;
    }
    let room = NAME_MAX_BYTES - '…'.len_utf8();
    let end = (0..=room)
        .rev()
        .find(|at| line.is_char_boundary(*at))
        .unwrap_or(0);
    let cut = &line[..end];
    let cut = cut.rsplit_once(' ').map_or(cut, |(words, _)| words);
    format!("{cut}…")
}

pub(super) fn checked_agent(agent: String) -> Result<String, CallError> {
    short(&agent, "agent")
}

pub(super) fn checked_model(model: String) -> Result<String, CallError> {
    match model.split_once('/') {
        Some((provider, name)) if !provider.is_empty() && !name.is_empty() => {
            short(&model, "model")
        }
        _ => Err(CallError::new(
            ErrorCode::Invalid,
            "A model is written provider/model, for example anthropic/claude-sonnet-4-5.",
        )),
    }
}

fn short(text: &str, what: &str) -> Result<String, CallError> {
    const NAME_LIKE_MAX_BYTES: usize = 256;
    if text.is_empty() || text.len() > NAME_LIKE_MAX_BYTES || text.chars().any(char::is_control) {
        return Err(CallError::new(
            ErrorCode::Invalid,
            format!(
                "{what} has to be 1 to {NAME_LIKE_MAX_BYTES} bytes without control characters."
            ),
        ));
    }
    Ok(text.to_owned())
}
