//! Holds the backend core to `tests/vectors/backend/*.json`, and the scenarios to what the core can do.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::collections::BTreeMap;

use async_trait::async_trait;
use protocol::backend::{Backend, Caller, Effect, Entropy, MemoryRows, Outcome, Request};
use protocol::ids::{IdempotencyKey, PersonId, TurnId};
use protocol::limits::CHUNK_BATCH_MAX_BYTES;
use protocol::producer::{self, Decision, ProducerState};
use protocol::secret::Secret;
use protocol::wire::{Chunk, ChunkOp};
use protocol::{CallError, ErrorCode, Timestamp};
use serde_json::Value;
use vectors::{Actor, Append, Coverage, START_MS, Subject};

#[tokio::test]
async fn the_core_is_held_to_the_scenarios_and_they_reach_all_of_it() {
    let scenarios = vectors::load_all().unwrap();
    let mut coverage = Coverage::default();
    let mut failures = Vec::new();
    for scenario in &scenarios {
        if let Err(failure) = vectors::run(scenario, &mut Core::new(), Some(&mut coverage)).await {
            failures.push(format!("{failure}\n  ({})", scenario.about));
        }
    }
    println!("{} scenarios\n\n{coverage}", scenarios.len());
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n\n"));
    if std::env::var("VECTOR").is_err() {
        let gaps = coverage.gaps();
        assert!(gaps.is_empty(), "\n{}\n", gaps.join("\n"));
    }
}

/// The core over rows in memory.
struct Core {
    rows: MemoryRows,
    streams: BTreeMap<TurnId, Stream>,
    watches: BTreeMap<String, (Caller, String, Value)>,
    now: Timestamp,
    drawn: u64,
}

#[derive(Default)]
struct Stream {
    chunks: Vec<Value>,
    producer: Option<ProducerState>,
    closed_by: Option<ProducerState>,
}

impl Core {
    fn new() -> Self {
        Self {
            rows: MemoryRows::default(),
            streams: BTreeMap::new(),
            watches: BTreeMap::new(),
            now: Timestamp::from_ms(START_MS),
            drawn: 0,
        }
    }

    /// Bytes that are another each time, and grow, so that ids of one moment are in the order of making.
    fn entropy(&mut self) -> Entropy {
        self.drawn += 1;
        let mut entropy = Entropy {
            id: [0; 10],
            secret: [0; 32],
        };
        // The version and the variant take a part of the first three bytes; a call may count the last one up.
        entropy.id[3..9].copy_from_slice(&self.drawn.to_be_bytes()[2..]);
        entropy.secret[..8].copy_from_slice(&self.drawn.to_be_bytes());
        entropy
    }

    fn transact(
        &mut self,
        act: impl FnOnce(Backend<'_, MemoryRows>) -> Result<Outcome, CallError>,
    ) -> Result<Value, CallError> {
        let entropy = self.entropy();
        let outcome = act(Backend::new(&mut self.rows, self.now, entropy))
            .inspect_err(|_| self.rows.roll_back())?;
        self.rows.commit();
        for effect in outcome.effects {
            match effect {
                Effect::CreateStream(turn) => {
                    self.streams.entry(turn).or_default();
                }
                Effect::DeleteStream(turn) => {
                    self.streams.remove(&turn);
                }
                Effect::Changed(_) | Effect::CutConnections { .. } => {}
            }
        }
        Ok(outcome.reply)
    }
}

impl Stream {
    /// The rules of a stream, as the hub's streams have them.
    fn append(&mut self, epoch: u64, seq: u64, chunks: Vec<Chunk>) -> Result<(), CallError> {
        let refused = |code, why: String| Err(CallError::new(code, why));
        if let Some(closed_by) = self.closed_by {
            if (closed_by.epoch, closed_by.last_seq) == (epoch, seq) {
                return Ok(());
            }
            return refused(ErrorCode::Conflict, "the stream is closed".to_owned());
        }
        match producer::decide(self.producer, epoch, seq) {
            Decision::Accept(next) => {
                let ends = |chunk: &Chunk| matches!(chunk.op, ChunkOp::Seal { .. });
                self.closed_by = chunks.last().is_some_and(ends).then_some(next);
                self.producer = Some(next);
                self.chunks.extend(
                    chunks
                        .iter()
                        .map(|chunk| serde_json::to_value(chunk).unwrap()),
                );
                Ok(())
            }
            Decision::Duplicate { .. } => Ok(()),
            Decision::Gap { expected } => {
                refused(ErrorCode::Conflict, format!("{expected} comes first"))
            }
            Decision::StaleEpoch { current } => {
                refused(ErrorCode::StaleEpoch, format!("{current} has taken over"))
            }
            Decision::EpochMustStartAtZero => {
                refused(ErrorCode::Invalid, "an epoch starts at 0".to_owned())
            }
        }
    }
}

#[async_trait]
impl Subject for Core {
    async fn advance(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        loop {
            let entropy = self.entropy();
            let next = Backend::new(&mut self.rows, self.now, entropy)
                .next_deadline()
                .unwrap();
            let Some(at) = next.filter(|at| *at <= end) else {
                break;
            };
            self.now = at.max(self.now);
            let given_up = self.transact(|backend| backend.tick()).unwrap();
            assert_eq!(given_up, Value::Array(Vec::new()));
        }
        self.now = end;
    }

