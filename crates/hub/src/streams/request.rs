//! What a request says in its headers and its query.

use axum::{
    extract::Query,
    http::{HeaderMap, HeaderName, Uri, header},
};
use jiff::Timestamp;
use protocol::producer::PRODUCER_NUMBER_MAX;

use super::{
    Lifetime, Producer, ReadFrom, StreamError,
    limits::{PRODUCER_ID_MAX_BYTES, STREAM_SEQ_MAX_BYTES},
};

pub(super) mod name {
    //! The protocol's header names.
    use axum::http::HeaderName;

    pub(crate) const CLOSED: HeaderName = HeaderName::from_static("stream-closed");
    pub(crate) const CURSOR: HeaderName = HeaderName::from_static("stream-cursor");
    pub(crate) const EXPIRES_AT: HeaderName = HeaderName::from_static("stream-expires-at");
    pub(crate) const FORKED_FROM: HeaderName = HeaderName::from_static("stream-forked-from");
    pub(crate) const FORK_OFFSET: HeaderName = HeaderName::from_static("stream-fork-offset");
    pub(crate) const FORK_SUB_OFFSET: HeaderName =
        HeaderName::from_static("stream-fork-sub-offset");
    pub(crate) const NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
    pub(crate) const PRODUCER_EPOCH: HeaderName = HeaderName::from_static("producer-epoch");
    pub(crate) const PRODUCER_EXPECTED_SEQ: HeaderName =
        HeaderName::from_static("producer-expected-seq");
    pub(crate) const PRODUCER_ID: HeaderName = HeaderName::from_static("producer-id");
    pub(crate) const PRODUCER_RECEIVED_SEQ: HeaderName =
        HeaderName::from_static("producer-received-seq");
    pub(crate) const PRODUCER_SEQ: HeaderName = HeaderName::from_static("producer-seq");
    pub(crate) const SEQ: HeaderName = HeaderName::from_static("stream-seq");
    pub(crate) const SSE_ENCODING: HeaderName = HeaderName::from_static("stream-sse-data-encoding");
    pub(crate) const TTL: HeaderName = HeaderName::from_static("stream-ttl");
    pub(crate) const UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
}

/// How a read goes on after what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    CatchUp,
    LongPoll,
    Sse,
}

/// The query of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadQuery {
    pub(super) from: ReadFrom,
    pub(super) mode: Mode,
    pub(super) cursor: Option<u64>,
}

impl ReadQuery {
    pub(super) fn parse(uri: &Uri) -> Result<Self, StreamError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| StreamError::invalid("the query is not well-formed; encode its values"))?;
        let one = |name: &str| {
            let mut values = pairs
                .iter()
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value.as_str());
            match (values.next(), values.next()) {
                (value, None) => Ok(value),
                (_, Some(_)) => Err(StreamError::invalid(format!(
                    "{name} may be given once only"
                ))),
            }
        };
        let offset = one("offset")?;
        let mode = match one("live")? {
            None => Mode::CatchUp,
            Some("long-poll") => Mode::LongPoll,
            Some("sse") => Mode::Sse,
            Some(_) => return Err(StreamError::invalid("live must be long-poll or sse")),
        };
        if offset.is_none() && mode != Mode::CatchUp {
            return Err(StreamError::invalid(
                "a live read needs an offset: -1 for the start, now for the tail",
            ));
        }
        let from = offset.unwrap_or("-1").parse().map_err(|_| {
            StreamError::invalid(
                "the offset is none that this backend gave out; use Stream-Next-Offset, -1 or now",
            )
        })?;
        Ok(Self {
            from,
            mode,
            cursor: one("cursor")?.and_then(|cursor| cursor.parse().ok()),
        })
    }
}

/// A header as text, if it is there.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, StreamError> {
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| StreamError::invalid(format!("{name} must be plain ASCII"))),
        (Some(_), Some(_)) => Err(StreamError::invalid(format!(
            "{name} may be given once only"
        ))),
    }
}

