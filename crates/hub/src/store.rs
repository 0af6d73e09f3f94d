//! The hub's database: one SQLite file, one writer that commits in groups, a few readers.
//!
//! A write is a closure. The writer thread gathers the closures that wait, runs each one inside a savepoint
//! of a single transaction, commits (which syncs the file) and only then answers all of them. So an answered
//! write is on disk, and sixty-four callers share one sync.

mod error;
mod memory;
mod migrations;
mod open;
mod readers;
mod transaction;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use error::{NotCommitted, OpenError, ReadError, WriteError};
pub use rusqlite::Connection;
pub use transaction::Transaction;

use readers::Readers;
use writer::Writer;

/// Connections for reading, unless [`StoreOptions::readers`] says otherwise.
pub const DEFAULT_READERS: usize = 4;

/// What may be chosen when a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Connections for reading; at least one.
    pub readers: usize,
    /// Largest size of the database in pages of 4 KiB; `None` for what the disk holds.
    pub max_pages: Option<u32>,
    /// Whether a commit is on the disk before it counts. Without it nothing acked survives a loss of power:
    /// only the proof that this would be noticed says no.
    pub syncs_commits: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            readers: DEFAULT_READERS,
            max_pages: None,
            syncs_commits: true,
        }
    }
}

/// A handle to the open database; clones share it. The file is closed with [`Store::close`], or when the
/// last handle goes and the writer has committed what was queued.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    writer: Writer,
    readers: Readers,
}

impl Store {
    /// Opens the database at `path`, creating it (readable by its owner only) and migrating it as needed.
    ///
    /// Blocks on the disk: call it at start, not from a task.
    ///
    /// # Errors
    /// See [`OpenError`]: another hub has the file open, a newer version wrote it, it is not a hub's.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, &StoreOptions::default())
    }

    /// [`Store::open`] with options.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(path: impl AsRef<Path>, options: &StoreOptions) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        let lock = open::lock(&path)?;
        let connection = open::writer(&path, options)?;
        let readers = Readers::new(
            (0..options.readers.max(1))
                .map(|_| open::reader(&path))
                .collect::<Result<_, _>>()?,
        );
        let writer = Writer::start(connection, lock)?;
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                writer,
                readers,
            }),
        })
    }

    /// Where the database is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs `job` in the next group and waits until the group is on disk.
    ///
    /// A job that returns `Err` or panics is undone alone; the others of its group stand. Dropping the future
    /// neither stops nor undoes a job that is queued. Jobs run one at a time on the writer's thread, so they
    /// must not wait for anything.
    ///
    /// # Errors
    /// [`WriteError::Job`] is the job's own error; every other one says that nothing was written as far as is
    /// known, and [`WriteError::is_retryable`] whether to try again.
    pub async fn write<T, E, F>(&self, job: F) -> Result<T, WriteError<E>>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.inner.writer.write(true, job).await
    }

    /// [`Store::write`] without a savepoint, which is a good part of a small job's cost: for a job that decides
    /// before it writes. If it fails after its first change all the same, the whole group is undone and told
    /// [`WriteError::NotCommitted`].
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write_decided<T, E, F>(&self, job: F) -> Result<T, WriteError<E>>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.inner.writer.write(false, job).await
    }

    /// Runs `query` on a reader's connection, in one read transaction: everything it sees is of one moment.
    /// Every write that was answered before is seen.
    ///
    /// # Errors
    /// [`ReadError`] when the store is closed or the query panicked.
    pub async fn read<T, F>(&self, query: F) -> Result<T, ReadError>
    where
        F: FnOnce(&Connection) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.inner.readers.read(query).await
    }

    /// Lets running reads end, commits what is queued, folds the log into the file and releases the lock.
    /// Later writes and reads are refused. Calling it again is harmless.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }
}

#[cfg(test)]
mod tests;
