//! Everything that crosses a boundary, as JSON with `camelCase` names. Fields are only ever added; fields
//! that are not known are ignored, variants that are not known become `Unknown`.

pub mod chat;
pub mod chunk;
pub mod command;
pub mod inbox;
pub mod machine;
pub mod schedule;
pub mod worker;

pub use chat::*;
pub use chunk::*;
pub use command::*;
pub use inbox::*;
pub use machine::*;
pub use schedule::*;
pub use worker::*;

/// The version of this wire. A peer whose version is below [`WIRE_VERSION_MIN`] is told to upgrade.
pub const WIRE_VERSION: u32 = 1;
/// The oldest version that is still understood.
pub const WIRE_VERSION_MIN: u32 = 1;
