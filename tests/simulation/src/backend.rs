//! The backend's process: the real core over the modelled disk. Answers, and news for watchers, go out when what
//! they tell is on disk. A crash takes what is not on disk, every connection and every answer under way.

use std::collections::BTreeMap;

use protocol::agent::{Failure, Input};
use protocol::backend::{Caller, Effect, Request as Call};
use protocol::ids::{IdempotencyKey, TurnId};
use protocol::secret::Secret;
use protocol::time::Steady;
use protocol::wire::{Appended, Chunk, ConnectReply};
use protocol::{CallError, ErrorCode, Timestamp};
use serde_json::{Value, json};

use crate::broken::Broken;
use crate::faults::Fault;
use crate::machine::ProcessId;
use crate::network::{Delivery, Request, RequestId};
use crate::store::Store;
use crate::world::{Event, World};

/// A connection on which its process has written: it has taken effect.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) process: ProcessId,
    pub(crate) token: Secret,
    pub(crate) epoch: u64,
}

/// The backend's process and its disk.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) store: Store,
    pub(crate) is_up: bool,
    pub(crate) incarnation: u64,
    /// How far its clock is ahead of the world's, or behind.
    pub(crate) clock_ahead_ms: i64,
    pub(crate) clock_was_set: bool,
    pub(crate) clock: Steady,
    pub(crate) is_syncing: bool,
    /// Answers that wait for the disk.
    pub(crate) held: Vec<(RequestId, Delivery)>,
    pub(crate) effects: Vec<Effect>,
    /// The connection in effect, as far as anybody was told.
    pub(crate) connection: Option<Connection>,
    /// The one that is, once what was committed is on disk.
    pub(crate) writer: Option<Connection>,
    /// How many chunks of each turn were acked.
    pub(crate) acked: BTreeMap<TurnId, usize>,
    /// When the machine last gave a sign of life that the backend took.
    pub(crate) seen_at: Timestamp,
    pub(crate) next_deadline: Option<Timestamp>,
    pub(crate) broken: Option<Broken>,
}

impl Host {
    pub(crate) fn new(broken: Option<Broken>) -> Self {
        let mut store = Store::default();
        store.keeps_duplicates = broken == Some(Broken::Dedup);
        Self {
            store,
            is_up: true,
            incarnation: 0,
            clock_ahead_ms: 0,
            clock_was_set: false,
            clock: Steady::default(),
            is_syncing: false,
            held: Vec::new(),
            effects: Vec::new(),
            connection: None,
            writer: None,
            acked: BTreeMap::new(),
            seen_at: Timestamp::default(),
            next_deadline: None,
            broken,
        }
    }

    /// Up, and nothing waits for the disk: what can be read now is what holds.
    pub(crate) fn can_be_read(&self) -> bool {
        self.is_up && (!self.store.is_dirty() || self.broken == Some(Broken::FsyncBeforeAck))
    }

    /// Whose connection is in effect, as far as anybody was told.
    pub(crate) fn latest_process(&self) -> Option<ProcessId> {
        self.connection
            .as_ref()
            .map(|connection| connection.process)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.is_up
    }
}

