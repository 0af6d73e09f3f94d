//! How a machine is: what it tells of itself with its signs of life, and what waits for it here.

use super::machine::bounded_reason;
use super::rows::{Rows, load, save};
use super::tables::{Link, PresenceRow, StatusRow, key};
use super::{Actor, Backend};
use crate::error::CallError;
use crate::ids::MachineId;
use crate::limits::{STATUS_ERRORS_MAX, STATUS_WAITING_MAX};
use crate::state::TurnState;
use crate::wire::{MachineArgs, MachineError, MachineHealth, MachineStatus};

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
        let row = StatusRow {
            at: self.now,
            status: bounded_status(status),
        };
        save(self.rows, &key::status(machine), &row)
    }

    /// What an earlier connection told says nothing of the one that begins.
    pub(super) fn forget_status(&mut self, machine: &MachineId) -> Result<(), CallError> {
        Ok(self.rows.delete(&key::status(machine))?)
    }
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
