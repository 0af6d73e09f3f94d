//! When a schedule fires, as it crosses the wire, and what may be wrong with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use ts_rs::TS;

use crate::error::{CallError, ErrorCode};
use crate::time::Timestamp;

/// When a schedule fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
#[ts(export_to = "wire.ts")]
pub enum When {
    /// At the times of a cron expression, on the clocks of a zone.
    Cron {
        /// Minute, hour, day of the month, month and day of the week.
        expression: String,
        /// A zone of the IANA database, such as `Europe/Berlin`.
        zone: String,
    },
    /// Every so many minutes of real time, whatever the clocks do.
    Interval {
        /// How many minutes from one firing to the next.
        every_minutes: u32,
        /// The first firing; on a full minute.
        anchor: Timestamp,
        /// The zone in which it is shown. It has no say in when it fires.
        zone: String,
    },
    /// A kind that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

impl When {
    /// The zone in which a person sees it.
    #[must_use]
    pub fn zone(&self) -> &str {
        match self {
            Self::Cron { zone, .. } | Self::Interval { zone, .. } => zone,
            Self::Unknown => "UTC",
        }
    }
}

/// What is wrong with a [`When`] or with a phrase.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS,
)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "wire.ts")]
pub enum WhenErrorCode {
    /// Nothing was given.
    Empty,
    /// Longer than its limit.
    TooLong,
    /// Not five fields.
    Fields,
    /// A field that is not one.
    Field,
    /// More often than once a minute.
    TooOften,
    /// A date or a time that never comes.
    Never,
    /// No zone of this name.
    Zone,
    /// An interval that is too short, too long or does not begin on a full minute.
    Interval,
    /// A phrase that is not one of the list.
    Phrase,
    /// A kind from a newer peer.
    Kind,
}

/// Why something does not say when to fire, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct WhenError {
    /// What kind of fault it is.
    pub code: WhenErrorCode,
    /// For a person to read.
    pub message: String,
}

impl WhenError {
    pub(super) fn new(code: WhenErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<WhenError> for CallError {
    fn from(error: WhenError) -> Self {
        let code = if error.code == WhenErrorCode::TooLong {
            ErrorCode::TooLarge
        } else {
            ErrorCode::Invalid
        };
        Self::new(code, error.message)
    }
}
