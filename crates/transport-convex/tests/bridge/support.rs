//! A bridge of the test's own, its faults, and people who may sign in to it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use futures::StreamExt;
use protocol::functions::{self, Function, Kind};
use protocol::secret::Secret;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use transport::{Call, Transport, TransportError, Values, new_key};
use transport_convex::ConvexTransport;

/// Only ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Options {
    pub(crate) errors: &'static str,
    /// Another folder of functions than the product's, below the bridge's.
    pub(crate) functions: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            errors: "development",
            functions: None,
        }
    }
}

/// A bridge that runs; it is killed when this is dropped.
pub(crate) struct Bridge {
    child: Child,
    pub(crate) url: String,
    pub(crate) signer: Signer,
    http: reqwest::Client,
}

impl Bridge {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = top.join("tests/convex-bridge");
        for needed in [&folder, &top.join("convex")] {
            let installed: PathBuf = needed.join("node_modules");
            assert!(
                installed.is_dir(),
                "{} is not there: run `npm ci` in {} first",
                installed.display(),
                needed.display()
            );
        }
        let signer = Signer::new();
        let mut command = Command::new(folder.join("bridge"));
        command
            .args([
                "--control",
                "--errors",
                options.errors,
                "--auth",
                &signer.providers(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(functions) = options.functions {
            command.arg("--functions").arg(folder.join(functions));
        }
        let mut child = command.spawn().expect("the bridge starts; it needs node");
        let stdout = child.stdout.take().unwrap();
        let first = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = within(first).await.unwrap().unwrap();
        assert!(
            line.starts_with("http://"),
            "the bridge has not started: see its words above"
        );
        // Chooses the TLS provider, which the test's own requests need as well.
        let url = line.trim().to_owned();
        ConvexTransport::new(&url).unwrap();
        Self {
            child,
            url,
            signer,
            http: reqwest::Client::new(),
        }
    }

    /// A new way to it, as of a program that has just started.
    pub(crate) fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(ConvexTransport::new(&format!("convex+{}", self.url)).unwrap())
    }

    /// The token of the person whose everything is.
    pub(crate) fn owner(&self) -> Secret {
        self.signer.token(3_600)
    }

    /// Tells the bridge to do something; it is done when this returns.
    pub(crate) async fn control(&self, command: &str, body: Value) {
        let request = self
            .http
            .post(format!("{}/_bridge/{command}", self.url))
            .json(&body);
        let answer = self.answer(request).await;
        let status = answer.status();
        assert!(
            status.is_success(),
            "{command}: {}",
            answer.text().await.unwrap()
        );
    }

    /// The answer to a request; the bridge may be restarting.
    async fn answer(&self, request: reqwest::RequestBuilder) -> reqwest::Response {
        within(async {
            loop {
                match request.try_clone().unwrap().send().await {
                    Ok(answer) => break answer,
                    Err(error) if error.is_connect() => tokio::task::yield_now().await,
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
        .await
    }

    /// What is stored in a table.
    pub(crate) async fn table(&self, name: &str) -> Vec<Value> {
        let request = self.http.get(format!("{}/_bridge/tables", self.url));
        let mut tables: Value = self.answer(request).await.json().await.unwrap();
        serde_json::from_value(tables[name].take()).unwrap_or_default()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("it hangs")
}

/// A key whose tokens the bridge takes, and the person it signs for.
pub(crate) struct Signer {
    pair: EcdsaKeyPair,
    issuer: String,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
                .unwrap();
        let name = BASE64_URL_SAFE_NO_PAD.encode(&pair.public_key().as_ref()[1..9]);
        Self {
            pair,
            issuer: format!("https://orchestrator.local/{name}"),
        }
    }

    fn providers(&self) -> String {
        let point = self.pair.public_key().as_ref();
        let key = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k",
            "x": BASE64_URL_SAFE_NO_PAD.encode(&point[1..33]),
            "y": BASE64_URL_SAFE_NO_PAD.encode(&point[33..]),
        });
        let jwks = BASE64_STANDARD.encode(json!({ "keys": [key] }).to_string());
        let provider = json!({
            "type": "customJwt", "applicationID": "orchestrator", "issuer": self.issuer, "algorithm": "ES256",
            "jwks": format!("data:text/plain;charset=utf-8;base64,{jwks}"),
        });
        json!([provider]).to_string()
    }

    /// A token that ends so many seconds from now.
    pub(crate) fn token(&self, life_s: i64) -> Secret {
        let now_s = i64::try_from(transport::now().as_ms() / 1_000).unwrap();
        let part = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let header = part(json!({ "alg": "ES256", "typ": "JWT", "kid": "k" }));
        let claims = part(json!({
            "iss": self.issuer, "sub": "ann", "aud": "orchestrator", "iat": now_s - 60, "exp": now_s + life_s,
        }));
        let signed = format!("{header}.{claims}");
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref());
        Secret::new(format!("{signed}.{signature}"))
    }
}

/// A call; a mutation has a key of its own.
pub(crate) fn call(function: &str, args: Value, credential: Option<Secret>) -> Call {
    let is_mutation = functions::find(function).is_some_and(|info| info.kind == Kind::Mutation);
    Call {
        function: function.to_owned(),
        args,
        key: is_mutation.then(new_key),
        credential,
    }
}

/// A typed call, tried again with the same key for as long as its answer is lost: what every caller of this product
/// does.
pub(crate) async fn ask<F: Function>(
    transport: &dyn Transport,
    args: F::Args,
    credential: Option<&Secret>,
) -> F::Reply {
    let call = call(
        F::NAME,
        serde_json::to_value(args).unwrap(),
        credential.cloned(),
    );
    let reply = within(async {
        loop {
            match transport.call(call.clone()).await {
                Err(TransportError::Lost(_)) => {}
                answer => break answer.unwrap_or_else(|error| panic!("{}: {error}", F::NAME)),
            }
        }
    });
    serde_json::from_value(reply.await).unwrap()
}

/// The first value of a watch for which the condition holds.
pub(crate) async fn until<T: DeserializeOwned>(
    values: &mut Values,
    holds: impl Fn(&T) -> bool,
) -> T {
    within(async {
        loop {
            let value = values
                .next()
                .await
                .expect("the watch goes on")
                .expect("no error");
            let value = serde_json::from_value(value).unwrap();
            if holds(&value) {
                return value;
            }
        }
    })
    .await
}
