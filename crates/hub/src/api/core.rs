//! The backend core at work: each call one write job, its effects in the same transaction or after it.

use std::{ops::Deref, sync::Arc};

use protocol::{
    CallError, ErrorCode, Timestamp,
    backend::{Backend, Caller, Effect, Entropy, Outcome, Topic},
    ids::{MachineId, TurnId},
};
use rusqlite::Connection;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{auth::Uses, cuts::Cuts, inboxes::Inboxes, rows::SqliteRows, topics::Topics};
use crate::{
    clock::Clock,
    store::{ReadError, Store, Transaction, WriteError},
    streams::{Create, StreamError, Streams},
};

/// When a caller may come back where the backend can't do it now.
const RETRY_MS: u64 = 1_000;

/// What all requests share; clones are handles.
#[derive(Debug, Clone)]
pub(crate) struct Core(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) streams: Streams,
    pub(crate) clock: Clock,
    pub(crate) topics: Arc<Topics>,
    pub(crate) cuts: Cuts,
    pub(crate) inboxes: Inboxes,
    pub(crate) uses: Uses,
    /// The moment of the first deadline, as of the last commit.
    pub(crate) next_deadline: watch::Sender<Option<u64>>,
    /// Cancelled when the hub stops.
    pub(crate) stop: CancellationToken,
    /// What must end before the store is closed.
    pub(crate) tasks: TaskTracker,
    runtime: tokio::runtime::Handle,
}

impl Deref for Core {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Core {
    /// Must be called within a runtime.
    pub(crate) fn new(streams: Streams, clock: Clock) -> Self {
        let stop = CancellationToken::new();
        Self(Arc::new(Shared {
            streams,
            clock,
            topics: Arc::default(),
            cuts: Cuts::new(stop.child_token()),
            inboxes: Inboxes::default(),
            uses: Uses::default(),
            next_deadline: watch::Sender::new(None),
            stop,
            tasks: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
        }))
    }

    pub(crate) fn store(&self) -> &Store {
        self.streams.store()
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.clock.now_ms())
    }

    /// Runs a call, or another thing that changes rows, and answers once it is on disk.
    pub(crate) async fn change<F>(&self, job: F) -> Result<Value, CallError>
    where
        F: FnOnce(&Transaction<'_>, Backend<'_, SqliteRows<'_>>) -> Result<Outcome, CallError>
            + Send
            + 'static,
    {
        let core = self.clone();
        let entropy = entropy()?;
        self.write(move |transaction| {
            core.apply(transaction, entropy, |backend| job(transaction, backend))
        })
        .await
    }

    /// [`Core::change`] within a transaction of the caller's.
    pub(crate) fn apply(
        &self,
        transaction: &Transaction<'_>,
        entropy: Entropy,
        job: impl FnOnce(Backend<'_, SqliteRows<'_>>) -> Result<Outcome, CallError>,
    ) -> Result<Value, CallError> {
        let mut rows = SqliteRows::new(transaction);
        let now = self.now();
        let Outcome { reply, effects } = job(Backend::new(&mut rows, now, entropy))?;
        let mut after = Vec::new();
        for effect in effects {
            match effect {
                Effect::CreateStream(turn) => self.create_stream(transaction, &turn)?,
                Effect::DeleteStream(turn) => self.delete_stream(transaction, &turn)?,
                Effect::Changed(topic) => after.push(AfterCommit::Changed(topic)),
                Effect::CutConnections {
                    machine,
                    below_epoch,
                } => after.push(AfterCommit::Cut(machine, below_epoch)),
            }
        }
        if rows.written() {
            let next = Backend::new(&mut rows, now, entropy).next_deadline()?;
            after.push(AfterCommit::NextDeadline(next.map(Timestamp::as_ms)));
        }
        if !after.is_empty() {
            let core = self.clone();
            transaction.after_commit(move || after.iter().for_each(|step| core.follow_up(step)));
        }
        Ok(reply)
    }

    /// Runs a query of the rows as they stand.
    pub(crate) async fn look<T, F>(&self, query: F) -> Result<T, CallError>
    where
        F: FnOnce(&Connection, Backend<'_, SqliteRows<'_>>) -> T + Send + 'static,
        T: Send + 'static,
    {
        let now = self.now();
        self.read(move |connection| {
            let mut rows = SqliteRows::new(connection);
            query(connection, Backend::new(&mut rows, now, NO_ENTROPY))
        })
        .await
    }

    /// Runs a write job that is not the backend core's.
    pub(crate) async fn write<T, F>(&self, job: F) -> Result<T, CallError>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, CallError> + Send + 'static,
        T: Send + 'static,
    {
        self.store().write(job).await.map_err(|error| match error {
            WriteError::Job(error) => error,
            WriteError::NotCommitted(_) | WriteError::Busy | WriteError::Closed => {
                unavailable(&error)
            }
            WriteError::Panicked { .. } => defect(&error),
        })
    }

    pub(crate) async fn read<T, F>(&self, query: F) -> Result<T, CallError>
    where
        F: FnOnce(&Connection) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.store().read(query).await.map_err(|error| match error {
            ReadError::Closed | ReadError::Busy => unavailable(&error),
            ReadError::Sqlite(_) | ReadError::Panicked { .. } => defect(&error),
        })
    }

