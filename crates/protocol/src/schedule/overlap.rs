//! What becomes of a firing while an earlier run goes on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::limits::PARALLEL_RUNS_MAX;

/// What to do with a firing while an earlier run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum Overlap {
    /// Leave it out.
    #[default]
    Skip,
    /// Let it wait, one at most: what fires while one waits is left out.
    Queue,
    /// Stop the run that goes on, then start.
    Cancel,
    /// Start at once, beside it.
    Parallel,
    /// A policy that only a newer peer knows; nothing is started beside or instead of a run.
    #[serde(other)]
    Unknown,
}

/// The runs of a schedule that have not ended when it fires. A run that waits to be tried again goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Situation {
    /// Runs that have begun, including those that are being stopped.
    pub running: usize,
    /// Runs that wait for an earlier one or for their machine.
    pub queued: usize,
}

/// What becomes of a firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It starts now.
    Start,
    /// It waits until nothing of this schedule runs or waits before it.
    Queue,
    /// What runs is stopped; then it starts. What waits is left out, as [`SkipWhy::Newer`].
    Replace,
    /// It is left out.
    Skip(SkipWhy),
}

/// Why a firing was left out, for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum SkipWhy {
    /// The run before it went on.
    StillRunning,
    /// Another firing waited already.
    OneWaits,
    /// As many runs went on side by side as may.
    TooManyRuns,
    /// A newer firing took its place while it waited.
    Newer,
    /// A reason that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

impl SkipWhy {
    /// For a person to read.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::StillRunning => "The run before it was still going on.".to_owned(),
            Self::OneWaits => "A run was going on and another one waited already.".to_owned(),
            Self::TooManyRuns => format!("{PARALLEL_RUNS_MAX} runs were going on already."),
            Self::Newer => "It was waiting when the next one fired and took its place.".to_owned(),
            Self::Unknown => "It was left out.".to_owned(),
        }
    }
}

/// Decides what becomes of a firing.
#[must_use]
pub fn decide(policy: Overlap, now: Situation) -> Decision {
    if now.running == 0 && now.queued == 0 {
        return Decision::Start;
    }
    match policy {
        Overlap::Skip | Overlap::Unknown => Decision::Skip(SkipWhy::StillRunning),
        Overlap::Queue if now.queued == 0 => Decision::Queue,
        Overlap::Queue => Decision::Skip(SkipWhy::OneWaits),
        Overlap::Cancel => Decision::Replace,
        Overlap::Parallel if now.running + now.queued < PARALLEL_RUNS_MAX => Decision::Start,
        Overlap::Parallel => Decision::Skip(SkipWhy::TooManyRuns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firing_that_meets_nothing_starts_whatever_the_policy() {
        for policy in [
            Overlap::Skip,
            Overlap::Queue,
            Overlap::Cancel,
            Overlap::Parallel,
            Overlap::Unknown,
        ] {
            assert_eq!(decide(policy, Situation::default()), Decision::Start);
        }
    }

    #[test]
    fn each_policy_does_what_it_says() {
        let running = Situation {
            running: 1,
            queued: 0,
        };
        let waiting = Situation {
            running: 1,
            queued: 1,
        };
        let full = Situation {
            running: PARALLEL_RUNS_MAX - 1,
            queued: 1,
        };
        for (policy, situation, decision) in [
            (
                Overlap::Skip,
                running,
                Decision::Skip(SkipWhy::StillRunning),
            ),
            (Overlap::Queue, running, Decision::Queue),
            (Overlap::Queue, waiting, Decision::Skip(SkipWhy::OneWaits)),
            (Overlap::Cancel, running, Decision::Replace),
            (Overlap::Cancel, waiting, Decision::Replace),
            (Overlap::Parallel, waiting, Decision::Start),
            (
                Overlap::Parallel,
                full,
                Decision::Skip(SkipWhy::TooManyRuns),
            ),
            (
                Overlap::Unknown,
                running,
                Decision::Skip(SkipWhy::StillRunning),
            ),
        ] {
            assert_eq!(
                decide(policy, situation),
                decision,
                "{policy:?} {situation:?}"
            );
        }
    }
}
