//! The hub over HTTP, from outside.

mod story;
mod support;
