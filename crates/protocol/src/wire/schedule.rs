//! Schedules and their runs. When a schedule fires, and what its policies mean, is in [`crate::schedule`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::ids::{ChatSessionId, MachineId, RunId, ScheduleId, TurnId, WorkerId};
use crate::schedule::{CatchUp, FailureKind, MissedWhy, Overlap, Retries, SkipWhy, When};
use crate::state::{RunState, ScheduleState};
use crate::time::Timestamp;
use crate::wire::Usage;

/// In which chat session a run's message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
#[ts(export_to = "wire.ts")]
pub enum RunSession {
    /// In a new one each time, which ends when the run has; its transcript stays.
    New {
        /// Whether it works in a git worktree of its own.
        #[serde(default)]
        own_worktree: bool,
    },
    /// In one that goes on from run to run. A new one takes its place when it was ended.
    Continue,
    /// A kind that only a newer peer knows. A schedule of this kind is refused.
    #[serde(other)]
    Unknown,
}

impl Default for RunSession {
    fn default() -> Self {
        Self::New {
            own_worktree: false,
        }
    }
}

/// What runs may do when nobody is there to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
#[ts(export_to = "wire.ts")]
pub enum Unattended {
    /// Asks wait for a person, as in any chat session.
    #[default]
    Ask,
    /// The agent asks before everything; what is on the list is allowed, everything else is denied at once and
    /// told in the ledger. Questions are turned down.
    Only {
        /// The permissions that are allowed, by opencode's names: `read`, `edit`, `bash`, `webfetch`, ... A name
        /// with patterns, `bash:git *`, allows only what all of its patterns fit; `*` stands for any text.
        allow: Vec<String>,
    },
    /// A kind that only a newer peer knows: denies.
    #[serde(other)]
    Unknown,
}

/// Whom to tell of a run's end, besides those who look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct Notify {
    /// When a run failed, was interrupted or missed, and when the schedule pauses by itself.
    pub on_failure: bool,
    /// When a run was completed.
    pub on_success: bool,
    /// When a run waits for an answer.
    pub on_ask: bool,
    /// An address that is sent a signed message of the same; `https`, or `http` to the loopback. The page tells
    /// in the browser with or without it.
    #[ts(optional = nullable)]
    pub webhook: Option<String>,
}

/// All that a person chooses of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ScheduleSpec {
    /// Its name.
    pub name: String,
    /// When it fires.
    pub when: When,
    /// The message of each run, in Markdown, with variables; see [`crate::schedule::VARIABLES`].
    pub prompt: String,
    /// The model, as `provider/model`; the worker's choice if absent.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub model: Option<String>,
    /// opencode's agent; the worker's choice if absent.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub agent: Option<String>,
    /// In which chat session it runs.
    #[serde(default)]
    pub session: RunSession,
    /// What a firing does that meets a run of the same schedule.
    #[serde(default)]
    pub overlap: Overlap,
    /// What becomes of firings that nobody was there for.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// By up to how many milliseconds a start is delayed, so that not all begin at once.
    #[serde(default)]
    #[ts(type = "number")]
    pub jitter_ms: u64,
    /// How long a run may go on from its start, in milliseconds; then it is stopped and has failed. As long as it
    /// takes if absent.
    #[serde(default)]
    #[ts(optional = nullable, type = "number")]
    pub time_limit_ms: Option<u64>,
    /// How often a run that failed is tried again.
    #[serde(default)]
    pub retries: Retries,
    /// Failures in a row that pause the schedule; zero for never.
    #[serde(default)]
    pub pause_after: u32,
    /// What runs may do unasked.
    #[serde(default)]
    pub unattended: Unattended,
    /// Whom to tell.
    #[serde(default)]
    pub notify: Notify,
}

/// A schedule as a person sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ScheduleSummary {
    /// Its id.
    pub id: ScheduleId,
    /// Its worker.
    pub worker_id: WorkerId,
    /// Its worker's machine.
    pub machine_id: MachineId,
    /// Its name.
    pub name: String,
    /// When it fires.
    pub when: When,
    /// Its state.
    pub state: ScheduleState,
    /// Why it is paused, if it is.
    #[ts(optional = nullable)]
    pub reason: Option<String>,
    /// Its next firing; none while it is paused, and when it never fires again.
    #[ts(optional = nullable)]
    pub next_at: Option<Timestamp>,
    /// Its latest run that has begun or ended, missed and skipped ones included.
    #[ts(optional = nullable)]
    pub last_run: Option<RunSummary>,
    /// How many runs have not ended.
    pub open_run_count: u32,
    /// Runs that failed since one was completed.
    pub failures_in_a_row: u32,
    /// Grows by one with each edit.
    pub revision: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a person last changed, paused or resumed it.
    pub changed_at: Timestamp,
    /// It was deleted; only its ledger is left.
    #[serde(default)]
    pub is_deleted: bool,
}

