//! What the backend stores, and under which keys. Keys of an index end with the id of the row they lead to.

use serde::{Deserialize, Serialize};

use crate::ids::{
    AskId, ChatSessionId, CommandId, MachineId, PersonId, RunId, ScheduleId, TurnId, WorkerId,
};
use crate::limits::LEASE_MS;
use crate::schedule::{FailureKind, MissedWhy, Retries, SkipWhy};
use crate::secret::{Secret, SecretHash};
use crate::state::{
    AskState, ChatState, CommandState, MachineState, RegistrationKeyState, RunState, ScheduleState,
    TurnState, WorkerState,
};
use crate::time::Timestamp;
use crate::wire::{
    AskAnswer, AskBody, CommandError, Listing, MachineInfo, MachineStatus, Operation, Progress,
    RunSession, ScheduleSpec, Unattended, Usage, WorkerSettings, Worktree,
};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MachineRow {
    pub(crate) id: MachineId,
    pub(crate) owner: PersonId,
    pub(crate) name: String,
    pub(crate) state: MachineState,
    pub(crate) info: Option<MachineInfo>,
    pub(crate) key_hash: Option<String>,
    pub(crate) created_at: Timestamp,
}

/// Apart from the machine's row, so that nothing which is shown ever holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CredentialsRow {
    pub(crate) secret: SecretHash,
    pub(crate) connection: Option<SecretHash>,
    pub(crate) epoch: u64,
    /// The hashes of the latest connections' nonces, latest last: a request that comes late is known by them.
    #[serde(default)]
    pub(crate) nonces: Vec<SecretHash>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    pub(crate) machine: MachineId,
    pub(crate) state: RegistrationKeyState,
    pub(crate) expires_at: Timestamp,
    /// The hash of the nonce of whoever used it.
    #[serde(default)]
    pub(crate) nonce: Option<SecretHash>,
}

/// A machine's connection. Written on each heartbeat, so apart from everything else.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PresenceRow {
    pub(crate) epoch: u64,
    pub(crate) link: Link,
    pub(crate) since: Timestamp,
    pub(crate) seen_at: Timestamp,
    pub(crate) lease_until: Timestamp,
}

impl PresenceRow {
    /// Whether the lease holds. One that ends later than a lease can was given before the clock was set back: of
    /// the time since then it says nothing.
    pub(crate) fn lease_holds(&self, now: Timestamp) -> bool {
        now < self.lease_until && self.lease_until <= now.plus_ms(LEASE_MS)
    }
}

