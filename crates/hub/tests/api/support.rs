//! A hub of the test's own, and clients for it.

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hub::{Hub, HubConfig, ManualClock, RunningHub};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, body::Incoming, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use protocol::{CallError, ErrorCode, Timestamp, ids::IdempotencyKey};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Only ends a test that would hang.
const HANG: Duration = Duration::from_secs(60);
/// When the clock of every test begins.
pub(crate) const START_MS: u64 = 1_800_000_000_000;

pub(crate) struct TestHub {
    pub(crate) hub: RunningHub,
    pub(crate) clock: ManualClock,
    pub(crate) directory: TempDir,
}

impl TestHub {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut HubConfig)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = ManualClock::new(START_MS);
        let hub = start(&directory, &clock, change).await;
        Self {
            hub,
            clock,
            directory,
        }
    }

    /// Stops it and starts another one on the same data.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(Duration::ZERO).await
    }

    /// Stops it, lets time pass, and starts another one on the same data.
    pub(crate) async fn restart_after(self, away: Duration) -> Self {
        let Self {
            hub,
            clock,
            directory,
        } = self;
        within(hub.shutdown()).await;
        clock.advance(away);
        let hub = start(&directory, &clock, |_| {}).await;
        Self {
            hub,
            clock,
            directory,
        }
    }

    /// Somebody without a credential.
    pub(crate) fn anybody(&self) -> Caller {
        Caller::new(self.hub.addr(), &[])
    }

    pub(crate) fn bearer(&self, token: &str) -> Caller {
        Caller::new(
            self.hub.addr(),
            &[("authorization", &format!("Bearer {token}"))],
        )
    }

    /// The owner, by the token beside the database.
    pub(crate) fn owner(&self) -> Caller {
        let token = std::fs::read_to_string(self.hub.owner_token_path()).expect("the token's file");
        self.bearer(token.trim())
    }

    /// The owner in a browser, signed in with a link.
    pub(crate) async fn browser(&self) -> Caller {
        let token = self.link_token().await;
        let signed_in = self
            .anybody()
            .post("/v1/auth/sign-in", json!({ "token": token }))
            .await;
        assert_eq!(signed_in.status, StatusCode::OK, "{}", signed_in.body);
        self.cookie(&signed_in.cookie())
    }

    pub(crate) fn cookie(&self, cookie: &str) -> Caller {
        Caller::new(
            self.hub.addr(),
            &[("cookie", cookie), ("x-orchestrator", "1")],
        )
    }

    /// That browser's cookie, without what its page adds.
    pub(crate) fn cookie_only(&self, browser: &Caller) -> Caller {
        Caller::new(self.hub.addr(), &[("cookie", &browser.header("cookie"))])
    }

    pub(crate) async fn link_token(&self) -> String {
        let link = self.hub.sign_in_link().await.expect("a link");
        link.expose()
            .split_once("#token=")
            .expect("a token")
            .1
            .to_owned()
    }

    /// A registered machine's id and secret.
    pub(crate) async fn machine(&self) -> (String, String) {
        let key = self
            .hub
            .issue_registration_key("a machine")
            .await
            .expect("a key");
        let args = json!({ "registrationKey": key.registration_key });
        let credentials = self.anybody().call("machine.register", args).await;
        (
            text(&credentials["machineId"]),
            text(&credentials["secret"]),
        )
    }

    /// A machine with a connection.
    pub(crate) async fn connected(&self) -> Machine {
        let (id, secret) = self.machine().await;
        self.connect(&id, &secret).await
    }

    pub(crate) async fn connect(&self, id: &str, secret: &str) -> Machine {
        let args = json!({ "machineId": id, "secret": secret, "wireVersion": 1 });
        let reply = self.anybody().call("machine.connect", args).await;
        let token = text(&reply["connectionToken"]);
        Machine {
            id: id.to_owned(),
            secret: secret.to_owned(),
            epoch: reply["epoch"].as_u64().expect("an epoch"),
            caller: self.bearer(&token),
        }
    }

    /// A chat session on a new worker of that machine.
    pub(crate) async fn chat(&self, machine: &Machine) -> String {
        let owner = self.owner();
        let worker = owner
            .call(
                "worker.register",
                json!({ "machineId": machine.id, "directory": "a" }),
            )
            .await;
        let chat = owner
            .call(
                "worker.chat.startSession",
                json!({ "workerId": worker["id"] }),
            )
            .await;
        let chat = text(&chat["chatSessionId"]);
        for (seq, state) in [(1, "starting"), (2, "ready")] {
            let report = json!({ "chatSessionId": chat, "state": state, "seq": seq });
            machine
                .caller
                .call("worker.chat.reportSession", report)
                .await;
        }
        chat
    }

    /// A turn that the machine has taken.
    pub(crate) async fn turn(&self, machine: &Machine, chat: &str) -> String {
        let sent = json!({ "chatSessionId": chat, "message": "Hello" });
        let turn = text(&self.owner().call("worker.chat.sendMessage", sent).await["turn"]["id"]);
        machine
            .caller
            .call("worker.chat.takeTurn", json!({ "turnId": turn }))
            .await;
        turn
    }
}

