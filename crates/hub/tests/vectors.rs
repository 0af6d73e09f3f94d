//! Holds the hub, over HTTP, to `tests/vectors/backend/*.json`.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use futures::StreamExt as _;
use hub::{Hub, HubConfig, ManualClock, RunningHub};
use protocol::{
    CallError, Timestamp,
    ids::{IdempotencyKey, PersonId, TurnId},
    secret::Secret,
    wire::Chunk,
};
use rusqlite::{Connection, OpenFlags, params};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};
use transport::{Call, Transport as _, TransportError};
use transport_http::HttpTransport;
use vectors::{Actor, Append, START_MS, Subject};

/// Only ends a test that would hang.
const HANG: Duration = Duration::from_secs(20);
/// Hubs at work at a time.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hub_is_held_to_the_scenarios() {
    let scenarios = vectors::load_all().unwrap();
    let runs = scenarios.iter().map(async |scenario| {
        let mut subject = HubSubject::start().await;
        let result = vectors::run(scenario, &mut subject, None).await;
        subject.hub.shutdown().await;
        result.map_err(|failure| format!("{failure}\n  ({})", scenario.about))
    });
    let results: Vec<_> = futures::stream::iter(runs)
        .buffered(AT_ONCE)
        .collect()
        .await;
    let failures: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n\n"));
}

struct HubSubject {
    hub: RunningHub,
    hand: ManualClock,
    now_ms: u64,
    directory: TempDir,
    http: HttpTransport,
    watches: BTreeMap<String, Watched>,
}

type Newest = Option<Result<Value, CallError>>;

struct Watched {
    call: Call,
    newest: watch::Receiver<Newest>,
    reading: JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl HubSubject {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let hand = ManualClock::new(START_MS);
        let hub = Hub::start(HubConfig {
            clock: hand.clock(),
            ..HubConfig::new(directory.path())
        })
        .await
        .unwrap();
        let subject = Self {
            http: HttpTransport::new(&hub.local_url()).unwrap(),
            hub,
            hand,
            now_ms: START_MS,
            directory,
            watches: BTreeMap::new(),
        };
        subject.add_person("ann");
        subject.add_person("bob");
        subject
    }

    fn database(&self, flags: OpenFlags) -> Connection {
        Connection::open_with_flags(self.directory.path().join("hub.db"), flags).unwrap()
    }

    /// A person beside the owner, signed in for good.
    fn add_person(&self, name: &str) {
        let person = PersonId::generate(Timestamp::from_ms(START_MS + 1), [name.as_bytes()[0]; 10]);
        let database = self.database(OpenFlags::SQLITE_OPEN_READ_WRITE);
        database
            .execute(
                "INSERT INTO person (id, name, created_ms) VALUES (?1, ?2, ?3)",
                params![person.as_str(), name, START_MS + 1],
            )
            .unwrap();
        database
            .execute(
                "INSERT INTO sign_in (hash, id, person, kind, name, created_ms, used_ms) VALUES (?1, ?2, ?3, 'local', ?2, ?4, ?4)",
                params![token(name).hash().as_str(), name, person.as_str(), START_MS],
            )
            .unwrap();
    }

    fn set_clock(&mut self, now_ms: u64) {
        self.hand
            .advance(Duration::from_millis(now_ms - self.now_ms));
        self.now_ms = now_ms;
    }
}

fn token(person: &str) -> Secret {
    Secret::generate("opt", [person.as_bytes()[0]; 32])
}

fn credential(actor: &Actor) -> Option<Secret> {
    match actor {
        Actor::Person(name) => Some(token(name)),
        Actor::Nobody => None,
        Actor::Machine(token) => Some(Secret::new(token.as_str())),
    }
}

fn refusal(error: TransportError) -> CallError {
    match error {
        TransportError::Refused(error) => error,
        TransportError::Lost(why) => panic!("no answer: {why}"),
    }
}

#[async_trait]
impl Subject for HubSubject {
    async fn advance(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(at) = self.hub.next_deadline().await
            && at.as_ms() <= end
        {
            self.set_clock(at.as_ms());
        }
        self.set_clock(end);
    }

    async fn jump(&mut self, ms: i64) {
        let now_ms = self.now_ms.saturating_add_signed(ms);
        self.hand.set(now_ms);
        self.now_ms = now_ms;
        // Returns when nothing is due any more.
        self.hub.next_deadline().await;
    }

    async fn call(
        &mut self,
        actor: &Actor,
        function: &str,
        args: Value,
        key: Option<IdempotencyKey>,
    ) -> Result<Value, CallError> {
        let call = Call {
            function: function.to_owned(),
            args,
            key,
            credential: credential(actor),
        };
        self.http.call(call).await.map_err(refusal)
    }

    async fn append(&mut self, append: Append) -> Result<(), CallError> {
        let chunks: Vec<Chunk> = serde_json::from_value(append.chunks.into()).unwrap();
        let append = transport::Append {
            turn_id: TurnId::parse(&append.turn).unwrap(),
            credential: credential(&append.actor).unwrap_or_else(|| Secret::new("")),
            epoch: append.epoch,
            seq: append.seq,
            chunks,
        };
        self.http.append(append).await.map(drop).map_err(refusal)
    }

    async fn read(&mut self, actor: &Actor, turn: &str) -> Result<Vec<Value>, CallError> {
        let turn = TurnId::parse(turn).unwrap();
        let mut pages = self.http.read(&turn, credential(actor), false);
        let mut chunks = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(refusal)?;
            chunks.extend(
                page.iter()
                    .map(|chunk| serde_json::to_value(chunk).unwrap()),
            );
        }
        Ok(chunks)
    }

    async fn watch(&mut self, name: &str, actor: &Actor, function: &str, args: Value) {
        let call = Call {
            function: function.to_owned(),
            args,
            key: None,
            credential: credential(actor),
        };
        let mut values = self
            .http
            .watch(function, call.args.clone(), call.credential.clone());
        let (sender, newest) = watch::channel(None);
        let reading = tokio::spawn(async move {
            while let Some(value) = values.next().await {
                match value {
                    Ok(value) => sender.send_replace(Some(Ok(value))),
                    Err(TransportError::Refused(error)) => sender.send_replace(Some(Err(error))),
                    // The hub has stopped.
                    Err(TransportError::Lost(_)) => break,
                };
            }
        });
        let watched = Watched {
            call,
            newest,
            reading,
        };
        self.watches.insert(name.to_owned(), watched);
    }

    /// Waits until the watch shows what a call gives at this moment; if it never does, gives what it shows.
    async fn newest(&mut self, name: &str) -> Result<Value, CallError> {
        let watched = self.watches.get_mut(name).unwrap();
        let now = Some(self.http.call(watched.call.clone()).await.map_err(refusal));
        let caught_up = watched.newest.wait_for(|newest| *newest == now);
        let _ = tokio::time::timeout(HANG, caught_up).await;
        let newest = watched.newest.borrow().clone();
        newest.unwrap_or_else(|| panic!("the watch {name} shows nothing"))
    }

    async fn stored(&mut self) -> Value {
        let database = self.database(OpenFlags::SQLITE_OPEN_READ_ONLY);
        let pairs = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let mut rows = database.prepare("SELECT key, value FROM rows").unwrap();
        let rows: Vec<(String, Vec<u8>)> = rows
            .query_map([], pairs)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let mut streams = database.prepare("SELECT path FROM stream").unwrap();
        let streams: Vec<String> = streams
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let turns = streams.iter().filter_map(|path| path.strip_prefix("turn/"));
        let rows = rows
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()));
        vectors::tables(rows, turns.map(str::to_owned))
    }
}