/// What a machine told last about its own work, on the connection that it has or had last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StatusRow {
    pub(crate) at: Timestamp,
    pub(crate) status: MachineStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Link {
    Up,
    Draining,
    Lost,
    Left,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WorkerRow {
    pub(crate) id: WorkerId,
    pub(crate) machine: MachineId,
    pub(crate) name: String,
    pub(crate) directory: String,
    pub(crate) state: WorkerState,
    pub(crate) reason: Option<String>,
    pub(crate) reported: ReportPlace,
    pub(crate) created_at: Timestamp,
    #[serde(default)]
    pub(crate) settings: WorkerSettings,
}

/// The place of a machine's report: epoch, then its number within the epoch. Later ones compare greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ReportPlace(pub(crate) u64, pub(crate) u64);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChatRow {
    pub(crate) id: ChatSessionId,
    pub(crate) machine: MachineId,
    pub(crate) worker: WorkerId,
    pub(crate) title: String,
    pub(crate) state: ChatState,
    pub(crate) reason: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) agent_session_id: Option<String>,
    pub(crate) reported: ReportPlace,
    pub(crate) last_ordinal: u32,
    pub(crate) queued_count: u32,
    pub(crate) pending_ask_count: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) active_at: Timestamp,
    #[serde(default)]
    pub(crate) worktree: Option<Worktree>,
    #[serde(default)]
    pub(crate) continues: Option<ChatSessionId>,
    #[serde(default)]
    pub(crate) continued_by: Option<ChatSessionId>,
    /// The latest turn that was given what was said in the chat session that it continues.
    #[serde(default)]
    pub(crate) background_for: Option<TurnId>,
    /// Its process is to ask before everything: what may be done is decided here.
    #[serde(default)]
    pub(crate) ask_first: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TurnRow {
    pub(crate) id: TurnId,
    pub(crate) chat: ChatSessionId,
    pub(crate) machine: MachineId,
    pub(crate) ordinal: u32,
    pub(crate) state: TurnState,
    pub(crate) reason: Option<String>,
    pub(crate) cancel_requested: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) delivered_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) hash: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AskRow {
    pub(crate) id: AskId,
    pub(crate) agent_ask_id: String,
    pub(crate) chat: ChatSessionId,
    pub(crate) turn: TurnId,
    pub(crate) machine: MachineId,
    pub(crate) body: AskBody,
    pub(crate) state: AskState,
    pub(crate) answer: Option<AskAnswer>,
    pub(crate) created_at: Timestamp,
    pub(crate) deadline: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CommandRow {
    pub(crate) id: CommandId,
    pub(crate) machine: MachineId,
    pub(crate) requested_by: PersonId,
    pub(crate) operation: Operation,
    pub(crate) state: CommandState,
    /// The connection that took it last.
    pub(crate) epoch: u64,
    pub(crate) attempt: u32,
    pub(crate) cancel_requested: bool,
    pub(crate) progress: Option<Progress>,
    pub(crate) reported: ReportPlace,
    pub(crate) error: Option<CommandError>,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ScheduleRow {
    pub(crate) id: ScheduleId,
    pub(crate) owner: PersonId,
    pub(crate) machine: MachineId,
    pub(crate) worker: WorkerId,
    pub(crate) spec: ScheduleSpec,
    pub(crate) state: ScheduleState,
    pub(crate) reason: Option<String>,
    /// Every firing up to here has its row; only moves forward.
    pub(crate) handled: Timestamp,
    /// Its next firing, for which a deadline is set.
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) failures_in_a_row: u32,
    pub(crate) revision: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) changed_at: Timestamp,
    /// The chat session that goes on from run to run.
    pub(crate) chat: Option<ChatSessionId>,
    /// The latest run by the instant it was due, of those that have begun or ended.
    pub(crate) last_run: Option<RunId>,
    /// The run that ended last, missed and skipped ones apart.
    pub(crate) last_ended: Option<RunId>,
    pub(crate) runs_made: u64,
    pub(crate) webhook_secret: Option<Secret>,
    pub(crate) is_deleted: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunRow {
    pub(crate) id: RunId,
    pub(crate) schedule: ScheduleId,
    pub(crate) owner: PersonId,
    /// Its place among the runs of its schedule, in the order in which they came about.
    pub(crate) place: u64,
    pub(crate) due_at: Timestamp,
    pub(crate) is_manual: bool,
    pub(crate) until: Option<Timestamp>,
    pub(crate) count: u32,
    pub(crate) state: RunState,
    pub(crate) reason: Option<String>,
    pub(crate) skipped: Option<SkipWhy>,
    pub(crate) missed: Option<MissedWhy>,
    pub(crate) failure: Option<FailureKind>,
    pub(crate) tries: u32,
    pub(crate) starts_at: Option<Timestamp>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) chat: Option<ChatSessionId>,
    pub(crate) turn: Option<TurnId>,
    pub(crate) usage: Option<Usage>,
    pub(crate) denied: Vec<String>,
    pub(crate) is_asking: bool,
    pub(crate) revision: u32,
    /// What of its schedule it began with, once it has.
    pub(crate) terms: Option<RunTerms>,
    /// Why it is being stopped, if not by a person.
    pub(crate) stop: Option<RunStop>,
}

/// A run goes on to its end with what its schedule was when it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunTerms {
    pub(crate) session: RunSession,
    pub(crate) model: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) time_limit_ms: Option<u64>,
    pub(crate) retries: Retries,
    pub(crate) unattended: Unattended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunStop {
    /// It went on for longer than it may.
    TimeLimit,
    /// The next firing takes its place.
    Replaced,
}

/// A directory as it was last listed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DirectoryRow {
    pub(crate) listing: Option<Listing>,
    pub(crate) as_of: Option<Timestamp>,
    /// The latest command to list it.
    pub(crate) command: CommandId,
    pub(crate) touched_at: Timestamp,
}

/// The result of a changing call, kept for its idempotency key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct IdempotencyRow {
    pub(crate) request_hash: String,
    pub(crate) reply: serde_json::Value,
}

/// An index entry that says no more than its key.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Entry;

/// Something to do when its time has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub(crate) enum Deadline {
    LeaseEnds { machine: MachineId },
    KeyExpires { key_hash: String },
    AskExpires { ask: AskId },
    ForgetReply { key: String },
    DropChunks { turn: TurnId },
    CommandExpires { command: CommandId },
    DropResult { command: CommandId },
    ForgetCommand { command: CommandId },
    ScheduleFires { schedule: ScheduleId },
    RunStarts { run: RunId },
    RunTimesUp { run: RunId, tries: u32 },
}

macro_rules! keys {
    ($($name:ident($($arg:ident: $Type:ty),*) = $format:literal;)*) => {$(
        pub(crate) fn $name($($arg: $Type),*) -> String {
            format!($format)
        }
    )*};
}

/// The keys. A name with `_of` or `by_` is the prefix of an index, or an entry of it.
pub(crate) mod key {
    use super::{
        AskId, ChatSessionId, CommandId, MachineId, PersonId, RunId, ScheduleId, Timestamp, TurnId,
        WorkerId,
    };

    /// The prefix of all connections.
    pub(crate) const PRESENCES: &str = "machine.presence/";

