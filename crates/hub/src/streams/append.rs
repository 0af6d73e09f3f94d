//! Appending and closing.

use std::sync::Arc;

use bytes::Bytes;
use protocol::producer::{Decision, ProducerState, decide};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Fence, Offset, Payload, StreamError, Streams, chunks, content::same, known::Known, row::Row,
};
use crate::store::Transaction;

/// Who appends, for fencing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// Stable over restarts.
    pub id: String,
    /// Higher after each restart.
    pub epoch: u64,
    /// Counts the appends of the epoch from 0.
    pub seq: u64,
}

/// One append, or the closing of a stream, or both at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Append {
    /// What to append; `None` only together with `close`.
    pub payload: Option<Payload>,
    /// Makes the append safe to repeat.
    pub producer: Option<Producer>,
    /// `Stream-Seq`: must be greater than the stream's last one, compared as bytes.
    pub writer_seq: Option<String>,
    /// Closes the stream.
    pub close: bool,
}

/// What an append led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The stream's tail now.
    pub tail: Offset,
    /// Whether the stream is closed now.
    pub closed: bool,
    /// The append had been made before; nothing was written.
    pub duplicate: bool,
    /// What the stream now remembers of the producer.
    pub producer: Option<ProducerState>,
}

impl Streams {
    /// Appends within a transaction; live readers see it once that is committed.
    ///
    /// # Errors
    /// Every refusal of [`StreamError`]; nothing has been written then.
    pub fn append(
        &self,
        transaction: &Transaction<'_>,
        path: &str,
        append: Append,
    ) -> Result<Appended, StreamError> {
        let now_ms = self.now_ms();
        Known::with(transaction, path, now_ms, |row| {
            self.append_to(row, transaction, now_ms, append)
        })
    }

    fn append_to(
        &self,
        row: &mut Row,
        transaction: &Transaction<'_>,
        now_ms: u64,
        append: Append,
    ) -> Result<Appended, StreamError> {
        let Append {
            payload,
            producer,
            writer_seq,
            close,
        } = append;
        let known = match &producer {
            Some(producer) => known_producer(transaction, row, &producer.id)?,
            None => None,
        };
        if row.closed {
            return on_closed(row, producer.as_ref(), known, payload.is_none() && close);
        }
        let data = match payload {
            Some(payload) if !same(&payload.content_type, &row.content_type) => {
                return Err(StreamError::ContentType {
                    expected: row.content_type.clone(),
                });
            }
            Some(payload) => payload.stored,
            None => Bytes::new(),
        };
        if data.is_empty() && !close {
            return Err(StreamError::invalid(
                "nothing to append; send at least one byte or message",
            ));
        }
        let next = match &producer {
            None => None,
            Some(Producer { epoch, seq, .. }) => match decide(known, *epoch, *seq) {
                Decision::Accept(next) => Some(next),
                Decision::Duplicate { .. } => return Ok(repeated(row, known)),
                Decision::Gap { expected } => {
                    return Err(StreamError::Gap {
                        expected,
                        received: *seq,
                    });
                }
                Decision::StaleEpoch { current } => {
                    return Err(StreamError::StaleEpoch { current });
                }
                Decision::EpochMustStartAtZero => return Err(StreamError::EpochMustStartAtZero),
            },
        };
        if let (Some(last), Some(seq)) = (&row.writer_seq, &writer_seq)
            && seq.as_bytes() <= last.as_bytes()
        {
            return Err(StreamError::WriterSeq { last: last.clone() });
        }
        let start = row.tail;
        let tail = start.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        if tail > self.inner.limits.stream_bytes {
            return Err(StreamError::StreamFull {
                limit: self.inner.limits.stream_bytes,
            });
        }

        let logged = row.tail > row.settled;
        let same_producer = match (&producer, &row.producer) {
            (Some(producer), Some((last, _))) => producer.id == *last,
            (None, _) => true,
            (Some(_), None) => false,
        };
        // The log has all that such an append changes, so the stream's row can wait for settling.
        let log_only =
            logged && same_producer && !close && writer_seq.is_none() && row.ttl_s.is_none();
        let state = next.or(row.producer.as_ref().map(|(_, state)| *state));
        if logged || !data.is_empty() {
            chunks::put(transaction, row.id, start, &data, state)?;
        }
        if !log_only {
            if let (false, Some((last, state))) = (same_producer, &row.producer) {
                set_aside(transaction, row.id, last, *state)?;
            }
            write_row(
                transaction,
                row,
                tail,
                now_ms,
                writer_seq.as_deref(),
                producer.as_ref(),
            )?;
            if close {
                mark_closed(transaction, row.id, producer.as_ref())?;
            }
        }

        row.tail = tail;
        row.closed = close;
        if close {
            row.closed_by.clone_from(&producer);
        }
        if writer_seq.is_some() {
            row.writer_seq = writer_seq;
        }
        match (next, &mut row.producer) {
            (None, _) => {}
            (Some(next), Some((_, state))) if same_producer => *state = next,
            (Some(next), last) => *last = producer.map(|producer| (producer.id, next)),
        }
        let (inner, id) = (Arc::clone(&self.inner), row.id);
        transaction.after_commit(move || inner.appended(id, start, data, close));
        Ok(Appended {
            tail: row.at(tail),
            closed: close,
            duplicate: false,
            producer: next,
        })
    }

