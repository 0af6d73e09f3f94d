//! Chat sessions: turns, messages and asks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::ids::{AskId, ChatSessionId, MachineId, TurnId, WorkerId};
use crate::state::{AskState, ChatState, TurnState};
use crate::time::Timestamp;
use crate::wire::Part;

/// A chat session as a person sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ChatSummary {
    /// Its id.
    pub id: ChatSessionId,
    /// Its machine.
    pub machine_id: MachineId,
    /// Its worker.
    pub worker_id: WorkerId,
    /// Its title: what a person called it, else the beginning of its first message.
    pub title: String,
    /// Its state.
    pub state: ChatState,
    /// Why it failed, if it did.
    #[ts(optional = nullable)]
    pub reason: Option<String>,
    /// The model its turns use, as `provider/model`; opencode's own default if absent.
    #[ts(optional = nullable)]
    pub model: Option<String>,
    /// The agent its turns use; opencode's own default if absent.
    #[ts(optional = nullable)]
    pub agent: Option<String>,
    /// How many messages wait.
    pub queued_count: u32,
    /// How many asks wait.
    pub pending_ask_count: u32,
    /// When it was started.
    pub created_at: Timestamp,
    /// When something last happened in it.
    pub active_at: Timestamp,
    /// The git worktree it has for itself, if it has one.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub worktree: Option<Worktree>,
    /// The chat session, on this or another machine, whose conversation it goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub continues: Option<ChatSessionId>,
    /// The latest chat session that goes on with its conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub continued_by: Option<ChatSessionId>,
}

/// Why a message waits although its machine is there: the machine runs as many processes as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ProcessWait {
    /// How many chat sessions come before this one.
    pub ahead: u32,
    /// How many processes the machine runs.
    pub processes: u32,
    /// How many it may.
    pub process_limit: u32,
    /// It is memory that is short, not the number.
    pub for_memory: bool,
}

/// A turn without its texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct TurnSummary {
    /// Its id.
    pub id: TurnId,
    /// Its place in the chat session, from one, in the order of sending.
    pub ordinal: u32,
    /// Its state.
    pub state: TurnState,
    /// Why it was interrupted or failed, if it was.
    #[ts(optional = nullable)]
    pub reason: Option<String>,
    /// A person asked to stop it and the machine has not ended it yet.
    pub cancel_requested: bool,
    /// When it was sent.
    pub created_at: Timestamp,
    /// When the machine took it.
    #[ts(optional = nullable)]
    pub delivered_at: Option<Timestamp>,
    /// When it ended.
    #[ts(optional = nullable)]
    pub ended_at: Option<Timestamp>,
    /// The hash of the complete message's text, once there is one.
    #[ts(optional = nullable)]
    pub hash: Option<String>,
}

/// The complete answer of a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct FullMessage {
    /// Its parts, in order.
    pub parts: Vec<Part>,
    /// The hash of its text; see [`crate::transcript::Transcript::hash`].
    pub hash: String,
    /// What it took, where the driver knows.
    #[ts(optional = nullable)]
    pub usage: Option<Usage>,
    /// The model that answered, as `provider/model`.
    #[ts(optional = nullable)]
    pub model: Option<String>,
}

/// What a turn took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct Usage {
    /// Tokens the model read.
    pub input_tokens: u64,
    /// Tokens the model wrote.
    pub output_tokens: u64,
    /// The price in millionths of a US dollar.
    pub cost_micro_usd: u64,
}

/// A turn with its texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct TurnRecord {
    /// The turn.
    pub turn: TurnSummary,
    /// What the person sent.
    pub message: String,
    /// The complete answer, once the turn has ended.
    #[ts(optional = nullable)]
    pub answer: Option<FullMessage>,
}

/// Call `worker.chat.transcript`: a page of turns with their texts, latest last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct TranscriptArgs {
    /// The chat session.
    pub chat_session_id: ChatSessionId,
    /// Only turns before this place; the latest ones if absent.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub before_ordinal: Option<u32>,
    /// Only these turns; at most a page. Takes the place of `beforeOrdinal`.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub turn_ids: Option<Vec<TurnId>>,
}

/// A page of turns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct TranscriptPage {
    /// By place.
    pub turns: Vec<TurnRecord>,
    /// There are earlier ones.
    pub has_earlier: bool,
}

/// Watch `worker.chat.view`: a chat session, its latest turns without texts, and its asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ChatView {
    /// The chat session.
    pub chat: ChatSummary,
    /// The latest turns, by place; older ones by `worker.chat.transcript`.
    pub turns: Vec<TurnSummary>,
    /// There are earlier turns.
    pub has_earlier: bool,
    /// Asks that wait, oldest first.
    pub asks: Vec<Ask>,
    /// The path, below the backend's address, of the chunk stream of the turn that is under way. Read it
    /// from its beginning: it holds this turn's chunks and no others.
    #[ts(optional = nullable)]
    pub stream: Option<String>,
    /// Why its next message waits, if it waits for a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub wait: Option<ProcessWait>,
}

