//! How a machine is: what it tells of itself with its signs of life, and what waits for it here.

use std::collections::BTreeSet;

use super::machine::bounded_reason;
use super::rows::{Rows, load, save};
use super::tables::{ChatRow, Link, PresenceRow, StatusRow, key};
use super::{Actor, Backend, Topic};
use crate::error::CallError;
use crate::ids::{ChatSessionId, MachineId};
use crate::limits::{STATUS_ERRORS_MAX, STATUS_WAITING_MAX};
use crate::state::TurnState;
use crate::wire::{MachineArgs, MachineError, MachineHealth, MachineStatus, ProcessWait};

impl<R: Rows> Backend<'_, R> {
    pub(super) fn machine_health(
        &mut self,
        actor: &Actor,
        args: MachineArgs,
    ) -> Result<MachineHealth, CallError> {
        let machine = self.machine_row(actor, &args.machine_id)?;
        let presence: Option<PresenceRow> = load(self.rows, &key::presence(&machine.id))?;
        let status: Option<StatusRow> = load(self.rows, &key::status(&machine.id))?;
        let mut open_turn_count = 0;
        let mut pending_ask_count = 0;
        for chat in self.open_chats(&machine.id)? {
            open_turn_count += chat.queued_count;
            pending_ask_count += chat.pending_ask_count;
            if let Some(head) = self.head_turn(&chat.id)?
                && head.state != TurnState::Queued
            {
                open_turn_count += 1;
            }
        }
        let lease_until = presence
            .as_ref()
            .filter(|row| matches!(row.link, Link::Up | Link::Draining))
            .map(|row| row.lease_until);
        Ok(MachineHealth {
            presence: self.presence(&machine)?,
            epoch: presence.as_ref().map_or(0, |row| row.epoch),
            seen_at: presence.map(|row| row.seen_at),
            lease_until,
            open_turn_count,
            open_command_count: self.open_commands(&machine.id)?.len() as u32,
            pending_ask_count,
            status_at: status.as_ref().map(|row| row.at),
            status: status.map(|row| row.status),
        })
    }

    /// The machine has told how it is.
    pub(super) fn keep_status(
        &mut self,
        machine: &MachineId,
        status: MachineStatus,
    ) -> Result<(), CallError> {
        let earlier = self.status(machine)?.unwrap_or_default();
        let status = bounded_status(status);
        let chats: BTreeSet<&ChatSessionId> =
            earlier.waiting.iter().chain(&status.waiting).collect();
        for chat in chats {
            if wait_of(&earlier, chat) != wait_of(&status, chat) {
                self.changed(Topic::Chat(chat.clone()));
            }
        }
        let row = StatusRow {
            at: self.now,
            status,
        };
        save(self.rows, &key::status(machine), &row)
    }

    /// What an earlier connection told says nothing of the one that begins.
    pub(super) fn forget_status(&mut self, machine: &MachineId) -> Result<(), CallError> {
        self.waits_changed(machine)?;
        Ok(self.rows.delete(&key::status(machine))?)
    }

    /// Why the chat session's next message waits, if its machine is there and says that it waits for a process.
    pub(super) fn process_wait(&self, chat: &ChatRow) -> Result<Option<ProcessWait>, CallError> {
        let head = self.head_turn(&chat.id)?;
        if head.is_none_or(|turn| turn.state != TurnState::Queued) {
            return Ok(None);
        }
        let presence: Option<PresenceRow> = load(self.rows, &key::presence(&chat.machine))?;
        if !presence.is_some_and(|row| row.link == Link::Up && row.lease_holds(self.now)) {
            return Ok(None);
        }
        let status = self.status(&chat.machine)?;
        Ok(status.and_then(|status| wait_of(&status, &chat.id)))
    }

    /// Whether what the machine told of those that wait holds has changed.
    pub(super) fn waits_changed(&mut self, machine: &MachineId) -> Result<(), CallError> {
        for chat in self.status(machine)?.unwrap_or_default().waiting {
            self.changed(Topic::Chat(chat));
        }
        Ok(())
    }

    fn status(&self, machine: &MachineId) -> Result<Option<MachineStatus>, CallError> {
        let row: Option<StatusRow> = load(self.rows, &key::status(machine))?;
        Ok(row.map(|row| row.status))
    }
}

/// A machine with a free place starts whoever is next at once, unless memory is short.
fn wait_of(status: &MachineStatus, chat: &ChatSessionId) -> Option<ProcessWait> {
    let ahead = status.waiting.iter().position(|waiting| waiting == chat)?;
    Some(ProcessWait {
        ahead: u32::try_from(ahead).unwrap_or(u32::MAX),
        processes: status.processes,
        process_limit: status.process_limit,
        for_memory: status.processes < status.process_limit,
    })
}

/// A sign of life is never refused for what it tells: what is too much of it is left out.
fn bounded_status(mut status: MachineStatus) -> MachineStatus {
    status.waiting.truncate(STATUS_WAITING_MAX);
    let too_many = status.errors.len().saturating_sub(STATUS_ERRORS_MAX);
    status.errors = status
        .errors
        .into_iter()
        .skip(too_many)
        .map(|error| MachineError {
            message: bounded_reason(error.message),
            ..error
        })
        .collect();
    status
}
