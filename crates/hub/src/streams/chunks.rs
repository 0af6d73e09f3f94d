//! Where the bytes of streams are kept.
//!
//! An append is a row of `stream_log` first. All streams share that table's last page, so a group commit of
//! many streams writes a few pages and not one for each. Once the log has grown, all of it is moved to
//! `stream_chunk`, where the appends of a stream lie together; a read takes a stream's settled bytes from
//! there and goes through the log, which is kept short, for the rest.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::{Bytes, BytesMut};
use protocol::producer::ProducerState;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    StreamError,
    content::{Kind, ends_a_message},
    known::Known,
};
use crate::store::Transaction;

/// The log is settled when it has as many rows, or as many bytes.
const LOG_ROWS: usize = 1_024;
const LOG_BYTES: usize = 1 << 20;

/// Appends are settled together up to this size.
const CHUNK_BYTES: usize = 64 << 10;

/// How long the log is.
#[derive(Debug)]
pub(super) struct LogLevel {
    rows: AtomicUsize,
    bytes: AtomicUsize,
}

impl LogLevel {
    /// Of a store just opened: what the log holds is not known, so it counts as something.
    pub(super) const fn unknown() -> Self {
        Self {
            rows: AtomicUsize::new(1),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Counts a committed append; true when the log is now full.
    pub(super) fn add(&self, bytes: usize) -> bool {
        let rows = self.rows.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        rows >= LOG_ROWS || bytes >= LOG_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.load(Ordering::Relaxed) == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.load(Ordering::Relaxed) >= LOG_ROWS
            || self.bytes.load(Ordering::Relaxed) >= LOG_BYTES
    }

    /// Counts a committed settling. Hooks run in the order of their jobs, so later appends count anew.
    pub(super) fn settled(&self) {
        self.rows.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }
}

/// Adds bytes at the end of a stream, and what is known of its producer once they are there.
pub(super) fn put(
    connection: &Connection,
    stream: i64,
    start: u64,
    data: &[u8],
    producer: Option<ProducerState>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO stream_log (stream, start, data, producer_epoch, producer_seq) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            stream,
            start,
            data,
            producer.map(|state| state.epoch),
            producer.map(|state| state.last_seq)
        ])
        .map(drop)
}

/// Where a stream ends by its last row in the log, if it has one, and its producer's state there.
pub(super) fn newest(
    connection: &Connection,
    stream: i64,
) -> rusqlite::Result<Option<(u64, Option<ProducerState>)>> {
    connection
        .prepare_cached(
            "SELECT start + length(data), producer_epoch, producer_seq FROM stream_log \
             WHERE stream = ?1 ORDER BY id DESC LIMIT 1",
        )?
        .query_row([stream], |row| Ok((row.get(0)?, state(row, 1)?)))
        .optional()
}