impl World {
    /// A request has reached the backend.
    pub(crate) fn arrive(&mut self, id: RequestId, request: &Request) {
        if !self.host.is_up {
            return self.refuse_connection(id, request);
        }
        if let Some(how) = self.happens(Fault::BackendCrash) {
            return self.crash_backend(how);
        }
        match request {
            Request::Connect(process) => self.arrive_connect(id, *process),
            Request::Call {
                process,
                id: call,
                token,
                function,
                args,
            } => {
                let args = self.damaged(function, args);
                let result = self.machine_call(*process, token, function, args);
                let input = Input::CallDone(*call, result.map_err(Failure::Refused));
                self.respond(id, Delivery::Agent(*process, input));
            }
            Request::Append {
                process,
                token,
                turn,
                epoch,
                seq,
                chunks,
            } => {
                let result = self.append(*process, token, turn, *epoch, *seq, chunks);
                let result = result.map(|()| self.gather()).map_err(Failure::Refused);
                let input = Input::AppendDone(turn.clone(), *seq, result);
                self.respond(id, Delivery::Agent(*process, input));
            }
            Request::ReadChunks {
                process,
                chat,
                turn,
                token,
            } => {
                let caller = Caller::Machine(self.token(token));
                let chunks = self
                    .backend()
                    .accept_read(&caller, turn)
                    .map(|()| self.chunks(turn))
                    .map_err(Failure::Refused);
                let input = Input::ChunksRead(chat.clone(), turn.clone(), chunks);
                self.respond(id, Delivery::Agent(*process, input));
            }
            Request::Watch {
                process,
                watch,
                token,
            } => self.open_watch(id, *process, *watch, token),
            Request::Person {
                call,
                key,
                function,
                args,
            } => {
                let mut key = key.clone();
                if self.broken == Some(Broken::IdempotencyKeys) {
                    key = IdempotencyKey::generate(self.now, self.random.bytes());
                }
                let result = self.person_call(function, args.clone(), key);
                self.machine.is_revoked |= *function == "machine.revoke" && result.is_ok();
                let result = result.map_err(Failure::Refused);
                self.respond(id, Delivery::Person(*call, result));
            }
        }
    }

    fn arrive_connect(&mut self, id: RequestId, process: ProcessId) {
        let args = self.machine.connect_args(process);
        let reply = self
            .call(Caller::Anyone, "machine.connect", args, None)
            .map(|value| serde_json::from_value::<ConnectReply>(value).expect("a reply"));
        if let Ok(reply) = &reply {
            if !self.machine.is_alive(process) {
                let late = "connect of an ended agent".to_owned();
                *self.report.acts.entry(late).or_default() += 1;
            }
            if self.broken == Some(Broken::PendingEpoch) {
                let caller = Caller::Machine(reply.connection_token.clone());
                // On a full disk it takes effect with its use after all.
                if self
                    .call(caller, "machine.heartbeat", json!({}), None)
                    .is_ok()
                {
                    self.host.seen_at = self.now;
                }
            }
        }
        let reply = reply.map_err(Failure::Refused);
        self.respond(id, Delivery::Agent(process, Input::Connected(reply)));
    }

    fn machine_call(
        &mut self,
        process: ProcessId,
        token: &Secret,
        function: &'static str,
        args: Value,
    ) -> Result<Value, CallError> {
        let caller = Caller::Machine(self.token(token));
        let reply = self.call(caller, function, args, None)?;
        self.note_writer(process, token, function);
        if function == "machine.heartbeat" {
            self.host.seen_at = self.now;
        }
        Ok(reply)
    }

    pub(crate) fn person_call(
        &mut self,
        function: &str,
        args: Value,
        key: IdempotencyKey,
    ) -> Result<Value, CallError> {
        let caller = Caller::Person(self.person.id.clone());
        self.call(caller, function, args, Some(key))
    }

    pub(crate) fn call(
        &mut self,
        caller: Caller,
        function: &str,
        args: Value,
        key: Option<IdempotencyKey>,
    ) -> Result<Value, CallError> {
        let request = Call {
            function,
            args,
            key,
            caller,
        };
        let result = self
            .transact(|backend| backend.call(&request))
            .map(|outcome| outcome.reply);
        if let Err(error) = &result
            && error.code == ErrorCode::Internal
        {
            self.fail(format!("{function} is broken: {error}"));
        }
        result
    }

    /// A person's query, without the network. `None` when nothing can be read now.
    pub(crate) fn look_up<T: serde::de::DeserializeOwned>(
        &mut self,
        function: &str,
        args: Value,
    ) -> Option<Result<T, CallError>> {
        if !self.host.can_be_read() {
            return None;
        }
        let caller = Caller::Person(self.person.id.clone());
        let result = self.backend().query(function, &args, &caller);
        Some(result.map(|value| serde_json::from_value(value).expect("the reply's type")))
    }

