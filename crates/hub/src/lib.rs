//! The embedded backend: axum, SQLite, server-sent events, and the built page.

pub mod listen;
pub mod refusal;
pub mod store;
pub mod streams;