/// The state in the columns from `first` on.
fn state(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Option<ProducerState>> {
    Ok(match row.get(first)? {
        Some(epoch) => Some(ProducerState {
            epoch,
            last_seq: row.get(first + 1)?,
        }),
        None => None,
    })
}

/// What settling has gathered of one stream.
struct Gathered {
    start: u64,
    data: Vec<u8>,
    producer: Option<ProducerState>,
}

/// Moves the log to where reads are cheap. Small appends that follow one another become one chunk.
pub(super) fn settle(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut gathered: BTreeMap<i64, Gathered> = BTreeMap::new();
    let mut log = transaction.prepare_cached(
        "SELECT stream, start, data, producer_epoch, producer_seq FROM stream_log ORDER BY id",
    )?;
    let mut rows = log.query([])?;
    while let Some(row) = rows.next()? {
        let (stream, start) = (row.get(0)?, row.get(1)?);
        let data = row.get_ref(2)?.as_blob()?;
        let chunk = gathered.entry(stream).or_insert_with(|| Gathered {
            start,
            data: Vec::new(),
            producer: None,
        });
        if chunk.data.len() + data.len() > CHUNK_BYTES {
            put_chunk(transaction, stream, chunk)?;
            chunk.start = start;
            chunk.data.clear();
        }
        chunk.data.extend_from_slice(data);
        chunk.producer = state(row, 3)?;
    }
    for (stream, chunk) in &gathered {
        put_chunk(transaction, *stream, chunk)?;
        transaction
            .prepare_cached(
                "UPDATE stream SET settled = ?2, tail = ?2, producer_epoch = coalesce(?3, producer_epoch), \
                 producer_seq = coalesce(?4, producer_seq) WHERE id = ?1",
            )?
            .execute(params![
                stream,
                end(chunk.start, &chunk.data),
                chunk.producer.map(|state| state.epoch),
                chunk.producer.map(|state| state.last_seq)
            ])?;
    }
    transaction
        .prepare_cached("DELETE FROM stream_log")?
        .execute([])?;
    Known::settled(transaction);
    Ok(())
}

fn put_chunk(connection: &Connection, stream: i64, chunk: &Gathered) -> rusqlite::Result<()> {
    if chunk.data.is_empty() {
        // Only a closing without bytes was logged.
        return Ok(());
    }
    connection
        .prepare_cached("INSERT INTO stream_chunk (stream, start, data) VALUES (?1, ?2, ?3)")?
        .execute(params![stream, chunk.start, chunk.data])
        .map(drop)
}

fn end(start: u64, data: &[u8]) -> u64 {
    start + u64::try_from(data.len()).unwrap_or(u64::MAX)
}

/// Begins to remove a stream's bytes; what is settled is left to [`remove_some`], so that a large stream does
/// not hold up others.
pub(super) fn remove(connection: &Connection, stream: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM stream_log WHERE stream = ?1")?
        .execute([stream])?;
    connection
        .prepare_cached("INSERT INTO stream_garbage (stream) VALUES (?1)")?
        .execute([stream])
        .map(drop)
}

/// Removes some chunks of one deleted stream; false when nothing of any is left.
pub(super) fn remove_some(connection: &Connection, limit: u32) -> rusqlite::Result<bool> {
    let stream: Option<i64> = connection
        .prepare_cached("SELECT min(stream) FROM stream_garbage")?
        .query_row([], |row| row.get(0))?;
    let Some(stream) = stream else {
        return Ok(false);
    };
    let removed = connection
        .prepare_cached(
            "DELETE FROM stream_chunk WHERE stream = ?1 AND start IN \
             (SELECT start FROM stream_chunk WHERE stream = ?1 ORDER BY start LIMIT ?2)",
        )?
        .execute(params![stream, limit])?;
    if removed == 0 {
        connection
            .prepare_cached("DELETE FROM stream_garbage WHERE stream = ?1")?
            .execute([stream])?;
    }
    Ok(true)
}

/// The bytes from `position`, which is before the tail, as far as whole chunks fit `limit` (at least one),
/// and where they end.
pub(super) fn get(
    connection: &Connection,
    stream: i64,
    kind: Kind,
    position: u64,
    limit: usize,
) -> Result<(u64, Bytes), StreamError> {
    let settled: Option<u64> = connection
        .prepare_cached("SELECT settled FROM stream WHERE id = ?1")?
        .query_row([stream], |row| row.get(0))
        .optional()?;
    // A live reader may know a stream longer than it exists.
    let settled = settled.ok_or(StreamError::NotFound)?;
    let mut page = Page {
        position,
        limit,
        kind,
        bytes: BytesMut::new(),
        full: false,
    };
    if position < settled {
        let mut chunks = connection.prepare_cached(
            "SELECT start, data FROM stream_chunk WHERE stream = ?1 AND start >= \
             (SELECT max(start) FROM stream_chunk WHERE stream = ?1 AND start <= ?2) ORDER BY start",
        )?;
        page.take(chunks.query(params![stream, position])?)?;
    }
    if !page.full {
        let mut log = connection.prepare_cached(
            "SELECT start, data FROM stream_log WHERE stream = ?1 AND start + length(data) > ?2 ORDER BY id",
        )?;
        page.take(log.query(params![stream, position.max(settled)])?)?;
    }
    Ok((
        position + u64::try_from(page.bytes.len()).unwrap_or(u64::MAX),
        page.bytes.freeze(),
    ))
}

/// What a read has gathered.
struct Page {
    position: u64,
    limit: usize,
    kind: Kind,
    bytes: BytesMut,
    full: bool,
}

impl Page {
    fn take(&mut self, mut rows: rusqlite::Rows<'_>) -> Result<(), StreamError> {
        while let Some(row) = rows.next()? {
            let start: u64 = row.get(0)?;
            let data = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            // Only the first row can begin before the position.
            let skip = usize::try_from(self.position.saturating_sub(start)).unwrap_or(usize::MAX);
            if self.kind == Kind::Json && !ends_a_message(data.get(..skip).unwrap_or_default()) {
                return Err(StreamError::invalid(
                    "the offset lies within a message; use one that this backend gave out",
                ));
            }
            let rest = data.get(skip..).unwrap_or_default();
            if !self.bytes.is_empty() && self.bytes.len() + rest.len() > self.limit {
                self.full = true;
                return Ok(());
            }
            self.bytes.extend_from_slice(rest);
        }
        Ok(())
    }
}
