//! A stream as it stands: its row, and what the log has that is newer.

use protocol::producer::ProducerState;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Offset, Producer, StreamError, Streams, chunks, content::Kind, known::Known, live::Change,
};
use crate::store::Transaction;

/// A stream that exists and has not expired.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) content_type: String,
    pub(super) tail: u64,
    /// Bytes of it in `stream_chunk`. If there are others, the stream's last row in the log is newer than
    /// its own.
    pub(super) settled: u64,
    pub(super) closed: bool,
    /// Which append closed it, if a producer's did.
    pub(super) closed_by: Option<Producer>,
    pub(super) writer_seq: Option<String>,
    pub(super) ttl_s: Option<u64>,
    pub(super) expires_ms: Option<u64>,
    /// The producer that appended last.
    pub(super) producer: Option<(String, ProducerState)>,
    touched_ms: u64,
}

impl Row {
    pub(super) fn kind(&self) -> Kind {
        Kind::of(&self.content_type)
    }

    pub(super) fn at(&self, position: u64) -> Offset {
        Offset {
            stream: self.id,
            position,
        }
    }

    pub(super) fn unless_expired(&mut self, now_ms: u64) -> Result<&mut Self, StreamError> {
        if self.expired(now_ms) {
            Err(StreamError::NotFound)
        } else {
            Ok(self)
        }
    }

    fn expired(&self, now_ms: u64) -> bool {
        let idle_until = self
            .ttl_s
            .map(|ttl_s| self.touched_ms.saturating_add(ttl_s.saturating_mul(1_000)));
        [idle_until, self.expires_ms]
            .into_iter()
            .flatten()
            .any(|until_ms| until_ms <= now_ms)
    }
}

/// The stream at `path`, expired or not.
fn any(connection: &Connection, path: &str) -> rusqlite::Result<Option<Row>> {
    let row = connection
        .prepare_cached(
            "SELECT id, content_type, tail, closed, closed_by, closed_epoch, closed_seq, writer_seq, ttl_s, \
             expires_ms, touched_ms, producer, producer_epoch, producer_seq, settled FROM stream WHERE path = ?1",
        )?
        .query_row([path], |row| {
            let closed_by = match row.get(4)? {
                Some(id) => Some(Producer { id, epoch: row.get(5)?, seq: row.get(6)? }),
                None => None,
            };
            let producer = match row.get(11)? {
                Some(id) => Some((id, ProducerState { epoch: row.get(12)?, last_seq: row.get(13)? })),
                None => None,
            };
            Ok(Row {
                id: row.get(0)?,
                content_type: row.get(1)?,
                tail: row.get(2)?,
                settled: row.get(14)?,
                closed: row.get(3)?,
                closed_by,
                producer,
                writer_seq: row.get(7)?,
                ttl_s: row.get(8)?,
                expires_ms: row.get(9)?,
                touched_ms: row.get(10)?,
            })
        })
        .optional()?;
    row.map(|row| with_log(connection, row)).transpose()
}

/// Brings a row up to the stream's last row in the log.
fn with_log(connection: &Connection, mut row: Row) -> rusqlite::Result<Row> {
    if row.tail == row.settled {
        return Ok(row);
    }
    let Some((tail, state)) = chunks::newest(connection, row.id)? else {
        return Ok(row);
    };
    row.tail = tail;
    if let (Some((_, known)), Some(state)) = (&mut row.producer, state) {
        *known = state;
    }
    Ok(row)
}

/// The stream at `path`.
pub(super) fn load(connection: &Connection, path: &str, now_ms: u64) -> Result<Row, StreamError> {
    any(connection, path)?
        .filter(|row| !row.expired(now_ms))
        .ok_or(StreamError::NotFound)
}

/// [`load`] for somebody who will create it: one that has expired makes room.
pub(super) fn load_or_clear(
    streams: &Streams,
    transaction: &Transaction<'_>,
    path: &str,
    now_ms: u64,
) -> Result<Option<Row>, StreamError> {
    match any(transaction, path)? {
        Some(row) if row.expired(now_ms) => {
            remove(streams, transaction, row.id)?;
            Ok(None)
        }
        row => Ok(row),
    }
}

/// Begins the time to live anew, for a stream that has one.
pub(super) fn touch(connection: &Connection, id: i64, now_ms: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE stream SET touched_ms = ?2 WHERE id = ?1 AND ttl_s IS NOT NULL")?
        .execute(params![id, now_ms])
        .map(drop)
}

/// Takes the stream away.
pub(super) fn remove(
    streams: &Streams,
    transaction: &Transaction<'_>,
    id: i64,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM stream WHERE id = ?1")?
        .execute([id])?;
    transaction
        .prepare_cached("DELETE FROM stream_producer WHERE stream = ?1")?
        .execute([id])?;
    chunks::remove(transaction, id)?;
    Known::removed(transaction, id);
    let live = std::sync::Arc::clone(&streams.inner.live);
    let chores = std::sync::Arc::clone(&streams.inner.chores);
    transaction.after_commit(move || {
        live.publish(id, Change::Gone);
        chores.notify_one();
    });
    Ok(())
}

/// Ids of streams that have expired, at most `limit`.
pub(super) fn expired(
    connection: &Connection,
    now_ms: u64,
    limit: u32,
) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached(
            "SELECT id FROM stream WHERE (ttl_s IS NOT NULL OR expires_ms IS NOT NULL) \
             AND (touched_ms + ttl_s * 1000 <= ?1 OR expires_ms <= ?1) LIMIT ?2",
        )?
        .query_map(params![now_ms, limit], |row| row.get(0))?
        .collect()
}