    fn append(
        &mut self,
        process: ProcessId,
        token: &Secret,
        turn: &TurnId,
        epoch: u64,
        seq: u64,
        chunks: &[Chunk],
    ) -> Result<(), CallError> {
        let current = self.token(token);
        let epoch = match (self.broken, &self.host.connection) {
            (Some(Broken::Fencing), Some(connection)) => connection.epoch,
            _ => epoch,
        };
        let outcome = self.attempt(|backend| backend.accept_append(&current, turn, epoch, seq))?;
        let appended = self.host.store.append(turn, epoch, seq, chunks);
        self.conclude(appended.map(|length| (outcome, length)))?;
        self.note_writer(process, token, "append");
        self.check_appended(turn);
        Ok(())
    }

    /// The chunks that the backend has of a turn.
    pub(crate) fn chunks(&self, turn: &TurnId) -> Vec<Chunk> {
        let stream = self.host.store.stream(turn);
        let chunks = stream.iter().flat_map(|stream| &stream.chunks);
        chunks.map(|(_, chunk)| chunk.clone()).collect()
    }

    /// Of the hub, which wants chunks at once, or of a backend that counts calls.
    pub(crate) fn gather(&mut self) -> Appended {
        let counts_calls = self.random.per_mille(300);
        let gather_ms = if counts_calls {
            self.random.below(3_000)
        } else {
            0
        };
        Appended { gather_ms }
    }

    /// What a token stands for, which is itself unless fencing is taken out.
    pub(crate) fn token(&self, token: &Secret) -> Secret {
        match (self.broken, &self.host.connection) {
            (Some(Broken::Fencing), Some(connection)) => connection.token.clone(),
            _ => token.clone(),
        }
    }

    /// A complete message may arrive with another text.
    pub(crate) fn damaged(&mut self, function: &str, args: &Value) -> Value {
        let mut args = args.clone();
        if function == "worker.chat.writeMessage"
            && let Some(Value::String(text)) = args.pointer("/answer/parts/0/text").cloned()
            && !text.is_empty()
            && self.happens(Fault::Damaged).is_some()
        {
            args["answer"]["parts"][0]["text"] = json!(format!("{text}?"));
            if self.broken == Some(Broken::FinalHash) {
                let parts = serde_json::from_value(args["answer"]["parts"].clone());
                let parts: Vec<_> = parts.expect("parts");
                args["answer"]["hash"] = json!(protocol::transcript::text_hash(&parts));
            }
        }
        args
    }

    pub(crate) fn crash_backend(&mut self, mut how: crate::random::Random) {
        self.host.store.crash();
        self.host.is_up = false;
        self.host.incarnation += 1;
        self.host.is_syncing = false;
        self.host.held.clear();
        self.host.effects.clear();
        self.host.writer = None;
        self.check_nothing_acked_is_lost();
        self.reset_all();
        self.all_watches_end();
        let down = how.between(50, 20_000);
        self.after(down, Event::BackendUp);
    }

    pub(crate) fn backend_up(&mut self) {
        self.host.is_up = true;
        self.host.clock = Steady::default();
        match self.transact(|backend| backend.begin()) {
            Ok(_) => {}
            // Whoever runs it starts it again.
            Err(error) if error.is_retryable() => {
                self.host.is_up = false;
                return self.after(1_000, Event::BackendUp);
            }
            Err(error) => self.fail(format!("the backend could not begin: {error}")),
        }
        self.page.all_changed();
    }
}

/// What a clock shows that is so far ahead.
pub(crate) fn ahead(now: Timestamp, ahead_ms: i64) -> Timestamp {
    Timestamp::from_ms(now.as_ms().saturating_add_signed(ahead_ms))
}
