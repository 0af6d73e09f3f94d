//! Creating and deleting.

use std::sync::Arc;

use rusqlite::params;

use super::{
    Fence, Offset, Payload, StreamError, Streams, Tail,
    append::mark_closed,
    chunks,
    content::{DEFAULT_CONTENT_TYPE, check_content_type, same},
    limits::{PATH_MAX_BYTES, TTL_MAX_S},
    row,
};
use crate::store::Transaction;

/// How long a stream lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is deleted.
    #[default]
    Unlimited,
    /// So many seconds after the last read or write.
    Idle {
        /// The seconds.
        ttl_s: u64,
    },
    /// Until a moment.
    Until {
        /// Milliseconds since the Unix epoch.
        expires_ms: u64,
    },
}

impl Lifetime {
    const fn ttl_s(self) -> Option<u64> {
        match self {
            Self::Idle { ttl_s } => Some(ttl_s),
            Self::Unlimited | Self::Until { .. } => None,
        }
    }

    const fn expires_ms(self) -> Option<u64> {
        match self {
            Self::Until { expires_ms } => Some(expires_ms),
            Self::Unlimited | Self::Idle { .. } => None,
        }
    }
}

/// A stream to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Create {
    /// `None` for `application/octet-stream`.
    pub content_type: Option<String>,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Closed from the start: the payload is all of it.
    pub closed: bool,
    /// First content. Its content type must be the one above.
    pub payload: Option<Payload>,
}

/// The stream that now exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// False if it existed before with the same properties; its content is as it was.
    pub fresh: bool,
    /// How it stands.
    pub tail: Tail,
}

impl Streams {
    /// Creates a stream within a transaction, or finds that it exists with these properties.
    ///
    /// # Errors
    /// [`StreamError::Exists`] if it does with others; [`StreamError::Invalid`], [`StreamError::StreamFull`].
    pub fn create(
        &self,
        transaction: &Transaction<'_>,
        path: &str,
        create: Create,
    ) -> Result<Created, StreamError> {
        check_path(path)?;
        let Create {
            content_type,
            lifetime,
            closed,
            payload,
        } = create;
        let content_type = content_type.unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned());
        check_content_type(&content_type)?;
        if lifetime.ttl_s().is_some_and(|ttl_s| ttl_s > TTL_MAX_S) {
            return Err(StreamError::invalid(format!(
                "a time to live may be at most {TTL_MAX_S} seconds"
            )));
        }
        let now_ms = self.now_ms();
        if let Some(row) = row::load_or_clear(self, transaction, path, now_ms)? {
            let same = same(&row.content_type, &content_type)
                && (row.ttl_s, row.expires_ms) == (lifetime.ttl_s(), lifetime.expires_ms())
                && row.closed == closed;
            row::touch(transaction, row.id, now_ms)?;
            return if same {
                Ok(Created {
                    fresh: false,
                    tail: Tail::of(row),
                })
            } else {
                Err(StreamError::Exists)
            };
        }

        let stored = payload.map(|payload| payload.stored).unwrap_or_default();
        let tail = u64::try_from(stored.len()).unwrap_or(u64::MAX);
        if tail > self.inner.limits.stream_bytes {
            return Err(StreamError::StreamFull {
                limit: self.inner.limits.stream_bytes,
            });
        }
        transaction
            .prepare_cached(
                "INSERT INTO stream (path, content_type, tail, ttl_s, expires_ms, touched_ms) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                path,
                content_type,
                tail,
                lifetime.ttl_s(),
                lifetime.expires_ms(),
                now_ms
            ])?;
        let id = transaction.last_insert_rowid();
        if !stored.is_empty() {
            chunks::put(transaction, id, 0, &stored, None)?;
            let inner = Arc::clone(&self.inner);
            transaction.after_commit(move || inner.appended(id, 0, stored, closed));
        }
        if closed {
            mark_closed(transaction, id, None)?;
        }
        let tail = Tail {
            offset: Offset {
                stream: id,
                position: tail,
            },
            closed,
            content_type,
            ttl_s: lifetime.ttl_s(),
            expires_ms: lifetime.expires_ms(),
        };
        Ok(Created { fresh: true, tail })
    }

    /// [`Streams::create`] in a group commit of its own.
    ///
    /// # Errors
    /// As [`Streams::create`], and [`StreamError::Unavailable`] when the commit fails.
    pub async fn create_durably(
        &self,
        path: String,
        create: Create,
        fence: Option<Fence>,
    ) -> Result<Created, StreamError> {
        let streams = self.clone();
        self.submit(move |transaction| {
            if let Some(fence) = fence {
                fence(transaction, None)?;
            }
            streams.create(transaction, &path, create)
        })
        .await
    }

    /// Deletes a stream within a transaction. Live readers are ended once that is committed.
    ///
    /// # Errors
    /// [`StreamError::NotFound`].
    pub fn delete(&self, transaction: &Transaction<'_>, path: &str) -> Result<(), StreamError> {
        let row = row::load(transaction, path, self.now_ms())?;
        Ok(row::remove(self, transaction, row.id)?)
    }

    /// [`Streams::delete`] in a group commit of its own.
    ///
    /// # Errors
    /// As [`Streams::delete`], and [`StreamError::Unavailable`] when the commit fails.
    pub async fn delete_durably(
        &self,
        path: String,
        fence: Option<Fence>,
    ) -> Result<(), StreamError> {
        let streams = self.clone();
        self.submit(move |transaction| {
            if let Some(fence) = fence {
                fence(transaction, None)?;
            }
            streams.delete(transaction, &path)
        })
        .await
    }
}

/// Refuses paths that no client writes the same way twice, and those kept for the protocol.
pub(super) fn check_path(path: &str) -> Result<(), StreamError> {
    let segments = || path.split('/');
    if segments().next() == Some("__ds") {
        return Err(StreamError::NotOffered {
            what: "subscriptions",
        });
    }
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    if path.len() > PATH_MAX_BYTES || segments().any(odd) || path.chars().any(char::is_control) {
        return Err(StreamError::invalid(format!(
            "a stream's path must be at most {PATH_MAX_BYTES} bytes of text, without empty segments or dots"
        )));
    }
    Ok(())
}
