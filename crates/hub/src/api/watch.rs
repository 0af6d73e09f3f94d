//! `GET /v1/watch`: live values as server-sent events.
//!
//! The body is a state machine that works only when the connection can take more. What changes meanwhile is
//! noted as a version, so a slow reader skips what lies between and gets the newest value.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Query, State},
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use futures::{StreamExt as _, future::select_all, stream};
use protocol::{
    CallError, ErrorCode,
    backend::{Actor, Topic},
    ids::MachineId,
    limits::{CALL_MAX_BYTES, JSON_MAX_DEPTH, SSE_LINE_MAX_BYTES, SSE_PING_MS},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    App,
    auth::Credential,
    core::{Core, query},
    topics::Subscription,
};
use crate::{refusal, streams::json_depth};

/// Watches of one connection.
const WATCHES_MAX: usize = 32;
/// A watch's name, chosen by its client.
const ID_MAX_BYTES: usize = 64;
/// Connections with watches that may be open.
pub(crate) const CONNECTIONS_MAX: usize = 10_000;
/// How often an opening that met a revocation is repeated; each one was of somebody else but for the last.
const CHECKS_MAX: usize = 100;
const PING: Bytes = Bytes::from_static(b": ping\n\n");

#[derive(Deserialize)]
pub(crate) struct WatchQuery {
    watches: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Wanted {
    id: String,
    function: String,
    #[serde(default)]
    args: Value,
}

pub(crate) async fn serve(
    State(app): State<App>,
    Extension(credential): Extension<Credential>,
    query: Result<Query<WatchQuery>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let opened = async {
        let Query(query) = query.map_err(|_| {
            invalid("Say what to watch: ?watches=[{\"id\":…,\"function\":…,\"args\":…}], encoded.")
        })?;
        Watches::open(&app, parse(&query.watches)?, credential).await
    };
    match opened.await {
        Ok(watches) => response(watches),
        Err(error) => refusal::response(error),
    }
}

fn response(watches: Watches) -> Response {
    let events = stream::unfold(watches, async |mut watches| {
        let event = watches.next().await?;
        Some((Ok::<_, Infallible>(event), watches))
    });
    let mut response = Response::new(Body::from_stream(events.boxed()));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store"),
    );
    // Asks proxies not to gather events.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn parse(text: &str) -> Result<Vec<Wanted>, CallError> {
    if text.len() > CALL_MAX_BYTES || json_depth(text.as_bytes()) > JSON_MAX_DEPTH {
        return Err(invalid(
            "What to watch is too large or nests too deep. Watch less at once.",
        ));
    }
    let wanted: Vec<Wanted> = serde_json::from_str(text)
        .map_err(|error| invalid(format!("What to watch does not read ({error}). Send a JSON array of {{\"id\",\"function\",\"args\"}}.")))?;
    if wanted.is_empty() || wanted.len() > WATCHES_MAX {
        return Err(invalid(format!(
            "A connection has 1 to {WATCHES_MAX} watches. Open another one for more."
        )));
    }
    let mut ids: Vec<_> = wanted.iter().map(|wanted| wanted.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() < wanted.len()
        || ids
            .iter()
            .any(|id| id.is_empty() || id.len() > ID_MAX_BYTES)
    {
        return Err(invalid(format!(
            "Each watch needs an id of its own, of 1 to {ID_MAX_BYTES} bytes."
        )));
    }
    Ok(wanted)
}

/// One connection's watches.
struct Watches {
    core: Core,
    credential: Credential,
    watches: Vec<Watch>,
    cut: CancellationToken,
    ping_at: Instant,
    is_over: bool,
    _slot: OwnedSemaphorePermit,
}

struct Watch {
    wanted: Wanted,
    state: Stage,
    /// The hash of what was sent last.
    sent: Option<[u8; 32]>,
}

enum Stage {
    /// To be said once, before the watch ends.
    Refused(CallError),
    Open {
        subscription: Subscription,
        is_stale: bool,
        _inbox: Option<OpenInbox>,
    },
    Ended,
}

impl Watches {
    async fn open(
        app: &App,
        wanted: Vec<Wanted>,
        credential: Credential,
    ) -> Result<Self, CallError> {
        let core = app.core.clone();
        if matches!(credential, Credential::None) {
            return Err(super::auth::not_signed_in());
        }
        let slot = app
            .watch_slots
            .clone()
            .try_acquire_owned()
            .map_err(|_| CallError {
                retry_after_ms: Some(1_000),
                ..CallError::new(
                    ErrorCode::LimitReached,
                    "Too many watches are open on this backend. Try again in a moment.",
                )
            })?;
        let (actor, topics, cut) = admit(&core, &wanted, &credential).await?;
        credential.note_use(&core).await;
        let mut watches = Vec::with_capacity(wanted.len());
        for (wanted, topic) in wanted.into_iter().zip(topics) {
            let state = match topic {
                Err(error) => Stage::Refused(error),
                Ok(topic) => {
                    let inbox = match (&topic, &actor) {
                        (Topic::Inbox(machine), Actor::Machine { epoch, .. }) => {
                            Some(OpenInbox::open(&core, machine, *epoch).await?)
                        }
                        (_, Actor::Anyone | Actor::Person(_) | Actor::Machine { .. }) => None,
                    };
                    Stage::Open {
                        subscription: core.topics.subscribe(topic),
                        is_stale: true,
                        _inbox: inbox,
                    }
                }
            };
            watches.push(Watch {
                wanted,
                state,
                sent: None,
            });
        }
        Ok(Self {
            core,
            credential,
            watches,
            cut,
            ping_at: Instant::now() + ping_every(),
            is_over: false,
            _slot: slot,
        })
    }