pub(super) fn content_type(headers: &HeaderMap) -> Result<Option<String>, StreamError> {
    Ok(text(headers, header::CONTENT_TYPE)?
        .filter(|value| !value.is_empty())
        .map(str::to_owned))
}

/// Only `true` counts, in any case; everything else is as if it were not there.
pub(super) fn closes(headers: &HeaderMap) -> bool {
    headers
        .get(name::CLOSED)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

pub(super) fn producer(headers: &HeaderMap) -> Result<Option<Producer>, StreamError> {
    let parts = (
        text(headers, name::PRODUCER_ID)?,
        text(headers, name::PRODUCER_EPOCH)?,
        text(headers, name::PRODUCER_SEQ)?,
    );
    match parts {
        (None, None, None) => Ok(None),
        (Some(id), Some(epoch), Some(seq)) => {
            if id.is_empty() || id.len() > PRODUCER_ID_MAX_BYTES {
                return Err(StreamError::invalid(format!(
                    "Producer-Id must have 1 to {PRODUCER_ID_MAX_BYTES} bytes"
                )));
            }
            Ok(Some(Producer {
                id: id.to_owned(),
                epoch: number(epoch)?,
                seq: number(seq)?,
            }))
        }
        _ => Err(StreamError::invalid(
            "Producer-Id, Producer-Epoch and Producer-Seq go together; send all or none",
        )),
    }
}

fn number(text: &str) -> Result<u64, StreamError> {
    Some(text)
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|number| *number <= PRODUCER_NUMBER_MAX)
        .ok_or_else(|| {
            StreamError::invalid(format!(
                "Producer-Epoch and Producer-Seq must be whole numbers up to {PRODUCER_NUMBER_MAX}"
            ))
        })
}

pub(super) fn writer_seq(headers: &HeaderMap) -> Result<Option<String>, StreamError> {
    match text(headers, name::SEQ)? {
        Some(seq) if seq.len() > STREAM_SEQ_MAX_BYTES => Err(StreamError::invalid(format!(
            "Stream-Seq may have at most {STREAM_SEQ_MAX_BYTES} bytes"
        ))),
        seq => Ok(seq.map(str::to_owned)),
    }
}

pub(super) fn lifetime(headers: &HeaderMap) -> Result<Lifetime, StreamError> {
    match (text(headers, name::TTL)?, text(headers, name::EXPIRES_AT)?) {
        (None, None) => Ok(Lifetime::Unlimited),
        (Some(_), Some(_)) => Err(StreamError::invalid(
            "Stream-TTL and Stream-Expires-At exclude each other; send one",
        )),
        (Some(ttl), None) => {
            let plain = ttl == "0"
                || (!ttl.starts_with('0') && ttl.bytes().all(|byte| byte.is_ascii_digit()));
            let ttl_s = Some(ttl).filter(|_| plain).and_then(|ttl| ttl.parse().ok());
            let ttl_s = ttl_s.ok_or_else(|| {
                StreamError::invalid("Stream-TTL must be a whole number of seconds, like 3600")
            })?;
            Ok(Lifetime::Idle { ttl_s })
        }
        (None, Some(moment)) => {
            let expires_ms = moment
                .parse::<Timestamp>()
                .ok()
                .and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
            let expires_ms = expires_ms.ok_or_else(|| {
                StreamError::invalid("Stream-Expires-At must be a moment like 2030-01-31T12:00:00Z")
            })?;
            Ok(Lifetime::Until { expires_ms })
        }
    }
}

/// Forks are left out: a request for one must not silently create an empty stream.
pub(super) fn refuse_fork(headers: &HeaderMap) -> Result<(), StreamError> {
    let asks = [name::FORKED_FROM, name::FORK_OFFSET, name::FORK_SUB_OFFSET]
        .iter()
        .any(|name| headers.contains_key(name));
    if asks {
        Err(StreamError::NotOffered { what: "forks" })
    } else {
        Ok(())
    }
}

/// Whether a client's copy is the one described by `etag`.
pub(super) fn has_copy(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| {
            value
                .split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
        })
}