    keys! {
        machine(id: &MachineId) = "machine/{id}";
        machines_of(owner: &PersonId) = "machine.by_owner/{owner}/";
        machine_of(owner: &PersonId, id: &MachineId) = "machine.by_owner/{owner}/{id}";
        credentials(id: &MachineId) = "machine.credentials/{id}";
        registration_key(hash: &str) = "machine.key/{hash}";
        presence(id: &MachineId) = "machine.presence/{id}";
        status(id: &MachineId) = "machine.status/{id}";

        worker(id: &WorkerId) = "worker/{id}";
        workers_of(machine: &MachineId) = "worker.by_machine/{machine}/";
        worker_of(machine: &MachineId, id: &WorkerId) = "worker.by_machine/{machine}/{id}";
        worker_by_directory(machine: &MachineId, directory: &str) = "worker.by_directory/{machine}/{directory}";

        chat(id: &ChatSessionId) = "chat/{id}";
        open_chats_of(machine: &MachineId) = "chat.open/{machine}/";
        open_chat_of(machine: &MachineId, id: &ChatSessionId) = "chat.open/{machine}/{id}";
        closed_chats_of(machine: &MachineId) = "chat.closed/{machine}/";
        closed_chat_of(machine: &MachineId, id: &ChatSessionId) = "chat.closed/{machine}/{id}";

        turn(id: &TurnId) = "turn/{id}";
        turn_message(id: &TurnId) = "turn.message/{id}";
        turn_answer(id: &TurnId) = "turn.answer/{id}";
        turns_of(chat: &ChatSessionId) = "turn.by_chat/{chat}/";
        turn_of(chat: &ChatSessionId, ordinal: u32) = "turn.by_chat/{chat}/{ordinal:010}";
        waiting_of(chat: &ChatSessionId) = "turn.waiting/{chat}/";
        waiting(chat: &ChatSessionId, ordinal: u32) = "turn.waiting/{chat}/{ordinal:010}";

        ask(id: &AskId) = "ask/{id}";
        ask_by_agent(turn: &TurnId, agent_ask_id: &str) = "ask.by_agent/{turn}/{agent_ask_id}";
        open_asks_of(chat: &ChatSessionId) = "ask.open/{chat}/";
        open_ask_of(chat: &ChatSessionId, id: &AskId) = "ask.open/{chat}/{id}";

        command(id: &CommandId) = "command/{id}";
        command_result(id: &CommandId) = "command.result/{id}";
        open_commands_of(machine: &MachineId) = "command.open/{machine}/";
        open_command_of(machine: &MachineId, id: &CommandId) = "command.open/{machine}/{id}";
        commands_of(machine: &MachineId) = "command.by_machine/{machine}/";
        command_of(machine: &MachineId, id: &CommandId) = "command.by_machine/{machine}/{id}";
        changes_of(machine: &MachineId) = "command.change/{machine}/";
        change_of(machine: &MachineId, id: &CommandId) = "command.change/{machine}/{id}";

        directories_of(machine: &MachineId) = "directory/{machine}/";
        directory(machine: &MachineId, hidden: bool, directory: &str) = "directory/{machine}/{hidden}/{directory}";
        directories_by_age(machine: &MachineId) = "directory.by_age/{machine}/";

        schedule(id: &ScheduleId) = "schedule/{id}";
        schedules_of(owner: &PersonId) = "schedule.by_owner/{owner}/";
        schedule_of(owner: &PersonId, id: &ScheduleId) = "schedule.by_owner/{owner}/{id}";
        schedules_by_worker(worker: &WorkerId) = "schedule.by_worker/{worker}/";
        schedule_by_worker(worker: &WorkerId, id: &ScheduleId) = "schedule.by_worker/{worker}/{id}";

        run(id: &RunId) = "run/{id}";
        run_by_turn(turn: &TurnId) = "run.by_turn/{turn}";
        open_runs_of(schedule: &ScheduleId) = "run.open/{schedule}/";
        open_run_of(schedule: &ScheduleId, place: u64) = "run.open/{schedule}/{place:015}";
        runs_of(schedule: &ScheduleId) = "run.by_schedule/{schedule}/";
        runs_by_owner(owner: &PersonId) = "run.by_owner/{owner}/";

        reply(scope: &str, key: &str) = "reply/{scope}/{key}";
    }

    /// The one run of a schedule's firing at that instant.
    pub(crate) fn run_at(schedule: &ScheduleId, instant: Timestamp) -> String {
        format!("run.by_instant/{schedule}/{:015}", instant.as_ms())
    }

    /// A run's place in a ledger, whose prefix it begins with.
    pub(crate) fn ledger_place(ledger: &str, due_at: Timestamp, id: &RunId) -> String {
        format!("{ledger}{:015}/{id}", due_at.as_ms())
    }

    /// The place in a ledger before all that is due at that instant or later.
    pub(crate) fn ledger_before(ledger: &str, due_at: Timestamp) -> String {
        format!("{ledger}{:015}/", due_at.as_ms())
    }

    /// A directory's place in the order in which directories are forgotten.
    pub(crate) fn directory_by_age(
        machine: &MachineId,
        at: Timestamp,
        hidden: bool,
        directory: &str,
    ) -> String {
        let prefix = directories_by_age(machine);
        format!("{prefix}{:015}/{hidden}/{directory}", at.as_ms())
    }

    /// A deadline's key; `what` tells deadlines of the same moment apart.
    pub(crate) fn deadline(at: Timestamp, what: &str) -> String {
        format!("deadline/{:015}/{what}", at.as_ms())
    }
}
