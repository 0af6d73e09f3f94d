//! Starts, drives and stops opencode, one process per chat session.
