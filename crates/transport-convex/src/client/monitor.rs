//! Watches a client from outside: it says whether it has a connection, but not why it has none, and an identity that
//! the deployment turns away it presents again for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use convex::{AuthTokenFetcher, AuthenticationToken, WebSocketState};
use futures::FutureExt;
use futures::future::BoxFuture;
use protocol::secret::Secret;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use transport::TransportError;

use super::{Over, State, end};
use crate::address::Deployment;
use crate::identity::unauthenticated;

/// How long a client may have no connection. Its own pauses between two tries are 15 s at most.
const LOST_AFTER: Duration = Duration::from_secs(10);
/// How long a connection that was lost may take to come back before anybody asks why it does not.
const GRACE: Duration = Duration::from_secs(1);
/// How long the deployment's host may take to accept a connection, and the deployment to answer about a token.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// So many times in a row a token is presented without any answer before the deployment is asked about it.
const PRESENTED_MAX: u32 = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Monitor {
    presented: Arc<Presented>,
    task: AbortHandle,
}

/// How often the token was presented anew since the last answer.
#[derive(Debug, Default)]
struct Presented {
    count: AtomicU32,
    again: Notify,
}

impl Monitor {
    pub(super) fn start(
        engine: &Handle,
        deployment: Arc<Deployment>,
        jwt: Option<Secret>,
        noticed: mpsc::Receiver<WebSocketState>,
        state: watch::Sender<State>,
    ) -> Self {
        let presented = Arc::new(Presented::default());
        let watching = Watching {
            deployment,
            jwt,
            presented: Arc::clone(&presented),
            state,
        };
        let task = engine.spawn(watching.run(noticed)).abort_handle();
        Self { presented, task }
    }

    /// What the client asks for the token: at first, and each time that it connects anew.
    pub(super) fn token_source(&self, jwt: Secret) -> AuthTokenFetcher {
        let presented = Arc::clone(&self.presented);
        Box::new(move |is_again| {
            if is_again && presented.count.fetch_add(1, Ordering::Relaxed) + 1 >= PRESENTED_MAX {
                presented.again.notify_one();
            }
            let token = AuthenticationToken::User(jwt.expose().to_owned());
            Box::pin(async move { Ok(token) })
        })
    }

    pub(super) fn answered(&self) {
        self.presented.count.store(0, Ordering::Relaxed);
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Watching {
    deployment: Arc<Deployment>,
    jwt: Option<Secret>,
    presented: Arc<Presented>,
    state: watch::Sender<State>,
}

impl Watching {
    async fn run(self, mut noticed: mpsc::Receiver<WebSocketState>) {
        let mut disconnected = Some(Instant::now());
        let mut inquiry: Option<BoxFuture<'_, Option<TransportError>>> = Some(self.reach().boxed());
        let mut has_asked = true;
        let over = loop {
            let ask_at = disconnected
                .filter(|_| !has_asked)
                .map(|since| since + GRACE);
            let lost_at = disconnected.map(|since| since + LOST_AFTER);
            tokio::select! {
                change = noticed.recv() => match change {
                    Some(WebSocketState::Connected) => {
                        disconnected = None;
                        has_asked = false;
                        self.set(State::Open);
                    }
                    Some(WebSocketState::Connecting) => {
                        disconnected.get_or_insert_with(Instant::now);
                        self.set(State::Connecting);
                    }
                    None => break lost("the client has ended"),
                },
                () = self.presented.again.notified() => inquiry = Some(self.is_turned_away().boxed()),
                found = pending(&mut inquiry) => {
                    inquiry = None;
                    if let Some(error) = found {
                        break error;
                    }
                }
                () = until(ask_at) => {
                    has_asked = true;
                    inquiry = Some(self.reach().boxed());
                }
                () = until(lost_at) => {
                    break lost(&format!("there was no connection for {} s", LOST_AFTER.as_secs()));
                }
            }
        };
        tracing::debug!(deployment = %self.deployment, %over, "a connection is over");
        end(&self.state, Over::Failed(over));
    }

    fn set(&self, next: State) {
        self.state.send_if_modified(|state| {
            let changes = !matches!(state, State::Over(_)) && *state != next;
            if changes {
                *state = next;
            }
            changes
        });
    }

    /// Why nothing listens there, if so: the client keeps its reasons to itself.
    async fn reach(&self) -> Option<TransportError> {
        let connected = tokio::time::timeout(
            ASK_LIMIT,
            TcpStream::connect(self.deployment.host_and_port()),
        );
        match connected.await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(TransportError::Lost(error.to_string())),
            Err(_) => Some(lost(&format!("no answer within {} s", ASK_LIMIT.as_secs()))),
        }
    }

    /// Why the deployment turns this person's token away, if so. Asked over plain HTTP, where it says why.
    async fn is_turned_away(&self) -> Option<TransportError> {
        let jwt = self.jwt.as_ref()?;
        let client = reqwest::Client::builder()
            .timeout(ASK_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .ok()?;
        let response = client
            .post(format!("{}/api/query", self.deployment.url()))
            .bearer_auth(jwt.expose())
            .json(&json!({ "path": "system:version", "args": {}, "format": "json" }))
            .send()
            .await
            .ok()?;
        if !matches!(response.status().as_u16(), 401 | 403) {
            return None;
        }
        let told = response.json::<Told>().await.unwrap_or_default();
        let why = told
            .message
            .or(told.code)
            .unwrap_or_else(|| "it does not say why".to_owned());
        let why: String = why.chars().take(TOLD_MAX_CHARS).collect();
        Some(TransportError::Refused(unauthenticated(&format!(
            "The deployment {} does not take this sign-in token: {why}. Its environment variable ORCHESTRATOR_AUTH has to have the key that signed it: `orchestrator convex mint-key` says how to set it, `orchestrator convex token` mints a new token.",
            self.deployment
        ))))
    }
}

/// As much of a deployment's own words as is told.
const TOLD_MAX_CHARS: usize = 300;

#[derive(Debug, Default, Deserialize)]
struct Told {
    code: Option<String>,
    message: Option<String>,
}

fn lost(why: &str) -> TransportError {
    TransportError::Lost(why.to_owned())
}

async fn pending<T>(work: &mut Option<BoxFuture<'_, T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
