//! What bounds the streams, with the values a hub uses.

use std::time::Duration;

use protocol::limits::{CHUNK_BATCH_MAX_BYTES, JSON_MAX_DEPTH, SSE_PING_MS};

/// A stream's path.
pub(super) const PATH_MAX_BYTES: usize = 1_024;
/// A producer's id.
pub(super) const PRODUCER_ID_MAX_BYTES: usize = 256;
/// A `Stream-Seq`.
pub(super) const STREAM_SEQ_MAX_BYTES: usize = 256;
/// A content type.
pub(super) const CONTENT_TYPE_MAX_BYTES: usize = 256;
/// A time to live: ten years.
pub(super) const TTL_MAX_S: u64 = 10 * 366 * 24 * 60 * 60;

/// The limits of the streams of one hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLimits {
    /// The body of one append or create.
    pub append_bytes: usize,
    /// All of one stream.
    pub stream_bytes: u64,
    /// How deep the JSON of an append may nest.
    pub json_depth: usize,
    /// One answer to a read. A single larger append is still answered whole.
    pub read_bytes: usize,
    /// One event of a live read, likewise. With base64 and the frame it stays below the wire's line limit.
    pub event_bytes: usize,
    /// Live readers, SSE and long-poll together; further ones are told to come back.
    pub live_readers: usize,
    /// Newest bytes of a stream kept in memory while it has live readers.
    pub recent_bytes: usize,
    /// The same over all streams; beyond it readers are served from the disk.
    pub recent_total_bytes: usize,
    /// How long a long-poll waits.
    pub long_poll: Duration,
    /// How often a silent SSE connection says that it lives.
    pub sse_ping: Duration,
    /// After this long an SSE connection is ended, and its reader comes back.
    pub sse_life: Duration,
    /// How long the body of a request may take to arrive.
    pub body_wait: Duration,
    /// How often expired streams are looked for.
    pub sweep_every: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            append_bytes: CHUNK_BATCH_MAX_BYTES,
            stream_bytes: 4 << 30,
            json_depth: JSON_MAX_DEPTH,
            read_bytes: 1 << 20,
            event_bytes: 256 << 10,
            live_readers: 10_000,
            recent_bytes: 128 << 10,
            recent_total_bytes: 64 << 20,
            long_poll: Duration::from_secs(20),
            sse_ping: Duration::from_millis(SSE_PING_MS),
            sse_life: Duration::from_secs(60),
            body_wait: Duration::from_secs(30),
            sweep_every: Duration::from_secs(60),
        }
    }
}
