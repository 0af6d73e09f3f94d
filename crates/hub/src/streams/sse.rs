//! A stream as server-sent events.
//!
//! The body is a state machine that works only when the connection can take more: there is no queue between
//! a commit and a reader. One that falls behind reads on from memory or disk; one that stops taking
//! anything is cut by the connection's own stall limit ([`crate::listen`]) and resumes by offset.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Offset, StreamError, Streams, Tail,
    content::Kind,
    cursor::cursor,
    live::{Piece, State, Subscription},
};

/// Says that the connection lives.
const PING: Bytes = Bytes::from_static(b": ping\n\n");
/// Bytes that become one line of base64, in whole groups of three.
const BASE64_LINE_BYTES: usize = 48 * 1024;

/// One reader's place in a stream.
pub(super) struct Reader {
    streams: Streams,
    subscription: Subscription,
    tail: Tail,
    kind: Kind,
    position: u64,
    /// How the stream stands as far as this reader knows.
    known: State,
    client_cursor: Option<u64>,
    /// The reader was told that it is up to date where it is now.
    told: bool,
    finished: bool,
    until: CancellationToken,
    ends_at: Instant,
    ping_at: Instant,
    touch_at: Option<Instant>,
}

impl Reader {
    /// A reader from `position` on. `tail` must have been read after subscribing.
    pub(super) fn new(
        streams: Streams,
        subscription: Subscription,
        tail: Tail,
        position: u64,
        client_cursor: Option<u64>,
        until: CancellationToken,
    ) -> Self {
        let limits = streams.limits();
        let now = Instant::now();
        let known = State {
            tail: tail.offset.position,
            closed: tail.closed,
            gone: false,
        };
        Self {
            ends_at: now + limits.sse_life,
            ping_at: now + limits.sse_ping,
            touch_at: tail.ttl_s.map(|ttl_s| now + touch_every(ttl_s)),
            kind: tail.kind(),
            streams,
            subscription,
            tail,
            position,
            known,
            client_cursor,
            told: false,
            finished: false,
            until,
        }
    }

    /// What to send next; `None` ends the connection.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.finished || self.until.is_cancelled() {
                return None;
            }
            let state = self.subscription.state();
            self.known.tail = self.known.tail.max(state.tail);
            self.known.closed |= state.closed;
            self.known.gone |= state.gone;
            if self.known.gone {
                return None;
            }
            let events = match self.events().await {
                Ok(events) => events,
                Err(error) => {
                    tracing::debug!(%error, "a live read ends early; its reader resumes");
                    return None;
                }
            };
            if events.is_some() {
                self.ping_at = Instant::now() + self.streams.limits().sse_ping;
                return events;
            }
            if !self.told || self.known.closed {
                return Some(self.control_only());
            }
            if let Some(ping) = self.wait().await? {
                return Some(ping);
            }
        }
    }

    /// The next data with its control event, if there is any that can be sent.
    async fn events(&mut self) -> Result<Option<Bytes>, StreamError> {
        if self.position >= self.known.tail {
            return Ok(None);
        }
        let pieces = self
            .subscription
            .recent(self.position, self.streams.limits().event_bytes);
        // The common case of many readers at the tail: one append, encoded once for all of them.
        if let [piece] = &pieces[..]
            && let Some(event) = piece.event.get_or_init(|| whole(self.kind, &piece.data))
        {
            let mut out = BytesMut::from(&event[..]);
            self.advance(piece.end(), &mut out);
            return Ok(Some(out.freeze()));
        }
        let (end, stored) = match pieces.last() {
            Some(last) => (last.end(), join(&pieces)),
            None => {
                self.streams
                    .read_on(self.tail.offset.stream, self.kind, self.position)
                    .await?
            }
        };
        let complete = match self.kind {
            // What may still become a character waits for the rest of it, unless there will be none.
            Kind::Text if !(self.known.closed && end >= self.known.tail) => {
                whole_characters(&stored)
            }
            Kind::Text | Kind::Json | Kind::Binary => stored.len(),
        };
        if complete == 0 {
            return Ok(None);
        }
        let held_back = u64::try_from(stored.len() - complete).unwrap_or(0);
        let mut out = data_event(self.kind, stored.slice(..complete));
        self.advance(end - held_back, &mut out);
        Ok(Some(out.freeze()))
    }

    fn advance(&mut self, to: u64, out: &mut BytesMut) {
        self.position = to;
        self.told = to >= self.known.tail;
        self.finished = self.known.closed && self.told;
        out.put_slice(self.control(self.told).as_bytes());
    }

    fn control_only(&mut self) -> Bytes {
        self.told = true;
        self.finished = self.known.closed;
        self.control(true).into()
    }

    fn control(&mut self, up_to_date: bool) -> String {
        let offset = Offset {
            position: self.position,
            ..self.tail.offset
        };
        let mut event = format!("event: control\ndata:{{\"streamNextOffset\":\"{offset}\"");
        if self.finished {
            event.push_str(",\"upToDate\":true,\"streamClosed\":true");
        } else {
            let cursor = cursor(self.streams.now_ms(), self.client_cursor, random());
            // Writing to a string cannot fail.
            let _ = write!(event, ",\"streamCursor\":\"{cursor}\"");
            if up_to_date {
                event.push_str(",\"upToDate\":true");
            }
        }
        event.push_str("}\n\n");
        event
    }

    /// Waits for news. The outer `None` ends the connection, the inner one means to look again.
    async fn wait(&mut self) -> Option<Option<Bytes>> {
        let timer = [Some(self.ends_at), Some(self.ping_at), self.touch_at]
            .into_iter()
            .flatten()
            .min();
        tokio::select! {
            biased;
            () = self.until.cancelled() => return None,
            () = self.subscription.changed() => return Some(None),
            () = tokio::time::sleep_until(timer.unwrap_or(self.ends_at)) => {}
        }
        let now = Instant::now();
        if now >= self.ends_at {
            return None;
        }
        if let (Some(at), Some(ttl_s)) = (self.touch_at, self.tail.ttl_s)
            && now >= at
        {
            self.touch_at = Some(now + touch_every(ttl_s));
            // A stream that somebody watches is not idle.
            self.streams.touch(&self.tail).await.ok()?;
        }
        if now < self.ping_at {
            return Some(None);
        }
        self.ping_at = now + self.streams.limits().sse_ping;
        Some(Some(PING))
    }
}

