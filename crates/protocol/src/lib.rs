//! The protocol of the orchestrator: ids, wire types, state machines, and the two sans-IO cores.
//!
//! Nothing here reads a clock, draws a random number or touches a file: time and random bytes come in as
//! data. What is decided here is decided the same way in the hub, in the fake transport and in simulation.

pub mod agent;
pub mod backend;
pub mod driver;
pub mod error;
pub mod functions;
pub mod git_url;
pub mod ids;
pub mod limits;
pub mod producer;
pub mod schedule;
pub mod secret;
pub mod state;
pub mod time;
pub mod transcript;
pub mod wire;

pub use error::{CallError, ErrorCode};
pub use time::Timestamp;
