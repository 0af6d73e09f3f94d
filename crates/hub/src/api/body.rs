//! A request's body: bounded in size, time and depth.

use std::time::Duration;

use axum::{
    body::{Body, HttpBody as _},
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use protocol::{CallError, ErrorCode, limits::JSON_MAX_DEPTH};
use serde_json::Value;

use crate::streams::json_depth;

/// How long a body may take to arrive.
pub(crate) const BODY_WAIT: Duration = Duration::from_secs(30);
/// A refused body is read to its end up to so many bytes, so that the client sees the answer instead of a
/// broken connection.
const DISCARD_BYTES: usize = 16 << 20;

/// The body as JSON; `null` if there is none.
///
/// # Errors
/// When it is too large, too slow, too deep, or no JSON.
pub(crate) async fn json(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Value, CallError> {
    let bytes = bytes(headers, body, limit).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if json_depth(&bytes) > JSON_MAX_DEPTH {
        return Err(CallError::new(
            ErrorCode::Invalid,
            format!("The body nests deeper than {JSON_MAX_DEPTH} levels. Flatten it."),
        ));
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        CallError::new(
            ErrorCode::Invalid,
            format!("The body is not JSON ({error}). Correct it and send it again."),
        )
    })
}

async fn bytes(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, CallError> {
    let announced = announced(headers);
    if body.is_end_stream() || announced == Some(0) {
        return Ok(Bytes::new());
    }
    let receive = async {
        let (mut pieces, mut gathered, mut length) =
            (body.into_data_stream(), BytesMut::new(), 0_usize);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| broken("broke off"))?;
            length = length.saturating_add(piece.len());
            if length <= limit {
                if gathered.is_empty() && Some(piece.len()) == announced {
                    return Ok(piece);
                }
                gathered.extend_from_slice(&piece);
            } else if length > DISCARD_BYTES {
                break;
            }
        }
        if length > limit {
            Err(CallError::new(
                ErrorCode::TooLarge,
                format!(
                    "The body has more than {limit} bytes, which is the limit of this call. Send less."
                ),
            ))
        } else {
            Ok(gathered.freeze())
        }
    };
    tokio::time::timeout(BODY_WAIT, receive)
        .await
        .unwrap_or_else(|_| Err(broken("took too long to arrive")))
}

/// The body's length, if its sender said it.
pub(crate) fn announced(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok())
}

fn broken(how: &str) -> CallError {
    CallError::new(
        ErrorCode::Unavailable,
        format!("The body {how}. Send the request again."),
    )
}
