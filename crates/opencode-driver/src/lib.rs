//! Starts, drives and stops opencode, one process per chat session.

mod driver;

pub use driver::{AgentProcess, Driver, DriverError, DriverInfo, StartedSession};
