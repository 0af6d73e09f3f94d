//! The connection to the backend: one state, one back-off, one heartbeat. A first sign of life makes a new connection
//! take effect. Whatever loses its answer takes the link down; the inbox's first value brings it up again, and then
//! everything unanswered is sent anew.

use super::backoff::Backoff;
use super::lanes::{Lane, Purpose};
use super::{AgentCore, ExitReason, Failure, Output, Phase, WatchId};
use crate::error::{CallError, ErrorCode};
use crate::limits::HEARTBEAT_MS;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::wire::{ConnectArgs, ConnectReply, DisconnectArgs, MachineInfo, WIRE_VERSION};

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadlineName {
    /// Try to reach the backend again.
    Reconnect,
    /// Give a sign of life.
    Heartbeat,
    /// Stop a process that has nothing to do.
    Hibernate,
    /// Running turns have had their time.
    Drain,
    /// Tell how far a command is.
    Progress,
    /// Append what has been gathered of an answer.
    Append,
    /// Measure the memory of the processes.
    Measure,
}

#[derive(Debug)]
pub(super) struct Link {
    connection: Option<Connection>,
    state: LinkState,
    backoff: Backoff,
    /// The watch of the inbox that counts, if there is one.
    watch: Option<WatchId>,
    last_watch: WatchId,
}

#[derive(Debug)]
struct Connection {
    token: Secret,
    epoch: u64,
    heartbeat_ms: u64,
    batch_max_bytes: usize,
    /// The backend has answered a first sign of life on it.
    is_in_effect: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    /// `machine.connect` is under way.
    Connecting,
    /// The first sign of life is under way.
    Beginning,
    /// The inbox is being watched and has no value yet.
    Watching,
    Up {
        heartbeat_at: Timestamp,
    },
    Down {
        retry_at: Timestamp,
    },
}

impl Link {
    pub(super) fn new(backoff_seed: u64) -> Self {
        Self {
            connection: None,
            state: LinkState::Connecting,
            backoff: Backoff::new(backoff_seed),
            watch: None,
            last_watch: 0,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, LinkState::Up { .. })
    }

    /// The token and epoch to send with, while the link is up.
    pub(super) fn credential(&self) -> Option<(&Secret, u64)> {
        self.connection
            .as_ref()
            .filter(|_| self.is_up())
            .map(|connection| (&connection.token, connection.epoch))
    }

    pub(super) fn batch_max_bytes(&self) -> usize {
        self.connection
            .as_ref()
            .map_or(0, |connection| connection.batch_max_bytes)
    }

    pub(super) fn next_deadline(&self) -> Option<(Timestamp, DeadlineName)> {
        match self.state {
            LinkState::Connecting | LinkState::Beginning | LinkState::Watching => None,
            LinkState::Up { heartbeat_at } => Some((heartbeat_at, DeadlineName::Heartbeat)),
            LinkState::Down { retry_at } => Some((retry_at, DeadlineName::Reconnect)),
        }
    }

    /// The inbox has a value. Says whether the link was not up before.
    pub(super) fn come_up(&mut self, now: Timestamp) -> bool {
        self.backoff.reset();
        if self.is_up() || self.connection.is_none() {
            return false;
        }
        let heartbeat_ms = self
            .connection
            .as_ref()
            .map_or(HEARTBEAT_MS, |connection| connection.heartbeat_ms);
        self.state = LinkState::Up {
            heartbeat_at: now.plus_ms(heartbeat_ms),
        };
        true
    }

    pub(super) fn is_watched_by(&self, watch: WatchId) -> bool {
        self.watch == Some(watch)
    }

    pub(super) fn end_watch(&mut self) {
        self.watch = None;
    }

    /// The token of a connection that has not taken effect as far as is known: its first sign of life begins.
    fn begin(&mut self) -> Option<Secret> {
        let connection = self.connection.as_ref()?;
        if connection.is_in_effect {
            return None;
        }
        let token = connection.token.clone();
        // What a watch of an earlier connection still brings says nothing of this one.
        self.watch = None;
        self.state = LinkState::Beginning;
        Some(token)
    }

    /// Begins a watch in place of any earlier one.
    fn begin_watch(&mut self) -> Option<Output> {
        let token = self.connection.as_ref()?.token.clone();
        self.last_watch += 1;
        self.watch = Some(self.last_watch);
        self.state = LinkState::Watching;
        Some(Output::WatchInbox(self.last_watch, token))
    }

    /// The next sign of life is to come no later than this.
    pub(super) fn heartbeat_by(&mut self, at: Timestamp) {
        if let LinkState::Up { heartbeat_at } = &mut self.state {
            *heartbeat_at = at.min(*heartbeat_at);
        }
    }

    fn go_down(&mut self, now: Timestamp) {
        if matches!(self.state, LinkState::Down { .. }) {
            return;
        }
        self.state = LinkState::Down {
            retry_at: now.plus_ms(self.backoff.next_wait_ms()),
        };
    }
}

