//! `POST /v1/{function}`: calls.

use axum::{
    Extension, Json, Router, body::Body, extract::State, http::HeaderMap,
    response::IntoResponse as _, routing::post,
};
use protocol::{
    CallError, ErrorCode,
    backend::{Actor, Caller, Request},
    functions::{Access, FUNCTIONS, Function as _, FunctionInfo, Kind, WriteMessage},
    ids::IdempotencyKey,
    limits::{CALL_MAX_BYTES, FULL_MESSAGE_MAX_BYTES},
};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    App,
    auth::Credential,
    body::{self, BODY_WAIT},
    guard::Origin,
};
use crate::refusal;

/// The header with the idempotency key.
const KEY_HEADER: &str = "idempotency-key";
/// A body up to this size is received before it is known who sends it.
const SMALL_BODY_BYTES: usize = 64 * 1024;
/// Larger bodies that may be received at a time.
pub(crate) const LARGE_BODIES_MAX: usize = 64;
/// What surrounds a complete message in the call that writes it.
const MESSAGE_FRAME_BYTES: usize = 64 * 1024;

/// One route for each function of the table.
pub(crate) fn routes() -> Router<App> {
    FUNCTIONS.iter().fold(Router::new(), |router, function| {
        let call = async |State(app): State<App>,
                          Extension(origin): Extension<Origin>,
                          Extension(credential): Extension<Credential>,
                          headers: HeaderMap,
                          body: Body| {
            let reply = serve(&app, function, &origin, credential, &headers, body).await;
            match reply {
                Ok(reply) => Json(reply).into_response(),
                Err(error) => refusal::response(error),
            }
        };
        router.route(&path(function), post(call))
    })
}

/// Where a function is found.
pub(crate) fn path(function: &FunctionInfo) -> String {
    format!("/v1/{}", function.name)
}

/// The largest body of a call.
pub(crate) fn body_limit(function: &FunctionInfo) -> usize {
    match function.access {
        Access::Anyone => SMALL_BODY_BYTES,
        Access::Machine if function.name == WriteMessage::NAME => {
            FULL_MESSAGE_MAX_BYTES + MESSAGE_FRAME_BYTES
        }
        Access::Person | Access::Machine => CALL_MAX_BYTES,
    }
}

async fn serve(
    app: &App,
    function: &'static FunctionInfo,
    origin: &Origin,
    credential: Credential,
    headers: &HeaderMap,
    body: Body,
) -> Result<Value, CallError> {
    match (function.access, &credential) {
        (Access::Anyone, _) => app.limiter.take(origin.address)?,
        // Before the body is read: a stranger's is not worth it.
        (Access::Person, Credential::None) => return Err(super::auth::not_signed_in()),
        (Access::Machine, Credential::None) => {
            return Err(CallError::new(
                ErrorCode::Unauthenticated,
                "This needs a machine's connection token. Connect first.",
            ));
        }
        (Access::Person | Access::Machine, _) => {}
    }
    let key = idempotency_key(headers)?;
    let limit = body_limit(function);
    let expected = body::announced(headers).unwrap_or(limit);
    let place = if expected > SMALL_BODY_BYTES {
        Some(place_for_large_body(app, &credential).await?)
    } else {
        None
    };
    let args = body::json(headers, body, limit).await?;
    let core = &app.core;
    let now_ms = core.clock.now_ms();
    let brought = credential.clone();
    let reply = match function.kind {
        Kind::Query => core
            .look(move |connection, backend| {
                let caller = caller(function, &brought, connection, now_ms)?;
                backend.query(function.name, &args, &caller)
            })
            .await
            .flatten(),
        Kind::Mutation => {
            core.change(move |transaction, backend| {
                let caller = caller(function, &brought, transaction, now_ms)?;
                backend.call(&Request {
                    function: function.name,
                    args,
                    key,
                    caller,
                })
            })
            .await
        }
    }?;
    drop(place);
    credential.note_use(core).await;
    Ok(reply)
}

/// Lets a body in that takes much memory: of callers whose credential holds, and of few at a time.
async fn place_for_large_body(
    app: &App,
    credential: &Credential,
) -> Result<OwnedSemaphorePermit, CallError> {
    let (asked, now_ms) = (credential.clone(), app.core.clock.now_ms());
    let actor = app
        .core
        .look(move |connection, backend| backend.recognise(&asked.caller(connection, now_ms)?))
        .await
        .flatten()?;
    if actor == Actor::Anyone {
        return Err(super::auth::not_signed_in());
    }
    let place = app.large_bodies.clone().acquire_owned();
    match tokio::time::timeout(BODY_WAIT, place).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) | Err(_) => Err(CallError {
            retry_after_ms: Some(1_000),
            ..CallError::new(
                ErrorCode::Unavailable,
                "The backend receives too many large messages at this moment. Try again.",
            )
        }),
    }
}

fn caller(
    function: &FunctionInfo,
    credential: &Credential,
    connection: &rusqlite::Connection,
    now_ms: u64,
) -> Result<Caller, CallError> {
    match function.access {
        // The credential is among the arguments; what else came, such as an earlier connection's token, is nothing.
        Access::Anyone => Ok(Caller::Anyone),
        Access::Person | Access::Machine => credential.caller(connection, now_ms),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, CallError> {
    let Some(value) = headers.get(KEY_HEADER) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|text| IdempotencyKey::parse(text).ok())
        .map(Some)
        .ok_or_else(|| {
            CallError::new(
                ErrorCode::Invalid,
                "The Idempotency-Key is none: it is idk_ and the 26 characters of a UUIDv7 in base 32. Make one for each intent.",
            )
        })
}
