//! Starts, drives and stops opencode, one process per chat session.
//!
//! [`Driver`] and [`AgentProcess`] are the seam: whoever runs chat sessions speaks to these. [`Opencode`] is
//! the real thing. It finds an opencode ([`locate`]), runs it below a [`supervisor`] so that nothing of it
//! outlives this program, and drives it over its HTTP API and event stream. What belongs to one version of
//! opencode is in one module, `wire`.

mod answer;
mod asks;
mod confine;
mod driver;
mod event_stream;
mod http;
mod locate;
pub mod memory;
mod opencode;
mod output;
mod preview;
mod process;
mod session;
mod spare;
mod sse;
mod storage;
pub mod supervisor;
mod turn;
mod wire;

pub use driver::{AgentProcess, Driver, DriverError, DriverInfo, StartedSession};
pub use locate::{LocateConfig, OpencodeBinary, PINNED_VERSION, locate};
pub use opencode::{Opencode, OpencodeConfig};
pub use spare::SpareConfig;
