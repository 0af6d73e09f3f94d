//! The way to a hub that can be bad, and chance by seed: for the faults here and for measuring in `tests/load`.

pub mod proxy;
pub mod random;
