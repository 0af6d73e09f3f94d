//! Who may do what: decided by the caller of [`router`](super::router), asked here.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use axum::{http::request::Parts, response::Response};
use tokio_util::sync::CancellationToken;

use super::{Producer, StreamError};
use crate::store::Transaction;

/// Decides on every request, before anything of it is looked up.
#[async_trait]
pub trait Access: Send + Sync + 'static {
    /// Lets the request in, under the conditions of the grant.
    ///
    /// # Errors
    /// The answer to give instead. Another owner's stream should look like one that does not exist.
    async fn check(&self, request: AccessRequest<'_>) -> Result<Grant, Response>;
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'r> {
    /// Method, headers, extensions.
    pub parts: &'r Parts,
    /// The stream's path, decoded.
    pub path: &'r str,
    /// What would be done.
    pub action: Action,
}

/// What a request does to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `PUT`
    Create,
    /// `POST`, closing included.
    Append,
    /// `GET`
    Read,
    /// `HEAD`
    Inspect,
    /// `DELETE`
    Delete,
}

/// Checked inside the transaction of a create, append or delete, before it: what it reads cannot change
/// until the write is on disk. It must not write itself, but for an append with sequence number 0. The producer is
/// that of the append, if it names one.
pub type Fence =
    Arc<dyn Fn(&Transaction<'_>, Option<&Producer>) -> Result<(), StreamError> + Send + Sync>;

/// Under which conditions a request may go on.
#[derive(Clone, Default)]
pub struct Grant {
    /// Checked in the transaction of a write.
    pub fence: Option<Fence>,
    /// Ends a live read when it is cancelled: the reader was revoked or signed out.
    pub until: Option<CancellationToken>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("fenced", &self.fence.is_some())
            .field("until", &self.until)
            .finish()
    }
}

/// Lets everybody do everything: for tests and benchmarks.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenAccess;

#[async_trait]
impl Access for OpenAccess {
    async fn check(&self, _request: AccessRequest<'_>) -> Result<Grant, Response> {
        Ok(Grant::default())
    }
}