async fn start(
    directory: &TempDir,
    clock: &ManualClock,
    change: impl FnOnce(&mut HubConfig),
) -> RunningHub {
    let mut config = HubConfig {
        clock: clock.clock(),
        ..HubConfig::new(directory.path().join("data"))
    };
    change(&mut config);
    within(Hub::start(config)).await.expect("the hub starts")
}

pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) epoch: u64,
    pub(crate) caller: Caller,
}

/// An answer that has come to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn ok() -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: String::new(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn error(&self) -> CallError {
        assert!(!self.status.is_success(), "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What a browser would send back.
    pub(crate) fn cookie(&self) -> String {
        let cookie = self
            .headers
            .get(header::SET_COOKIE)
            .expect("a cookie")
            .to_str()
            .expect("text");
        cookie.split(';').next().expect("a value").to_owned()
    }
}

#[derive(Clone)]
pub(crate) struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

impl Caller {
    pub(crate) fn new(address: SocketAddr, headers: &[(&str, &str)]) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let caller = Self {
            client,
            address,
            headers: Vec::new(),
        };
        headers
            .iter()
            .fold(caller, |caller, (name, value)| caller.with(name, value))
    }

    /// The same with a header (more).
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut caller = self.clone();
        caller.headers.retain(|(known, _)| known != name);
        caller.headers.push((name.to_owned(), value.to_owned()));
        caller
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        self.headers == other.headers
    }

    pub(crate) fn is_machine(&self) -> bool {
        self.headers
            .iter()
            .any(|(name, value)| name == "authorization" && value.starts_with("Bearer omc_"))
    }

    pub(crate) fn header(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no {name}")).1.clone()
    }

    /// Calls a function that must succeed.
    pub(crate) async fn call(&self, function: &str, args: Value) -> Value {
        let answer = self.try_call(function, args).await;
        assert_eq!(answer.status, StatusCode::OK, "{function}: {}", answer.body);
        answer.json()
    }

    /// Calls a function with a new idempotency key.
    pub(crate) async fn try_call(&self, function: &str, args: Value) -> Answer {
        self.with("idempotency-key", &key())
            .post(&format!("/v1/{function}"), args)
            .await
    }

    /// Calls a function that must be refused.
    pub(crate) async fn refused(&self, function: &str, args: Value) -> ErrorCode {
        self.try_call(function, args).await.error().code
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.with("content-type", "application/json")
            .send(Method::POST, path, body.to_string())
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, String::new()).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let response = self.open(method, path, body).await;
        let (parts, body) = response.into_parts();
        let body = within(body.collect()).await.expect("a body").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        within(self.client.request(request))
            .await
            .expect("an answer")
    }

    /// Opens watches, each given as (function, args), with ids "0", "1" and so on.
    pub(crate) async fn watch(&self, watches: &[(&str, Value)]) -> Result<Events, Answer> {
        let wanted: Vec<_> = watches
            .iter()
            .enumerate()
            .map(|(id, (function, args))| json!({ "id": id.to_string(), "function": function, "args": args }))
            .collect();
        self.events(&format!(
            "/v1/watch?watches={}",
            encode(&Value::from(wanted).to_string())
        ))
        .await
    }

    pub(crate) async fn events(&self, path: &str) -> Result<Events, Answer> {
        let response = self.open(Method::GET, path, Bytes::new()).await;
        let (parts, body) = response.into_parts();
        if parts.status == StatusCode::OK {
            return Ok(Events {
                body,
                buffer: BytesMut::new(),
            });
        }
        let body = within(body.collect()).await.expect("a body").to_bytes();
        Err(Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

/// An open stream of events.
pub(crate) struct Events {
    body: Incoming,
    buffer: BytesMut,
}

impl Events {
    /// The next event's name and data; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        // Pings must not keep a test alive that waits in vain.
        within(self.receive()).await
    }

    async fn receive(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let event = self.buffer.split_to(end + 2);
                let event = std::str::from_utf8(&event).expect("UTF-8");
                if event.starts_with(':') {
                    continue;
                }
                let field = |name: &str| {
                    let lines: Vec<_> = event
                        .lines()
                        .filter_map(|line| line.strip_prefix(name))
                        .collect();
                    lines.join("\n")
                };
                let data = serde_json::from_str(&field("data:")).expect("JSON");
                return Some((field("event: "), data));
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    /// The next value of the only watch.
    pub(crate) async fn value(&mut self) -> Value {
        let (event, data) = self.next().await.expect("an event");
        assert_eq!(event, "value", "{data}");
        data["value"].clone()
    }

    /// Values until one fits.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let value = self.value().await;
            if fits(&value) {
                return value;
            }
        }
    }

    /// The code of the next event, which must be an error.
    pub(crate) async fn error(&mut self) -> String {
        let (event, data) = self.next().await.expect("an event");
        assert_eq!(event, "error", "{data}");
        text(&data["error"]["code"])
    }
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

pub(crate) fn key() -> String {
    let mut entropy = [0; 10];
    getrandom::fill(&mut entropy).expect("random bytes");
    IdempotencyKey::generate(Timestamp::from_ms(START_MS), entropy).to_string()
}

pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future)
        .await
        .expect("the test hangs")
}

