//! Removes expired streams, and the chunks of deleted ones a few at a time between other writes.

use std::sync::{Arc, Weak};

use rusqlite::params;

use super::{Inner, StreamError, Streams, row};

/// Streams that one job lets expire.
const EXPIRED_AT_ONCE: u32 = 100;
/// Chunks that one job removes.
const CHUNKS_AT_ONCE: u32 = 256;

/// Starts the task. It ends within a sweep after the last handle.
pub(super) fn spawn(inner: &Arc<Inner>) {
    let (streams, wake, every) = (
        Arc::downgrade(inner),
        Arc::clone(&inner.garbage),
        inner.limits.sweep_every,
    );
    tokio::spawn(async move {
        while let Some(inner) = Weak::upgrade(&streams) {
            match (Streams { inner }).sweep().await {
                Ok(()) => {}
                Err(StreamError::Unavailable { reason }) => {
                    tracing::debug!(reason, "sweeping streams waits")
                }
                Err(error) => tracing::warn!(%error, "sweeping streams failed; it is tried again"),
            }
            tokio::select! {
                () = wake.notified() => {}
                () = tokio::time::sleep(every) => {}
            }
        }
    });
}

impl Streams {
    async fn sweep(&self) -> Result<(), StreamError> {
        let now_ms = self.now_ms();
        while self
            .query(move |connection| Ok(!row::expired(connection, now_ms, 1)?.is_empty()))
            .await?
        {
            let streams = self.clone();
            self.submit(move |transaction| {
                for id in row::expired(transaction, now_ms, EXPIRED_AT_ONCE)? {
                    row::remove(&streams, transaction, id)?;
                }
                Ok(())
            })
            .await?;
        }
        while self
            .query(|connection| {
                Ok(connection.query_row(
                    "SELECT EXISTS (SELECT 1 FROM stream_garbage)",
                    [],
                    |row| row.get(0),
                )?)
            })
            .await?
        {
            self.submit(|transaction| {
                let id: Option<i64> =
                    transaction.query_row("SELECT min(stream) FROM stream_garbage", [], |row| row.get(0))?;
                let Some(id) = id else { return Ok(()) };
                let removed = transaction
                    .prepare_cached(
                        "DELETE FROM stream_chunk WHERE stream = ?1 AND start IN \
                         (SELECT start FROM stream_chunk WHERE stream = ?1 ORDER BY start LIMIT ?2)",
                    )?
                    .execute(params![id, CHUNKS_AT_ONCE])?;
                if removed == 0 {
                    transaction.execute("DELETE FROM stream_garbage WHERE stream = ?1", [id])?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}
