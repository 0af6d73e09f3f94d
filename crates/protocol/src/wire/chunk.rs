//! The live side of an answer: parts, and the chunks that build them up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::ids::TurnId;
use crate::state::TurnState;
use crate::time::Timestamp;

/// Names a part within its turn; unique there, otherwise without meaning.
pub type PartId = String;

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct Part {
    /// Its name within the turn.
    pub id: PartId,
    /// What it holds.
    #[serde(flatten)]
    pub body: PartBody,
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum PartBody {
    /// The answer's text, in Markdown.
    Text {
        /// The text.
        text: String,
    },
    /// What the model thought.
    Reasoning {
        /// The text.
        text: String,
    },
    /// A call of a tool.
    Tool(ToolCall),
    /// Something the person should know about the turn itself: a retry of the model, a compaction, ...
    Notice {
        /// The text.
        text: String,
    },
    /// A part that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// The state of a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum ToolState {
    /// The model has begun to write the call.
    Pending,
    /// The tool runs.
    Running,
    /// It ended well.
    Completed,
    /// It ended badly.
    Failed,
    /// A state that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ToolCall {
    /// The tool: `bash`, `edit`, `read`, ...
    pub tool: String,
    /// Its state.
    pub state: ToolState,
    /// One line for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub title: Option<String>,
    /// The arguments as JSON text; cut beyond its limit.
    #[serde(default)]
    pub input: String,
    /// What the tool wrote so far. In a `replace` chunk, absent means: as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub output: Option<String>,
    /// Some of the input or output was left out because it was too long.
    #[serde(default)]
    pub truncated: bool,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub error: Option<String>,
    /// When the tool began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub started_at: Option<Timestamp>,
    /// When the tool ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub ended_at: Option<Timestamp>,
}

/// Where an appended text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum DeltaKind {
    /// To the text of a text part.
    Text,
    /// To the text of a reasoning part.
    Reasoning,
    /// To a tool's output.
    ToolOutput,
    /// A kind that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// What a chunk does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "op", rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum ChunkOp {
    /// Adds text to the end of a part; begins the part if it is new.
    Append {
        /// The part.
        part: PartId,
        /// Where the text goes.
        kind: DeltaKind,
        /// The text.
        delta: String,
    },
    /// Sets a part to a new state; begins the part if it is new.
    Replace {
        /// The whole part. A tool call without `output` keeps the output that it has.
        part: Part,
    },
    /// Voids what a part has so far: the model's answer broke off and is tried again.
    Supersede {
        /// The part.
        part: PartId,
    },
    /// Ends the turn's chunks.
    Seal {
        /// How the turn ended.
        outcome: TurnState,
        /// The hash of the turn's text; see [`crate::transcript::Transcript::hash`].
        hash: String,
    },
    /// An operation that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// The answer to an append to a turn's chunk stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct Appended {
    /// How long to gather chunks before the next append, in milliseconds from when this one was sent. Zero:
    /// not at all. A backend that counts calls says more, and most while nobody watches.
    pub gather_ms: u64,
}

/// One entry of a chat session's chunk stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct Chunk {
    /// The turn it belongs to.
    pub turn: TurnId,
    /// Counts the turn's chunks from zero, without a gap.
    pub seq: u64,
    /// What it does.
    #[serde(flatten)]
    pub op: ChunkOp,
}
