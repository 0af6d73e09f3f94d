//! The built `orchestrator` as a person or a script runs it: what it says, how it ends, what it leaves behind.

// Leftovers are found in /proc.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod chat;
mod convex;
mod directory;
mod machine;
mod service;
mod support;
mod texts;
mod up;
