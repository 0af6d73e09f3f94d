//! What follows the end of a run: another try, and the pause of a schedule that fails again and again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::limits::{RUN_RETRIES_MAX, RUN_RETRY_FIRST_MS, RUN_RETRY_MAX_MS};
use crate::state::RunState;

/// How often a run that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct Retries {
    /// How many tries after the first; zero for none.
    pub most: u32,
}

/// Why a run failed, as far as it matters for another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum FailureKind {
    /// The model's provider was busy, limited or unreachable.
    Provider,
    /// The agent's process ended or could not be started.
    Process,
    /// The machine went away in the middle.
    Machine,
    /// It needed something that unattended runs may not do.
    Denied,
    /// It went on for longer than it may.
    TimeLimit,
    /// Something a person has to change first: a credential, the model, the directory, the prompt.
    Setup,
    /// Anything else.
    Other,
    /// A kind that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

impl FailureKind {
    /// Whether the same run may go well later without anybody changing anything.
    #[must_use]
    pub const fn is_worth_retrying(self) -> bool {
        match self {
            Self::Provider | Self::Process | Self::Machine => true,
            Self::Denied | Self::TimeLimit | Self::Setup | Self::Other | Self::Unknown => false,
        }
    }
}

/// How long to wait before a run that failed is tried again, in milliseconds; `None` if it is not.
/// `tries` counts those that were made, the failed one included.
#[must_use]
pub fn retry_wait_ms(retries: Retries, tries: u32, failure: FailureKind) -> Option<u64> {
    let done = tries.saturating_sub(1);
    if !failure.is_worth_retrying() || done >= retries.most.min(RUN_RETRIES_MAX) {
        return None;
    }
    Some((RUN_RETRY_FIRST_MS << done.min(16)).min(RUN_RETRY_MAX_MS))
}

/// What the end of a run means for its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AfterRun {
    /// Runs that failed since the last one that went well.
    pub failures_in_a_row: u32,
    /// Whether the schedule is paused now.
    pub pauses: bool,
}

/// Counts a run that has ended for good, after its last try. `pause_after` is the number of failures in a row
/// that pauses the schedule; zero for never. Interrupted runs have not done their work either, so they count
/// as failed. What a person or a policy cancelled, skipped or missed says nothing and leaves the count.
#[must_use]
pub fn after_run(pause_after: u32, failures_in_a_row: u32, ended: RunState) -> AfterRun {
    match ended {
        RunState::Completed => AfterRun {
            failures_in_a_row: 0,
            pauses: false,
        },
        RunState::Failed | RunState::Interrupted => {
            let failures_in_a_row = failures_in_a_row.saturating_add(1);
            AfterRun {
                failures_in_a_row,
                pauses: pause_after != 0 && failures_in_a_row >= pause_after,
            }
        }
        RunState::Due
        | RunState::Queued
        | RunState::Running
        | RunState::Cancelled
        | RunState::Skipped
        | RunState::Missed
        | RunState::Unknown => AfterRun {
            failures_in_a_row,
            pauses: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let retries = Retries { most: 9 };
        let waits: Vec<_> = (1..=7)
            .map(|tries| retry_wait_ms(retries, tries, FailureKind::Provider))
            .collect();
        assert_eq!(
            waits,
            [
                Some(30_000),
                Some(60_000),
                Some(120_000),
                Some(240_000),
                Some(480_000),
                None,
                None
            ]
        );
        assert_eq!(
            retry_wait_ms(Retries { most: 0 }, 1, FailureKind::Provider),
            None
        );
        assert_eq!(retry_wait_ms(retries, 1, FailureKind::Denied), None);
    }

    #[test]
    fn failures_in_a_row_pause_and_a_success_forgets_them() {
        let mut count = 0;
        for (ended, pauses) in [
            (RunState::Failed, false),
            (RunState::Completed, false),
            (RunState::Failed, false),
            (RunState::Skipped, false),
            (RunState::Interrupted, false),
            (RunState::Cancelled, false),
            (RunState::Failed, true),
        ] {
            let after = after_run(3, count, ended);
            assert_eq!(after.pauses, pauses, "{ended:?} after {count}");
            count = after.failures_in_a_row;
        }
        assert!(!after_run(0, 1_000, RunState::Failed).pauses);
    }
}