/// One row of the ledger: one firing, or, of firings that were missed long ago, a range of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// Its schedule.
    pub schedule_id: ScheduleId,
    /// Its schedule's name.
    pub schedule_name: String,
    /// Its worker.
    pub worker_id: WorkerId,
    /// Its machine.
    pub machine_id: MachineId,
    /// The instant it was due; when it was asked for, of one that a person started.
    pub due_at: Timestamp,
    /// A person started it; it is no firing.
    pub is_manual: bool,
    /// The last instant of a range of missed firings, if it is one.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub until: Option<Timestamp>,
    /// How many firings it stands for: one, but for a range.
    pub count: u32,
    /// Its state.
    pub state: RunState,
    /// Why it ended as it did, waits, or was left out, for a person to read.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub reason: Option<String>,
    /// Why it was skipped, if it was.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub skipped: Option<SkipWhy>,
    /// Why it was missed, if it was.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub missed: Option<MissedWhy>,
    /// What kind of failure it was, if it failed.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub failure: Option<FailureKind>,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next, if it waits for its jitter or for another try.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub starts_at: Option<Timestamp>,
    /// When its machine first took it.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub ended_at: Option<Timestamp>,
    /// The chat session of its latest try.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub chat_session_id: Option<ChatSessionId>,
    /// The turn of its latest try.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub turn_id: Option<TurnId>,
    /// What it took, all tries together, where opencode reports it.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub usage: Option<Usage>,
    /// What it was denied because nobody was there, the first few of it.
    #[serde(default)]
    pub denied: Vec<String>,
    /// It waits for a person's answer.
    #[serde(default)]
    pub is_asking: bool,
    /// The revision of its schedule that it ran with.
    pub revision: u32,
}

/// Call `schedule.create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct CreateScheduleArgs {
    /// The worker that does its runs.
    pub worker_id: WorkerId,
    /// What it is.
    pub spec: ScheduleSpec,
    /// Whether it begins paused.
    #[serde(default)]
    pub paused: bool,
}

/// Call `schedule.edit`: all of it anew, from now on. Firings before now stay as they were; runs that have begun
/// end with what they began with, runs that wait begin with what is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct EditScheduleArgs {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// The revision that was edited: an edit of an older one is refused as a conflict.
    pub revision: u32,
    /// What it is from now on.
    pub spec: ScheduleSpec,
}

/// Names one schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ScheduleArgs {
    /// The schedule.
    pub schedule_id: ScheduleId,
}

/// Names one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct RunArgs {
    /// The run.
    pub run_id: RunId,
}

/// The run that was begun or stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct RunReply {
    /// The run.
    pub run: RunSummary,
}

/// Watch `schedule.list`: the caller's schedules that were not deleted, by their next firing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct ListSchedulesArgs {
    /// Only those of this worker.
    #[ts(optional = nullable)]
    pub worker_id: Option<WorkerId>,
    /// Only those after this one, in the order of making: the last of the page before.
    #[ts(optional = nullable)]
    pub after: Option<ScheduleId>,
}

/// A page of schedules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ScheduleList {
    /// In the order of making.
    pub schedules: Vec<ScheduleSummary>,
    /// There are more after the last one.
    pub has_more: bool,
}

/// Watch `schedule.view`: one schedule and its latest runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct ScheduleView {
    /// The schedule.
    pub schedule: ScheduleSummary,
    /// What a person chose of it.
    pub spec: ScheduleSpec,
    /// The secret with which its webhook's messages are signed, if it has a webhook.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub webhook_secret: Option<String>,
    /// The chat session that goes on from run to run, if there is one.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub chat_session_id: Option<ChatSessionId>,
    /// Its latest runs, latest first; earlier ones by `schedule.ledger`.
    pub runs: Vec<RunSummary>,
    /// There are earlier runs.
    pub has_earlier: bool,
}

/// Call or watch `schedule.ledger`: a page of runs, latest first, of one schedule, one worker or all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(export_to = "wire.ts")]
pub struct LedgerArgs {
    /// Only those of this schedule; a deleted one too.
    #[ts(optional = nullable)]
    pub schedule_id: Option<ScheduleId>,
    /// Only those due at or after this.
    #[ts(optional = nullable)]
    pub from: Option<Timestamp>,
    /// Only those due before this.
    #[ts(optional = nullable)]
    pub until: Option<Timestamp>,
    /// Only those before this one: the last of the page before.
    #[ts(optional = nullable)]
    pub before: Option<RunId>,
}

/// A page of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct Ledger {
    /// By the instant they were due, latest first.
    pub runs: Vec<RunSummary>,
    /// There are earlier ones.
    pub has_earlier: bool,
}
