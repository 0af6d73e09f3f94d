//! What becomes of firings whose time passed while the backend was away, or while it could not start them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::firing::Timing;
use crate::limits::{
    CATCH_UP_RUNS_MAX, CATCH_UP_WINDOW_MAX_MS, FIRING_GRACE_MS, LOOK_BACK_FIRINGS_MAX,
    MISSED_ROWS_MAX,
};
use crate::time::Timestamp;

/// What to do with firings that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
#[ts(export_to = "wire.ts")]
pub enum CatchUp {
    /// Run the latest one, once.
    #[default]
    Latest,
    /// Run all of them that are not older than this.
    All {
        /// How old, in milliseconds.
        #[ts(type = "number")]
        within_ms: u64,
    },
    /// Run none of them.
    Skip,
    /// A policy that only a newer peer knows; nothing is caught up.
    #[serde(other)]
    Unknown,
}

/// What becomes of every firing after the last one that was handled. Each of them is in exactly one of the
/// lists, or counted in one range.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LookBack {
    /// The oldest missed firings, as one row of the ledger for each reason: two at most.
    pub ranges: Vec<MissedRange>,
    /// Missed firings with a row each, oldest first.
    pub missed: Vec<Missed>,
    /// Firings to run, oldest first; the overlap policy decides on each.
    pub run: Vec<Timestamp>,
    /// What is handled after this: the next look back begins here.
    pub handled: Option<Timestamp>,
    /// Whether there is more to look back at: the next look back follows at once.
    pub more: bool,
}

/// Many missed firings in one row: every firing from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissedRange {
    /// The earliest.
    pub first: Timestamp,
    /// The latest.
    pub last: Timestamp,
    /// How many; exact.
    pub count: usize,
    /// Why they were not run.
    pub why: MissedWhy,
}

/// One missed firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// Its instant.
    pub at: Timestamp,
    /// Why it was not run.
    pub why: MissedWhy,
}

/// Why a missed firing was not run later, for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum MissedWhy {
    /// The policy runs none.
    Skipped,
    /// The policy runs the latest one only.
    Later,
    /// It is older than the policy looks back.
    TooOld,
    /// More were missed than are run in one go.
    TooMany,
    /// A reason that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

impl MissedWhy {
    /// For a person to read.
    #[must_use]
    pub fn text(self) -> String {
        let rest = match self {
            Self::Skipped => "this schedule does not run what was missed".to_owned(),
            Self::Later => "only the latest one was run".to_owned(),
            Self::TooOld => "it was too long ago to be run later".to_owned(),
            Self::TooMany => format!("only the latest {CATCH_UP_RUNS_MAX} were run"),
            Self::Unknown => "it was not run later".to_owned(),
        };
        format!("Nobody was there to run it; {rest}.")
    }
}

/// Looks at every firing after `handled`, up to `now`.
///
/// Firings no older than [`FIRING_GRACE_MS`] are on time and run under every policy. A clock that went back
/// gives nothing: what is handled stays handled.
#[must_use]
pub fn look_back(timing: &Timing, policy: CatchUp, handled: Timestamp, now: Timestamp) -> LookBack {
    let mut due = timing.firings(handled, now, LOOK_BACK_FIRINGS_MAX + 1);
    let more = due.len() > LOOK_BACK_FIRINGS_MAX;
    if more {
        // So none of these is among the newest, which get a row each and may be run.
        due.truncate(LOOK_BACK_FIRINGS_MAX - CATCH_UP_RUNS_MAX - MISSED_ROWS_MAX);
    }
    let Some(last) = due.last().copied() else {
        return LookBack::default();
    };
    let late = due.partition_point(|at| now.ms_since(*at) > FIRING_GRACE_MS);
    let on_time = due.split_off(late);
    let runs_most = match policy {
        _ if more => 0,
        CatchUp::Latest => usize::from(on_time.is_empty()),
        CatchUp::All { .. } => CATCH_UP_RUNS_MAX,
        CatchUp::Skip | CatchUp::Unknown => 0,
    };
    let (missed, caught_up) = split(policy, due, now, runs_most);
    let (ranges, missed) = fold(missed, if more { 0 } else { MISSED_ROWS_MAX });
    LookBack {
        ranges,
        missed,
        run: caught_up.into_iter().chain(on_time).collect(),
        handled: Some(last),
        more,
    }
}

/// Parts late firings into those that stay missed and those, the newest, that are run.
fn split(
    policy: CatchUp,
    mut late: Vec<Timestamp>,
    now: Timestamp,
    runs_most: usize,
) -> (Vec<Missed>, Vec<Timestamp>) {
    let (old, why) = match policy {
        CatchUp::Skip | CatchUp::Unknown => (0, MissedWhy::Skipped),
        CatchUp::Latest => (0, MissedWhy::Later),
        CatchUp::All { within_ms } => {
            let within_ms = within_ms.min(CATCH_UP_WINDOW_MAX_MS);
            let old = late.partition_point(|at| now.ms_since(*at) > within_ms);
            (old, MissedWhy::TooMany)
        }
    };
    let run = late.split_off(late.len().saturating_sub(runs_most).max(old));
    let missed = late
        .into_iter()
        .enumerate()
        .map(|(place, at)| Missed {
            at,
            why: if place < old { MissedWhy::TooOld } else { why },
        })
        .collect();
    (missed, run)
}