fn touch_every(ttl_s: u64) -> Duration {
    const LEAST: Duration = Duration::from_millis(250);
    (Duration::from_secs(ttl_s) / 3).max(LEAST)
}

pub(super) fn random() -> u64 {
    // Only spreads caches; zero will do as well.
    getrandom::u64().unwrap_or(0)
}

/// The event of an append that can be sent as it is.
fn whole(kind: Kind, data: &Bytes) -> Option<Bytes> {
    let complete = match kind {
        Kind::Text => std::str::from_utf8(data).is_ok(),
        Kind::Json | Kind::Binary => true,
    };
    complete.then(|| data_event(kind, data.clone()).freeze())
}

fn join(pieces: &[Arc<Piece>]) -> Bytes {
    match pieces {
        [piece] => piece.data.clone(),
        pieces => {
            let mut joined =
                BytesMut::with_capacity(pieces.iter().map(|piece| piece.data.len()).sum());
            pieces
                .iter()
                .for_each(|piece| joined.put_slice(&piece.data));
            joined.freeze()
        }
    }
}

/// How many bytes do not end within a character. Bytes that are no UTF-8 at all count as whole.
fn whole_characters(bytes: &[u8]) -> usize {
    const CHARACTER_MAX_BYTES: usize = 4;
    let tail_from = bytes.len().saturating_sub(CHARACTER_MAX_BYTES);
    let tail = &bytes[tail_from..];
    // The last byte that begins a character, and whether the character goes on beyond the end.
    match tail
        .iter()
        .rposition(|byte| byte & 0b1100_0000 != 0b1000_0000)
    {
        Some(lead)
            if std::str::from_utf8(&tail[lead..])
                .is_err_and(|error| error.error_len().is_none()) =>
        {
            tail_from + lead
        }
        _ => bytes.len(),
    }
}

fn data_event(kind: Kind, stored: Bytes) -> BytesMut {
    let mut out = BytesMut::with_capacity(stored.len() + 64);
    out.put_slice(b"event: data\n");
    match kind {
        Kind::Json => lines(&mut out, &kind.body(stored)),
        Kind::Text => lines(&mut out, String::from_utf8_lossy(&stored).as_bytes()),
        Kind::Binary => {
            for part in stored.chunks(BASE64_LINE_BYTES) {
                out.put_slice(b"data:");
                out.put_slice(BASE64.encode(part).as_bytes());
                out.put_u8(b'\n');
            }
        }
    }
    out.put_u8(b'\n');
    out
}

/// Each line as a `data` field, so that no content can end the event or begin another.
fn lines(out: &mut BytesMut, text: &[u8]) {
    let mut rest = text;
    loop {
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let line = end.map_or(rest, |end| &rest[..end]);
        out.put_slice(b"data:");
        if line.first() == Some(&b' ') {
            // The reader takes one space away.
            out.put_u8(b' ');
        }
        out.put_slice(line);
        out.put_u8(b'\n');
        let Some(end) = end else { return };
        let crlf = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(crlf)..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind, stored: &'static str) -> String {
        String::from_utf8(data_event(kind, Bytes::from_static(stored.as_bytes())).to_vec())
            .expect("UTF-8")
    }

    #[test]
    fn content_cannot_leave_its_event() {
        let sent = event(Kind::Text, "a\r\n\r\nevent: control\rdata: x\n\n b");
        assert_eq!(
            sent,
            "event: data\ndata:a\ndata:\ndata:event: control\ndata:data: x\ndata:\ndata:  b\n\n"
        );
        assert_eq!(
            event(Kind::Json, "{\n\"a\":1},2,"),
            "event: data\ndata:[{\ndata:\"a\":1},2]\n\n"
        );
        assert_eq!(event(Kind::Binary, "abc"), "event: data\ndata:YWJj\n\n");
    }

    #[test]
    fn a_character_that_is_not_complete_waits() {
        let text = "aé€😀".as_bytes();
        let ends = [0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10];
        for (length, whole) in ends.into_iter().enumerate() {
            assert_eq!(whole_characters(&text[..length]), whole, "{length}");
        }
        assert_eq!(whole_characters(b"a\xff"), 2, "never becomes a character");
        assert_eq!(whole_characters(b"\x80\x80\x80\x80\x80"), 5);
        assert_eq!(whole_characters(b"a\xed\xa0"), 3, "half a surrogate pair");
    }
}
