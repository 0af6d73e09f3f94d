//! Durable streams: append-only logs with offsets, fenced producers and live readers, over the [`Store`].
//!
//! [`Streams`] has each operation as a function of a transaction, so that the backend can append to a stream
//! in the very transaction that changes its rows; [`router`] has them as the Durable Streams protocol over
//! HTTP. See `docs/streams.md`.

mod access;
mod append;
mod chunks;
mod content;
mod cursor;
mod error;
mod http;
mod known;
mod lifecycle;
mod limits;
mod live;
mod offset;
mod read;
mod request;
mod row;
mod sse;
mod sweep;

use std::sync::Arc;

pub use access::{Access, AccessRequest, Action, Fence, Grant, OpenAccess};
pub use append::{Append, Appended, Producer};
pub use content::Payload;
pub(crate) use content::depth as json_depth;
pub use error::StreamError;
pub use http::router;
pub use lifecycle::{Create, Created, Lifetime};
pub use limits::StreamLimits;
pub use offset::{Offset, ReadFrom};
pub use read::{Page, Tail};

use crate::store::{ReadError, Store, Transaction};
use bytes::Bytes;
use chunks::LogLevel;
use live::{Change, Live};

/// Tells the time: milliseconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A handle to all streams of a store; clones share it.
#[derive(Clone)]
pub struct Streams {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    limits: StreamLimits,
    clock: Clock,
    live: Arc<Live>,
    log: LogLevel,
    /// Held while the log is settled.
    settling: tokio::sync::Mutex<()>,
    /// Wakes the sweeper: there is something to settle or to remove.
    chores: Arc<tokio::sync::Notify>,
}

impl Inner {
    /// What follows the commit of an append.
    fn appended(&self, stream: i64, start: u64, data: Bytes, closed: bool) {
        if !data.is_empty() && self.log.add(data.len()) {
            self.chores.notify_one();
        }
        self.live.publish(
            stream,
            Change::Appended {
                start,
                data,
                closed,
            },
        );
    }
}

impl Streams {
    /// The streams of `store`. Starts the task that removes expired and deleted streams, so it must be called
    /// within a runtime; the task ends with the last handle.
    #[must_use]
    pub fn start(store: Store, limits: StreamLimits) -> Self {
        Self::start_with_clock(store, limits, Arc::new(system_time))
    }

    /// [`Streams::start`] with a clock of the caller's, for tests of expiry.
    #[must_use]
    pub fn start_with_clock(store: Store, limits: StreamLimits, clock: Clock) -> Self {
        let live = Arc::new(Live::new(&limits));
        let inner = Arc::new(Inner {
            store,
            limits,
            clock,
            live,
            log: LogLevel::unknown(),
            settling: tokio::sync::Mutex::default(),
            chores: Arc::default(),
        });
        sweep::spawn(&inner);
        Self { inner }
    }

    /// The store beneath.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &StreamLimits {
        &self.inner.limits
    }

    fn now_ms(&self) -> u64 {
        (self.inner.clock)()
    }

    /// Runs a job and brings all that can go wrong into one type.
    async fn submit<T, F>(&self, job: F) -> Result<T, StreamError>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, StreamError> + Send + 'static,
        T: Send + 'static,
    {
        self.inner.store.write(job).await.map_err(StreamError::from)
    }

    async fn query<T, F>(&self, query: F) -> Result<T, StreamError>
    where
        F: FnOnce(&rusqlite::Connection) -> Result<T, StreamError> + Send + 'static,
        T: Send + 'static,
    {
        self.inner.store.read(query).await.unwrap_or_else(|error| {
            Err(match error {
                ReadError::Closed | ReadError::Busy => StreamError::Unavailable {
                    reason: error.to_string(),
                },
                ReadError::Sqlite(_) | ReadError::Panicked { .. } => StreamError::Defect {
                    reason: error.to_string(),
                },
            })
        })
    }
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams")
            .field("store", &self.inner.store)
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}

fn system_time() -> u64 {
    let elapsed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
