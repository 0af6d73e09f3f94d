//! The streams that the writer has met lately, as they stand within its transaction.
//!
//! An append to one of them reads nothing. What keeps an entry right:
//! - each change of a stream's row or of its newest log row is made to the entry by the same job, or drops it:
//!   appends change it (and drop it when they fail), so does settling, removal drops it;
//! - streams with a time to live have none, because their row changes with each read as well;
//! - the store forgets all of them whenever anything is undone.

use std::collections::HashMap;

use super::{
    StreamError,
    row::{self, Row},
};
use crate::store::Transaction;

/// Streams kept; beyond it all are let go and met anew. With their paths, content types and producers, at most
/// about 2 MiB.
const STREAMS_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Known {
    by_path: HashMap<String, Row>,
}

impl Known {
    /// Lets `act` change the stream at `path`, in the database and in the row that it is given alike.
    pub(super) fn with<R>(
        transaction: &Transaction<'_>,
        path: &str,
        now_ms: u64,
        act: impl FnOnce(&mut Row) -> Result<R, StreamError>,
    ) -> Result<R, StreamError> {
        transaction.memory(|known: &mut Self| {
            if let Some(row) = known.by_path.get_mut(path) {
                let result = row.unless_expired(now_ms).and_then(act);
                if result.is_err() {
                    known.by_path.remove(path);
                }
                return result;
            }
            let mut row = row::load(transaction, path, now_ms)?;
            let result = act(&mut row)?;
            if row.ttl_s.is_none() {
                if known.by_path.len() >= STREAMS_MAX {
                    known.by_path.clear();
                }
                known.by_path.insert(path.to_owned(), row);
            }
            Ok(result)
        })
    }

    /// The stream was settled up to `position`.
    pub(super) fn settled(transaction: &Transaction<'_>, stream: i64, position: u64) {
        transaction.memory(|known: &mut Self| {
            if let Some(row) = known.by_path.values_mut().find(|row| row.id == stream) {
                row.settled = position;
            }
        });
    }

    /// The stream is gone.
    pub(super) fn removed(transaction: &Transaction<'_>, stream: i64) {
        transaction.memory(|known: &mut Self| known.by_path.retain(|_, row| row.id != stream));
    }
}

#[cfg(test)]
mod tests;