/// Call `worker.chat.startSession`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct StartSessionArgs {
    /// The worker.
    pub worker_id: WorkerId,
    /// A title, if it should have one from the start.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub title: Option<String>,
    /// The model, as `provider/model`.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub model: Option<String>,
    /// opencode's agent.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub agent: Option<String>,
    /// Whether it works in a git worktree of its own, so that it does not get in the way of others in the
    /// worker's directory.
    #[serde(default)]
    pub own_worktree: bool,
    /// A chat session of the same person, on this or another machine, whose conversation it goes on with: the
    /// transcript is handed to the agent with the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub continues: Option<ChatSessionId>,
}

/// How a chat session's own git worktree stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum WorktreeState {
    /// The machine has not made it yet.
    Wanted,
    /// It is there.
    Present,
    /// Its chat session has ended, and it is still there, for the reason given.
    Kept,
    /// Its chat session has ended, and it is gone.
    Removed,
    /// A state that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// A chat session's own git worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct Worktree {
    /// Its directory below the machine's root.
    pub directory: String,
    /// Its branch.
    pub branch: String,
    /// How it stands.
    pub state: WorktreeState,
    /// Why it was kept, if it was.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub reason: Option<String>,
}

/// Call `worker.chat.endSession`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct EndSessionArgs {
    /// The chat session.
    pub chat_session_id: ChatSessionId,
    /// Whether its worktree goes even if there is work in it that is nowhere else.
    #[serde(default)]
    pub discard_worktree: bool,
}

/// The chat session that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct StartSessionReply {
    /// Its id.
    pub chat_session_id: ChatSessionId,
}

/// Names one chat session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ChatArgs {
    /// The chat session.
    pub chat_session_id: ChatSessionId,
}

/// Call `worker.chat.renameSession`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct RenameSessionArgs {
    /// The chat session.
    pub chat_session_id: ChatSessionId,
    /// Its new title.
    pub title: String,
}

/// Call `worker.chat.sendMessage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct SendMessageArgs {
    /// The chat session.
    pub chat_session_id: ChatSessionId,
    /// The message, in Markdown.
    pub message: String,
}

/// The turn that a message began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct TurnReply {
    /// The turn.
    pub turn: TurnSummary,
}

/// Names one turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct TurnArgs {
    /// The turn.
    pub turn_id: TurnId,
}

/// What an ask asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum AskBody {
    /// May the agent do this?
    Permission {
        /// What it wants: `bash`, `edit`, ...
        permission: String,
        /// The commands or files it is about.
        patterns: Vec<String>,
        /// What else is known about it, for a person: a diff, a command, ... as JSON text.
        #[serde(default)]
        detail: String,
        /// What `always` would allow.
        #[serde(default)]
        always: Vec<String>,
    },
    /// Questions to a person.
    Question {
        /// The questions; the answer has one entry for each.
        questions: Vec<Question>,
    },
    /// An ask that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct Question {
    /// One or two words.
    #[serde(default)]
    pub header: String,
    /// The question.
    pub question: String,
    /// The answers to choose from.
    #[serde(default)]
    pub options: Vec<QuestionOption>,
    /// More than one may be chosen.
    #[serde(default)]
    pub multiple: bool,
    /// An answer in one's own words is welcome.
    #[serde(default)]
    pub custom: bool,
}

/// An answer to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct QuestionOption {
    /// The answer.
    pub label: String,
    /// What it means.
    #[serde(default)]
    pub description: String,
}

/// A person's answer to an ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum AskAnswer {
    /// Allowed, this time.
    Once,
    /// Allowed, and the like of it for as long as the process lives.
    Always,
    /// Denied, or the question is turned down.
    Reject {
        /// What the agent should do instead; without it, the turn ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional = nullable)]
        message: Option<String>,
    },
    /// The answers to the questions, in their order.
    Answers {
        /// For each question what was chosen or written.
        answers: Vec<Vec<String>>,
    },
    /// An answer that only a newer peer knows: denies.
    #[serde(other)]
    Unknown,
}

/// A permission request or question that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct Ask {
    /// Its id.
    pub id: AskId,
    /// Its chat session.
    pub chat_session_id: ChatSessionId,
    /// The turn that waits for it.
    pub turn_id: TurnId,
    /// What it asks.
    pub body: AskBody,
    /// Its state.
    pub state: AskState,
    /// The answer, once there is one.
    #[ts(optional = nullable)]
    pub answer: Option<AskAnswer>,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When it denies by itself.
    pub deadline: Timestamp,
}

/// Call `worker.chat.answerAsk`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct AnswerAskArgs {
    /// The ask.
    pub ask_id: AskId,
    /// The answer.
    pub answer: AskAnswer,
}
