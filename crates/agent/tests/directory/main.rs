//! What the machine does below its root, on a real disk with a real git, given bad input.
#![cfg(target_os = "linux")]
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests may panic, and say what they saw"
)]

mod changing;
mod cloning;
mod confinement;
mod hosts;
mod listing;
mod races;
mod reading;
mod stage;
mod worktrees;
