//! opencode's event stream, as it is read from one connection.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use protocol::limits::SSE_DEAD_MS;

use crate::driver::DriverError;
use crate::sse::{EndlessLine, SseDecoder, SseItem};
use crate::wire::Api;

/// opencode's event stream.
#[derive(Debug)]
pub(crate) struct EventStream {
    body: Incoming,
    decoder: SseDecoder,
    started: Vec<SseItem>,
}

/// Why a stream gives no more.
#[derive(Debug)]
pub(crate) enum StreamEnd {
    /// It ended, broke off or went silent: it can be opened again.
    Lost(String),
    /// What comes out of it is not to be read.
    Endless,
}

impl EventStream {
    /// Opens it and waits for the first event: from then on nothing is missed.
    pub(crate) async fn open(api: &Api, limit: Duration) -> Result<Self, DriverError> {
        const OPERATION: &str = "waiting for its first event";
        let body = api.events().await?;
        let mut stream = Self {
            body,
            decoder: SseDecoder::default(),
            started: Vec::new(),
        };
        let first = tokio::time::timeout(limit, stream.next())
            .await
            .map_err(|_| DriverError::TimedOut {
                operation: OPERATION,
            })?;
        match first {
            Ok(items) => {
                stream.started = items;
                Ok(stream)
            }
            Err(StreamEnd::Lost(detail)) => Err(DriverError::Malformed {
                operation: OPERATION,
                detail,
            }),
            Err(StreamEnd::Endless) => Err(DriverError::Malformed {
                operation: OPERATION,
                detail: "a line without an end".to_owned(),
            }),
        }
    }

    /// The next events, at least one.
    pub(crate) async fn next(&mut self) -> Result<Vec<SseItem>, StreamEnd> {
        let mut items = std::mem::take(&mut self.started);
        while items.is_empty() {
            let frame =
                tokio::time::timeout(Duration::from_millis(SSE_DEAD_MS), self.body.frame()).await;
            let frame = frame.map_err(|_| StreamEnd::Lost("it is silent".to_owned()))?;
            let frame = frame.ok_or_else(|| StreamEnd::Lost("it ended".to_owned()))?;
            let frame = frame.map_err(|error| StreamEnd::Lost(error.to_string()))?;
            if let Some(bytes) = frame.data_ref() {
                self.decoder
                    .push(bytes, &mut items)
                    .map_err(|EndlessLine| StreamEnd::Endless)?;
            }
        }
        Ok(items)
    }
}
