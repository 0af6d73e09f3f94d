//! The Durable Streams protocol over HTTP.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{OriginalUri, Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::map_response,
    response::Response,
    routing::any,
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use protocol::{CallError, ErrorCode};
use tokio::time::Instant;

use super::{
    Access, AccessRequest, Action, Append, Create, Grant, Offset, Page, Payload, ReadFrom,
    StreamError, Streams, Tail,
    content::{DEFAULT_CONTENT_TYPE, Kind},
    cursor::cursor,
    lifecycle::check_path,
    request::{self, Mode, ReadQuery, name},
    sse::{Reader, random},
};
use crate::refusal;

/// A refused body is read to its end up to so many times the limit, so that the client sees the answer
/// instead of a broken connection.
const DISCARD_FACTOR: usize = 16;

/// The streams below wherever this is nested, one per path: `.nest("/v1/streams", router(..))`.
pub fn router(streams: Streams, access: Arc<dyn Access>) -> Router {
    Router::new()
        .route("/{*path}", any(serve))
        .with_state(Shared { streams, access })
        .layer(map_response(add_security_headers))
}

#[derive(Clone)]
struct Shared {
    streams: Streams,
    access: Arc<dyn Access>,
}

async fn serve(
    State(shared): State<Shared>,
    Path(path): Path<String>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let answer = match action(&parts.method) {
        Some(action) => dispatch(shared, &parts, body, path, action).await,
        None => return method_not_allowed(),
    };
    answer.unwrap_or_else(|refused| *refused)
}

fn action(method: &Method) -> Option<Action> {
    match method.as_str() {
        "PUT" => Some(Action::Create),
        "POST" => Some(Action::Append),
        "GET" => Some(Action::Read),
        "HEAD" => Some(Action::Inspect),
        "DELETE" => Some(Action::Delete),
        _ => None,
    }
}

/// The answer, or the refusal that takes its place.
type Answer = Result<Response, Box<Response>>;

async fn dispatch(
    shared: Shared,
    parts: &Parts,
    body: Body,
    path: String,
    action: Action,
) -> Answer {
    let Shared { streams, access } = shared;
    let grant = access
        .check(AccessRequest {
            parts,
            path: &path,
            action,
        })
        .await
        .map_err(Box::new)?;
    check_path(&path).map_err(refuse)?;
    match action {
        Action::Create => create(&streams, parts, body, path, grant).await,
        Action::Append => append(&streams, &parts.headers, body, path, grant).await,
        Action::Read => read(streams, parts, path, grant).await,
        Action::Inspect => inspect(&streams, path).await.map_err(refuse),
        Action::Delete => {
            streams
                .delete_durably(path, grant.fence)
                .await
                .map_err(refuse)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
    }
}

async fn create(
    streams: &Streams,
    parts: &Parts,
    body: Body,
    path: String,
    grant: Grant,
) -> Answer {
    let headers = &parts.headers;
    request::refuse_fork(headers).map_err(refuse)?;
    let lifetime = request::lifetime(headers).map_err(refuse)?;
    let content_type = request::content_type(headers).map_err(refuse)?;
    let body = receive(streams, headers, body).await.map_err(refuse)?;
    let declared = content_type
        .clone()
        .unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned());
    let payload = Payload::new(declared, body, streams.limits()).map_err(refuse)?;
    let create = Create {
        content_type,
        lifetime,
        closed: request::closes(headers),
        payload: Some(payload),
    };
    let created = streams
        .create_durably(path, create, grant.fence)
        .await
        .map_err(refuse)?;

    let mut response = empty(if created.fresh {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    });
    let out = response.headers_mut();
    put(out, header::CONTENT_TYPE, &created.tail.content_type);
    stands(out, created.tail.offset, created.tail.closed);
    if created.fresh {
        put(out, header::LOCATION, &location(parts));
    }
    Ok(response)
}

