//! Watches: a subscription that outlives the connection it began on. Level-triggered: only changes are passed on,
//! whatever the client repeats or leaves out.

use std::collections::BTreeMap;
use std::sync::Arc;

use convex::{QuerySubscription, Value as ConvexValue};
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;
use transport::{TransportError, Values};

use crate::client::{Client, Connection, Handle, Health, LIMIT, Over};
use crate::reply;

/// So many connections may end in a row without a value.
const REBUILDS_MAX: u32 = 3;

/// Watches a query.
pub(crate) fn open(
    client: Arc<Client>,
    path: String,
    args: BTreeMap<String, ConvexValue>,
) -> Values {
    let watching = Watching {
        client,
        path,
        args,
        last: None,
        subscribed: None,
        rebuilds: 0,
    };
    stream::unfold(Some(watching), |watching| async move {
        let mut watching = watching?;
        match watching.next().await {
            Ok(value) => Some((Ok(value), Some(watching))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

/// A watch that was refused before it began.
pub(crate) fn refused(error: TransportError) -> Values {
    stream::once(async { Err(error) }).boxed()
}

struct Watching {
    client: Arc<Client>,
    path: String,
    args: BTreeMap<String, ConvexValue>,
    last: Option<Value>,
    subscribed: Option<Subscribed>,
    /// Since the last value.
    rebuilds: u32,
}

/// A subscription on one connection.
struct Subscribed {
    // Dropped before the client that it belongs to.
    values: QuerySubscription,
    handle: Handle,
    connection: Arc<Connection>,
    health: Health,
    /// By when the first value has to be there; `None` once it is.
    first_by: Option<Instant>,
}

/// What comes next.
enum Event {
    Result(convex::FunctionResult),
    /// The client has ended.
    Ended,
    Over(Over),
    /// The first value did not come.
    Late,
}

impl Watching {
    /// The next value that is not the last one.
    async fn next(&mut self) -> Result<Value, TransportError> {
        loop {
            let subscribed = match &mut self.subscribed {
                Some(subscribed) => subscribed,
                None => {
                    let subscribed = self.subscribe().await?;
                    self.subscribed.insert(subscribed)
                }
            };
            match subscribed.next().await {
                Event::Result(result) => {
                    self.rebuilds = 0;
                    let value = reply::read(self.client.deployment(), &self.path, result)?;
                    if self.last.as_ref() != Some(&value) {
                        self.last = Some(value.clone());
                        return Ok(value);
                    }
                }
                Event::Over(Over::Failed(error)) => return Err(error),
                // Another call did not get its answer, and this one moves to the next connection.
                Event::Over(Over::Retired) => self.leave("the connection was given up")?,
                Event::Late => self.leave("no value came")?,
                Event::Ended => self.leave("the client has ended")?,
            }
        }
    }

    async fn subscribe(&mut self) -> Result<Subscribed, TransportError> {
        let by = Instant::now() + LIMIT;
        let (connection, mut health) = self.client.connection(by).await?;
        let mut handle = connection.handle();
        let subscribed = tokio::select! {
            biased;
            subscribed = handle.subscribe(&self.path, self.args.clone()) => subscribed,
            over = health.over() => return Err(over.into_error()),
            () = tokio::time::sleep_until(by) => Err(()),
        };
        match subscribed {
            Ok(values) => Ok(Subscribed {
                values,
                handle,
                connection,
                health,
                first_by: Some(by),
            }),
            Err(()) => Err(self.client.ended(&connection, health).await),
        }
    }

    /// Gives the connection up, for another one or for good.
    fn leave(&mut self, why: &str) -> Result<(), TransportError> {
        if let Some(subscribed) = self.subscribed.take() {
            let Subscribed {
                values,
                handle,
                connection,
                ..
            } = subscribed;
            drop((values, handle));
            self.client.retire(&connection);
        }
        self.rebuilds += 1;
        if self.rebuilds > REBUILDS_MAX {
            return Err(TransportError::Lost(format!(
                "{why}, {REBUILDS_MAX} times in a row"
            )));
        }
        Ok(())
    }
}

impl Subscribed {
    async fn next(&mut self) -> Event {
        let first_by = self.first_by;
        let late = async {
            match first_by {
                Some(by) => tokio::time::sleep_until(by).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            result = self.values.next() => match result {
                Some(result) => {
                    self.first_by = None;
                    self.connection.answered();
                    Event::Result(result)
                }
                None => Event::Ended,
            },
            over = self.health.over() => Event::Over(over),
            () = late => Event::Late,
        }
    }
}
