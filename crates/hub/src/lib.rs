//! The embedded backend: axum, SQLite, server-sent events, and the built page.

pub mod store;