    async fn jump(&mut self, ms: i64) {
        self.now = Timestamp::from_ms(self.now.as_ms().saturating_add_signed(ms));
        loop {
            let entropy = self.entropy();
            let next = Backend::new(&mut self.rows, self.now, entropy)
                .next_deadline()
                .unwrap();
            if next.is_none_or(|at| at > self.now) {
                return;
            }
            let given_up = self.transact(|backend| backend.tick()).unwrap();
            assert_eq!(given_up, Value::Array(Vec::new()));
        }
    }

    async fn call(
        &mut self,
        actor: &Actor,
        function: &str,
        args: Value,
        key: Option<IdempotencyKey>,
    ) -> Result<Value, CallError> {
        let request = Request {
            function,
            args,
            key,
            caller: caller(actor),
        };
        self.transact(|backend| backend.call(&request))
    }

    async fn append(&mut self, append: Append) -> Result<(), CallError> {
        let Append {
            actor,
            turn,
            epoch,
            seq,
            chunks,
        } = append;
        let invalid = |why: String| CallError::new(ErrorCode::Invalid, why);
        if chunks.is_empty() {
            return Err(invalid("an empty array appends nothing".to_owned()));
        }
        let size = serde_json::to_vec(&chunks).unwrap().len();
        if size > CHUNK_BATCH_MAX_BYTES {
            let why = format!("the body is larger than {CHUNK_BATCH_MAX_BYTES} bytes");
            return Err(CallError::new(ErrorCode::TooLarge, why));
        }
        let chunks: Vec<Chunk> = serde_json::from_value(chunks.into()).unwrap();
        let turn = TurnId::parse(&turn).unwrap();
        let token = match caller(&actor) {
            Caller::Machine(token) => token,
            Caller::Anyone => {
                let why = "This needs a machine's connection token. Connect first.";
                return Err(CallError::new(ErrorCode::Unauthenticated, why));
            }
            Caller::Person(_) => {
                let why = "Only a turn's machine appends to its stream.";
                return Err(CallError::new(ErrorCode::Forbidden, why));
            }
        };
        let mut stream = self.streams.remove(&turn);
        let answer = self.transact(|backend| {
            let outcome = backend.accept_append(&token, &turn, epoch, seq)?;
            stream
                .as_mut()
                .ok_or_else(|| CallError::not_found("stream"))?
                .append(epoch, seq, chunks)?;
            Ok(outcome)
        });
        if let Some(stream) = stream {
            self.streams.insert(turn, stream);
        }
        answer.map(drop)
    }

    async fn read(&mut self, actor: &Actor, turn: &str) -> Result<Vec<Value>, CallError> {
        let (turn, entropy) = (TurnId::parse(turn).unwrap(), self.entropy());
        Backend::new(&mut self.rows, self.now, entropy).accept_read(&caller(actor), &turn)?;
        let stream = self.streams.get(&turn);
        stream
            .map(|stream| stream.chunks.clone())
            .ok_or_else(|| CallError::not_found("stream"))
    }

    async fn watch(&mut self, name: &str, actor: &Actor, function: &str, args: Value) {
        let watch = (caller(actor), function.to_owned(), args);
        self.watches.insert(name.to_owned(), watch);
    }

    async fn newest(&mut self, name: &str) -> Result<Value, CallError> {
        let (caller, function, args) = self.watches[name].clone();
        let entropy = self.entropy();
        Backend::new(&mut self.rows, self.now, entropy).topic(&function, &args, &caller)?;
        Backend::new(&mut self.rows, self.now, entropy).query(&function, &args, &caller)
    }

    async fn stored(&mut self) -> Value {
        let turns = self.streams.keys().map(ToString::to_string);
        vectors::tables(self.rows.iter(), turns)
    }
}

fn caller(actor: &Actor) -> Caller {
    match actor {
        Actor::Person(name) => {
            let mut entropy = [0; 10];
            let length = name.len().min(7);
            entropy[3..3 + length].copy_from_slice(&name.as_bytes()[..length]);
            Caller::Person(PersonId::generate(Timestamp::from_ms(START_MS), entropy))
        }
        Actor::Nobody => Caller::Anyone,
        Actor::Machine(token) => Caller::Machine(Secret::new(token.as_str())),
    }
}
