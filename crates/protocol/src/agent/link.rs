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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::{AgentConfig, CallId, Input};
    use crate::ids::MachineId;
    use crate::wire::{Inbox, MachineInfo, WIRE_VERSION};

    const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);

    /// An agent that has asked to connect, and been answered.
    fn connected() -> AgentCore {
        let mut core = AgentCore::new(AgentConfig {
            machine_id: MachineId::generate(START, [1; 10]),
            secret: Secret::new("secret"),
            nonce: Secret::new("nonce"),
            info: MachineInfo::default(),
            backoff_seed: 1,
            hibernate_after_ms: 60_000,
            drain_ms: 10_000,
            process_limit: 1,
            memory_limit_bytes: None,
        });
        assert_eq!(next(&mut core), Some(Output::Connect));
        connect(&mut core, START, 1);
        core
    }

    fn connect(core: &mut AgentCore, now: Timestamp, epoch: u64) {
        let reply = ConnectReply {
            epoch,
            connection_token: Secret::new(format!("token {epoch}")),
            wire_version: WIRE_VERSION,
            lease_ms: 45_000,
            heartbeat_ms: HEARTBEAT_MS,
            chunk_batch_max_bytes: 1_000,
        };
        core.handle_input(now, Input::Connected(Ok(reply)));
    }

    /// The one thing to do, which is to give a sign of life.
    fn sign_of_life(core: &mut AgentCore, token: &str) -> CallId {
        match (next(core), next(core)) {
            (
                Some(Output::Call {
                    id,
                    token: with,
                    function: "machine.heartbeat",
                    args,
                }),
                None,
            ) => {
                assert_eq!(with.expose(), token);
                assert_eq!(args["draining"], false);
                id
            }
            other => panic!("a sign of life and nothing else: {other:?}"),
        }
    }

    /// What to do about the backend.
    fn next(core: &mut AgentCore) -> Option<Output> {
        std::iter::from_fn(|| core.poll_output())
            .find(|output| !matches!(output, Output::KeepSpares(_)))
    }

    #[test]
    fn a_new_connection_is_used_before_the_inbox_is_watched() {
        let mut core = connected();
        let id = sign_of_life(&mut core, "token 1");
        core.handle_input(START, Input::CallDone(id, Ok(json!({}))));
        let watch = Output::WatchInbox(1, Secret::new("token 1"));
        assert_eq!(next(&mut core), Some(watch));
        let inbox = Inbox {
            machine_id: MachineId::generate(START, [1; 10]),
            epoch: 1,
            workers: Vec::new(),
            chats: Vec::new(),
            commands: Vec::new(),
        };
        core.handle_input(START, Input::Inbox(1, inbox));
        assert!(core.is_connected());
        let heartbeat = START.plus_ms(HEARTBEAT_MS);
        let next = (heartbeat, DeadlineName::Heartbeat);
        assert_eq!(core.next_deadline(), Some(next));
    }

    #[test]
    fn a_first_sign_of_life_without_an_answer_is_given_again() {
        let mut core = connected();
        let lost = sign_of_life(&mut core, "token 1");
        let failure = || Err(Failure::Lost("no answer".to_owned()));
        core.handle_input(START, Input::CallDone(lost, failure()));
        assert_eq!(next(&mut core), None);
        let (retry, name) = core.next_deadline().expect("another try");
        assert_eq!(name, DeadlineName::Reconnect);
        core.handle_input(retry, Input::Time);
        let again = sign_of_life(&mut core, "token 1");
        // What answers the one before says nothing of this one.
        core.handle_input(retry, Input::CallDone(lost, Ok(json!({}))));
        assert_eq!(next(&mut core), None);
        core.handle_input(retry, Input::CallDone(again, Ok(json!({}))));
        let watch = Output::WatchInbox(1, Secret::new("token 1"));
        assert_eq!(next(&mut core), Some(watch));
        // The connection is in effect: after a loss the inbox is watched at once.
        let end = Failure::Lost("reset".to_owned());
        core.handle_input(retry, Input::InboxEnded(1, end));
        let (retry, _) = core.next_deadline().expect("another try");
        core.handle_input(retry, Input::Time);
        let watch = Output::WatchInbox(2, Secret::new("token 1"));
        assert_eq!(next(&mut core), Some(watch));
    }

    #[test]
    fn a_refused_sign_of_life_keeps_no_agent_from_its_inbox() {
        let mut core = connected();
        let id = sign_of_life(&mut core, "token 1");
        let refused = CallError::new(ErrorCode::Invalid, "Not like this.");
        core.handle_input(START, Input::CallDone(id, Err(Failure::Refused(refused))));
        let watch = Output::WatchInbox(1, Secret::new("token 1"));
        assert_eq!(next(&mut core), Some(watch));
    }

    #[test]
    fn a_connection_that_is_gone_is_asked_for_again_and_one_that_was_overtaken_ends_the_agent() {
        let mut core = connected();
        let id = sign_of_life(&mut core, "token 1");
        let refused = |code| Err(Failure::Refused(CallError::new(code, "No.")));
        core.handle_input(
            START,
            Input::CallDone(id, refused(ErrorCode::Unauthenticated)),
        );
        let (retry, _) = core.next_deadline().expect("another try");
        core.handle_input(retry, Input::Time);
        assert_eq!(next(&mut core), Some(Output::Connect));
        connect(&mut core, retry, 2);
        let id = sign_of_life(&mut core, "token 2");
        core.handle_input(retry, Input::CallDone(id, refused(ErrorCode::StaleEpoch)));
        let Some(Output::Exit(ExitReason::Fenced(_))) = next(&mut core) else {
            panic!("the agent ends");
        };
    }
}
