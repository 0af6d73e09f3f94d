//! The instants at which a schedule fires.
//!
//! The rule for changes of the clocks is Vixie cron's. Times that are named ("at 02:30") fire once on each of
//! their days: at the first of two, and at the end of the jump if the clocks jump over them. Expressions
//! with a `*` for the minute or the hour, and intervals, go on in real time: what is jumped over is left out,
//! what comes twice fires twice.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::cron::Expression;
use super::note::{Note, clock_time, day};
use super::when::{When, WhenError, WhenErrorCode};
use super::zone::{Standing, Stretch, Zone};
use crate::limits::{INTERVAL_MAX_MINUTES, PREVIEW_MAX_FIRINGS};
use crate::time::Timestamp;

/// Nothing fires after this: the end of the year 2199.
pub const LAST_FIRING: Timestamp = Timestamp::from_ms(LAST_SECOND as u64 * 1_000);
pub(super) const LAST_SECOND: i64 = 7_258_118_399;

/// 2024-01-01T00:00Z: what does not fire after it never does.
const YEAR_2024: i64 = 1_704_067_200;

/// Jumps of the clocks up to here are daylight saving; what is named in a longer one (a day that a country
/// leaves out) is left out too, as in Vixie cron.
const JUMP_MAX: i64 = 3 * 60 * 60;

/// One firing, as a person is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
pub struct Firing {
    /// The instant. With the schedule's id it names the firing.
    pub at: Timestamp,
    /// The same on the zone's clocks, with its offset: `2026-03-29T03:00+02:00`.
    pub local: String,
    /// What the clocks have to do with it.
    pub notes: Vec<Note>,
}

/// A [`When`] that was found to be one, ready to be asked.
#[derive(Debug, Clone)]
pub struct Timing {
    zone: Zone,
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    Cron(Box<Expression>),
    Interval { first: i64, every: i64 },
}

impl Timing {
    /// Checks and prepares it.
    ///
    /// # Errors
    /// [`WhenError`] says what is wrong: an expression that can't be read, never fires or fires more often
    /// than once a minute, a zone that is not known, an interval out of its bounds.
    pub fn new(when: &When) -> Result<Self, WhenError> {
        match when {
            When::Cron { expression, zone } => {
                let rule = Rule::Cron(Box::new(Expression::read(expression)?));
                let timing = Self {
                    zone: Zone::find(zone)?,
                    rule,
                };
                if timing.first_from(YEAR_2024).is_none() {
                    return Err(WhenError::new(
                        WhenErrorCode::Never,
                        format!(
                            "\"{expression}\" never fires in {zone}: the clocks jump over these times. Name another hour."
                        ),
                    ));
                }
                Ok(timing)
            }
            When::Interval {
                every_minutes,
                anchor,
                zone,
            } => {
                if !(1..=INTERVAL_MAX_MINUTES).contains(every_minutes) {
                    return Err(WhenError::new(
                        WhenErrorCode::Interval,
                        format!(
                            "An interval is 1 to {INTERVAL_MAX_MINUTES} minutes (366 days), not {every_minutes}."
                        ),
                    ));
                }
                if anchor.as_ms() % 60_000 != 0 || *anchor > LAST_FIRING {
                    return Err(WhenError::new(
                        WhenErrorCode::Interval,
                        "An interval begins on a full minute, before the year 2200.",
                    ));
                }
                Ok(Self {
                    zone: Zone::find(zone)?,
                    rule: Rule::Interval {
                        first: seconds(*anchor),
                        every: i64::from(*every_minutes) * 60,
                    },
                })
            }
            When::Unknown => Err(WhenError::new(
                WhenErrorCode::Kind,
                "This kind of schedule is from a newer version. Upgrade this program, or choose a cron expression or an interval.",
            )),
        }
    }

    /// The first firing after `after`; `None` if there is none up to [`LAST_FIRING`].
    #[must_use]
    pub fn next_fire(&self, after: Timestamp) -> Option<Timestamp> {
        if after >= LAST_FIRING {
            return None;
        }
        self.first_from(seconds(after) + 1).map(timestamp)
    }

    /// The next `count` firings after `after`, with what the clocks do to them; at most
    /// [`PREVIEW_MAX_FIRINGS`].
    #[must_use]
    pub fn next_fires(&self, after: Timestamp, count: usize) -> Vec<Firing> {
        let mut before = seconds(after.min(LAST_FIRING));
        let mut firings = Vec::new();
        let mut after = after;
        while firings.len() < count.min(PREVIEW_MAX_FIRINGS) {
            let Some(at) = self.next_fire(after) else {
                break;
            };
            let second = seconds(at);
            firings.push(Firing {
                at,
                local: self.show(second),
                notes: self.notes(before, second),
            });
            (before, after) = (second, at);
        }
        firings
    }

    /// How many firings there are after `after` and up to `until`, but no more than `most`.
    pub(super) fn firings(
        &self,
        after: Timestamp,
        until: Timestamp,
        most: usize,
    ) -> Vec<Timestamp> {
        std::iter::successors(self.next_fire(after), |at| self.next_fire(*at))
            .take_while(|at| *at <= until)
            .take(most)
            .collect()
    }

    fn first_from(&self, from: i64) -> Option<i64> {
        let found = match &self.rule {
            Rule::Interval { first, every } => {
                let passed = (from - first).max(0);
                first + (passed + every - 1) / every * every
            }
            Rule::Cron(expression) => self.first_match(expression, from)?,
        };
        (found <= LAST_SECOND).then_some(found)
    }

