//! The error every call may answer with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What kind of refusal it is; callers decide by this, people read the message.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS,
)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum ErrorCode {
    /// The request is not one that this function takes. Sending it again changes nothing.
    Invalid,
    /// Something is larger than its limit.
    TooLarge,
    /// A queue, listing or count has reached its limit.
    LimitReached,
    /// The caller is nobody: no credential, or one that is not known (any more).
    Unauthenticated,
    /// The caller is known but this function is not for them.
    Forbidden,
    /// No such thing, or not the caller's.
    NotFound,
    /// The thing is in a state that does not allow this, or the idempotency key was used for another request.
    Conflict,
    /// A newer connection of the same machine has taken over. The caller stops.
    StaleEpoch,
    /// The machine was revoked. The caller stops and forgets its secret.
    Revoked,
    /// The registration key is past its time.
    Expired,
    /// The peers' versions do not fit together.
    UpgradeRequired,
    /// Too often; try again later.
    RateLimited,
    /// The backend cannot do it now (a full disk, say); try again later.
    Unavailable,
    /// A defect of the backend.
    Internal,
    /// A code from a newer backend.
    #[serde(other)]
    Unknown,
}

/// A refused call: what happened, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "wire.ts")]
#[error("{message}")]
pub struct CallError {
    /// What kind of refusal.
    pub code: ErrorCode,
    /// For a person to read.
    pub message: String,
    /// Earliest time for another try, in milliseconds from now, where the backend knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number | null", optional)]
    pub retry_after_ms: Option<u64>,
}

impl CallError {
    /// A refusal with its text.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: None,
        }
    }

    /// The answer for a thing that does not exist and for a thing of somebody else.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("There is no such {what}."))
    }

    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.code, ErrorCode::RateLimited | ErrorCode::Unavailable)
    }

    /// Whether this machine process must stop because it is no longer the machine's current one.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        matches!(self.code, ErrorCode::StaleEpoch)
    }

    /// Whether the machine can only come back by registering anew.
    #[must_use]
    pub fn requires_reregistration(&self) -> bool {
        matches!(self.code, ErrorCode::Revoked | ErrorCode::Unauthenticated)
    }
}

impl From<crate::state::IllegalTransition> for CallError {
    fn from(error: crate::state::IllegalTransition) -> Self {
        Self::new(
            ErrorCode::Conflict,
            format!("That is not possible now: {error}."),
        )
    }
}
