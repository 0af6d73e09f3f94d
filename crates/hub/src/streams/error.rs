//! Why an operation on a stream was refused.

use protocol::CallError;

use super::Offset;
use crate::store::WriteError;

/// A refusal. Apart from `Unavailable`, trying the same again changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// There is none, or it has expired.
    #[error("there is no such stream (any more); create it first")]
    NotFound,
    /// Created before with another content type, lifetime or state.
    #[error(
        "a stream with other properties exists at this path; delete it first or use another path"
    )]
    Exists,
    /// Closed: nothing can be appended any more.
    #[error("the stream is closed; nothing can be appended to it")]
    Closed {
        /// Its final offset.
        tail: Offset,
    },
    /// The append's content type is not the stream's.
    #[error("the stream holds {expected}; send that content type")]
    ContentType {
        /// The stream's.
        expected: String,
    },
    /// A `Stream-Seq` that is not beyond the last one.
    #[error(
        "Stream-Seq must be greater than {last:?}, the last one; read the stream before writing on"
    )]
    WriterSeq {
        /// The last one.
        last: String,
    },
    /// An earlier append of the producer is missing.
    #[error("append {received} came before append {expected}; send that one first")]
    Gap {
        /// The sequence number that comes next.
        expected: u64,
        /// The one that came.
        received: u64,
    },
    /// A newer incarnation of the producer has taken over.
    #[error("epoch {current} of this producer has taken over; stop, or begin a higher epoch")]
    StaleEpoch {
        /// The epoch in force.
        current: u64,
    },
    /// A new epoch that begins with another number.
    #[error("the first append of a new epoch must carry Producer-Seq 0")]
    EpochMustStartAtZero,
    /// Not a request that makes sense.
    #[error("{reason}")]
    Invalid {
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The body of an append or create is larger than allowed.
    #[error("the body is larger than {limit} bytes; send it in smaller pieces")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The stream has reached its size.
    #[error(
        "the stream has reached {limit} bytes, the most it may hold; close it and begin another one"
    )]
    StreamFull {
        /// The limit in bytes.
        limit: u64,
    },
    /// The offset belongs to a stream that was deleted, or lies beyond the tail after a restored backup.
    #[error("the offset is not part of this stream (any more); read again from the start")]
    OffsetGone,
    /// Too many live readers.
    #[error("too many live readers; try again in a moment")]
    TooManyReaders,
    /// A part of the Durable Streams protocol that is left out here.
    #[error("{what} are not offered by this backend")]
    NotOffered {
        /// Which part, in the plural.
        what: &'static str,
    },
    /// The fence or the access check refused.
    #[error("{0}")]
    Refused(CallError),
    /// The store can't do it now; try again.
    #[error("{reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// A defect of the backend.
    #[error("{reason}")]
    Defect {
        /// What is known of it.
        reason: String,
    },
    /// The statement failed.
    #[error("the backend could not use its database ({0}); try again")]
    Storage(#[from] rusqlite::Error),
}

impl From<WriteError<Self>> for StreamError {
    fn from(error: WriteError<Self>) -> Self {
        match error {
            WriteError::Job(error) => error,
            WriteError::NotCommitted(_) | WriteError::Busy | WriteError::Closed => {
                Self::Unavailable {
                    reason: error.to_string(),
                }
            }
            WriteError::Panicked { .. } => Self::Defect {
                reason: error.to_string(),
            },
        }
    }
}

impl StreamError {
    pub(super) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid {
            reason: reason.into(),
        }
    }
}