    /// What to send next; `None` ends the connection.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.is_over || self.core.stop.is_cancelled() {
                return None;
            }
            let events = self.look().await?;
            if !events.is_empty() {
                self.ping_at = Instant::now() + ping_every();
                return Some(events.into());
            }
            if let Some(ping) = self.wait().await {
                return Some(ping);
            }
        }
    }

    /// The events of all values that have changed; `None` where the store can't tell, and the client comes back.
    async fn look(&mut self) -> Option<String> {
        let is_cut = self.cut.is_cancelled();
        let mut events = String::new();
        let mut stale = Vec::new();
        for (index, watch) in self.watches.iter_mut().enumerate() {
            match &mut watch.state {
                Stage::Refused(error) => {
                    write_error(&mut events, &watch.wanted.id, error);
                    watch.state = Stage::Ended;
                }
                Stage::Open {
                    subscription,
                    is_stale,
                    ..
                } => {
                    // Before the value is read: a commit after that counts as news.
                    *is_stale |= subscription.take_change();
                    if *is_stale || is_cut {
                        stale.push((index, watch.wanted.clone()));
                    }
                }
                Stage::Ended => {}
            }
        }
        if stale.is_empty() && !is_cut {
            return Some(events);
        }
        let looked_up = match values(&self.core, &self.credential, stale).await {
            Ok(looked_up) => looked_up,
            Err(error) => {
                tracing::debug!(%error, "watches end early; their client comes back");
                return None;
            }
        };
        let values = match looked_up {
            Ok(values) => values,
            Err(error) => {
                self.end_all(&mut events, &error);
                return Some(events);
            }
        };
        for (index, value) in values {
            let Some(watch) = self.watches.get_mut(index) else {
                continue;
            };
            match value {
                Ok(event) => {
                    if let Stage::Open { is_stale, .. } = &mut watch.state {
                        *is_stale = false;
                    }
                    let hash = Sha256::digest(event.as_bytes()).into();
                    if watch.sent != Some(hash) {
                        watch.sent = Some(hash);
                        events.push_str(&event);
                    }
                }
                Err(error) if error.is_retryable() => {
                    tracing::debug!(%error, "watches end early; their client comes back");
                    return None;
                }
                Err(error) => {
                    write_error(&mut events, &watch.wanted.id, &error);
                    watch.state = Stage::Ended;
                }
            }
        }
        self.is_over = is_cut;
        Some(events)
    }

    /// The credential holds no longer: every watch hears it, and the connection ends.
    fn end_all(&mut self, events: &mut String, error: &CallError) {
        for watch in &mut self.watches {
            if matches!(watch.state, Stage::Open { .. }) {
                write_error(events, &watch.wanted.id, error);
            }
            watch.state = Stage::Ended;
        }
        self.is_over = true;
    }

    /// Waits for news; what it gives is to be sent.
    async fn wait(&mut self) -> Option<Bytes> {
        let ping_at = self.ping_at;
        let mut changes: Vec<_> = self
            .watches
            .iter_mut()
            .filter_map(|watch| match &mut watch.state {
                Stage::Open { subscription, .. } => Some(Box::pin(subscription.changed())),
                Stage::Refused(_) | Stage::Ended => None,
            })
            .collect();
        let changed = async {
            if changes.is_empty() {
                std::future::pending::<()>().await;
            }
            select_all(changes.drain(..)).await;
        };
        tokio::select! {
            biased;
            () = self.core.stop.cancelled() => None,
            () = self.cut.cancelled() => None,
            () = changed => None,
            () = tokio::time::sleep_until(ping_at) => {
                self.ping_at = Instant::now() + ping_every();
                Some(PING)
            }
        }
    }
}

