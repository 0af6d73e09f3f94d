//! The contract over HTTP: calls, watches, streams, sign-in, and the page.

mod auth;
mod body;
mod calls;
mod core;
mod cuts;
mod deadlines;
mod guard;
mod inboxes;
mod limiter;
mod openapi;
mod page;
mod rows;
mod streams_access;
mod topics;
mod watch;

use std::sync::Arc;

use axum::{
    Json, Router,
    http::{HeaderValue, StatusCode, header},
    middleware::{from_fn_with_state, map_response},
    response::{IntoResponse as _, Response},
    routing::get,
};
use protocol::{
    CallError, ErrorCode,
    wire::{WIRE_VERSION, WIRE_VERSION_MIN},
};
use serde_json::json;
use tokio::sync::Semaphore;

pub use self::{
    auth::PrepareError,
    guard::InvalidPublicUrl,
    page::{IdentityProvider, PageBackend, PageSource, has_page},
};
pub(crate) use self::{
    auth::{LinkLife, link_url, local_token_path, new_link, prepare},
    core::{Core, entropy},
    deadlines::run as meet_deadlines,
    guard::{Guard, Peer},
    page::Page,
};

use crate::refusal;

/// What handlers share.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) core: Core,
    pub(crate) passwords: Arc<auth::Passwords>,
    pub(crate) limiter: Arc<limiter::Limiter>,
    pub(crate) watch_slots: Arc<Semaphore>,
    pub(crate) large_bodies: Arc<Semaphore>,
    pub(crate) public_url: Option<Arc<str>>,
}

impl App {
    pub(crate) fn new(core: Core, public_url: Option<&str>) -> Self {
        let clock = core.clock.clone();
        Self {
            passwords: Arc::new(auth::Passwords::new(clock.clone())),
            limiter: Arc::new(limiter::Limiter::new(clock)),
            large_bodies: Arc::new(Semaphore::new(calls::LARGE_BODIES_MAX)),
            watch_slots: Arc::new(Semaphore::new(watch::CONNECTIONS_MAX)),
            public_url: public_url.map(Into::into),
            core,
        }
    }
}

/// Every route, below the guard.
pub(crate) fn router(app: App, guard: Guard, page: Page) -> Router {
    let streams = crate::streams::router(
        app.core.streams.clone(),
        Arc::new(streams_access::TurnStreams(app.core.clone())),
    );
    Router::new()
        .merge(calls::routes())
        .merge(auth::routes())
        .route("/v1/watch", get(watch::serve))
        .route("/v1/health", get(health))
        .route("/openapi.json", get(openapi::serve))
        .method_not_allowed_fallback(wrong_method)
        .nest_service("/v1/streams", streams)
        .route("/v1/{*rest}", axum::routing::any(no_such_route))
        .fallback_service(page::router(page))
        .with_state(app)
        .layer(from_fn_with_state(Arc::new(guard), guard::check))
        .layer(map_response(harden))
}

/// Only the page.
pub(crate) fn page_router(guard: Guard, page: Page) -> Router {
    page::router(page)
        .layer(from_fn_with_state(Arc::new(guard), guard::check))
        .layer(map_response(harden))
}

async fn health() -> Response {
    let body = json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "wireVersion": WIRE_VERSION,
        "wireVersionMin": WIRE_VERSION_MIN,
    });
    Json(body).into_response()
}

async fn no_such_route() -> Response {
    refusal::response(CallError::new(
        ErrorCode::NotFound,
        "There is no such route. /openapi.json lists what there is; a newer client may need a newer backend.",
    ))
}

async fn wrong_method() -> Response {
    let mut response = refusal::response(CallError::new(
        ErrorCode::Invalid,
        "This route takes another method. /openapi.json says which.",
    ));
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

/// What holds for every answer, also for a refusal of the guard.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "cross-origin-opener-policy",
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        );
    }
    response
}
