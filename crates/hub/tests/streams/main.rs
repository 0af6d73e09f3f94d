//! The streams as others see them: over HTTP, and from within the backend's own transactions.

mod http;
mod live;
mod support;
mod transactions;
