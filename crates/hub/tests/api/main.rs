//! The hub over HTTP, from outside.

mod calls;
mod guard;
mod lifetime;
mod matrix;
mod page;
mod people;
mod story;
mod streams;
mod support;
mod watches;