async fn append(
    streams: &Streams,
    headers: &HeaderMap,
    body: Body,
    path: String,
    grant: Grant,
) -> Answer {
    let producer = request::producer(headers).map_err(refuse)?;
    let writer_seq = request::writer_seq(headers).map_err(refuse)?;
    let close = request::closes(headers);
    let body = receive(streams, headers, body).await.map_err(refuse)?;
    let payload = if body.is_empty() {
        None
    } else {
        let content_type = request::content_type(headers)
            .and_then(|value| {
                value.ok_or_else(|| {
                    StreamError::invalid("send the stream's Content-Type with the body")
                })
            })
            .map_err(refuse)?;
        let payload = Payload::new(content_type, body, streams.limits()).map_err(refuse)?;
        if payload.is_empty() {
            return Err(refuse(StreamError::invalid(
                "an empty array appends nothing; send at least one message",
            )));
        }
        Some(payload)
    };
    if payload.is_none() && !close {
        return Err(refuse(StreamError::invalid(
            "nothing to append; send a body, or Stream-Closed: true to close",
        )));
    }
    let numbered = producer.is_some() && payload.is_some();
    let append = Append {
        payload,
        producer,
        writer_seq,
        close,
    };
    let appended = streams
        .append_durably(path, append, grant.fence)
        .await
        .map_err(refuse)?;

    // The protocol tells new from repeated by the status, for appends by a producer only.
    let mut response = empty(if numbered && !appended.duplicate {
        StatusCode::OK
    } else {
        StatusCode::NO_CONTENT
    });
    let out = response.headers_mut();
    stands(out, appended.tail, appended.closed);
    if let Some(producer) = appended.producer {
        put(out, name::PRODUCER_EPOCH, &producer.epoch);
        put(out, name::PRODUCER_SEQ, &producer.last_seq);
    }
    Ok(response)
}

async fn inspect(streams: &Streams, path: String) -> Result<Response, StreamError> {
    let tail = stand(streams, path).await?;
    let mut response = empty(StatusCode::OK);
    let out = response.headers_mut();
    put(out, header::CONTENT_TYPE, &tail.content_type);
    put(out, header::CACHE_CONTROL, &"no-store");
    stands(out, tail.offset, tail.closed);
    if let Some(ttl_s) = tail.ttl_s {
        put(out, name::TTL, &ttl_s);
    }
    let expires = tail
        .expires_ms
        .and_then(|ms| i64::try_from(ms).ok())
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    if let Some(expires) = expires {
        put(out, name::EXPIRES_AT, &expires);
    }
    Ok(response)
}

async fn read(streams: Streams, parts: &Parts, path: String, grant: Grant) -> Answer {
    let query = ReadQuery::parse(&parts.uri).map_err(refuse)?;
    let answer = match query.mode {
        Mode::CatchUp => catch_up(&streams, &parts.headers, path, query.from).await,
        Mode::LongPoll => long_poll(&streams, path, query, grant).await,
        Mode::Sse => sse(streams, path, query, grant).await,
    };
    answer.map_err(refuse)
}

async fn catch_up(
    streams: &Streams,
    headers: &HeaderMap,
    path: String,
    from: ReadFrom,
) -> Result<Response, StreamError> {
    let page = streams.read_durably(path, from).await?;
    let etag = etag(&page);
    let cacheable = from != ReadFrom::Now;
    let mut response = if cacheable && request::has_copy(headers, &etag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        page_response(&page)
    };
    let out = response.headers_mut();
    page_headers(out, &page);
    if cacheable {
        put(out, header::ETAG, &etag);
        // A reader's own copy only, and asked about each time: what was signed out must not be read again.
        put(out, header::CACHE_CONTROL, &"private, no-cache");
    } else {
        put(out, header::CACHE_CONTROL, &"no-store");
    }
    Ok(response)
}

async fn long_poll(
    streams: &Streams,
    path: String,
    query: ReadQuery,
    grant: Grant,
) -> Result<Response, StreamError> {
    let deadline = Instant::now() + streams.limits().long_poll;
    let until = grant.until.unwrap_or_default();
    let tail = stand(streams, path.clone()).await?;
    let mut subscription = streams.inner.live.subscribe(tail.offset.stream)?;
    let mut from = query.from;
    let page = loop {
        // Before the read: a commit after it then counts as news.
        subscription.state();
        let page = streams.read_durably(path.clone(), from).await?;
        if page.next != page.from || page.tail.closed {
            break page;
        }
        from = ReadFrom::At(page.from);
        let expired = tokio::select! {
            () = subscription.changed() => false,
            () = until.cancelled() => true,
            () = tokio::time::sleep_until(deadline) => true,
        };
        if expired {
            break page;
        }
    };
    let mut response = if page.next == page.from {
        empty(StatusCode::NO_CONTENT)
    } else {
        page_response(&page)
    };
    let out = response.headers_mut();
    page_headers(out, &page);
    put(out, header::CACHE_CONTROL, &"no-store");
    if !out.contains_key(name::CLOSED) {
        put(
            out,
            name::CURSOR,
            &cursor(streams.now_ms(), query.cursor, random()),
        );
    }
    Ok(response)
}

