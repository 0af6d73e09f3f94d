//! One connection to a deployment for each identity. The official client is watched from outside: when it has no
//! connection for too long, ends, does not answer or is turned away, it is dropped and the next call makes another.
//! What a dropped client has not sent it never will.

mod engine;
mod monitor;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use convex::{ConvexClient, ConvexClientBuilder, QuerySubscription, Value as ConvexValue};
use futures::StreamExt;
use protocol::functions::Kind;
use protocol::limits::CALL_TIMEOUT_MS;
use protocol::secret::Secret;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use transport::TransportError;

use crate::address::Deployment;
use crate::reply;
use engine::Engine;
use monitor::Monitor;

/// Identities that have a connection at once; the one that was used longest ago goes first. A program has two:
/// nobody's, which machines use as well, and a person's.
const IDENTITIES_MAX: usize = 4;
/// Changes of a connection's state that wait to be noticed.
const STATES_WAITING: usize = 64;
/// How long the monitor may take to find out why a client has ended.
const REASON_WAIT: Duration = Duration::from_secs(1);
/// A call's limit.
pub(crate) const LIMIT: Duration = Duration::from_millis(CALL_TIMEOUT_MS);

/// The clients, by identity.
#[derive(Debug)]
pub(crate) struct Pool {
    deployment: Arc<Deployment>,
    /// Started with the first connection.
    engine: Arc<OnceLock<Engine>>,
    /// The latest used one is the last.
    clients: Mutex<Vec<(Option<Secret>, Arc<Client>)>>,
}

impl Pool {
    pub(crate) fn new(deployment: Arc<Deployment>) -> Self {
        Self {
            deployment,
            engine: Arc::default(),
            clients: Mutex::default(),
        }
    }

    /// The client of a person, or nobody's.
    pub(crate) fn client(&self, jwt: Option<Secret>) -> Arc<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let known = clients.iter().position(|(of, _)| *of == jwt);
        let entry = match known {
            Some(at) => clients.remove(at),
            None => {
                let client = Client {
                    deployment: Arc::clone(&self.deployment),
                    engine: Arc::clone(&self.engine),
                    jwt: jwt.clone(),
                    current: Mutex::default(),
                };
                (jwt, Arc::new(client))
            }
        };
        let client = Arc::clone(&entry.1);
        clients.push(entry);
        if clients.len() > IDENTITIES_MAX {
            // Whatever still runs on it holds it until it is done.
            clients.remove(0);
        }
        client
    }
}

/// The one client of an identity, replaced as often as needed.
#[derive(Debug)]
pub(crate) struct Client {
    deployment: Arc<Deployment>,
    engine: Arc<OnceLock<Engine>>,
    jwt: Option<Secret>,
    current: Mutex<Option<Arc<Connection>>>,
}

impl Client {
    pub(crate) fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Calls a function, once as far as this program is concerned.
    pub(crate) async fn call(
        &self,
        kind: Kind,
        path: &str,
        args: BTreeMap<String, ConvexValue>,
    ) -> Result<Value, TransportError> {
        let deadline = Instant::now() + LIMIT;
        let (connection, mut health) = self.connection(deadline).await?;
        let work = async {
            let mut handle = connection.handle();
            match kind {
                Kind::Mutation => handle.mutation(path, args).await.ok(),
                Kind::Query => handle.subscribe(path, args).await.ok()?.next().await,
            }
        };
        let result = tokio::select! {
            // A result that is there counts, whatever has become of the connection since.
            biased;
            result = work => result,
            over = health.over() => return Err(over.into_error()),
            () = tokio::time::sleep_until(deadline) => {
                self.retire(&connection);
                return Err(unanswered());
            }
        };
        match result {
            Some(result) => {
                connection.answered();
                reply::read(&self.deployment, path, result)
            }
            None => Err(self.ended(&connection, health).await),
        }
    }

    /// A connection that is open, made anew if there is none or the last one is over.
    pub(crate) async fn connection(
        &self,
        deadline: Instant,
    ) -> Result<(Arc<Connection>, Health), TransportError> {
        let connection = self.current_or_new().await?;
        let mut health = connection.health();
        tokio::select! {
            biased;
            opened = health.opened() => opened.map(|()| (connection, health)).map_err(Over::into_error),
            () = tokio::time::sleep_until(deadline) => {
                self.retire(&connection);
                Err(unanswered())
            }
        }
    }

    async fn current_or_new(&self) -> Result<Arc<Connection>, TransportError> {
        if let Some(current) = self.lock().as_ref().filter(|current| !current.is_over()) {
            return Ok(Arc::clone(current));
        }
        let made = Connection::open(self.engine()?, &self.deployment, self.jwt.clone()).await?;
        let mut current = self.lock();
        // Another call may have been faster; one connection is enough.
        Ok(
            match current.as_ref().filter(|current| !current.is_over()) {
                Some(current) => Arc::clone(current),
                None => {
                    *current = Some(Arc::clone(&made));
                    made
                }
            },
        )
    }

