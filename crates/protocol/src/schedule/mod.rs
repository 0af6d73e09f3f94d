//! Schedules: when they fire, and what their policies make of a firing. `docs/schedules.md` says it in words.
//!
//! The page and the Convex backend do the same in TypeScript (`webapp/src/lib/schedule`);
//! `tests/vectors/next-fire` holds the two together.

mod catch_up;
mod cron;
mod firing;
mod jitter;
mod note;
mod overlap;
mod phrase;
mod prompt;
mod retry;
mod sentence;
mod when;
mod zone;

pub use catch_up::{CatchUp, LookBack, Missed, MissedRange, MissedWhy, look_back};
pub use firing::{Firing, LAST_FIRING, Timing};
pub use jitter::start_of;
pub use note::Note;
pub use overlap::{Decision, Overlap, Situation, SkipWhy, decide};
pub use phrase::read_phrase;
pub use prompt::{UnknownVariable, VARIABLES, Variables, check_prompt, expand};
pub use retry::{AfterRun, FailureKind, Retries, after_run, retry_wait_ms};
pub use sentence::{phrase, sentence};
pub use when::{When, WhenError, WhenErrorCode};
pub use zone::zone_names;