    /// Runs in the background, to its end even if the hub stops meanwhile. Works from any thread.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    fn create_stream(&self, transaction: &Transaction<'_>, turn: &TurnId) -> Result<(), CallError> {
        let create = Create {
            content_type: Some("application/json".to_owned()),
            ..Create::default()
        };
        self.streams
            .create(transaction, &stream_name(turn), create)
            .map(drop)
            .map_err(stream_failed)
    }

    fn delete_stream(&self, transaction: &Transaction<'_>, turn: &TurnId) -> Result<(), CallError> {
        match self.streams.delete(transaction, &stream_name(turn)) {
            Ok(()) | Err(StreamError::NotFound) => Ok(()),
            Err(error) => Err(stream_failed(error)),
        }
    }

    fn follow_up(&self, step: &AfterCommit) {
        match step {
            AfterCommit::Changed(topic) => self.topics.publish(topic),
            AfterCommit::Cut(machine, below_epoch) => self.cuts.cut_machine(machine, *below_epoch),
            AfterCommit::NextDeadline(at) => {
                self.next_deadline.send_if_modified(|next| {
                    let changed = next != at;
                    *next = *at;
                    changed
                });
            }
        }
    }
}

/// A query's value for a caller, as the connection sees it.
pub(crate) fn query(
    connection: &Connection,
    now: Timestamp,
    function: &str,
    args: &Value,
    caller: &Caller,
) -> Result<Value, CallError> {
    let mut rows = SqliteRows::new(connection);
    Backend::new(&mut rows, now, NO_ENTROPY).query(function, args, caller)
}

enum AfterCommit {
    Changed(Topic),
    Cut(MachineId, u64),
    NextDeadline(Option<u64>),
}

/// Where a turn's stream is among the streams.
pub(crate) fn stream_name(turn: &TurnId) -> String {
    format!("turn/{turn}")
}

/// Queries make nothing, so they need no randomness.
const NO_ENTROPY: Entropy = Entropy {
    id: [0; 10],
    secret: [0; 32],
};

pub(crate) fn entropy() -> Result<Entropy, CallError> {
    let mut entropy = NO_ENTROPY;
    getrandom::fill(&mut entropy.id)
        .and_then(|()| getrandom::fill(&mut entropy.secret))
        .map_err(|error| {
            CallError::new(
                ErrorCode::Unavailable,
                format!("The backend's computer gives no random bytes ({error}). Try again."),
            )
        })?;
    Ok(entropy)
}

fn unavailable(error: &impl std::fmt::Display) -> CallError {
    CallError {
        retry_after_ms: Some(RETRY_MS),
        ..CallError::new(ErrorCode::Unavailable, sentence(&error.to_string()))
    }
}

pub(crate) fn defect(error: &impl std::fmt::Display) -> CallError {
    tracing::error!(%error, "a defect");
    CallError::new(ErrorCode::Internal, sentence(&error.to_string()))
}

/// The backend creates and deletes streams under names of its own; all but a failing disk is a defect there.
fn stream_failed(error: StreamError) -> CallError {
    if matches!(
        error,
        StreamError::Unavailable { .. } | StreamError::Storage(_)
    ) {
        unavailable(&error)
    } else {
        defect(&error)
    }
}

/// The store's errors begin small and end without a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase);
    first
        .into_iter()
        .flatten()
        .chain(characters)
        .chain(['.'])
        .collect()
}
