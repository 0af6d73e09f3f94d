//! The agent core in virtual time, before a backend that agrees to everything.

mod bench;
mod governor;
mod status;
