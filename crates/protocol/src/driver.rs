//! What a driver is told and what it tells. A driver runs one agent process (opencode, say) for each chat
//! session; this is the data that crosses that boundary, the same for real drivers and scripted ones.

use crate::ids::{ChatSessionId, TurnId};
use crate::schedule::FailureKind;
use crate::state::TurnState;
use crate::wire::{AskBody, ChunkOp, FullMessage, Sandbox};

/// What a driver needs to start or resume a chat session's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSpec {
    /// The chat session.
    pub chat_session_id: ChatSessionId,
    /// The absolute path of the directory to work in.
    pub directory: String,
    /// The driver's own name for the conversation, if it has begun earlier.
    pub agent_session_id: Option<String>,
    /// The chat session's title.
    pub title: String,
    /// The model, as `provider/model`; the driver's own default if absent.
    pub model: Option<String>,
    /// The agent; the driver's own default if absent.
    pub agent: Option<String>,
    /// Nobody else works in the directory, and nobody will: nothing has to be kept ready for it.
    pub is_own_directory: bool,
    /// What the process may write to.
    pub sandbox: Sandbox,
    /// Whether the process has to ask before everything that it does.
    pub ask_first: bool,
    /// When it is confined: absolute paths that it may write besides its directory, like the data of the
    /// repository whose worktree it works in.
    pub also_writes: Vec<String>,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnEnd {
    /// `completed`, `interrupted`, `failed` or `cancelled`.
    pub outcome: TurnState,
    /// Why, for a person, when it was interrupted or failed.
    pub reason: Option<String>,
    /// What kind of failure it was, when it was interrupted or failed and the driver knows.
    pub failure: Option<FailureKind>,
    /// The answer as far as there is one; its hash is filled in by whoever takes it.
    pub answer: FullMessage,
}

/// What a running process tells. Order matters: a turn's events come in the order in which they happened,
/// and nothing of a turn comes after its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverEvent {
    /// The answer has grown or changed. Never a seal.
    Chunk {
        /// The turn.
        turn_id: TurnId,
        /// What changed.
        op: ChunkOp,
    },
    /// The process waits for a person.
    AskOpened {
        /// The turn that waits.
        turn_id: TurnId,
        /// The driver's own name for the ask.
        agent_ask_id: String,
        /// What it asks.
        body: AskBody,
    },
    /// Nobody waits for that ask any more.
    AskClosed {
        /// The turn that waited.
        turn_id: TurnId,
        /// The driver's own name for the ask.
        agent_ask_id: String,
    },
    /// The turn is over.
    TurnEnded {
        /// The turn.
        turn_id: TurnId,
        /// How.
        end: TurnEnd,
    },
    /// The process has ended without being told to. Nothing comes after this.
    Exited {
        /// Why, for a person.
        reason: String,
    },
}

/// What a resumed process knows of a turn that was under way when its predecessor died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnRecall {
    /// It never got the prompt: handing it over now is safe.
    Absent,
    /// It got the prompt and has the whole answer.
    Finished(TurnEnd),
    /// It got the prompt; the answer broke off. What there is of it comes along.
    Unfinished(FullMessage),
}
