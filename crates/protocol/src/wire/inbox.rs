//! What a machine watches, and what it reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::ids::{AskId, ChatSessionId, MachineId, TurnId, WorkerId};
use crate::schedule::FailureKind;
use crate::state::{ChatState, TurnState, WorkerState};
use crate::wire::{AskAnswer, AskBody, FullMessage, InboxCommand, Sandbox, Worktree};

/// Watch `machine.inbox`: all that a machine should know now. It is the whole of it: a machine that has
/// this and its own directory needs nothing else to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct Inbox {
    /// The machine.
    pub machine_id: MachineId,
    /// The epoch of the connection that watches.
    pub epoch: u64,
    /// The workers that are not removed.
    pub workers: Vec<InboxWorker>,
    /// The chat sessions that are not closed.
    pub chats: Vec<InboxChat>,
    /// The commands that have not ended.
    #[serde(default)]
    pub commands: Vec<InboxCommand>,
}

/// A worker as its machine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct InboxWorker {
    /// The worker.
    pub id: WorkerId,
    /// Its directory below the root.
    pub directory: String,
    /// Its state.
    pub state: WorkerState,
}

/// A chat session as its machine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct InboxChat {
    /// The chat session.
    pub id: ChatSessionId,
    /// Its worker.
    pub worker_id: WorkerId,
    /// The worker's directory below the root.
    pub directory: String,
    /// Its state.
    pub state: ChatState,
    /// Its title.
    pub title: String,
    /// The driver's own name for the conversation, once it has told.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub agent_session_id: Option<String>,
    /// The model, as `provider/model`.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub model: Option<String>,
    /// The agent.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub agent: Option<String>,
    /// What its process may write to.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// The git worktree to make for it, and to work in.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub worktree: Option<Worktree>,
    /// Whether its process has to ask before everything: whether it may is decided here.
    #[serde(default)]
    pub ask_first: bool,
    /// The turn that is under way or next, if there is one.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub turn: Option<InboxTurn>,
    /// Asks of the turn that have an answer which the machine has not settled yet.
    #[serde(default)]
    pub answers: Vec<InboxAnswer>,
}

/// The turn that is under way or next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct InboxTurn {
    /// The turn.
    pub id: TurnId,
    /// Its state.
    pub state: TurnState,
    /// A person wants it to stop.
    pub cancel_requested: bool,
}

/// An answered ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct InboxAnswer {
    /// The ask.
    pub ask_id: AskId,
    /// The driver's own name for it.
    pub agent_ask_id: String,
    /// The answer.
    pub answer: AskAnswer,
}

/// Call `worker.chat.reportSession`: the machine says how the process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ReportSessionArgs {
    /// The chat session.
    pub chat_session_id: ChatSessionId,
    /// `starting`, `ready`, `hibernated` or `failed`.
    pub state: ChatState,
    /// Why it failed, if it did.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub reason: Option<String>,
    /// The driver's own name for the conversation, where it is known.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub agent_session_id: Option<String>,
    /// From one, grows with each report of the connection: one that comes late or again changes nothing.
    pub seq: u64,
}

/// A turn as given to the machine that took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct TakenTurn {
    /// The turn.
    pub turn_id: TurnId,
    /// Its state now.
    pub state: TurnState,
    /// What the person sent.
    pub message: String,
    /// What the agent process has to know before, as Markdown: the transcript of the chat session that this one
    /// goes on with. Comes before the message in the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub background: Option<String>,
}

/// Call `worker.chat.writeMessage`: the complete answer, which ends the turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct WriteMessageArgs {
    /// The turn.
    pub turn_id: TurnId,
    /// `completed`, `interrupted`, `failed` or `cancelled`.
    pub outcome: TurnState,
    /// Why it was interrupted or failed, if it was.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub reason: Option<String>,
    /// What kind of failure it was, if it was interrupted or failed and the machine knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub failure: Option<FailureKind>,
    /// The answer, as far as there is one.
    pub answer: FullMessage,
}

/// Call `worker.chat.openAsk`: the agent process waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct OpenAskArgs {
    /// The turn that waits.
    pub turn_id: TurnId,
    /// The driver's own name for the ask; the same name again is the same ask.
    pub agent_ask_id: String,
    /// What it asks.
    pub body: AskBody,
}

/// The ask that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct OpenAskReply {
    /// Its id.
    pub ask_id: AskId,
}

/// Call `worker.chat.settleAsk`: the answer has reached the agent process, or nobody waits any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct SettleAskArgs {
    /// The ask's turn.
    pub turn_id: TurnId,
    /// The driver's own name for the ask.
    pub agent_ask_id: String,
}
