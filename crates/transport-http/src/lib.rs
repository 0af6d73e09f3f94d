//! The transport over plain HTTP: `POST /v1/{function}` for calls, server-sent events for watches, Durable
//! Streams for chunks.

mod events;
mod streams;

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use protocol::ids::TurnId;
use protocol::limits::{CALL_TIMEOUT_MS, SSE_DEAD_MS};
use protocol::secret::Secret;
use protocol::wire::Appended;
use protocol::{CallError, ErrorCode};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use thiserror::Error;
use transport::{Append, Call, Chunks, Transport, TransportError, Values};

/// The longest time to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest reply that is read.
const REPLY_MAX_BYTES: usize = 32 * 1024 * 1024;

/// Why a backend's address can't be used.
#[derive(Debug, Error)]
pub enum AddressError {
    /// It is not an address of a backend.
    #[error(
        "{0:?} is not the address of a backend. It looks like http://127.0.0.1:7777 or https://hub.example.org."
    )]
    Invalid(String),
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Client(reqwest::Error),
}

/// A way to a backend over HTTP. Clones share their connections.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
    base: String,
}

impl HttpTransport {
    /// A way to the backend at this address, such as `http://127.0.0.1:7777`.
    ///
    /// # Errors
    /// When it is not an `http` or `https` address.
    pub fn new(address: &str) -> Result<Self, AddressError> {
        let invalid = || AddressError::Invalid(address.chars().take(200).collect());
        let url = reqwest::Url::parse(address.trim()).map_err(|_| invalid())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(invalid());
        }
        // Another part of the program may have chosen a provider already: that one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(AddressError::Client)?;
        Ok(Self {
            client,
            base: url.as_str().trim_end_matches('/').to_owned(),
        })
    }

    /// The backend's address, without a slash at its end.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.base
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn call(&self, call: Call) -> Result<Value, TransportError> {
        let mut request = self
            .client
            .post(self.url(&format!("/v1/{}", call.function)))
            .json(&call.args);
        if let Some(key) = &call.key {
            request = request.header("Idempotency-Key", key.as_str());
        }
        let body = answer(within_limit(authorised(request, call.credential.as_ref()))).await?;
        serde_json::from_slice(&body)
            .map_err(|error| TransportError::Lost(format!("the reply is not JSON ({error})")))
    }

    fn watch(&self, function: &str, args: Value, credential: Option<Secret>) -> Values {
        let watches = json!([{ "id": "w", "function": function, "args": args }]).to_string();
        let request = self
            .client
            .get(self.url("/v1/watch"))
            .query(&[("watches", watches)]);
        events::open(request, &self.client, credential.as_ref())
            .filter_map(|event| async move {
                match event {
                    Ok(event) => watched(&event),
                    Err(error) => Some(Err(error)),
                }
            })
            .boxed()
    }

    async fn append(&self, append: Append) -> Result<Appended, TransportError> {
        streams::append(self, append).await?;
        // The hub wants what there is at once; what comes while an append is under way goes with the next.
        Ok(Appended::default())
    }

    fn read(&self, turn_id: &TurnId, credential: Option<Secret>, live: bool) -> Chunks {
        streams::read(self.clone(), turn_id.clone(), credential, live)
    }
}

/// A watch's event as its value or its end.
fn watched(event: &events::Event) -> Option<Result<Value, TransportError>> {
    let body = serde_json::from_str::<Value>(&event.data);
    match (event.name.as_str(), body) {
        ("value", Ok(mut body)) => Some(Ok(body["value"].take())),
        ("error", Ok(mut body)) => Some(Err(refusal(body["error"].take()))),
        ("value" | "error", Err(error)) => Some(Err(TransportError::Lost(format!(
            "an event is not JSON ({error})"
        )))),
        // An event of a newer backend.
        _ => None,
    }
}

fn refusal(body: Value) -> TransportError {
    match serde_json::from_value::<CallError>(body) {
        Ok(error) => TransportError::Refused(error),
        Err(error) => TransportError::Lost(format!(
            "the backend's error does not read as one ({error})"
        )),
    }
}

fn authorised(request: RequestBuilder, credential: Option<&Secret>) -> RequestBuilder {
    match credential {
        Some(secret) => request.bearer_auth(secret.expose()),
        None => request,
    }
}

fn within_limit(request: RequestBuilder) -> RequestBuilder {
    request.timeout(Duration::from_millis(CALL_TIMEOUT_MS))
}

/// Sends a request and reads its whole answer; anything but success is a refusal.
async fn answer(request: RequestBuilder) -> Result<Vec<u8>, TransportError> {
    let response = request.send().await.map_err(lost)?;
    let status = response.status();
    let body = read_body(response).await?;
    if status.is_success() {
        Ok(body)
    } else {
        Err(refused(status.as_u16(), &body))
    }
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, TransportError> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(lost)? {
        if body.len() + bytes.len() > REPLY_MAX_BYTES {
            return Err(TransportError::Lost(format!(
                "the reply is larger than {REPLY_MAX_BYTES} bytes"
            )));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

/// An answer that is not success: the backend's own error, or that of something in between.
fn refused(status: u16, body: &[u8]) -> TransportError {
    match serde_json::from_slice::<CallError>(body) {
        Ok(error) => TransportError::Refused(error),
        Err(_) if status >= 500 => {
            TransportError::Lost(format!("the backend answered with HTTP status {status}"))
        }
        Err(_) => TransportError::Refused(CallError::new(
            ErrorCode::Unknown,
            format!(
                "The backend answered with HTTP status {status}. Is this the address of a hub?"
            ),
        )),
    }
}

fn lost(error: reqwest::Error) -> TransportError {
    // The innermost cause says what a person can act on; the URL may hold arguments.
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    TransportError::Lost(cause.to_string())
}

/// How long a live connection may be silent.
const DEAD_AFTER: Duration = Duration::from_millis(SSE_DEAD_MS);
