//! Machines: registration, connection, presence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::ids::{ChatSessionId, MachineId};
use crate::secret::Secret;
use crate::state::MachineState;
use crate::time::Timestamp;
use crate::wire::{ChatSummary, WorkerSummary};

/// Whether a machine is there, as far as the backend honestly knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "state", rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum Presence {
    /// It has never connected.
    Never,
    /// Its connection lives.
    Online {
        /// The fencing token of the connection.
        epoch: u64,
        /// When this connection began.
        since: Timestamp,
    },
    /// It still runs what it has, and takes nothing new.
    Draining {
        /// When it began to drain.
        since: Timestamp,
    },
    /// The connection was lost; whether the machine lives is not known.
    Unknown {
        /// Its last sign of life.
        since: Timestamp,
    },
    /// It said goodbye.
    Offline {
        /// When it left.
        since: Timestamp,
    },
}

/// What a machine tells about itself when it connects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct MachineInfo {
    /// `linux`, `macos`, ...
    pub os: String,
    /// `x86_64`, `aarch64`, ...
    pub arch: String,
    /// The computer's own name.
    pub hostname: String,
    /// The root directory, as the machine's user wrote it.
    pub root: String,
    /// The version of the orchestrator that runs there.
    pub agent_version: String,
    /// The version of opencode that runs there, if one was found.
    #[ts(optional = nullable)]
    pub opencode_version: Option<String>,
    /// How far the machine's kernel holds git, and opencode where that is asked for, to what they may write; for
    /// a person.
    #[ts(optional = nullable)]
    pub enforcement: Option<String>,
    /// Why chat sessions can't run there, if they can't.
    #[ts(optional = nullable)]
    pub problem: Option<String>,
}

/// A machine as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct MachineSummary {
    /// Its id.
    pub id: MachineId,
    /// Its name.
    pub name: String,
    /// Its registration.
    pub state: MachineState,
    /// Whether it is there.
    pub presence: Presence,
    /// What it told about itself, once it has connected.
    #[ts(optional = nullable)]
    pub info: Option<MachineInfo>,
    /// When the open registration key expires, while there is one.
    #[ts(optional = nullable)]
    pub key_expires_at: Option<Timestamp>,
    /// When it was added.
    pub created_at: Timestamp,
    /// How many workers it has.
    pub worker_count: u32,
    /// How many of its chat sessions are not closed.
    pub open_chat_count: u32,
    /// How many asks wait on it.
    pub pending_ask_count: u32,
}

/// Watch `machine.list`: all machines of the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct MachineList {
    /// By time of adding; revoked ones are left out.
    pub machines: Vec<MachineSummary>,
}

/// Watch `machine.view`: one machine and what is on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct MachineView {
    /// The machine.
    pub machine: MachineSummary,
    /// Its workers, by time of adding; removed ones are left out.
    pub workers: Vec<WorkerSummary>,
    /// Its chat sessions, latest activity first: all open ones and the latest closed ones.
    pub chats: Vec<ChatSummary>,
}

/// Names one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct MachineArgs {
    /// The machine.
    pub machine_id: MachineId,
}

/// Call `machine.create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct CreateMachineArgs {
    /// What a person calls the machine.
    pub name: String,
}

/// A registration key, shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct RegistrationKeyReply {
    /// The machine it is for.
    pub machine_id: MachineId,
    /// The key.
    #[ts(type = "string")]
    pub registration_key: Secret,
    /// Until when it can be used.
    pub expires_at: Timestamp,
}

/// Call `machine.rename`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct RenameMachineArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// Its new name.
    pub name: String,
}

/// Call `machine.register`: exchanges a registration key for the machine's own credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct RegisterMachineArgs {
    /// The key.
    #[ts(type = "string")]
    pub registration_key: Secret,
    /// A random secret that the process makes once: the same key with the same one again, before the machine
    /// has connected, gives the same credentials. Whoever may send a request twice brings one.
    #[serde(default)]
    #[ts(type = "string | null", optional)]
    pub nonce: Option<Secret>,
    /// What the machine tells about itself.
    #[serde(default)]
    pub info: MachineInfo,
}