impl AgentCore {
    pub(super) fn on_connected(&mut self, now: Timestamp, result: Result<ConnectReply, Failure>) {
        if let Err(failure) = &result {
            self.account.note_failure(now, failure);
        }
        match result {
            Ok(reply) => {
                self.commands
                    .begin_epoch(reply.epoch, &mut self.lanes, &mut self.outputs);
                self.link.connection = Some(Connection {
                    token: reply.connection_token,
                    epoch: reply.epoch,
                    heartbeat_ms: reply.heartbeat_ms,
                    batch_max_bytes: reply.chunk_batch_max_bytes as usize,
                    is_in_effect: false,
                });
                self.account.begin_epoch();
                self.reach_out(now);
                self.checked.clear();
                for chat in self.chats.values_mut() {
                    chat.begin_epoch();
                }
            }
            Err(Failure::Refused(error)) if error.requires_reregistration() => {
                self.exit(ExitReason::Unregistered(error))
            }
            Err(Failure::Refused(error)) if error.is_fenced() => {
                self.exit(ExitReason::Fenced(error))
            }
            Err(Failure::Refused(error)) if error.code == ErrorCode::UpgradeRequired => {
                self.exit(ExitReason::Refused(error))
            }
            Err(Failure::Refused(_) | Failure::Lost(_)) => self.link.go_down(now),
        }
    }

    /// Tells by the same connection what has become known since it began.
    pub(super) fn on_info(&mut self, info: MachineInfo) {
        if self.config.info == info || self.phase != Phase::Working {
            return;
        }
        self.config.info = info.clone();
        let args = ConnectArgs {
            machine_id: self.config.machine_id.clone(),
            secret: self.config.secret.clone(),
            wire_version: WIRE_VERSION,
            nonce: Some(self.config.nonce.clone()),
            info,
        };
        self.lanes
            .push(Lane::Machine, Purpose::Report, "machine.connect", &args);
    }

    /// The next step towards the backend.
    fn reach_out(&mut self, now: Timestamp) {
        if let Some(token) = self.link.begin() {
            let first = self.sign_of_life(now);
            self.lanes.begin(&first, token, &mut self.outputs);
        } else if let Some(watch) = self.link.begin_watch() {
            self.outputs.push_back(watch);
        } else {
            self.link.state = LinkState::Connecting;
            self.outputs.push_back(Output::Connect);
        }
    }

    /// A sign of life was answered: of a new connection it was the first, and what should be is to be learnt.
    pub(super) fn on_heartbeat_done(&mut self, now: Timestamp) {
        if self.link.state == LinkState::Beginning {
            if let Some(connection) = &mut self.link.connection {
                connection.is_in_effect = true;
            }
            self.reach_out(now);
        }
    }

    /// Something that was sent on the connection has no answer, or a refusal that concerns the connection.
    pub(super) fn on_failure(&mut self, now: Timestamp, failure: Failure) {
        self.account.note_failure(now, &failure);
        match failure {
            Failure::Refused(error) if error.is_fenced() => self.exit(ExitReason::Fenced(error)),
            Failure::Refused(error) if error.code == ErrorCode::Revoked => {
                self.exit(ExitReason::Unregistered(error))
            }
            Failure::Refused(CallError {
                code: ErrorCode::Unauthenticated,
                ..
            }) => {
                // The backend does not know the token: it has lost some of its memory. The secret may still do.
                self.link.connection = None;
                self.link.go_down(now);
            }
            Failure::Refused(_) | Failure::Lost(_) => self.link.go_down(now),
        }
    }

    pub(super) fn on_time(&mut self, now: Timestamp) {
        if self.phase == Phase::Ended {
            return;
        }
        match self.link.state {
            LinkState::Down { retry_at } if retry_at <= now => self.reach_out(now),
            LinkState::Up { heartbeat_at } if heartbeat_at <= now => {
                self.tell_status(now);
                let heartbeat_ms = self
                    .link
                    .connection
                    .as_ref()
                    .map_or(HEARTBEAT_MS, |connection| connection.heartbeat_ms);
                self.link.state = LinkState::Up {
                    heartbeat_at: now.plus_ms(heartbeat_ms),
                };
            }
            LinkState::Connecting
            | LinkState::Beginning
            | LinkState::Watching
            | LinkState::Up { .. }
            | LinkState::Down { .. } => {}
        }
    }

    /// Nothing runs any more: tell the backend if it can be told, and end.
    pub(super) fn say_goodbye(&mut self) {
        if !self.link.is_up() {
            self.exit(ExitReason::Stopped);
        } else if !self.lanes.has_goodbye() {
            self.lanes.push(
                Lane::Machine,
                Purpose::Goodbye,
                "machine.disconnect",
                &DisconnectArgs {},
            );
            self.lanes.send(&self.link, &mut self.outputs);
        }
    }
}
