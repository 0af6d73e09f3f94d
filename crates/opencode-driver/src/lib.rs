//! Starts, drives and stops opencode, one process per chat session.

mod driver;
pub mod supervisor;

pub use driver::{AgentProcess, Driver, DriverError, DriverInfo, StartedSession};