/// The newest missed firings keep a row each, the ones before them share one for each reason.
fn fold(mut missed: Vec<Missed>, rows: usize) -> (Vec<MissedRange>, Vec<Missed>) {
    if missed.len() <= rows + 1 {
        return (Vec::new(), missed);
    }
    let single = missed.split_off(missed.len() - rows);
    let ranges = missed
        .chunk_by(|one, next| one.why == next.why)
        .filter_map(|part| {
            Some(MissedRange {
                first: part.first()?.at,
                last: part.last()?.at,
                count: part.len(),
                why: part.first()?.why,
            })
        })
        .collect();
    (ranges, single)
}

#[cfg(test)]
mod tests {
    use super::super::When;
    use super::*;

    const HOUR: u64 = 3_600_000;
    const START: Timestamp = Timestamp::from_ms(1_767_225_600_000);

    fn every(minutes: u32) -> Timing {
        Timing::new(&When::Interval {
            every_minutes: minutes,
            anchor: START,
            zone: "UTC".into(),
        })
        .unwrap()
    }

    /// Looks back until there is no more, and checks that every firing is handled exactly once.
    fn all(timing: &Timing, policy: CatchUp, handled: Timestamp, now: Timestamp) -> Vec<LookBack> {
        let mut looks = Vec::new();
        let mut from = handled;
        loop {
            let look = look_back(timing, policy, from, now);
            let Some(until) = look.handled else { break };
            let count = look.ranges.iter().map(|range| range.count).sum::<usize>()
                + look.missed.len()
                + look.run.len();
            assert_eq!(count, timing.firings(from, until, usize::MAX).len());
            from = until;
            looks.push(look);
        }
        assert!(timing.firings(from, now, 1).is_empty());
        looks
    }

    #[test]
    fn on_time_runs_under_every_policy() {
        let now = START.plus_ms(HOUR + FIRING_GRACE_MS);
        for policy in [
            CatchUp::Skip,
            CatchUp::Latest,
            CatchUp::All { within_ms: 0 },
            CatchUp::Unknown,
        ] {
            let look = look_back(&every(60), policy, START, now);
            assert_eq!(look.run, [START.plus_ms(HOUR)], "{policy:?}");
            assert!(look.missed.is_empty() && look.ranges.is_empty() && !look.more);
        }
    }

    #[test]
    fn the_latest_of_the_missed_runs_once() {
        let now = START.plus_ms(5 * HOUR + HOUR / 2);
        let look = look_back(&every(60), CatchUp::Latest, START, now);
        assert_eq!(look.run, [START.plus_ms(5 * HOUR)]);
        assert_eq!(look.missed.len(), 4);
        assert!(
            look.missed
                .iter()
                .all(|missed| missed.why == MissedWhy::Later)
        );
        // With one on time, that one is the latest.
        let look = look_back(&every(60), CatchUp::Latest, START, START.plus_ms(5 * HOUR));
        assert_eq!(look.run, [START.plus_ms(5 * HOUR)]);
    }

    #[test]
    fn a_window_runs_what_is_in_it_and_no_more_than_its_bound() {
        let now = START.plus_ms(10 * HOUR + HOUR / 2);
        let policy = CatchUp::All {
            within_ms: 3 * HOUR,
        };
        let look = look_back(&every(60), policy, START, now);
        assert_eq!(look.run.len(), 3);
        assert!(
            look.missed
                .iter()
                .all(|missed| missed.why == MissedWhy::TooOld)
        );
        let look = look_back(&every(1), policy, START, now);
        assert_eq!(
            look.ranges
                .iter()
                .map(|range| range.why)
                .collect::<Vec<_>>(),
            [MissedWhy::TooOld, MissedWhy::TooMany]
        );
        // A minute ago and now are on time.
        assert_eq!(look.run.len(), CATCH_UP_RUNS_MAX + 2);
        assert_eq!(
            look.missed.last().map(|missed| missed.why),
            Some(MissedWhy::TooMany)
        );
    }

    #[test]
    fn a_month_of_minutes_is_a_few_exact_rows() {
        let now = START.plus_ms(30 * 24 * HOUR + HOUR / 2);
        let looks = all(&every(1), CatchUp::Latest, START, now);
        assert_eq!(looks.len(), 5);
        let rows: usize = looks
            .iter()
            .map(|look| look.ranges.len() + look.missed.len())
            .sum();
        assert_eq!(rows, 5 + MISSED_ROWS_MAX);
        assert_eq!(looks.iter().map(|look| look.run.len()).sum::<usize>(), 2);
    }

    #[test]
    fn a_clock_that_goes_back_fires_nothing_twice() {
        let look = look_back(&every(1), CatchUp::Latest, START.plus_ms(HOUR), START);
        assert_eq!(look, LookBack::default());
    }
}
