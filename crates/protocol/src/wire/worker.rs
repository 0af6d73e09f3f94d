//! Workers: a directory of a machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::ids::{MachineId, WorkerId};
use crate::state::WorkerState;
use crate::time::Timestamp;

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
