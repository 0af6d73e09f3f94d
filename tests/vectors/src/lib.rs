//! The scenarios in `tests/vectors/backend`, and what runs them against a backend. Each backend's tests bring
//! a [`Subject`]; the TypeScript one has a runner of its own for the same files.
//!
//! `tests/vectors/backend/README.md` describes the format.

mod coverage;
mod dump;
mod run;
mod scenario;
mod value;

use async_trait::async_trait;
use protocol::CallError;
use protocol::ids::IdempotencyKey;
use serde_json::Value;

pub use coverage::{Coverage, UNREACHABLE};
pub use dump::tables;
pub use run::{Failure, run};
pub use scenario::{Scenario, load, load_all};

/// When every scenario begins: 2026-01-01 in UTC, in milliseconds.
pub const START_MS: u64 = 1_767_225_600_000;

/// Who does a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person, by name: `ann` or `bob`.
    Person(String),
    /// Somebody without a credential.
    Nobody,
    /// Whoever holds this connection token.
    Machine(String),
}

/// An append to a turn's chunks.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// Who appends.
    pub actor: Actor,
    /// The turn's id.
    pub turn: String,
    /// The producer's epoch.
    pub epoch: u64,
    /// The place of the append within the epoch.
    pub seq: u64,
    /// The chunks.
    pub chunks: Vec<Value>,
}

/// A backend that is held to the scenarios. It begins empty, at [`START_MS`]. What is not an answer or a refusal
/// is a panic.
#[async_trait]
pub trait Subject: Send {
    /// Lets that much time pass; each deadline is met at its own time.
    async fn advance(&mut self, ms: u64);

    /// Sets the clock on or back by that much; what is due is met only then.
    async fn jump(&mut self, ms: i64);

    /// Calls a function.
    async fn call(
        &mut self,
        actor: &Actor,
        function: &str,
        args: Value,
        key: Option<IdempotencyKey>,
    ) -> Result<Value, CallError>;

    /// Appends to a turn's chunks.
    async fn append(&mut self, append: Append) -> Result<(), CallError>;

    /// Reads a turn's chunks from their beginning.
    async fn read(&mut self, actor: &Actor, turn: &str) -> Result<Vec<Value>, CallError>;

    /// Opens a watch under a name.
    async fn watch(&mut self, name: &str, actor: &Actor, function: &str, args: Value);

    /// A watch's newest value, or the refusal that ended it, once all that was done has come through.
    async fn newest(&mut self, name: &str) -> Result<Value, CallError>;

    /// What is stored, by table; see [`tables`].
    async fn stored(&mut self) -> Value;
}