    fn first_match(&self, expression: &Expression, from: i64) -> Option<i64> {
        let mut from = from;
        let mut found: Option<Found> = None;
        loop {
            let stretch = self.zone.stretch_at(from);
            if stretch.start == Some(from) && moved_from(expression, stretch).is_some() {
                return Some(from);
            }
            let lower = lower_bound(expression, stretch, from);
            let local = match found {
                Some(known) if known.holds_from(lower) => known.local,
                _ => expression.next_local(lower)?,
            };
            found = Some(Found { lower, local });
            let instant = local - stretch.offset;
            match stretch.end {
                Some(end) if instant >= end => from = end,
                _ => return Some(instant),
            }
        }
    }

    fn notes(&self, before: i64, at: i64) -> Vec<Note> {
        let stretch = self.zone.stretch_at(at);
        let moved_minutes = (stretch.offset - self.zone.offset_at(before)) / 60;
        let mut notes = Vec::new();
        match &self.rule {
            Rule::Interval { .. } => {
                if moved_minutes != 0 {
                    notes.push(Note::Shifted {
                        minutes: moved_minutes,
                    });
                }
            }
            Rule::Cron(expression) => {
                notes.extend(self.left_out(expression, before, at));
                let local = at + stretch.offset;
                if stretch.start == Some(at)
                    && let Some(wanted) = moved_from(expression, stretch)
                {
                    notes.push(Note::Moved {
                        wanted: clock_time(wanted),
                        at: clock_time(local),
                    });
                } else if let Standing::Twice { first } = self.zone.standing(local) {
                    let time = clock_time(local);
                    if first != at {
                        notes.push(Note::Again { time });
                    } else if !expression.is_periodic {
                        notes.push(Note::Once { time });
                    }
                }
                if notes.is_empty() && moved_minutes != 0 {
                    notes.push(Note::Changed {
                        minutes: moved_minutes,
                    });
                }
            }
        }
        notes
    }

    /// The first jump between two firings that left something out.
    fn left_out(&self, expression: &Expression, before: i64, at: i64) -> Option<Note> {
        let until = at + self.zone.offset_at(at);
        let mut local = before + self.zone.offset_at(before) + 1;
        // What lies between two firings and matches is jumped over, or comes a second time.
        for _ in 0..JUMPS_LOOKED_AT {
            local = expression.next_local(local)?;
            if local >= until {
                return None;
            }
            if let Standing::Never {
                at: jump,
                from,
                until,
            } = self.zone.standing(local)
                && jump > before
                && (expression.is_periodic || until - from > JUMP_MAX)
            {
                return Some(Note::LeftOut {
                    day: day(from),
                    from: clock_time(from),
                    until: clock_time(until),
                });
            }
            local += 60;
        }
        None
    }

    /// The day of an instant on the zone's clocks: `2026-03-29`.
    pub(crate) fn local_day(&self, at: Timestamp) -> String {
        let at = seconds(at);
        day(at + self.zone.offset_at(at))
    }

    /// The time of an instant on the zone's clocks: `03:00`.
    pub(crate) fn local_time(&self, at: Timestamp) -> String {
        let at = seconds(at);
        clock_time(at + self.zone.offset_at(at))
    }

    fn show(&self, at: i64) -> String {
        let offset = self.zone.offset_at(at);
        let local = at + offset;
        let sign = if offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (offset.abs() / 3_600, offset.abs() / 60 % 60);
        format!(
            "{}T{}{sign}{hours:02}:{minutes:02}",
            day(local),
            clock_time(local)
        )
    }

    pub(super) fn zone(&self) -> &Zone {
        &self.zone
    }

    pub(super) fn expression(&self) -> Option<&Expression> {
        match &self.rule {
            Rule::Cron(expression) => Some(expression),
            Rule::Interval { .. } => None,
        }
    }
}

const JUMPS_LOOKED_AT: usize = 200;

/// The first match from a lower bound on, kept while the search goes on in the next stretch.
#[derive(Debug, Clone, Copy)]
struct Found {
    lower: i64,
    local: i64,
}

impl Found {
    fn holds_from(self, lower: i64) -> bool {
        self.lower <= lower && lower <= self.local
    }
}

/// The local time from which a stretch is searched: named times are not repeated in a repeated hour.
fn lower_bound(expression: &Expression, stretch: Stretch, from: i64) -> i64 {
    let local = from + stretch.offset;
    match stretch.start {
        Some(start) if !expression.is_periodic => local.max(start + stretch.before),
        _ => local,
    }
}

/// The first named time that the clocks jumped over at the start of a stretch.
fn moved_from(expression: &Expression, stretch: Stretch) -> Option<i64> {
    let start = stretch.start?;
    let jump = stretch.offset - stretch.before;
    if expression.is_periodic || !(1..=JUMP_MAX).contains(&jump) {
        return None;
    }
    expression
        .next_local(start + stretch.before)
        .filter(|local| *local < start + stretch.offset)
}

pub(super) fn seconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_ms() / 1_000).unwrap_or(i64::MAX)
}

pub(super) fn timestamp(second: i64) -> Timestamp {
    Timestamp::from_ms(u64::try_from(second).unwrap_or_default() * 1_000)
}