    /// Appends in a group commit of its own: what is answered is on disk.
    ///
    /// # Errors
    /// As [`Streams::append`], and [`StreamError::Unavailable`] when the commit fails.
    pub async fn append_durably(
        &self,
        path: String,
        append: Append,
        fence: Option<Fence>,
    ) -> Result<Appended, StreamError> {
        let streams = self.clone();
        // An append is refused before its first change or not at all, and a fence writes only for the first one of
        // a producer's epoch.
        let may_be_undone =
            fence.is_some() && append.producer.as_ref().is_none_or(|it| it.seq == 0);
        let job = move |transaction: &Transaction<'_>| {
            if let Some(fence) = fence {
                fence(transaction, append.producer.as_ref())?;
            }
            streams.append(transaction, &path, append)
        };
        let store = &self.inner.store;
        Ok(if may_be_undone {
            store.write(job).await?
        } else {
            store.write_decided(job).await?
        })
    }
}

/// Brings the stream's row up to an append, its closing left aside.
fn write_row(
    connection: &Connection,
    row: &Row,
    tail: u64,
    now_ms: u64,
    writer_seq: Option<&str>,
    producer: Option<&Producer>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE stream SET tail = ?2, touched_ms = iif(ttl_s IS NULL, touched_ms, ?3), \
             writer_seq = coalesce(?4, writer_seq), producer = coalesce(?5, producer), \
             producer_epoch = coalesce(?6, producer_epoch), producer_seq = coalesce(?7, producer_seq) \
             WHERE id = ?1",
        )?
        .execute(params![
            row.id,
            tail,
            now_ms,
            writer_seq,
            producer.map(|producer| &producer.id),
            producer.map(|producer| producer.epoch),
            producer.map(|producer| producer.seq),
        ])
        .map(drop)
}

/// A closed stream takes nothing, but knows the append that closed it, and still fences.
fn on_closed(
    row: &Row,
    producer: Option<&Producer>,
    known: Option<ProducerState>,
    close_only: bool,
) -> Result<Appended, StreamError> {
    if let Some(producer) = producer {
        if row.closed_by.as_ref() == Some(producer) {
            return Ok(repeated(row, known));
        }
        if let Decision::StaleEpoch { current } = decide(known, producer.epoch, producer.seq) {
            return Err(StreamError::StaleEpoch { current });
        }
    } else if close_only {
        return Ok(Appended {
            duplicate: true,
            ..repeated(row, None)
        });
    }
    Err(StreamError::Closed {
        tail: row.at(row.tail),
    })
}

fn repeated(row: &Row, known: Option<ProducerState>) -> Appended {
    Appended {
        tail: row.at(row.tail),
        closed: row.closed,
        duplicate: true,
        producer: known,
    }
}

/// What the stream remembers of a producer.
fn known_producer(
    connection: &Connection,
    row: &Row,
    producer: &str,
) -> rusqlite::Result<Option<ProducerState>> {
    match &row.producer {
        // None has ever appended.
        None => Ok(None),
        Some((last, state)) if last == producer => Ok(Some(*state)),
        Some(_) => connection
            .prepare_cached(
                "SELECT epoch, last_seq FROM stream_producer WHERE stream = ?1 AND producer = ?2",
            )?
            .query_row(params![row.id, producer], |row| {
                Ok(ProducerState {
                    epoch: row.get(0)?,
                    last_seq: row.get(1)?,
                })
            })
            .optional(),
    }
}

/// Keeps the state of the last producer while another one takes its place in the stream's row.
fn set_aside(
    connection: &Connection,
    stream: i64,
    producer: &str,
    state: ProducerState,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO stream_producer (stream, producer, epoch, last_seq) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET epoch = excluded.epoch, last_seq = excluded.last_seq",
        )?
        .execute(params![stream, producer, state.epoch, state.last_seq])
        .map(drop)
}

pub(super) fn mark_closed(
    connection: &Connection,
    id: i64,
    by: Option<&Producer>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE stream SET closed = 1, closed_by = ?2, closed_epoch = ?3, closed_seq = ?4 WHERE id = ?1")?
        .execute(params![
            id,
            by.map(|producer| &producer.id),
            by.map(|producer| producer.epoch),
            by.map(|producer| producer.seq)
        ])
        .map(drop)
}
