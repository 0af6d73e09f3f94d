//! Asking a backend whether it is there.

use std::time::Duration;

use protocol::CallError;
use protocol::ErrorCode;
use protocol::wire::{WIRE_VERSION, WIRE_VERSION_MIN};
use serde::Deserialize;
use transport::{Call, TransportError};

use crate::exit::{Exit, Failure};
use crate::way::Way;

/// What a backend says of itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    pub(crate) version: String,
    pub(crate) wire_version: u32,
    #[serde(default)]
    pub(crate) wire_version_min: u32,
    /// The backend's clock against this computer's, in seconds; from the answer's Date.
    #[serde(skip)]
    pub(crate) clock_ahead_s: Option<i64>,
}

/// Asks a backend how it is.
///
/// # Errors
/// For a person: why there was no answer that a backend gives.
pub(crate) async fn ask(address: &str, limit: Duration) -> Result<Health, String> {
    // Chooses the TLS provider on the way.
    let http = transport_http::HttpTransport::new(address).map_err(|error| error.to_string())?;
    let client = reqwest::Client::builder()
        .timeout(limit)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(innermost)?;
    let response = client
        .get(format!("{}/v1/health", http.address()))
        .send()
        .await
        .map_err(innermost)?;
    let status = response.status();
    let date = response
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok())
        .map(str::to_owned);
    if !status.is_success() {
        return Err(format!(
            "it answered with HTTP status {}; is it a hub?",
            status.as_u16()
        ));
    }
    let mut health: Health = response
        .json()
        .await
        .map_err(|_| "its answer is not that of a hub".to_owned())?;
    health.clock_ahead_s = date
        .and_then(|date| jiff::fmt::rfc2822::parse(&date).ok())
        .map(|date| date.timestamp().as_second() - jiff::Timestamp::now().as_second());
    Ok(health)
}

/// The versions that a Convex deployment's functions are of.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Versions {
    pub(crate) wire_version: u32,
    #[serde(default)]
    pub(crate) wire_version_min: u32,
}

impl Versions {
    /// Whether this program can talk to them.
    pub(crate) fn check(self, address: &str) -> Result<(), Failure> {
        let advice = if self.wire_version < WIRE_VERSION_MIN {
            "They are older: run `npx convex deploy` in convex/"
        } else if self.wire_version_min > WIRE_VERSION {
            "They are newer: update this program"
        } else {
            return Ok(());
        };
        let message = format!(
            "The functions of {address} speak version {} of the protocol, this program {WIRE_VERSION}. {advice}.",
            self.wire_version
        );
        Err(Failure::new(Exit::Upgrade, message))
    }
}

/// Asks a deployment for its functions' versions, as nobody.
///
/// # Errors
/// When it can't be reached, or has no such functions.
pub(crate) async fn of_deployment(way: &Way) -> Result<Versions, Failure> {
    let call = Call {
        function: "system.version".to_owned(),
        args: serde_json::json!({}),
        key: None,
        credential: None,
    };
    match way.transport().call(call).await {
        Ok(reply) => serde_json::from_value(reply).map_err(|_| {
            let message = format!(
                "The functions of {} are not those of this product.",
                way.address()
            );
            Failure::new(Exit::Upgrade, message)
        }),
        Err(TransportError::Lost(why)) => Err(way.unreachable(&why)),
        Err(TransportError::Refused(CallError {
            code: ErrorCode::NotFound,
            message,
            ..
        })) => Err(Failure::new(Exit::Upgrade, message)),
        Err(TransportError::Refused(error)) => Err(error.into()),
    }
}

pub(crate) fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