async fn sse(
    streams: Streams,
    path: String,
    query: ReadQuery,
    grant: Grant,
) -> Result<Response, StreamError> {
    let before = stand(&streams, path.clone()).await?;
    let subscription = streams.inner.live.subscribe(before.offset.stream)?;
    // Again, after subscribing, so that nothing falls between; its data is left to the reader.
    let tail = stand(&streams, path).await?;
    let position = match query.from {
        ReadFrom::Start => 0,
        ReadFrom::Now => tail.offset.position,
        ReadFrom::At(Offset { stream, position })
            if stream == tail.offset.stream && position <= tail.offset.position =>
        {
            position
        }
        ReadFrom::At(_) => return Err(StreamError::OffsetGone),
    };
    streams.touch(&tail).await?;

    let binary = tail.kind() == Kind::Binary;
    let until = grant.until.unwrap_or_default();
    let reader = Reader::new(streams, subscription, tail, position, query.cursor, until);
    let events = stream::unfold(reader, async |mut reader| {
        let event = reader.next().await?;
        Some((Ok::<_, std::convert::Infallible>(event), reader))
    });
    let mut response = Response::new(Body::from_stream(events.boxed()));
    let out = response.headers_mut();
    put(out, header::CONTENT_TYPE, &"text/event-stream");
    put(out, header::CACHE_CONTROL, &"no-cache, no-store");
    // Asks proxies not to gather events.
    put(out, "x-accel-buffering", &"no");
    if binary {
        put(out, name::SSE_ENCODING, &"base64");
    }
    Ok(response)
}

async fn stand(streams: &Streams, path: String) -> Result<Tail, StreamError> {
    let reader = streams.clone();
    streams
        .query(move |connection| reader.tail(connection, &path))
        .await
}

/// The body, bounded in size and time.
async fn receive(streams: &Streams, headers: &HeaderMap, body: Body) -> Result<Bytes, StreamError> {
    let limits = streams.limits();
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced == Some(0) || body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let receive = async {
        let (mut pieces, mut gathered, mut length) =
            (body.into_data_stream(), BytesMut::new(), 0_usize);
        while let Some(piece) = pieces.next().await {
            let piece =
                piece.map_err(|_| StreamError::invalid("the body broke off; send it again"))?;
            length += piece.len();
            if length <= limits.append_bytes {
                if gathered.is_empty() && Some(piece.len()) == announced {
                    // A copy: the piece holds the connection's whole buffer, which is wanted for the next request.
                    return Ok(Bytes::copy_from_slice(&piece));
                }
                gathered.extend_from_slice(&piece);
            } else if length > limits.append_bytes.saturating_mul(DISCARD_FACTOR) {
                break;
            }
        }
        if length > limits.append_bytes {
            Err(StreamError::TooLarge {
                limit: limits.append_bytes,
            })
        } else {
            Ok(gathered.freeze())
        }
    };
    tokio::time::timeout(limits.body_wait, receive)
        .await
        .unwrap_or_else(|_| {
            Err(StreamError::invalid(
                "the body took too long to arrive; send it again",
            ))
        })
}

fn page_response(page: &Page) -> Response {
    Response::new(Body::from(page.body()))
}

fn page_headers(out: &mut HeaderMap, page: &Page) {
    let up_to_date = page.is_up_to_date();
    put(out, header::CONTENT_TYPE, &page.tail.content_type);
    stands(out, page.next, page.tail.closed && up_to_date);
    if up_to_date {
        put(out, name::UP_TO_DATE, &"true");
    }
}

