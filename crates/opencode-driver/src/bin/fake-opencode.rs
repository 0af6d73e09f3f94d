//! A double of opencode that misbehaves on demand.
fn main() {}