/// What a machine keeps: nothing else is needed to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct MachineCredentials {
    /// MACHINE_ID.
    pub machine_id: MachineId,
    /// The secret.
    #[ts(type = "string")]
    pub secret: Secret,
    /// The name a person gave the machine.
    pub name: String,
}

/// Call `machine.connect`: hands out a connection. Its first call that changes something, or append, takes effect for
/// it: it fences all earlier connections. Until then nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ConnectArgs {
    /// MACHINE_ID.
    pub machine_id: MachineId,
    /// The secret.
    #[ts(type = "string")]
    pub secret: Secret,
    /// The caller's [`crate::wire::WIRE_VERSION`].
    pub wire_version: u32,
    /// A random secret that the process makes once: the same one again is the same connection, so that a
    /// repeated request does not fence the process that sent it. What it tells then, once it knows whether opencode
    /// runs there, takes the place of what it told first.
    #[serde(default)]
    #[ts(type = "string | null", optional)]
    pub nonce: Option<Secret>,
    /// What the machine tells about itself.
    #[serde(default)]
    pub info: MachineInfo,
}

/// The connection that `machine.connect` has handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ConnectReply {
    /// The fencing token: greater than every earlier one of this machine.
    pub epoch: u64,
    /// Sent as bearer credential with everything that follows on this connection.
    #[ts(type = "string")]
    pub connection_token: Secret,
    /// The backend's [`crate::wire::WIRE_VERSION`].
    pub wire_version: u32,
    /// How long the machine counts as online after a sign of life.
    pub lease_ms: u64,
    /// How often it should give one.
    pub heartbeat_ms: u64,
    /// The largest append to a chunk stream, in bytes of JSON.
    pub chunk_batch_max_bytes: u32,
}

/// Call `machine.heartbeat`: a sign of life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct HeartbeatArgs {
    /// The machine takes nothing new.
    pub draining: bool,
    /// How the machine is, if that has changed since it last told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub status: Option<MachineStatus>,
}

/// What a machine tells about its own work. Times are by the machine's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct MachineStatus {
    /// When its process started.
    pub started_at: Timestamp,
    /// How often it has lost the backend and found it again since then.
    pub reconnects: u32,
    /// How many chat sessions' processes run, start or stop.
    pub processes: u32,
    /// How many may at once.
    pub process_limit: u32,
    /// The memory of those processes and all that they have started, in bytes, where it can be measured.
    #[ts(optional = nullable)]
    pub memory_bytes: Option<u64>,
    /// How much of it there may be before no further process is started, if that is limited.
    #[ts(optional = nullable)]
    pub memory_limit_bytes: Option<u64>,
    /// Chat sessions whose next message waits for a process, the one whose turn is next first.
    pub waiting: Vec<ChatSessionId>,
    /// How much of answers the backend has not taken yet, in bytes.
    pub spooled_bytes: u64,
    /// How many calls wait for the backend's answer.
    pub pending_calls: u32,
    /// What went wrong lately, latest last.
    pub errors: Vec<MachineError>,
}

/// Something that went wrong on a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct MachineError {
    /// When.
    pub at: Timestamp,
    /// What, for a person.
    pub message: String,
}

/// Watch `machine.health`: how a machine is, for whoever looks into a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct MachineHealth {
    /// Whether it is there.
    pub presence: Presence,
    /// The fencing token of its latest connection; zero before the first.
    pub epoch: u64,
    /// When it last gave a sign of life, if it ever did.
    #[ts(optional = nullable)]
    pub seen_at: Option<Timestamp>,
    /// Until when it counts as online without another one.
    #[ts(optional = nullable)]
    pub lease_until: Option<Timestamp>,
    /// How many messages wait or are under way.
    pub open_turn_count: u32,
    /// How many commands wait or are under way.
    pub open_command_count: u32,
    /// How many asks wait.
    pub pending_ask_count: u32,
    /// What it told last about its own work, if it has on this connection.
    #[ts(optional = nullable)]
    pub status: Option<MachineStatus>,
    /// When it told that.
    #[ts(optional = nullable)]
    pub status_at: Option<Timestamp>,
}

/// Call `machine.disconnect`: the machine says goodbye.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct DisconnectArgs {}

/// The answer of a call that has nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(export_to = "wire.ts")]
pub struct Done {}

/// The arguments of a function that takes none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(export_to = "wire.ts")]
pub struct NoArgs {}
