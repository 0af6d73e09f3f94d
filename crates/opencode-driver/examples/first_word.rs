//! How long until the first word: through this driver, and through plain `opencode serve` with its defaults
//! doing the same (start, create a conversation, prompt), in turn in the same run.
//!
//! `cargo run --release -p opencode-driver --example first_word -- OPENCODE SUPERVISOR [ROUNDS]`, where
//! SUPERVISOR is the built `opencode-supervise`. Prints one JSON object; times in milliseconds.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opencode_driver::{Driver, LocateConfig, Opencode, OpencodeConfig};
use protocol::Timestamp;
use protocol::driver::{DriverEvent, SessionSpec};
use protocol::ids::{ChatSessionId, TurnId};
use protocol::wire::ChunkOp;
use scripted_model::{ModelConfig, ScriptedModel};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc;

type Failure = Box<dyn std::error::Error>;

/// Prompts after the first in each process.
const WARM_PROMPTS: usize = 20;
const EVENTS_WAITING: usize = 1_024;

/// What one process took, from its start.
struct Round {
    cold_ms: f64,
    warm_ms: Vec<f64>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(opencode), Some(supervisor)) = (arguments.next(), arguments.next()) else {
        return Err("usage: first_word OPENCODE SUPERVISOR [ROUNDS]".into());
    };
    let rounds: u8 = arguments
        .next()
        .and_then(|rounds| rounds.to_str()?.parse().ok())
        .unwrap_or(5);
    let model = ScriptedModel::start(ModelConfig::fast()).await?;
    let home = tempfile::tempdir()?;
    let locate = LocateConfig {
        explicit: Some(PathBuf::from(&opencode)),
        ..LocateConfig::default()
    };
    let driver = |lean: bool| {
        let mut config = OpencodeConfig::new(
            locate.clone(),
            home.path().join(if lean { "lean" } else { "usual" }),
        );
        config.supervisor = vec![supervisor.clone()];
        config.config = model.opencode_config();
        config.lean = lean;
        Opencode::new(config)
    };
    let (usual, lean) = (driver(false), driver(true));
    // As the product does when it starts: the version is checked before anybody waits for it.
    usual.check().await?;
    lean.check().await?;

    let mut plain = Vec::new();
    let mut through_usual = Vec::new();
    let mut through_lean = Vec::new();
    for round in 0..rounds {
        plain.push(plain_round(Path::new(&opencode), home.path(), &model, round).await?);
        through_usual.push(driver_round(&usual, home.path(), round).await?);
        through_lean.push(driver_round(&lean, home.path(), round).await?);
    }
    let result = json!({ "rounds": rounds, "plain": summary(&plain), "driver": summary(&through_usual), "driver_lean": summary(&through_lean) });
    println!("{result:#}");
    model.stop().await;
    Ok(())
}

async fn driver_round(driver: &Opencode, home: &Path, round: u8) -> Result<Round, Failure> {
    let spec = SessionSpec {
        chat_session_id: ChatSessionId::generate(now(), [round; 10]),
        directory: work(home)?,
        agent_session_id: None,
        title: "Timing".to_owned(),
        model: None,
        agent: None,
        is_own_directory: false,
        sandbox: protocol::wire::Sandbox::Off,
        ask_first: false,
        also_writes: Vec::new(),
    };
    let (sender, mut events) = mpsc::channel(EVENTS_WAITING);
    let began = Instant::now();
    let session = driver.start(spec, sender).await?;
    let mut cold_ms = None;
    let mut warm_ms = Vec::new();
    for number in 0..=WARM_PROMPTS {
        let sent = Instant::now();
        let turn = TurnId::generate(now(), [u8::try_from(number)?; 10]);
        session.process.prompt(&turn, "say word").await?;
        let mut first = None;
        loop {
            match events.recv().await.ok_or("it ended")? {
                DriverEvent::Chunk {
                    op: ChunkOp::Append { .. },
                    ..
                } => {
                    first.get_or_insert_with(Instant::now);
                }
                DriverEvent::TurnEnded { .. } => break,
                DriverEvent::Exited { reason } => return Err(reason.into()),
                DriverEvent::Chunk { .. }
                | DriverEvent::AskOpened { .. }
                | DriverEvent::AskClosed { .. } => {}
            }
        }
        let first = first.ok_or("no word")?;
        match cold_ms {
            None => cold_ms = Some(ms(first - began)),
            Some(_) => warm_ms.push(ms(first - sent)),
        }
    }
    session.process.stop().await;
    Ok(Round {
        cold_ms: cold_ms.ok_or("no turn")?,
        warm_ms,
    })
}