fn stands(out: &mut HeaderMap, next: Offset, closed: bool) {
    put(out, name::NEXT_OFFSET, &next);
    if closed {
        put(out, name::CLOSED, &"true");
    }
}

/// Differs whenever the page or the end of the stream does.
fn etag(page: &Page) -> String {
    let closed = if page.tail.closed { ":c" } else { "" };
    let current = if page.is_up_to_date() { "" } else { ":p" };
    format!(
        "\"{}:{}{current}{closed}\"",
        page.from,
        page.next.position()
    )
}

/// The stream's own address, as the client wrote it.
fn location(parts: &Parts) -> String {
    let uri = parts
        .extensions
        .get::<OriginalUri>()
        .map_or(&parts.uri, |OriginalUri(uri)| uri);
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    match (uri.authority(), host) {
        (Some(_), _) => uri.to_string(),
        (None, Some(host)) => format!("http://{host}{}", uri.path()),
        (None, None) => uri.path().to_owned(),
    }
}

fn refuse(error: StreamError) -> Box<Response> {
    Box::new(refusal_response(error))
}

fn refusal_response(error: StreamError) -> Response {
    let message = error.to_string();
    let call = |code| CallError {
        code,
        message,
        retry_after_ms: None,
    };
    match error {
        StreamError::NotFound => refusal::response(call(ErrorCode::NotFound)),
        StreamError::Exists | StreamError::ContentType { .. } | StreamError::WriterSeq { .. } => {
            refusal::response(call(ErrorCode::Conflict))
        }
        StreamError::Closed { tail } => {
            let mut response = refusal::response(call(ErrorCode::Conflict));
            stands(response.headers_mut(), tail, true);
            response
        }
        StreamError::Gap { expected, received } => {
            let mut response = refusal::response(call(ErrorCode::Conflict));
            put(
                response.headers_mut(),
                name::PRODUCER_EXPECTED_SEQ,
                &expected,
            );
            put(
                response.headers_mut(),
                name::PRODUCER_RECEIVED_SEQ,
                &received,
            );
            response
        }
        StreamError::StaleEpoch { current } => {
            let mut response = refusal::response(call(ErrorCode::StaleEpoch));
            put(response.headers_mut(), name::PRODUCER_EPOCH, &current);
            response
        }
        StreamError::EpochMustStartAtZero | StreamError::Invalid { .. } => {
            refusal::response(call(ErrorCode::Invalid))
        }
        StreamError::TooLarge { .. } | StreamError::StreamFull { .. } => {
            refusal::response(call(ErrorCode::TooLarge))
        }
        StreamError::OffsetGone => refusal::response(call(ErrorCode::Expired)),
        StreamError::TooManyReaders => refusal::response(CallError {
            retry_after_ms: Some(RETRY_MS),
            ..call(ErrorCode::LimitReached)
        }),
        StreamError::NotOffered { .. } => {
            let mut response = refusal::response(call(ErrorCode::Invalid));
            *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
            response
        }
        StreamError::Refused(error) => refusal::response(error),
        StreamError::Unavailable { .. } | StreamError::Storage(_) => refusal::response(CallError {
            retry_after_ms: Some(RETRY_MS),
            ..call(ErrorCode::Unavailable)
        }),
        StreamError::Defect { reason } => {
            tracing::error!(reason, "a defect in the streams");
            refusal::response(call(ErrorCode::Internal))
        }
    }
}

/// When a refused client may come back, where nothing better is known.
const RETRY_MS: u64 = 1_000;

fn method_not_allowed() -> Response {
    let mut response = refusal::response(CallError {
        code: ErrorCode::Invalid,
        message: "a stream takes PUT, POST, GET, HEAD and DELETE".to_owned(),
        retry_after_ms: None,
    });
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    put(
        response.headers_mut(),
        header::ALLOW,
        &"PUT, POST, GET, HEAD, DELETE",
    );
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Sets a header; what can't be one (a content type was checked, everything else is ours) is left out.
fn put(headers: &mut HeaderMap, name: impl TryInto<HeaderName>, value: &impl ToString) {
    if let (Ok(name), Ok(value)) = (name.try_into(), HeaderValue::try_from(value.to_string())) {
        headers.insert(name, value);
    }
}

async fn add_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
