//! A backend in memory: the real backend core without a network or a disk. For tests of agents, and for
//! programs that try an agent out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use protocol::backend::{Backend, Caller, Effect, Entropy, MemoryRows, Outcome, Request};
use protocol::ids::{MachineId, PersonId, TurnId};
use protocol::producer::{self, Decision, ProducerState};
use protocol::secret::Secret;
use protocol::wire::{Appended, Chunk};
use protocol::{CallError, ErrorCode};
use serde_json::Value;
use tokio::sync::watch;

use crate::{Append, Call, Chunks, Transport, TransportError, Values, now};

/// A backend in memory. Clones share it.
#[derive(Debug, Clone)]
pub struct FakeBackend {
    state: Arc<Mutex<State>>,
    /// Counts changes; every watch looks again at each.
    version: watch::Sender<u64>,
    owner: PersonId,
}

#[derive(Debug, Default)]
struct State {
    rows: MemoryRows,
    streams: BTreeMap<TurnId, ChunkStream>,
    cut: BTreeSet<(MachineId, u64)>,
    offline: bool,
}

#[derive(Debug, Default)]
struct ChunkStream {
    chunks: Vec<Chunk>,
    producer: Option<ProducerState>,
}

impl Default for FakeBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeBackend {
    /// An empty backend with one owner.
    #[must_use]
    pub fn new() -> Self {
        let owner = PersonId::generate(now(), entropy().id);
        Self {
            state: Arc::default(),
            version: watch::Sender::new(0),
            owner,
        }
    }

    /// The bearer credential of the owner.
    #[must_use]
    pub fn owner_token(&self) -> Secret {
        Secret::new(self.owner.as_str())
    }

    /// Cuts the network (`true`) or mends it: while it is cut, every call is lost and every watch ends.
    pub fn set_offline(&self, offline: bool) {
        self.lock().offline = offline;
        self.changed();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn caller(&self, credential: Option<&Secret>) -> Caller {
        match credential {
            None => Caller::Anyone,
            Some(token) => match PersonId::parse(token.expose()) {
                Ok(person) => Caller::Person(person),
                Err(_) => Caller::Machine(token.clone()),
            },
        }
    }

    fn transact(
        &self,
        act: impl FnOnce(Backend<'_, MemoryRows>) -> Result<Outcome, CallError>,
    ) -> Result<Value, TransportError> {
        let mut state = self.lock();
        if state.offline {
            return Err(lost());
        }
        let outcome = match act(Backend::new(&mut state.rows, now(), entropy())) {
            Ok(outcome) => outcome,
            Err(error) => {
                state.rows.roll_back();
                return Err(TransportError::Refused(error));
            }
        };
        state.rows.commit();
        for effect in outcome.effects {
            match effect {
                Effect::CreateStream(turn) => {
                    state.streams.entry(turn).or_default();
                }
                Effect::DeleteStream(turn) => {
                    state.streams.remove(&turn);
                }
                Effect::CutConnections {
                    machine,
                    below_epoch,
                } => {
                    state.cut.insert((machine, below_epoch));
                }
                Effect::Changed(_) => {}
            }
        }
        drop(state);
        self.changed();
        Ok(outcome.reply)
    }

    fn query(
        &self,
        function: &str,
        args: &Value,
        caller: &Caller,
    ) -> Result<Value, TransportError> {
        let mut state = self.lock();
        if state.offline {
            return Err(lost());
        }
        Backend::new(&mut state.rows, now(), entropy())
            .query(function, args, caller)
            .map_err(TransportError::Refused)
    }

    fn chunks(&self, turn: &TurnId, caller: &Caller) -> Result<Vec<Chunk>, TransportError> {
        let mut state = self.lock();
        if state.offline {
            return Err(lost());
        }
        Backend::new(&mut state.rows, now(), entropy())
            .accept_read(caller, turn)
            .map_err(TransportError::Refused)?;
        Ok(state
            .streams
            .get(turn)
            .map(|stream| stream.chunks.clone())
            .unwrap_or_default())
    }
}

#[async_trait]
impl Transport for FakeBackend {
    async fn call(&self, call: Call) -> Result<Value, TransportError> {
        let caller = self.caller(call.credential.as_ref());
        let request = Request {
            function: &call.function,
            args: call.args,
            key: call.key,
            caller,
        };
        self.transact(|backend| backend.call(&request))
    }

    fn watch(&self, function: &str, args: Value, credential: Option<Secret>) -> Values {
        let caller = self.caller(credential.as_ref());
        let (backend, function) = (self.clone(), function.to_owned());
        let versions = self.version.subscribe();
        let start = (versions, None::<Value>, false);
        stream::unfold(start, move |(mut versions, last, ended)| {
            let (backend, function, args, caller) = (
                backend.clone(),
                function.clone(),
                args.clone(),
                caller.clone(),
            );
            async move {
                if ended {
                    return None;
                }
                loop {
                    versions.borrow_and_update();
                    match backend.query(&function, &args, &caller) {
                        Ok(value) if last.as_ref() != Some(&value) => {
                            return Some((Ok(value.clone()), (versions, Some(value), false)));
                        }
                        Ok(_) => versions.changed().await.ok()?,
                        Err(error) => return Some((Err(error), (versions, last, true))),
                    }
                }
            }
        })
        .boxed()
    }

    async fn append(&self, append: Append) -> Result<Appended, TransportError> {
        let turn = append.turn_id.clone();
        self.transact(|backend| {
            backend.accept_append(&append.credential, &turn, append.epoch, append.seq)
        })?;
        let mut state = self.lock();
        let stream = state.streams.entry(turn).or_default();
        match producer::decide(stream.producer, append.epoch, append.seq) {
            Decision::Accept(next) => {
                stream.producer = Some(next);
                stream.chunks.extend(append.chunks);
            }
            Decision::Duplicate { .. } => {}
            refused @ (Decision::Gap { .. }
            | Decision::StaleEpoch { .. }
            | Decision::EpochMustStartAtZero) => {
                let why = format!("The append was refused: {refused:?}.");
                return Err(TransportError::Refused(CallError::new(
                    ErrorCode::Conflict,
                    why,
                )));
            }
        }
        drop(state);
        self.changed();
        Ok(Appended::default())
    }

    fn read(&self, turn_id: &TurnId, credential: Option<Secret>, live: bool) -> Chunks {
        let caller = self.caller(credential.as_ref());
        let (backend, turn) = (self.clone(), turn_id.clone());
        let start = (self.version.subscribe(), 0_usize, false);
        stream::unfold(start, move |(mut versions, at, ended)| {
            let (backend, turn, caller) = (backend.clone(), turn.clone(), caller.clone());
            async move {
                if ended {
                    return None;
                }
                loop {
                    versions.borrow_and_update();
                    match backend.chunks(&turn, &caller) {
                        Ok(chunks) if chunks.len() > at => {
                            let fresh = chunks[at..].to_vec();
                            return Some((Ok(fresh), (versions, chunks.len(), !live)));
                        }
                        Ok(_) if live => versions.changed().await.ok()?,
                        Ok(_) => return None,
                        Err(error) => return Some((Err(error), (versions, at, true))),
                    }
                }
            }
        })
        .boxed()
    }
}

fn lost() -> TransportError {
    TransportError::Lost("the network is cut".to_owned())
}

fn entropy() -> Entropy {
    let mut entropy = Entropy {
        id: [0; 10],
        secret: [0; 32],
    };
    let _ = getrandom::fill(&mut entropy.id);
    let _ = getrandom::fill(&mut entropy.secret);
    entropy
}