/// The same with nothing between: `opencode serve`, its API, its event stream.
async fn plain_round(
    opencode: &Path,
    home: &Path,
    model: &ScriptedModel,
    round: u8,
) -> Result<Round, Failure> {
    let directory = work(home)?;
    let began = Instant::now();
    let mut process = tokio::process::Command::new(opencode)
        .args(["serve", "--port", "0", "--hostname", "127.0.0.1"])
        .env(
            "OPENCODE_CONFIG_CONTENT",
            model.opencode_config().to_string(),
        )
        .env("OPENCODE_DB", home.join(format!("plain-{round}.db")))
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
    let address = loop {
        let line = lines.next_line().await?.ok_or("it ended")?;
        if let Some((_, address)) = line.split_once("listening on ") {
            break address.to_owned();
        }
    };
    let plain = Plain {
        client: Client::builder(TokioExecutor::new()).build_http(),
        address,
    };
    let mut events = plain.send(Method::GET, "/event", None).await?;
    events.frame().await.ok_or("no stream")??;
    let session = plain
        .json(Method::POST, "/session", &json!({ "title": "Timing" }))
        .await?;
    let session = session["id"].as_str().ok_or("no conversation")?.to_owned();
    let mut cold_ms = None;
    let mut warm_ms = Vec::new();
    for _ in 0..=WARM_PROMPTS {
        let sent = Instant::now();
        let prompt = json!({ "parts": [{ "type": "text", "text": "say word" }] });
        drop(
            plain
                .send(
                    Method::POST,
                    &format!("/session/{session}/prompt_async"),
                    Some(&prompt),
                )
                .await?,
        );
        let first = wait_for(&mut events, "message.part.delta").await?;
        match cold_ms {
            None => cold_ms = Some(ms(first - began)),
            Some(_) => warm_ms.push(ms(first - sent)),
        }
        wait_for(&mut events, "session.idle").await?;
    }
    process.kill().await?;
    Ok(Round {
        cold_ms: cold_ms.ok_or("no turn")?,
        warm_ms,
    })
}

struct Plain {
    client: Client<HttpConnector, Full<Bytes>>,
    address: String,
}

impl Plain {
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Incoming, Failure> {
        let body = body
            .map(|body| Full::from(body.to_string()))
            .unwrap_or_default();
        let uri = format!("{}{path}", self.address);
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("content-type", "application/json")
            .body(body)?;
        Ok(self.client.request(request).await?.into_body())
    }

    async fn json(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        Ok(serde_json::from_slice(
            &self
                .send(method, path, Some(body))
                .await?
                .collect()
                .await?
                .to_bytes(),
        )?)
    }
}

/// Reads the stream until it has a word in it; good enough where events are small.
async fn wait_for(events: &mut Incoming, word: &str) -> Result<Instant, Failure> {
    loop {
        let frame = events.frame().await.ok_or("the stream ended")??;
        if frame.data_ref().is_some_and(|data| {
            data.windows(word.len())
                .any(|window| window == word.as_bytes())
        }) {
            return Ok(Instant::now());
        }
    }
}

fn work(home: &Path) -> Result<String, Failure> {
    let work = home.join("work");
    std::fs::create_dir_all(&work)?;
    Ok(work.to_str().ok_or("a strange path")?.to_owned())
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_ms(u64::try_from(since.as_millis()).unwrap_or(0))
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

fn summary(rounds: &[Round]) -> Value {
    let cold: Vec<f64> = rounds.iter().map(|round| round.cold_ms).collect();
    let warm: Vec<f64> = rounds
        .iter()
        .flat_map(|round| round.warm_ms.clone())
        .collect();
    json!({ "start_to_first_word": spread(cold), "prompt_to_first_word_warm": spread(warm) })
}

fn spread(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    json!({ "min": values.first(), "median": values.get(last / 2), "p90": values.get(last * 9 / 10), "max": values.last() })
}
