//! Calls that wait for their answers. Calls of one lane are sent one after the other, so that the backend
//! sees them in order; lanes do not wait for each other.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value;

use super::link::Link;
use super::{AgentCore, ExitReason, Failure, Output};
use crate::ids::{ChatSessionId, CommandId, TurnId};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::wire::{Appended, HeartbeatArgs, TakenCommand, TakenTurn};

/// Names a call while it waits for its answer.
pub type CallId = u64;

/// What a call must keep its place in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Signs of life.
    Heartbeat,
    /// The machine as a whole.
    Machine,
    /// One chat session.
    Chat(ChatSessionId),
    /// One command.
    Command(CommandId),
}

/// What to do with a call's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    Heartbeat,
    /// Told; the inbox will show what came of it.
    Report,
    Take(TurnId),
    EndTurn(TurnId),
    TakeCommand,
    FinishCommand,
    Goodbye,
}

#[derive(Debug)]
struct PendingCall {
    id: CallId,
    purpose: Purpose,
    function: &'static str,
    args: Value,
    sent: bool,
}

impl PendingCall {
    fn output(&self, token: Secret) -> Output {
        Output::Call {
            id: self.id,
            token,
            function: self.function,
            args: self.args.clone(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<Lane, VecDeque<PendingCall>>,
    last_id: CallId,
}

impl Lanes {
    pub(super) fn push(
        &mut self,
        lane: Lane,
        purpose: Purpose,
        function: &'static str,
        args: &impl Serialize,
    ) {
        self.last_id += 1;
        // Our own wire types always are JSON; a null would be refused by the backend with a clear error.
        let args = serde_json::to_value(args).unwrap_or_default();
        let queue = self.lanes.entry(lane).or_default();
        queue.push_back(PendingCall {
            id: self.last_id,
            purpose,
            function,
            args,
            sent: false,
        });
    }

    /// The number of the next call: grows, so it tells a late report from a new one.
    pub(super) fn next_seq(&self) -> u64 {
        self.last_id + 1
    }

    /// How many calls wait for their answer.
    pub(super) fn len(&self) -> usize {
        self.lanes.values().map(VecDeque::len).sum()
    }

    pub(super) fn is_empty(&self, lane: &Lane) -> bool {
        self.lanes.get(lane).is_none_or(VecDeque::is_empty)
    }

    pub(super) fn has_goodbye(&self) -> bool {
        self.lanes
            .values()
            .flatten()
            .any(|call| call.purpose == Purpose::Goodbye)
    }

    /// What was sent and not answered is sent again: a machine's calls are safe to repeat.
    pub(super) fn resend_all(&mut self) {
        for call in self.lanes.values_mut().flatten() {
            call.sent = false;
        }
    }

    /// Forgets what waits in a lane.
    pub(super) fn clear(&mut self, lane: &Lane) {
        self.lanes.remove(lane);
    }

    /// Sends a connection's first sign of life, ahead of everything that waits, and in place of an earlier one.
    pub(super) fn begin(
        &mut self,
        args: &HeartbeatArgs,
        token: Secret,
        outputs: &mut VecDeque<Output>,
    ) {
        self.clear(&Lane::Heartbeat);
        self.push(
            Lane::Heartbeat,
            Purpose::Heartbeat,
            "machine.heartbeat",
            args,
        );
        if let Some(first) = self
            .lanes
            .get_mut(&Lane::Heartbeat)
            .and_then(VecDeque::front_mut)
        {
            first.sent = true;
            outputs.push_back(first.output(token));
        }
    }

    /// Sends the first call of each lane, if it has not been.
    pub(super) fn send(&mut self, link: &Link, outputs: &mut VecDeque<Output>) {
        let Some((token, _)) = link.credential() else {
            return;
        };
        for queue in self.lanes.values_mut() {
            if let Some(call) = queue.front_mut()
                && !call.sent
            {
                call.sent = true;
                outputs.push_back(call.output(token.clone()));
            }
        }
        self.lanes.retain(|_, queue| !queue.is_empty());
    }

    /// The answered call leaves its lane. `None` for an answer that came late, after the call was sent again
    /// and answered.
    fn finish(&mut self, id: CallId) -> Option<(Lane, PendingCall)> {
        for (lane, queue) in &mut self.lanes {
            if queue.front().is_some_and(|call| call.id == id) {
                return queue.pop_front().map(|call| (lane.clone(), call));
            }
        }
        None
    }
}

impl AgentCore {
    pub(super) fn on_call_done(
        &mut self,
        now: Timestamp,
        id: CallId,
        result: Result<Value, Failure>,
    ) {
        let result = match result {
            Ok(value) => Ok(value),
            Err(Failure::Refused(error))
                if !error.is_fenced()
                    && !error.requires_reregistration()
                    && !error.is_retryable() =>
            {
                Err(error)
            }
            Err(failure) => return self.on_failure(now, failure),
        };
        let Some((lane, call)) = self.lanes.finish(id) else {
            return;
        };
        match (call.purpose, lane) {
            (Purpose::Take(turn), Lane::Chat(chat)) => {
                let taken = result
                    .ok()
                    .and_then(|value| serde_json::from_value::<TakenTurn>(value).ok());
                if let Some(chat) = self.chats.get_mut(&chat) {
                    chat.on_taken(now, &turn, taken);
                }
            }
            (Purpose::EndTurn(turn), Lane::Chat(chat)) => {
                if let Some(chat) = self.chats.get_mut(&chat) {
                    let refused = result.err().map(|error| (error, call.args));
                    chat.on_turn_written(now, &turn, refused);
                }
            }
            (Purpose::TakeCommand, Lane::Command(id)) => {
                let taken = result
                    .ok()
                    .and_then(|value| serde_json::from_value::<TakenCommand>(value).ok());
                self.commands.on_taken(&id, taken);
            }
            (Purpose::FinishCommand, Lane::Command(id)) => {
                self.commands
                    .on_finished(&id, result.is_err(), &mut self.lanes);
            }
            (Purpose::Goodbye, _) => self.exit(ExitReason::Stopped),
            // Also a refused one says that the backend is there, and the inbox what it wants.
            (Purpose::Heartbeat, _) => self.on_heartbeat_done(now),
            // A report that is refused is out of date: the inbox tells what holds instead.
            (
                Purpose::Report
                | Purpose::Take(_)
                | Purpose::EndTurn(_)
                | Purpose::TakeCommand
                | Purpose::FinishCommand,
                _,
            ) => {}
        }
    }

    pub(super) fn on_append_done(
        &mut self,
        now: Timestamp,
        turn: &TurnId,
        seq: u64,
        result: Result<Appended, Failure>,
    ) {
        let Some(chat) = self
            .chats
            .values_mut()
            .find(|chat| chat.awaits_append(turn, seq))
        else {
            return;
        };
        match result {
            Ok(appended) => chat.on_appended(appended),
            Err(Failure::Refused(error))
                if !error.is_fenced()
                    && !error.requires_reregistration()
                    && !error.is_retryable() =>
            {
                chat.on_append_refused();
            }
            Err(failure) => self.on_failure(now, failure),
        }
    }
}
