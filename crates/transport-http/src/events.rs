//! Server-sent events: `eventsource-client` reads them, reqwest carries them, and what comes in between
//! bounds each line, so that a broken peer can't fill the memory.

use bytes::Bytes;
use eventsource_client::{Client, ClientBuilder, Error, ReconnectOptions, SSE};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use launchdarkly_sdk_transport::{
    ByteStream, HttpTransport, Request, Response, ResponseFuture, TransportError as CarrierError,
};
use protocol::limits::SSE_LINE_MAX_BYTES;
use protocol::secret::Secret;
use reqwest::RequestBuilder;
use sync_wrapper::{SyncFuture, SyncStream};
use thiserror::Error;
use transport::TransportError;

use crate::{DEAD_AFTER, lost, refused};

/// How many pieces of a refusal's body are read.
const REFUSAL_MAX_PIECES: usize = 16;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// The events of one connection, without those that only say that it lives. Ends after its first error;
/// the end of the connection is an error too.
pub(crate) fn open(
    request: RequestBuilder,
    client: &reqwest::Client,
    credential: Option<&Secret>,
) -> impl Stream<Item = Result<Event, TransportError>> + Send + use<> {
    let source = match connect(request, client, credential) {
        Ok(source) => source,
        Err(error) => stream::once(async { Err(error) }).boxed(),
    };
    let start = Some(source);
    stream::unfold(start, |source| async move {
        let mut source = source?;
        loop {
            return match tokio::time::timeout(DEAD_AFTER, source.next()).await {
                Ok(Some(Ok(SSE::Event(event)))) => {
                    let event = Event {
                        name: event.event_type,
                        data: event.data,
                    };
                    Some((Ok(event), Some(source)))
                }
                Ok(Some(Ok(SSE::Connected(_) | SSE::Comment(_)))) => continue,
                Ok(Some(Err(error))) => Some((Err(error), None)),
                Ok(None) => Some((
                    Err(TransportError::Lost("the connection was closed".to_owned())),
                    None,
                )),
                Err(_) => {
                    let silent = format!("nothing was heard for {} s", DEAD_AFTER.as_secs());
                    Some((Err(TransportError::Lost(silent)), None))
                }
            };
        }
    })
}

type Source = stream::BoxStream<'static, Result<SSE, TransportError>>;

fn connect(
    request: RequestBuilder,
    client: &reqwest::Client,
    credential: Option<&Secret>,
) -> Result<Source, TransportError> {
    let setup = |error: &dyn std::fmt::Display| {
        TransportError::Lost(format!("the request could not be made: {error}"))
    };
    let request = request.build().map_err(|error| setup(&error))?;
    let mut builder =
        ClientBuilder::for_url(request.url().as_str()).map_err(|error| setup(&error))?;
    if let Some(secret) = credential {
        let bearer = format!("Bearer {}", secret.expose());
        builder = builder
            .header("Authorization", &bearer)
            .map_err(|error| setup(&error))?;
    }
    // When to try again is the agent core's decision.
    let once = ReconnectOptions::reconnect(false)
        .retry_initial(false)
        .build();
    let source = builder
        .reconnect(once)
        .redirect_limit(0)
        .build_with_transport(Carrier(client.clone()));
    Ok(source
        .stream()
        .then(|event| async { read(event).await })
        .boxed())
}

async fn read(event: Result<SSE, Error>) -> Result<SSE, TransportError> {
    match event {
        Ok(event) => Ok(event),
        Err(Error::UnexpectedResponse(response, body)) => {
            // Every piece was bounded on its way in; a refusal is short.
            let pieces: Vec<Bytes> = body
                .into_stream()
                .take(REFUSAL_MAX_PIECES)
                .filter_map(|piece| async { piece.ok() })
                .collect()
                .await;
            Err(refused(response.status(), &pieces.concat()))
        }
        Err(Error::Eof | Error::UnexpectedEof) => {
            Err(TransportError::Lost("the connection was closed".to_owned()))
        }
        Err(error) => Err(TransportError::Lost(error.to_string())),
    }
}

/// A line of an event stream is longer than the limit.
#[derive(Debug, Error)]
#[error("a line is longer than {SSE_LINE_MAX_BYTES} bytes")]
struct LineTooLong;

/// Carries `eventsource-client`'s requests over reqwest.
#[derive(Clone)]
struct Carrier(reqwest::Client);

impl HttpTransport for Carrier {
    fn request(&self, request: Request<Option<Bytes>>) -> ResponseFuture {
        let (parts, _) = request.into_parts();
        let request = self
            .0
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers);
        Box::pin(SyncFuture::new(async move {
            let response = request.send().await.map_err(carrier_error)?;
            let mut carried = Response::builder().status(response.status());
            if let Some(headers) = carried.headers_mut() {
                headers.clone_from(response.headers());
            }
            let bytes = bounded(response.bytes_stream().map_err(carrier_error));
            let body: ByteStream = Box::pin(SyncStream::new(bytes));
            carried.body(body).map_err(CarrierError::new)
        }))
    }
}

fn carrier_error(error: reqwest::Error) -> CarrierError {
    CarrierError::new(std::io::Error::other(lost(error).to_string()))
}

/// Ends the bytes with an error as soon as a line is over its limit.
fn bounded(
    bytes: impl Stream<Item = Result<Bytes, CarrierError>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, CarrierError>> + Send + 'static {
    let mut line_bytes = 0;
    bytes.map(move |piece| {
        let piece = piece?;
        for part in piece.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            line_bytes += part.len();
            if line_bytes > SSE_LINE_MAX_BYTES {
                return Err(CarrierError::new(LineTooLong));
            }
            if part.ends_with(b"\n") || part.ends_with(b"\r") {
                line_bytes = 0;
            }
        }
        Ok(piece)
    })
}