    fn engine(&self) -> Result<&Engine, TransportError> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        // Of two that are started at once one is dropped again.
        let engine = Engine::start()?;
        Ok(self.engine.get_or_init(|| engine))
    }

    /// Gives a connection up: whatever runs on it ends or moves to the next one.
    pub(crate) fn retire(&self, connection: &Arc<Connection>) {
        connection.end(Over::Retired);
        let mut current = self.lock();
        if current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, connection))
        {
            *current = None;
        }
    }

    /// Why a client gave no result: its monitor may know more than the client says.
    pub(crate) async fn ended(
        &self,
        connection: &Arc<Connection>,
        mut health: Health,
    ) -> TransportError {
        let over = tokio::time::timeout(REASON_WAIT, health.over()).await;
        self.retire(connection);
        match over {
            Ok(over) => over.into_error(),
            Err(_) => TransportError::Lost(
                "the connection was lost while the call was under way".to_owned(),
            ),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unanswered() -> TransportError {
    TransportError::Lost(format!("no answer came within {} s", LIMIT.as_secs()))
}

/// Why a connection is not used any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Over {
    /// It did not answer a call.
    Retired,
    /// It can't be had, or the deployment turns its identity away.
    Failed(TransportError),
}

impl Over {
    pub(crate) fn into_error(self) -> TransportError {
        match self {
            Self::Failed(error) => error,
            Self::Retired => {
                TransportError::Lost("the connection was given up: it did not answer".to_owned())
            }
        }
    }
}

/// How a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Not open yet, or not any more; the client is at it.
    Connecting,
    Open,
    Over(Over),
}

/// One official client.
pub(crate) struct Connection {
    /// Never handed out itself: its last clone has to be dropped here, since the client forgets to end its work
    /// when two clones are dropped at once.
    client: ConvexClient,
    state: watch::Sender<State>,
    monitor: Monitor,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}

impl Connection {
    async fn open(
        engine: &Engine,
        deployment: &Arc<Deployment>,
        jwt: Option<Secret>,
    ) -> Result<Arc<Self>, TransportError> {
        let state = watch::Sender::new(State::Connecting);
        let (changes, noticed) = mpsc::channel(STATES_WAITING);
        let monitor = Monitor::start(
            engine.handle(),
            Arc::clone(deployment),
            jwt.clone(),
            noticed,
            state.clone(),
        );
        let tokens = jwt.map(|jwt| monitor.token_source(jwt));
        let builder = ConvexClientBuilder::new(deployment.url()).with_on_state_change(changes);
        let built = engine.handle().spawn(async move {
            let mut client = builder.build().await.map_err(|error| error.to_string())?;
            if tokens.is_some() {
                client.set_auth_callback(tokens).await;
            }
            Ok::<_, String>(client)
        });
        let client = match built.await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(unusable(&error)),
            Err(error) => return Err(unusable(&error.to_string())),
        };
        Ok(Arc::new(Self {
            client,
            state,
            monitor,
        }))
    }

    /// A handle for one call or watch.
    pub(crate) fn handle(self: &Arc<Self>) -> Handle {
        Handle {
            client: self.client.clone(),
            _connection: Arc::clone(self),
        }
    }

    pub(crate) fn health(&self) -> Health {
        Health(self.state.subscribe())
    }

    /// The deployment has given an answer: it takes this identity.
    pub(crate) fn answered(&self) {
        self.monitor.answered();
    }

    fn is_over(&self) -> bool {
        matches!(*self.state.borrow(), State::Over(_))
    }

    fn end(&self, over: Over) {
        end(&self.state, over);
    }
}

fn unusable(error: &str) -> TransportError {
    TransportError::Lost(format!("the client can't be started ({error})"))
}

/// The first reason stays.
fn end(state: &watch::Sender<State>, over: Over) {
    state.send_if_modified(|state| {
        let ends = !matches!(state, State::Over(_));
        if ends {
            *state = State::Over(over);
        }
        ends
    });
}

/// A clone of the official client, which lives no longer than its connection.
pub(crate) struct Handle {
    // Dropped before the connection.
    client: ConvexClient,
    _connection: Arc<Connection>,
}

impl Handle {
    async fn mutation(
        &mut self,
        path: &str,
        args: BTreeMap<String, ConvexValue>,
    ) -> Result<convex::FunctionResult, ()> {
        self.client.mutation(path, args).await.map_err(drop)
    }

    /// Watches a query.
    pub(crate) async fn subscribe(
        &mut self,
        path: &str,
        args: BTreeMap<String, ConvexValue>,
    ) -> Result<QuerySubscription, ()> {
        self.client.subscribe(path, args).await.map_err(drop)
    }
}

/// How a connection is, for whoever uses it.
#[derive(Debug)]
pub(crate) struct Health(watch::Receiver<State>);

impl Health {
    /// Waits until it is open, or over.
    async fn opened(&mut self) -> Result<(), Over> {
        match self
            .0
            .wait_for(|state| *state != State::Connecting)
            .await
            .as_deref()
        {
            Ok(State::Over(over)) => Err(over.clone()),
            Ok(State::Connecting | State::Open) => Ok(()),
            Err(_) => Err(Over::Retired),
        }
    }

    /// Waits until it is over.
    pub(crate) async fn over(&mut self) -> Over {
        match self
            .0
            .wait_for(|state| matches!(state, State::Over(_)))
            .await
            .as_deref()
        {
            Ok(State::Over(over)) => over.clone(),
            Ok(State::Connecting | State::Open) | Err(_) => Over::Retired,
        }
    }
}
