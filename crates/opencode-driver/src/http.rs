//! Requests to opencode's own server on loopback: no TLS, no proxy, a time limit on each.

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use protocol::secret::Secret;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::driver::DriverError;

/// The largest answer that is read, in bytes.
const BODY_MAX_BYTES: usize = 64 * 1024 * 1024;
/// How long a connection to loopback may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of a refusal is quoted, in characters.
const QUOTE_MAX_CHARS: usize = 500;

/// One opencode server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    client: Client<HttpConnector, Full<Bytes>>,
    address: String,
    authorization: HeaderValue,
    limit: Duration,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Bytes,
    operation: &'static str,
}

impl Server {
    /// The server at a port of loopback; each request may take `limit`.
    pub(crate) fn new(port: u16, user: &str, password: &Secret, limit: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let credentials = base64::engine::general_purpose::STANDARD
            .encode(format!("{user}:{}", password.expose()));
        // Base 64 is always a valid header value.
        let mut authorization = HeaderValue::from_str(&format!("Basic {credentials}"))
            .unwrap_or(HeaderValue::from_static(""));
        authorization.set_sensitive(true);
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            address: format!("http://127.0.0.1:{port}"),
            authorization,
            limit,
        }
    }

    /// The same server with another limit for each request.
    pub(crate) fn with_limit(&self, limit: Duration) -> Self {
        Self {
            limit,
            ..self.clone()
        }
    }

    /// Sends a request and reads the answer to its end.
    pub(crate) async fn send(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, DriverError> {
        let exchange = async {
            let response = self.request(operation, method, path, body).await?;
            let status = response.status();
            let (head, body) = response.into_parts();
            let body = Limited::new(body, BODY_MAX_BYTES)
                .collect()
                .await
                .map_err(|error| DriverError::Malformed {
                    operation,
                    detail: error.to_string(),
                })?
                .to_bytes();
            Ok(Answer {
                status,
                headers: head.headers,
                body,
                operation,
            })
        };
        tokio::time::timeout(self.limit, exchange)
            .await
            .map_err(|_| DriverError::TimedOut { operation })?
    }

    /// Opens a stream; only the time until its head is limited.
    pub(crate) async fn open(
        &self,
        operation: &'static str,
        path: &str,
    ) -> Result<Incoming, DriverError> {
        let response =
            tokio::time::timeout(self.limit, self.request(operation, Method::GET, path, None))
                .await
                .map_err(|_| DriverError::TimedOut { operation })??;
        if response.status().is_success() {
            Ok(response.into_body())
        } else {
            Err(DriverError::Refused {
                operation,
                status: response.status().as_u16(),
                message: "no stream".to_owned(),
            })
        }
    }

    async fn request(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<hyper::Response<Incoming>, DriverError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(
                body.map(|body| Full::from(body.to_string()))
                    .unwrap_or_default(),
            )
            .map_err(|error| DriverError::Malformed {
                operation,
                detail: error.to_string(),
            })?;
        self.client
            .request(request)
            .await
            .map_err(|error| DriverError::Gone {
                reason: format!("{operation}: {}", causes(&error)),
            })
    }
}

impl Answer {
    /// The answer, unless it is a refusal.
    pub(crate) fn success(self) -> Result<Self, DriverError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body);
        let message = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|value| {
                let message = value
                    .pointer("/data/message")
                    .or_else(|| value.pointer("/message"))?;
                Some(message.as_str()?.to_owned())
            })
            .unwrap_or_else(|| text.into_owned());
        Err(DriverError::Refused {
            operation: self.operation,
            status: self.status.as_u16(),
            message: message.chars().take(QUOTE_MAX_CHARS).collect(),
        })
    }

    /// The answer's JSON, unless it is a refusal.
    pub(crate) fn json<T: DeserializeOwned>(self) -> Result<T, DriverError> {
        let answer = self.success()?;
        serde_json::from_slice(&answer.body).map_err(|error| DriverError::Malformed {
            operation: answer.operation,
            detail: error.to_string(),
        })
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
