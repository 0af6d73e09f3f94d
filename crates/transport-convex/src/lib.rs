//! The transport to a Convex deployment, on the official client. The client runs a mutation twice when the answer
//! is lost, waits for ever while it has no connection, and can end by a panic; here every call has a time limit, a
//! client that does not answer is replaced, and what a mutation does twice is the functions' business: each of
//! them can be repeated.

mod address;
mod client;
mod identity;
mod reply;
mod stream;
mod value;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use convex::Value as ConvexValue;
use protocol::functions::{self, Kind};
use protocol::ids::{IdempotencyKey, TurnId};
use protocol::secret::Secret;
use protocol::wire::Appended;
use protocol::{CallError, ErrorCode};
use serde_json::{Value, json};
use transport::{Append, Call, Chunks, Transport, TransportError, Values};

pub use address::{AddressError, Deployment, is_convex};
pub use identity::expires_at;

use client::{Client, Pool};
use identity::Identity;

/// Functions that only this backend has.
const OWN_FUNCTIONS: &[&str] = &[
    "system.version",
    "worker.chat.chunks",
    "worker.chat.viewing",
    "worker.chat.writeChunk",
];
/// Those of them that change something.
const OWN_MUTATIONS: &[&str] = &["worker.chat.viewing", "worker.chat.writeChunk"];

/// A way to a Convex deployment. Clones share their connections.
#[derive(Debug, Clone)]
pub struct ConvexTransport {
    deployment: Arc<Deployment>,
    pool: Arc<Pool>,
}

impl ConvexTransport {
    /// A way to the deployment at this address: `convex+https://name.convex.cloud`, `convex+http://127.0.0.1:3210`,
    /// or without `convex+`. Nothing is connected before it is needed.
    ///
    /// # Errors
    /// When it is not an address of a deployment.
    pub fn new(address: &str) -> Result<Self, AddressError> {
        let deployment = Arc::new(Deployment::parse(address)?);
        // Without a provider the client's connection panics. Another part of the program may have chosen one
        // already: that one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            pool: Arc::new(Pool::new(Arc::clone(&deployment))),
            deployment,
        })
    }

    /// The deployment.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The client for a credential, and the token that goes with each call.
    fn client(
        &self,
        credential: Option<&Secret>,
    ) -> Result<(Arc<Client>, Option<Secret>), TransportError> {
        match Identity::of(credential).map_err(TransportError::Refused)? {
            Identity::Nobody => Ok((self.pool.client(None), None)),
            Identity::Machine(token) => Ok((self.pool.client(None), Some(token))),
            Identity::Person(jwt) => Ok((self.pool.client(Some(jwt)), None)),
        }
    }
}

#[async_trait]
impl Transport for ConvexTransport {
    async fn call(&self, call: Call) -> Result<Value, TransportError> {
        let path = path(&call.function).map_err(TransportError::Refused)?;
        let (client, token) = self.client(call.credential.as_ref())?;
        let kind = kind(&call.function, call.key.is_some());
        let args = envelope(&call.args, token.as_ref(), call.key.as_ref())
            .map_err(TransportError::Refused)?;
        client.call(kind, &path, args).await
    }

    fn watch(&self, function: &str, args: Value, credential: Option<Secret>) -> Values {
        let begun = path(function)
            .map_err(TransportError::Refused)
            .and_then(|path| {
                let (client, token) = self.client(credential.as_ref())?;
                let args =
                    envelope(&args, token.as_ref(), None).map_err(TransportError::Refused)?;
                Ok(watch::open(client, path, args))
            });
        begun.unwrap_or_else(watch::refused)
    }

    async fn append(&self, append: Append) -> Result<Appended, TransportError> {
        stream::append(self, append).await
    }

    fn read(&self, turn_id: &TurnId, credential: Option<Secret>, live: bool) -> Chunks {
        stream::read(self.clone(), turn_id.clone(), credential, live)
    }
}

fn kind(function: &str, has_key: bool) -> Kind {
    match functions::find(function) {
        Some(info) => info.kind,
        None if has_key || OWN_MUTATIONS.contains(&function) => Kind::Mutation,
        None => Kind::Query,
    }
}

/// A function of the contract as the deployment calls it: `worker.chat.sendMessage` is `worker/chat:sendMessage`.
fn path(function: &str) -> Result<String, CallError> {
    let is_name = !function.is_empty()
        && function
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        && !function.split('.').any(str::is_empty);
    match function.rsplit_once('.') {
        Some((module, name)) if is_name => Ok(format!("{}:{name}", module.replace('.', "/"))),
        _ => Err(CallError::not_found("function on a Convex deployment")),
    }
}

/// The one argument that every public function takes.
fn envelope(
    args: &Value,
    token: Option<&Secret>,
    key: Option<&IdempotencyKey>,
) -> Result<BTreeMap<String, ConvexValue>, CallError> {
    let mut envelope = json!({ "args": args });
    if let Some(token) = token {
        envelope["token"] = json!(token.expose());
    }
    if let Some(key) = key {
        envelope["key"] = json!(key.as_str());
    }
    match value::to_convex(&envelope) {
        Ok(ConvexValue::Object(fields)) => Ok(fields),
        Ok(_) => Ok(BTreeMap::new()),
        Err(error) => Err(CallError::new(
            ErrorCode::Invalid,
            format!("The arguments do not fit: {error}."),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_contract_become_paths_of_the_deployment() {
        assert_eq!(path("machine.list").unwrap(), "machine:list");
        assert_eq!(
            path("machine.command.request").unwrap(),
            "machine/command:request"
        );
        assert_eq!(
            path("worker.chat.startSession").unwrap(),
            "worker/chat:startSession"
        );
        for function in functions::FUNCTIONS {
            path(function.name).unwrap();
        }
        for odd in [
            "",
            "list",
            ".list",
            "machine.",
            "a..b",
            "auth/link",
            "a:b.c",
            "_system.x",
        ] {
            assert_eq!(path(odd).unwrap_err().code, ErrorCode::NotFound, "{odd}");
        }
    }

    #[test]
    fn what_a_function_does_decides_how_it_is_called() {
        assert_eq!(kind("machine.list", false), Kind::Query);
        assert_eq!(kind("machine.heartbeat", false), Kind::Mutation);
        assert_eq!(kind("worker.chat.writeChunk", false), Kind::Mutation);
        assert_eq!(kind("system.version", false), Kind::Query);
        assert_eq!(kind("of.tomorrow", true), Kind::Mutation);
    }

    #[test]
    fn the_envelope_has_what_was_given_and_no_more() {
        let args = json!({ "name": "box", "count": 3 });
        let bare = envelope(&args, None, None).unwrap();
        assert_eq!(bare.keys().collect::<Vec<_>>(), ["args"]);
        let key = IdempotencyKey::generate(transport::now(), [1; 10]);
        let full = envelope(&args, Some(&Secret::new("omc_1")), Some(&key)).unwrap();
        assert_eq!(full["token"], ConvexValue::from("omc_1"));
        assert_eq!(full["key"], ConvexValue::from(key.as_str()));
    }
}
