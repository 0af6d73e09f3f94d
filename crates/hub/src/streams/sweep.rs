//! Settles the log, lets streams expire, and removes the chunks of deleted ones a few at a time.

use std::sync::{Arc, Weak};

use super::{
    Inner, StreamError, Streams,
    chunks::{self, Settled, Settling},
    row,
};

/// Streams that one job lets expire; each goes through the log.
const EXPIRED_AT_ONCE: u32 = 20;
/// Chunks that one job removes.
const CHUNKS_AT_ONCE: u32 = 256;

/// Starts the task. It ends within a sweep after the last handle.
pub(super) fn spawn(inner: &Arc<Inner>) {
    let (streams, wake, every) = (
        Arc::downgrade(inner),
        Arc::clone(&inner.chores),
        inner.limits.sweep_every,
    );
    tokio::spawn(async move {
        let mut idle = true;
        while let Some(inner) = Weak::upgrade(&streams) {
            match (Streams { inner }).sweep(idle).await {
                Ok(()) => {}
                Err(StreamError::Unavailable { reason }) => {
                    tracing::debug!(reason, "sweeping streams waits")
                }
                Err(error) => tracing::warn!(%error, "sweeping streams failed; it is tried again"),
            }
            idle = tokio::time::timeout(every, wake.notified()).await.is_err();
        }
    });
}

impl Streams {
    /// In small jobs, one kind after the other until nothing is left of any; others write in between.
    async fn sweep(&self, idle: bool) -> Result<(), StreamError> {
        if self.inner.log.is_full() || (idle && !self.inner.log.is_empty()) {
            self.settle().await?;
        }
        let now_ms = self.now_ms();
        while self.expire(now_ms).await?
            | self
                .submit(|transaction| Ok(chunks::remove_some(transaction, CHUNKS_AT_ONCE)?))
                .await?
        {
            if self.inner.log.is_full() {
                self.settle().await?;
            }
        }
        Ok(())
    }

    /// Settles what is in the log now.
    pub(super) async fn settle(&self) -> Result<(), StreamError> {
        let _alone = self.inner.settling.lock().await;
        let mut left = Some(self.gather().await?);
        while let Some(settling) = left {
            left = self.settle_slice(settling).await?;
        }
        Ok(())
    }

    pub(super) async fn gather(&self) -> Result<Settling, StreamError> {
        self.query(|connection| Ok(chunks::gather(connection)?))
            .await
    }

    /// Returns what is left of it.
    pub(super) async fn settle_slice(
        &self,
        settling: Settling,
    ) -> Result<Option<Settling>, StreamError> {
        let inner = Arc::clone(&self.inner);
        self.submit(move |transaction| match settling.next(transaction)? {
            Settled::Partly(rest) => Ok(Some(rest)),
            Settled::Wholly { rows, bytes } => {
                transaction.after_commit(move || inner.log.settled(rows, bytes));
                Ok(None)
            }
        })
        .await
    }

    /// Lets some streams expire; false when there was none.
    async fn expire(&self, now_ms: u64) -> Result<bool, StreamError> {
        let streams = self.clone();
        self.submit(move |transaction| {
            let expired = row::expired(transaction, now_ms, EXPIRED_AT_ONCE)?;
            for id in &expired {
                row::remove(&streams, transaction, *id)?;
            }
            Ok(!expired.is_empty())
        })
        .await
    }
}
