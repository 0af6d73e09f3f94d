//! Where the bytes of streams are kept.
//!
//! An append is a row of `stream_log` first. All streams share that table's last page, so a group commit of
//! many streams writes a few pages and not one for each. Once the log has grown, all of it is moved to
//! `stream_chunk`, where the appends of a stream lie together; a read takes a stream's settled bytes from
//! there and goes through the log, which is kept short, for the rest.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
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

/// Jobs in which a log is settled; one that has grown far beyond its limits is settled in a single one.
const SLICES: usize = 8;

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

    /// Takes over what a committed settling has counted. Hooks run in the order of their jobs, so earlier
    /// appends are in these numbers and later ones count anew.
    pub(super) fn settled(&self, rows: usize, bytes: usize) {
        self.rows.store(rows, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
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

/// Looks up what the log holds; works on a reader's connection.
pub(super) fn gather(connection: &Connection) -> rusqlite::Result<Settling> {
    let mut settling = Settling::default();
    let mut log = connection.prepare_cached(
        "SELECT id, stream, start, data, producer_epoch, producer_seq FROM stream_log ORDER BY id",
    )?;
    let mut settled = connection.prepare_cached("SELECT settled FROM stream WHERE id = ?1")?;
    let mut rows = log.query([])?;
    while let Some(row) = rows.next()? {
        let (stream, start) = (row.get(1)?, row.get(2)?);
        let data = row.get_ref(3)?.as_blob()?;
        settling.seen = row.get(0)?;
        settling.bytes += data.len();
        let gathered = match settling.streams.entry(stream) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let settled: Option<u64> =
                    settled.query_row([stream], |row| row.get(0)).optional()?;
                entry.insert(settled.map(Gathered::at))
            }
        };
        if let Some(gathered) = gathered {
            gathered.add(start, data, state(row, 4)?);
        }
    }
    settling.cut = settling.seen;
    settling.streams.retain(|_, gathered| gathered.is_some());
    settling.slice = settling
        .streams
        .len()
        .div_ceil(if settling.bytes > 2 * LOG_BYTES {
            1
        } else {
            SLICES
        });
    Ok(settling)
}

/// On its way from the log to where reads are cheap. Small appends that follow one another become one chunk.
///
/// It goes in slices, one job each, with other writes between them, so that nobody waits for all of it. A
/// stream's slice writes its chunks and makes its row newer than what was gathered; the rows of the log go
/// with the last slice. Left midway, the log keeps rows that are settled, which everybody skips.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// The last row of the log that was gathered. No row is added before it: see [`remove`].
    cut: i64,
    /// The last row looked at, and the newest row of each stream between the two.
    seen: i64,
    newer: HashMap<i64, (u64, Option<ProducerState>)>,
    /// By stream; none for one that is gone.
    streams: BTreeMap<i64, Option<Gathered>>,
    bytes: usize,
    /// Streams that one job takes.
    slice: usize,
}

/// Of one stream: where its gathered bytes begin, and the chunks that they make.
#[derive(Debug)]
struct Gathered {
    start: u64,
    end: u64,
    chunks: Vec<(u64, Vec<u8>)>,
    /// As of the last row.
    producer: Option<ProducerState>,
}

impl Gathered {
    fn at(settled: u64) -> Self {
        Self {
            start: settled,
            end: settled,
            chunks: Vec::new(),
            producer: None,
        }
    }

    fn add(&mut self, start: u64, data: &[u8], producer: Option<ProducerState>) {
        if start < self.start {
            // Settled before, by a settling that was left midway.
            return;
        }
        self.producer = producer;
        if data.is_empty() {
            return;
        }
        self.end = end(start, data);
        match self.chunks.last_mut() {
            Some((_, chunk)) if chunk.len() + data.len() <= CHUNK_BYTES => {
                chunk.extend_from_slice(data);
            }
            _ => self.chunks.push((start, data.to_vec())),
        }
    }
}

/// How the log is after a slice.
pub(super) enum Settled {
    Partly(Settling),
    /// With the rows and bytes that came meanwhile.
    Wholly {
        rows: usize,
        bytes: usize,
    },
}

impl Settling {
    /// Settles one slice.
    pub(super) fn next(mut self, transaction: &Transaction<'_>) -> Result<Settled, StreamError> {
        self.look_at_newer(transaction)?;
        for _ in 0..self.slice {
            if let Some((stream, Some(gathered))) = self.streams.pop_first() {
                self.settle(transaction, stream, &gathered)?;
            }
        }
        if !self.streams.is_empty() {
            return Ok(Settled::Partly(self));
        }
        transaction
            .prepare_cached("DELETE FROM stream_log WHERE id <= ?1")?
            .execute([self.cut])?;
        let (rows, bytes) = transaction
            .prepare_cached("SELECT count(*), coalesce(sum(length(data)), 0) FROM stream_log")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Settled::Wholly { rows, bytes })
    }

    fn look_at_newer(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut log = connection.prepare_cached(
            "SELECT id, stream, start + length(data), producer_epoch, producer_seq FROM stream_log \
             WHERE id > ?1 ORDER BY id",
        )?;
        let mut rows = log.query([self.seen])?;
        while let Some(row) = rows.next()? {
            self.seen = row.get(0)?;
            self.newer
                .insert(row.get(1)?, (row.get(2)?, state(row, 3)?));
        }
        Ok(())
    }

    fn settle(
        &self,
        transaction: &Transaction<'_>,
        stream: i64,
        gathered: &Gathered,
    ) -> Result<(), StreamError> {
        let newest = (gathered.end, gathered.producer);
        let (tail, producer) = *self.newer.get(&stream).unwrap_or(&newest);
        let rows = transaction
            .prepare_cached(
                "UPDATE stream SET settled = ?3, tail = ?4, producer_epoch = coalesce(?5, producer_epoch), \
                 producer_seq = coalesce(?6, producer_seq) WHERE id = ?1 AND settled = ?2",
            )?
            .execute(params![
                stream,
                gathered.start,
                gathered.end,
                tail,
                producer.map(|state| state.epoch),
                producer.map(|state| state.last_seq)
            ])?;
        if rows == 0 {
            return gone(transaction, stream);
        }
        for (start, chunk) in &gathered.chunks {
            put_chunk(transaction, stream, *start, chunk)?;
        }
        Known::settled(transaction, stream, gathered.end);
        Ok(())
    }
}

/// Makes sure that a stream which can't be settled is gone: dropping its rows from the log would lose bytes.
fn gone(connection: &Connection, stream: i64) -> Result<(), StreamError> {
    let exists = connection
        .prepare_cached("SELECT 1 FROM stream WHERE id = ?1")?
        .exists([stream])?;
    if exists {
        Err(StreamError::Defect {
            reason: format!("stream {stream} was settled by somebody else at the same time"),
        })
    } else {
        Ok(())
    }
}

fn put_chunk(
    connection: &Connection,
    stream: i64,
    start: u64,
    data: &[u8],
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO stream_chunk (stream, start, data) VALUES (?1, ?2, ?3)")?
        .execute(params![stream, start, data])
        .map(drop)
}

fn end(start: u64, data: &[u8]) -> u64 {
    start + u64::try_from(data.len()).unwrap_or(u64::MAX)
}

/// Begins to remove a stream's bytes; what is settled is left to [`remove_some`], so that a large stream does
/// not hold up others. The log's last row stays until it is settled, so that no id is given twice meanwhile.
pub(super) fn remove(connection: &Connection, stream: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM stream_log WHERE stream = ?1 AND id < (SELECT max(id) FROM stream_log)",
        )?
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
