//! The backend as the commands see it: typed calls, whichever kind of backend it is.

mod live;

use std::time::Duration;

use protocol::functions::{Function, Kind};
use protocol::ids::TurnId;
use protocol::secret::Secret;
use protocol::wire::MachineSummary;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use transport::{Call, Chunks, TransportError, Values, new_key};

use crate::credentials;
use crate::exit::{Exit, Failure};
use crate::settings::Settings;
use crate::way::Way;

pub(crate) use live::{Live, News};

/// How often a call is tried whose answer was lost; each try carries the same idempotency key.
const TRIES: u32 = 3;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// A backend and who talks to it.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    way: Way,
    token: Option<Secret>,
    /// Where the token came from, for a person.
    token_source: Option<String>,
}

impl Api {
    /// The backend that the settings name, with the person's credential for it.
    ///
    /// # Errors
    /// When the address is none, or when no credential for it is found.
    pub(crate) fn of(settings: &Settings) -> Result<Self, Failure> {
        let way = Way::of(settings)?;
        let found = credentials::find(settings, &way)?;
        let (token, source) = found.ok_or_else(|| way.signed_out())?;
        Ok(Self::new(way, token, source))
    }

    /// A backend, for whoever has this credential.
    pub(crate) fn new(way: Way, token: Secret, token_source: String) -> Self {
        Self {
            way,
            token: Some(token),
            token_source: Some(token_source),
        }
    }

    pub(crate) fn address(&self) -> &str {
        self.way.address()
    }

    /// The person's credential.
    pub(crate) fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    pub(crate) fn way(&self) -> &Way {
        &self.way
    }

    /// Where the credential came from.
    pub(crate) fn token_source(&self) -> &str {
        self.token_source.as_deref().unwrap_or("nowhere")
    }

    /// Calls a function of the contract.
    ///
    /// # Errors
    /// The backend's refusal, or that it could not be reached.
    pub(crate) async fn call<F: Function>(&self, args: &F::Args) -> Result<F::Reply, Failure> {
        let key = match F::KIND {
            Kind::Mutation => Some(new_key()),
            Kind::Query => None,
        };
        self.send(F::NAME, args, key).await
    }

    /// Calls one of the routes that are not functions of the contract, such as `auth/link`.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        route: &str,
        args: &impl Serialize,
    ) -> Result<T, Failure> {
        self.send(route, args, None).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        function: &str,
        args: &impl Serialize,
        key: Option<protocol::ids::IdempotencyKey>,
    ) -> Result<T, Failure> {
        let args = serde_json::to_value(args)
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let call = Call {
            function: function.to_owned(),
            args,
            key,
            credential: self.token.clone(),
        };
        let mut tries = 1;
        let reply = loop {
            match self.way.transport().call(call.clone()).await {
                Ok(reply) => break reply,
                Err(TransportError::Lost(_)) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(self.failure(error)),
            }
        };
        serde_json::from_value(reply).map_err(|error| {
            let message = format!("The answer of {} to {function} can't be read ({error}). Its version may be another one: see `orchestrator doctor`.", self.address());
            Failure::new(Exit::Upgrade, message)
        })
    }

    /// Watches a query.
    pub(crate) fn watch<F: Function>(&self, args: &F::Args) -> Values {
        let args = serde_json::to_value(args).unwrap_or(Value::Null);
        self.way
            .transport()
            .watch(F::NAME, args, self.token.clone())
    }

    /// Reads a turn's chunks as they come.
    pub(crate) fn chunks(&self, turn: &TurnId) -> Chunks {
        self.way.transport().read(turn, self.token.clone(), true)
    }

    /// What a person reads when a call failed.
    pub(crate) fn failure(&self, error: TransportError) -> Failure {
        match error {
            TransportError::Lost(why) => self.way.unreachable(&why),
            TransportError::Refused(error) => {
                let mut failure = Failure::from(error);
                if failure.exit == Exit::SignedOut {
                    failure.message = format!(
                        "{} (The credential is from {}.)",
                        failure.message,
                        self.token_source()
                    );
                }
                failure
            }
        }
    }

    /// The machine that a person means: by its id, or by its name if that is one machine's only.
    pub(crate) async fn machine(&self, wanted: &str) -> Result<MachineSummary, Failure> {
        let list = self
            .call::<protocol::functions::ListMachines>(&protocol::wire::NoArgs {})
            .await?;
        pick("machine", wanted, list.machines, |machine| {
            (machine.id.as_str(), &machine.name)
        })
    }
}

/// The one thing that a person means by an id or a name.
pub(crate) fn pick<T>(
    what: &str,
    wanted: &str,
    things: Vec<T>,
    names: impl Fn(&T) -> (&str, &str),
) -> Result<T, Failure> {
    let known: Vec<String> = things
        .iter()
        .map(|thing| names(thing).1.to_owned())
        .collect();
    let is_meant = |thing: &T| {
        let (id, name) = names(thing);
        id == wanted || name == wanted
    };
    let mut meant: Vec<T> = things.into_iter().filter(is_meant).collect();
    match (meant.pop(), meant.len()) {
        (Some(thing), 0) => Ok(thing),
        (Some(_), others) => {
            let message = format!(
                "There are {} {what}s called {wanted:?}. Name the one you mean by its id.",
                others + 1
            );
            Err(Failure::new(Exit::NotFound, message))
        }
        (None, _) if known.is_empty() => Err(Failure::new(
            Exit::NotFound,
            format!("There is no {what} {wanted:?}; there is none at all."),
        )),
        (None, _) => Err(Failure::new(
            Exit::NotFound,
            format!(
                "There is no {what} {wanted:?}. There are: {}.",
                known.join(", ")
            ),
        )),
    }
}
