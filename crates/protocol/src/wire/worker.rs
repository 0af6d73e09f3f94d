//! Workers: a directory of a machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::ids::{MachineId, WorkerId};
use crate::state::WorkerState;
use crate::time::Timestamp;

/// What the agent processes of a worker may write to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum Sandbox {
    /// Whatever the machine's user may.
    #[default]
    Off,
    /// The worker's directory, the process's own state, and temporary files; where the machine's kernel can
    /// enforce that.
    Workspace,
    /// A kind that only a newer peer knows. Nothing runs in it.
    #[serde(other)]
    Unknown,
}

/// How a worker's chat sessions run, unless one says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct WorkerSettings {
    /// The model, as `provider/model`; opencode's own choice if absent.
    #[ts(optional = nullable)]
    pub model: Option<String>,
    /// opencode's agent; its own choice if absent.
    #[ts(optional = nullable)]
    pub agent: Option<String>,
    /// What its agent processes may write to.
    pub sandbox: Sandbox,
}

/// A worker as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct WorkerSummary {
    /// Its id.
    pub id: WorkerId,
    /// Its machine.
    pub machine_id: MachineId,
    /// Its name; the directory's last part if nobody gave one.
    pub name: String,
    /// Its directory below the machine's root; empty is the root itself.
    pub directory: String,
    /// Its state.
    pub state: WorkerState,
    /// Why it is unavailable, if it is.
    #[ts(optional = nullable)]
    pub reason: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// How many of its chat sessions are not closed.
    pub open_chat_count: u32,
    /// How its chat sessions run.
    #[serde(default)]
    pub settings: WorkerSettings,
}

/// Call `worker.register`: adds a worker, or gives the one that the directory has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct RegisterWorkerArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// A path below the machine's root, with `/` between its parts.
    pub directory: String,
    /// A name, if it should have another than the directory's.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub name: Option<String>,
    /// How its chat sessions run. Of a worker that is there already, nothing changes.
    #[serde(default)]
    pub settings: WorkerSettings,
}

/// Call `worker.configure`: how the chat sessions that start from now on run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ConfigureWorkerArgs {
    /// The worker.
    pub worker_id: WorkerId,
    /// All of its settings.
    pub settings: WorkerSettings,
}

/// Names one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct WorkerArgs {
    /// The worker.
    pub worker_id: WorkerId,
}

/// Call `worker.rename`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct RenameWorkerArgs {
    /// The worker.
    pub worker_id: WorkerId,
    /// Its new name.
    pub name: String,
}

/// Call `worker.report`: the machine says how the directory is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ReportWorkerArgs {
    /// The worker.
    pub worker_id: WorkerId,
    /// `ready` or `unavailable`.
    pub state: WorkerState,
    /// Why it is unavailable, if it is.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub reason: Option<String>,
    /// From one, grows with each report of the connection: one that comes late or again changes nothing.
    pub seq: u64,
}
