//! The embedded backend: axum, SQLite, server-sent events, and the built page.
//!
//! [`Hub::start`] serves the contract of `protocol` over HTTP from one data directory.

mod api;
mod clock;
mod hub;
pub mod listen;
mod page_server;
pub mod refusal;
mod server;
pub mod store;
pub mod streams;

pub use api::{
    IdentityProvider, InvalidPublicUrl, PageBackend, PageSource, PrepareError, has_page,
};
pub use clock::{Clock, ManualClock};
pub use hub::{Hub, HubConfig, RunningHub, StartError};
pub use page_server::{PageServer, PageServerConfig, RunningPage};