/// Who watches, what each watch listens to, and what ends them all.
async fn admit(
    core: &Core,
    wanted: &[Wanted],
    credential: &Credential,
) -> Result<(Actor, Vec<Result<Topic, CallError>>, CancellationToken), CallError> {
    for _ in 0..CHECKS_MAX {
        let generation = core.cuts.generation();
        let (wanted, asked, now_ms) = (wanted.to_vec(), credential.clone(), core.clock.now_ms());
        let (actor, topics) = core
            .look(move |connection, mut backend| {
                let caller = asked.caller(connection, now_ms)?;
                let actor = backend.recognise(&caller)?;
                let topics: Vec<_> = wanted
                    .iter()
                    .map(|wanted| backend.topic(&wanted.function, &wanted.args, &caller))
                    .collect();
                Ok::<_, CallError>((actor, topics))
            })
            .await??;
        let holder = credential
            .holder(&actor)
            .ok_or_else(super::auth::not_signed_in)?;
        if let Some(cut) = core.cuts.register(holder, generation) {
            return Ok((actor, topics, cut));
        }
    }
    Err(CallError::new(
        ErrorCode::Unavailable,
        "Too much is being revoked at this moment. Try again.",
    ))
}

type Values = Vec<(usize, Result<String, CallError>)>;

/// The values of these watches as events, all of one moment; the inner error if the credential does not hold.
async fn values(
    core: &Core,
    credential: &Credential,
    wanted: Vec<(usize, Wanted)>,
) -> Result<Result<Values, CallError>, CallError> {
    let (credential, now) = (credential.clone(), core.now());
    core.look(move |connection, backend| {
        let caller = credential.caller(connection, now.as_ms())?;
        if backend.recognise(&caller)? == Actor::Anyone {
            return Err(super::auth::not_signed_in());
        }
        let value = |(index, wanted): (usize, Wanted)| {
            let Wanted { id, function, args } = &wanted;
            let value = query(connection, now, function, args, &caller);
            let event = value.and_then(|value| event("value", &Message { id, value: &value }));
            (index, event)
        };
        Ok(wanted.into_iter().map(value).collect())
    })
    .await
}

#[derive(Serialize)]
struct Message<'m> {
    id: &'m str,
    value: &'m Value,
}

#[derive(Serialize)]
struct Refusal<'m> {
    id: &'m str,
    error: &'m CallError,
}

fn write_error(events: &mut String, id: &str, error: &CallError) {
    if let Ok(event) = event("error", &Refusal { id, error }) {
        events.push_str(&event);
    }
}

/// An event whose data is that as JSON, on as many lines as the limit of a line asks for.
fn event(name: &str, message: &impl Serialize) -> Result<String, CallError> {
    let failed = |error: serde_json::Error| super::core::defect(&error);
    let mut json = serde_json::to_string(message).map_err(failed)?;
    if json.len() > SSE_LINE_MAX_BYTES - "data: \n".len() {
        json = serde_json::to_string_pretty(message).map_err(failed)?;
    }
    let mut event = String::with_capacity(json.len() + 32);
    event.push_str("event: ");
    event.push_str(name);
    for line in json.split('\n') {
        event.push_str("\ndata: ");
        event.push_str(line);
    }
    event.push_str("\n\n");
    Ok(event)
}

/// An open inbox watch: the sign that its machine is there. Its end is noted as soon as the connection is gone.
struct OpenInbox {
    core: Core,
    machine: MachineId,
    epoch: u64,
}

impl OpenInbox {
    async fn open(core: &Core, machine: &MachineId, epoch: u64) -> Result<Self, CallError> {
        core.inboxes.opened(machine, epoch);
        let open = Self {
            core: core.clone(),
            machine: machine.clone(),
            epoch,
        };
        let machine = machine.clone();
        core.change(move |_, backend| backend.connection_seen(&machine, epoch, true))
            .await?;
        Ok(open)
    }
}

impl Drop for OpenInbox {
    fn drop(&mut self) {
        if !self.core.inboxes.closed(&self.machine, self.epoch) {
            return;
        }
        let (core, machine, epoch) = (self.core.clone(), self.machine.clone(), self.epoch);
        self.core.spawn(async move {
            let at_work = core.clone();
            let noted = core
                .change(move |_, backend| {
                    // It may be back by now; then there is nothing to say.
                    let alive = at_work.inboxes.is_open(&machine, epoch);
                    backend.connection_seen(&machine, epoch, alive)
                })
                .await;
            if let Err(error) = noted {
                tracing::warn!(%error, "a machine's lost connection could not be noted; its lease will tell");
            }
        });
    }
}

const fn ping_every() -> Duration {
    Duration::from_millis(SSE_PING_MS)
}

fn invalid(message: impl Into<String>) -> CallError {
    CallError::new(ErrorCode::Invalid, message)
}
