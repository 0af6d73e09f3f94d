//! Schedules: made and changed by people, fired by deadlines, each firing with exactly one row.
//!
//! What fires when, and what the policies make of it, is decided by [`crate::schedule`]; here are the rows. A
//! run follows a turn: the turn's machine takes it and ends it, and the run with it.

mod calls;
mod checks;
mod firing;
mod ledger;
mod permissions;
mod rows;
mod runs;
