//! What the machine tells about its own work, for whoever looks into a problem.

use std::collections::VecDeque;

use super::lanes::{Lane, Purpose};
use super::{AgentCore, Failure, Phase};
use crate::ids::ChatSessionId;
use crate::limits::{STATUS_ERRORS_MAX, STATUS_WAITING_MAX};
use crate::time::Timestamp;
use crate::wire::{HeartbeatArgs, MachineError, MachineStatus};

/// How soon after a sign of life the next one may be, where there is something to tell.
const TELL_EVERY_MS: u64 = 1_000;

/// What is remembered only to be told.
#[derive(Debug, Default)]
pub(super) struct Account {
    started_at: Option<Timestamp>,
    connections: u32,
    errors: VecDeque<MachineError>,
    /// When the machine last told how it is.
    told_at: Option<Timestamp>,
    /// Who waits for a process, as the backend was told last; `None` while it was told nothing on this connection.
    told_waiting: Option<Vec<ChatSessionId>>,
}

impl Account {
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.started_at.get_or_insert(now);
    }

    /// The backend was found, for the first time or again.
    pub(super) fn count_connection(&mut self) {
        self.connections = self.connections.saturating_add(1);
    }

    /// What was told on an earlier connection counts no more.
    pub(super) fn begin_epoch(&mut self) {
        self.told_waiting = None;
    }

    /// Something went wrong. The same thing again and again is one entry, with its latest time.
    pub(super) fn note(&mut self, now: Timestamp, message: &str) {
        self.errors.retain(|error| error.message != message);
        self.errors.push_back(MachineError {
            at: now,
            message: message.to_owned(),
        });
        if self.errors.len() > STATUS_ERRORS_MAX {
            self.errors.pop_front();
        }
    }

    pub(super) fn note_failure(&mut self, now: Timestamp, failure: &Failure) {
        match failure {
            Failure::Refused(error) => self.note(now, &error.message),
            Failure::Lost(reason) => self.note(now, &format!("The backend was lost: {reason}")),
        }
    }
}

impl AgentCore {
    /// Gives a sign of life and tells how the machine is, unless an earlier one waits for its answer.
    pub(super) fn tell_status(&mut self, now: Timestamp) {
        if !self.lanes.is_empty(&Lane::Heartbeat) {
            return;
        }
        let args = self.sign_of_life(now);
        self.lanes.push(
            Lane::Heartbeat,
            Purpose::Heartbeat,
            "machine.heartbeat",
            &args,
        );
    }

    /// What a sign of life says that is given now.
    pub(super) fn sign_of_life(&mut self, now: Timestamp) -> HeartbeatArgs {
        let status = self.status();
        self.account.told_at = Some(now);
        self.account.told_waiting = Some(status.waiting.clone());
        HeartbeatArgs {
            draining: self.phase != Phase::Working,
            status: Some(status),
        }
    }

    /// A person is to see soon how a machine is that has come, and that a message waits for a process, or does no
    /// longer.
    pub(super) fn hurry_status(&mut self, now: Timestamp) {
        let waiting = self.governor.waiting().iter().take(STATUS_WAITING_MAX);
        let told = &self.account.told_waiting;
        let is_told = told.as_ref().is_some_and(|told| waiting.eq(told));
        if self.lanes.is_empty(&Lane::Heartbeat) && !is_told {
            let told_at = self.account.told_at;
            self.link
                .heartbeat_by(told_at.map_or(now, |at| at.plus_ms(TELL_EVERY_MS).max(now)));
        }
    }

    fn status(&self) -> MachineStatus {
        let account = &self.account;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let spooled: usize = self.chats.values().map(|chat| chat.spooled_bytes()).sum();
        MachineStatus {
            started_at: account.started_at.unwrap_or_default(),
            reconnects: account.connections.saturating_sub(1),
            processes: count(self.process_count()),
            process_limit: count(self.governor.process_limit()),
            memory_bytes: self.governor.memory_bytes(),
            memory_limit_bytes: self.governor.memory_limit_bytes(),
            waiting: self
                .governor
                .waiting()
                .iter()
                .take(STATUS_WAITING_MAX)
                .cloned()
                .collect(),
            spooled_bytes: spooled as u64,
            pending_calls: count(self.lanes.len()),
            errors: account.errors.iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_bounded_and_a_repeated_one_is_told_once() {
        let mut account = Account::default();
        let ms = Timestamp::from_ms;
        for n in 0..100 {
            account.note(ms(n), &format!("error {n}"));
            account.note(ms(n), "always this one");
        }
        assert_eq!(account.errors.len(), STATUS_ERRORS_MAX);
        let repeated = account
            .errors
            .iter()
            .filter(|error| error.message == "always this one");
        assert_eq!(repeated.count(), 1);
        assert_eq!(account.errors.back().map(|error| error.at), Some(ms(99)));
    }
}
