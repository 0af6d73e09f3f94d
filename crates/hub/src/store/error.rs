//! What can go wrong with the store, sorted by who has to act.

use std::path::PathBuf;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error(
        "another hub is already using {}; two hubs cannot share one data directory: stop the other one, or \
         start this one with another data directory",
        path.display()
    )]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// A newer version of this program has migrated the database.
    #[error(
        "{} was written by a newer version (schema {found}; this version knows up to {known}); nothing was \
         changed: start the newer version, or restore a backup made before the upgrade",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest one this program knows.
        known: u32,
    },
    /// The file is a database of something else.
    #[error("{} is not a hub's database; nothing was changed: choose another data directory", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The SQLite linked in is one with a known defect.
    #[error(
        "SQLite {found} can corrupt a write-ahead log and is refused; build with SQLite 3.51.3 or newer"
    )]
    SqliteTooOld {
        /// The version linked in.
        found: String,
    },
    /// The file system refused.
    #[error("cannot open {}: {source}; check that the directory exists and belongs to you", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("cannot open the database {}: {source}; if the file is damaged, restore a backup", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
}

/// Why a group was not committed. Nothing of it is in the database as far as is known; a sync that failed
/// leaves no certainty, so a retry must carry the same idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCommitted {
    /// The disk, or the size set for the database, is full.
    #[error("the disk of the backend is full, so nothing was saved; free some space and try again")]
    Full,
    /// Another failure of the disk or of SQLite.
    #[error("the backend could not save to its disk ({reason}); try again")]
    Storage {
        /// What SQLite said.
        reason: String,
    },
}

impl NotCommitted {
    pub(super) fn from_sqlite(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            _ => Self::Storage {
                reason: error.to_string(),
            },
        }
    }
}

/// Why a write has no result.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The job's own error: it was undone, the rest of its group was not.
    #[error(transparent)]
    Job(E),
    /// The group could not be committed; the caller may try again.
    #[error(transparent)]
    NotCommitted(NotCommitted),
    /// The queue stayed full; the job did not run and the caller may try again.
    #[error("the backend has more to write than its disk takes; try again in a moment")]
    Busy,
    /// The store is closed.
    #[error("the backend is stopping; try again when it runs")]
    Closed,
    /// The job panicked and was undone: a defect.
    #[error("a defect in the backend stopped this write, which was undone: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
}

impl<E> WriteError<E> {
    /// Whether the same write may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotCommitted(_) | Self::Busy | Self::Closed => true,
            Self::Job(_) | Self::Panicked { .. } => false,
        }
    }

    /// Turns the job's own error into another one.
    pub fn map_job<F>(self, map: impl FnOnce(E) -> F) -> WriteError<F> {
        match self {
            Self::Job(error) => WriteError::Job(map(error)),
            Self::NotCommitted(why) => WriteError::NotCommitted(why),
            Self::Busy => WriteError::Busy,
            Self::Closed => WriteError::Closed,
            Self::Panicked { message } => WriteError::Panicked { message },
        }
    }
}

/// Why a read has no result.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store is closed.
    #[error("the backend is stopping; try again when it runs")]
    Closed,
    /// Every reader stayed busy.
    #[error("the backend is busy reading; try again in a moment")]
    Busy,
    /// SQLite refused to begin a read.
    #[error("the backend could not read its database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The query panicked: a defect.
    #[error("a defect in the backend stopped this read: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
}

/// The text of a panic, where it has one.
pub(super) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
