//! Reading: where a stream stands, and its bytes by pages.

use bytes::Bytes;
use rusqlite::Connection;

use super::{
    Offset, ReadFrom, StreamError, Streams, chunks,
    content::Kind,
    row::{self, Row},
};

/// How a stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// After its last byte.
    pub offset: Offset,
    /// Whether nothing will follow.
    pub closed: bool,
    /// As given at its creation.
    pub content_type: String,
    /// Seconds that it lives after the last read or write, if so created.
    pub ttl_s: Option<u64>,
    /// When it ends, in milliseconds since the Unix epoch, if so created.
    pub expires_ms: Option<u64>,
}

impl Tail {
    pub(super) fn of(row: Row) -> Self {
        Self {
            offset: row.at(row.tail),
            closed: row.closed,
            content_type: row.content_type,
            ttl_s: row.ttl_s,
            expires_ms: row.expires_ms,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        Kind::of(&self.content_type)
    }
}

/// A piece of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where it begins.
    pub from: Offset,
    /// Where the next one begins.
    pub next: Offset,
    /// The bytes as stored: JSON messages have a comma after each.
    pub(super) stored: Bytes,
    /// How the stream stood when this was read.
    pub tail: Tail,
}

impl Page {
    /// What a reader gets: bytes, or a JSON array of the messages.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.tail.kind().body(self.stored.clone())
    }

    /// Whether nothing lies beyond it yet.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        self.next == self.tail.offset
    }
}

impl Streams {
    /// How a stream stands; works on a reader's connection and within a transaction.
    ///
    /// # Errors
    /// [`StreamError::NotFound`].
    pub fn tail(&self, connection: &Connection, path: &str) -> Result<Tail, StreamError> {
        row::load(connection, path, self.now_ms()).map(Tail::of)
    }

    /// Reads a page of at most [`read_bytes`](super::StreamLimits::read_bytes), or one larger append.
    /// Does not count as a read for a time to live: see [`Streams::read_durably`].
    ///
    /// # Errors
    /// [`StreamError::NotFound`]; [`StreamError::OffsetGone`] and [`StreamError::Invalid`] for the offset.
    pub fn read(
        &self,
        connection: &Connection,
        path: &str,
        from: ReadFrom,
    ) -> Result<Page, StreamError> {
        let row = row::load(connection, path, self.now_ms())?;
        let position = start(&row, from)?;
        page(connection, row, position, self.inner.limits.read_bytes)
    }

    /// [`Streams::read`] on a reader's connection; begins the stream's time to live anew.
    ///
    /// # Errors
    /// As [`Streams::read`], and [`StreamError::Unavailable`].
    pub async fn read_durably(&self, path: String, from: ReadFrom) -> Result<Page, StreamError> {
        let streams = self.clone();
        let page = self
            .query(move |connection| streams.read(connection, &path, from))
            .await?;
        self.touch(&page.tail).await?;
        Ok(page)
    }

    /// Begins a stream's time to live anew, if it has one.
    pub(super) async fn touch(&self, tail: &Tail) -> Result<(), StreamError> {
        if tail.ttl_s.is_none() {
            return Ok(());
        }
        let (id, now_ms) = (tail.offset.stream, self.now_ms());
        self.submit(move |transaction| Ok(row::touch(transaction, id, now_ms)?))
            .await
    }

    /// The next bytes of a stream known by id, for its live readers.
    pub(super) async fn read_on(
        &self,
        stream: i64,
        kind: Kind,
        from: u64,
    ) -> Result<(u64, Bytes), StreamError> {
        let limit = self.inner.limits.event_bytes;
        self.query(move |connection| chunks::get(connection, stream, kind, from, limit))
            .await
    }
}

fn start(row: &Row, from: ReadFrom) -> Result<u64, StreamError> {
    match from {
        ReadFrom::Start => Ok(0),
        ReadFrom::Now => Ok(row.tail),
        ReadFrom::At(offset) if offset.stream == row.id && offset.position <= row.tail => {
            Ok(offset.position)
        }
        ReadFrom::At(_) => Err(StreamError::OffsetGone),
    }
}

fn page(
    connection: &Connection,
    row: Row,
    position: u64,
    limit: usize,
) -> Result<Page, StreamError> {
    let (next, stored) = if position == row.tail {
        (position, Bytes::new())
    } else {
        chunks::get(connection, row.id, row.kind(), position, limit)?
    };
    Ok(Page {
        from: row.at(position),
        next: row.at(next),
        stored,
        tail: Tail::of(row),
    })
}