impl TestHub {
    /// Another person than the owner, as a newer version of the hub might know one; signed in anew each time.
    pub(crate) fn stranger(&self) -> Caller {
        self.add_stranger();
        self.bearer(strangers_token().expose())
    }

    fn add_stranger(&self) {
        let token = strangers_token();
        let id = protocol::ids::PersonId::generate(Timestamp::from_ms(START_MS + 1), [9; 10]);
        let database = rusqlite::Connection::open(self.directory.path().join("data/hub.db"))
            .expect("the database");
        database
            .execute(
                "INSERT OR REPLACE INTO person (id, name, created_ms) VALUES (?1, 'Stranger', ?2)",
                rusqlite::params![id.as_str(), START_MS + 1],
            )
            .expect("a person");
        database
            .execute(
                "INSERT OR REPLACE INTO sign_in (hash, id, person, kind, name, created_ms, used_ms) VALUES (?1, 'sgn_x', ?2, 'token', '', ?3, ?3)",
                rusqlite::params![token.hash().as_str(), id.as_str(), START_MS],
            )
            .expect("a sign-in");
    }
}

fn strangers_token() -> protocol::secret::Secret {
    protocol::secret::Secret::generate("opt", [9; 32])
}

/// The hash of an answer without text.
pub(crate) fn hash_of_nothing() -> String {
    protocol::transcript::text_hash(&[])
}
