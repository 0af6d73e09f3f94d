//! What carries an agent's words to a backend and back: calls, watches and chunk streams. A transport
//! decides nothing; recovery is the agent core's.

pub mod fake;
pub mod suite;

use async_trait::async_trait;
use futures::stream::BoxStream;
use protocol::ids::{IdempotencyKey, TurnId};
use protocol::secret::Secret;
use protocol::wire::{Appended, Chunk};
use protocol::{CallError, Timestamp};
use serde_json::Value;
use thiserror::Error;

/// One call of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function's name.
    pub function: String,
    /// Its arguments.
    pub args: Value,
    /// The idempotency key, for a person's changing call.
    pub key: Option<IdempotencyKey>,
    /// What shows who calls: a connection token or a person's token.
    pub credential: Option<Secret>,
}

/// An append to a turn's chunk stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The turn.
    pub turn_id: TurnId,
    /// The machine's connection token.
    pub credential: Secret,
    /// The producer's epoch: that of the connection.
    pub epoch: u64,
    /// Counts the producer's appends to this stream from zero within the epoch.
    pub seq: u64,
    /// The chunks.
    pub chunks: Vec<Chunk>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The backend refused it.
    #[error(transparent)]
    Refused(CallError),
    /// No answer came: the backend may or may not have done it.
    #[error("the backend can't be reached: {0}")]
    Lost(String),
}

impl TransportError {
    /// The backend's refusal, if it was one.
    #[must_use]
    pub fn refusal(&self) -> Option<&CallError> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Lost(_) => None,
        }
    }
}

/// The values of a watch: the whole one first, then after each change the newest. Ends with an error.
pub type Values = BoxStream<'static, Result<Value, TransportError>>;

/// The chunks of a stream, in the order of their offsets.
pub type Chunks = BoxStream<'static, Result<Vec<Chunk>, TransportError>>;

/// A way to a backend.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Calls a function. Never waits for ever.
    ///
    /// # Errors
    /// [`TransportError::Refused`] by the backend, or [`TransportError::Lost`].
    async fn call(&self, call: Call) -> Result<Value, TransportError>;

    /// Watches a query.
    fn watch(&self, function: &str, args: Value, credential: Option<Secret>) -> Values;

    /// Appends to a turn's chunk stream. `Ok` means that it is on the backend's disk, by this append or by
    /// an earlier one with the same epoch and sequence number; it says when the backend wants the next one.
    ///
    /// # Errors
    /// [`TransportError::Refused`] by the backend, or [`TransportError::Lost`].
    async fn append(&self, append: Append) -> Result<Appended, TransportError>;

    /// Reads a turn's chunk stream from its beginning. With `live` it goes on as the stream grows, and ends
    /// when the stream is closed or the connection lost; without, it ends with what there is.
    fn read(&self, turn_id: &TurnId, credential: Option<Secret>, live: bool) -> Chunks;
}

/// Makes an idempotency key: one for each thing a person wants done, the same for each try at it.
///
/// # Panics
/// When the operating system has no random bytes.
#[must_use]
pub fn new_key() -> IdempotencyKey {
    let mut entropy = [0; 10];
    getrandom::fill(&mut entropy).expect("the operating system gives random bytes");
    IdempotencyKey::generate(now(), entropy)
}

/// Makes a secret with this prefix.
///
/// # Panics
/// When the operating system has no random bytes.
#[must_use]
pub fn new_secret(prefix: &str) -> Secret {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).expect("the operating system gives random bytes");
    Secret::generate(prefix, entropy)
}

/// A random number.
///
/// # Panics
/// When the operating system has no random bytes.
#[must_use]
pub fn random() -> u64 {
    getrandom::u64().expect("the operating system gives random bytes")
}

/// The wall clock.
#[must_use]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
