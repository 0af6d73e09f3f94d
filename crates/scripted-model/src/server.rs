//! The HTTP side: two paths of the OpenAI API.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::request::ChatRequest;
use crate::script::{Answer, SLOW_MAX_WORDS, Step, answer, slow_word, words};

/// The provider's name in opencode's configuration.
pub const PROVIDER_ID: &str = "demo";
/// The model's name.
pub const MODEL_ID: &str = "scripted";

/// The largest request, in bytes: a long conversation is sent whole each time.
const REQUEST_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Deltas that wait for a slow reader before the script waits too.
const DELTAS_WAITING: usize = 64;
/// How many different requests are remembered for telling a retry.
const REMEMBERED_REQUESTS: usize = 4_096;
/// The pause before a cut: what was sent before it must have been read, or it is cut off too.
const CUT_AFTER: Duration = Duration::from_millis(300);
/// How long `stop` waits for open answers to end.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// How to run the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelConfig {
    /// The port on loopback; 0 takes a free one.
    pub port: u16,
    /// The time between two words; zero sends as fast as it is read.
    pub pace: Duration,
}

impl ModelConfig {
    /// A pace that is pleasant to watch, on a free port.
    #[must_use]
    pub const fn demo() -> Self {
        Self {
            port: 0,
            pace: Duration::from_millis(25),
        }
    }

    /// As fast as it goes, on a free port.
    #[must_use]
    pub const fn fast() -> Self {
        Self {
            port: 0,
            pace: Duration::ZERO,
        }
    }
}

/// A running model. It stops when this is dropped.
#[derive(Debug)]
pub struct ScriptedModel {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    pace: Duration,
    stopped: watch::Receiver<bool>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: BTreeMap<u64, u32>,
    answered: u64,
    /// What was asked, for whoever wants to know; see [`ScriptedModel::record`].
    asked: Option<Vec<Asked>>,
}

/// A request of a conversation; titles and summaries are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The last message of a person.
    pub prompt: String,
    /// The messages of persons before it, oldest first.
    pub earlier: Vec<String>,
    /// How many results of tools came after it: above zero, the same turn goes on.
    pub tool_results: usize,
}

impl ScriptedModel {
    /// Binds on loopback and serves in a task of its own.
    ///
    /// # Errors
    /// When the port can't be bound.
    pub async fn start(config: ModelConfig) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            pace: config.pace,
            stopped: stopped.clone(),
            seen: Mutex::default(),
        });
        let app = Router::new()
            .route("/v1/models", get(models))
            .route("/v1/chat/completions", post(completions))
            .layer(DefaultBodyLimit::max(REQUEST_MAX_BYTES))
            .with_state(Arc::clone(&shared));
        let mut told = stopped;
        let server = tokio::spawn(async move {
            let stopping = async move {
                // An error means that the handle is gone, which is as good as being told.
                let _ = told.wait_for(|stopped| *stopped).await;
            };
            let _ = axum::serve(listener, app)
                .with_graceful_shutdown(stopping)
                .await;
        });
        Ok(Self {
            address,
            shared,
            stop,
            server,
        })
    }

    /// The address to give to an OpenAI client: ends in `/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// How many conversation answers were begun so far; titles and summaries are not counted.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.shared.seen().answered
    }

    /// Keeps what is asked from now on. It grows until it is taken: for tests.
    pub fn record(&self) {
        self.shared.seen().asked.get_or_insert_default();
    }

    /// What was asked since it was last taken, oldest first; nothing unless it is recorded.
    #[must_use]
    pub fn take_asked(&self) -> Vec<Asked> {
        let mut seen = self.shared.seen();
        seen.asked.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Configuration for opencode that makes this model its only one, and asks before it runs commands or
    /// changes files. Give it to opencode as `OPENCODE_CONFIG_CONTENT`.
    #[must_use]
    pub fn opencode_config(&self) -> Value {
        let model = format!("{PROVIDER_ID}/{MODEL_ID}");
        json!({
            "model": model,
            "small_model": model,
            "autoupdate": false,
            "share": "disabled",
            "enabled_providers": [PROVIDER_ID],
            "permission": { "bash": "ask", "edit": "ask" },
            "provider": { PROVIDER_ID: {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Demo",
                "options": { "baseURL": self.base_url(), "apiKey": "none" },
                "models": { MODEL_ID: {
                    "name": "Scripted demo model",
                    "tool_call": true,
                    "reasoning": true,
                    "limit": { "context": 128_000, "output": 32_000 },
                } },
            } },
        })
    }

    /// Ends open answers and the server, and returns when both have ended.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(STOP_WAIT, &mut self.server)
            .await
            .is_err()
        {
            self.server.abort();
        }
    }

    /// Serves until the process ends.
    pub async fn run(mut self) {
        let _ = (&mut self.server).await;
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Shared {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request and says how often it came before.
    fn note(&self, request: &ChatRequest) -> u32 {
        let mut seen = self.seen();
        if request.side_job().is_none() {
            seen.answered += 1;
            if let Some(asked) = &mut seen.asked {
                asked.push(Asked {
                    prompt: request.prompt(),
                    earlier: request.earlier_prompts(),
                    tool_results: request.tool_results().len(),
                });
            }
        }
        if seen.requests.len() >= REMEMBERED_REQUESTS {
            seen.requests.clear();
        }
        let count = seen.requests.entry(request.fingerprint()).or_insert(0);
        let before = *count;
        *count = count.saturating_add(1);
        before
    }
}

async fn models() -> Json<Value> {
    Json(
        json!({ "object": "list", "data": [{ "id": MODEL_ID, "object": "model", "created": 0, "owned_by": "scripted-model" }] }),
    )
}

async fn completions(
    State(shared): State<Arc<Shared>>,
    Json(request): Json<ChatRequest>,
) -> Response {
    let seen = shared.note(&request);
    match answer(&request, seen) {
        Answer::Refusal(status) => {
            refusal(status, &format!("The script says to fail with {status}."))
        }
        Answer::TooLong => refusal(
            400,
            "This model's maximum context length is 4096 tokens. However, your messages resulted in 9000 tokens.",
        ),
        Answer::Steps { steps, finish } if request.stream => {
            streamed(&shared, steps, finish, request.messages.len())
        }
        Answer::Steps { steps, .. } => whole(&steps, request.messages.len()),
    }
}

fn refusal(status: u16, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({ "error": { "message": message, "type": "scripted_error" } });
    (status, Json(body)).into_response()
}

/// One thing that goes to the reader.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Thought(String),
    Call {
        index: usize,
        id: String,
        tool: &'static str,
        arguments: String,
    },
    Cut,
}

/// The pieces of an answer with the pause before each, made one at a time: some answers are long.
fn pieces(
    steps: Vec<Step>,
    pace: Duration,
    turn: usize,
) -> impl Iterator<Item = (Duration, Piece)> + Send {
    let mut calls = 0;
    steps.into_iter().flat_map(
        move |step| -> Box<dyn Iterator<Item = (Duration, Piece)> + Send> {
            match step {
                Step::Text(text) => Box::new(
                    words(&text)
                        .into_iter()
                        .map(move |word| (pace, Piece::Text(word))),
                ),
                Step::Thought(text) => Box::new(
                    words(&text)
                        .into_iter()
                        .map(move |word| (pace, Piece::Thought(word))),
                ),
                Step::Count { to, pause } => {
                    let pause = pause.unwrap_or(pace);
                    Box::new((1..=to).map(move |number| (pause, Piece::Text(format!("{number} ")))))
                }
                Step::Slow { pause } => Box::new(
                    (0..SLOW_MAX_WORDS).map(move |index| (pause, Piece::Text(slow_word(index)))),
                ),
                Step::Call { tool, arguments } => {
                    let index = calls;
                    calls += 1;
                    let call = Piece::Call {
                        index,
                        id: format!("call_{turn}_{index}"),
                        tool,
                        arguments: arguments.to_string(),
                    };
                    Box::new(std::iter::once((pace, call)))
                }
                Step::Cut => Box::new(std::iter::once((CUT_AFTER, Piece::Cut))),
            }
        },
    )
}

fn streamed(shared: &Shared, steps: Vec<Step>, finish: bool, turn: usize) -> Response {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, io::Error>>(DELTAS_WAITING);
    let mut stopped = shared.stopped.clone();
    let pace = shared.pace;
    tokio::spawn(async move {
        let ended = stopped.wait_for(|stopped| *stopped);
        // The reader going away or the model being stopped ends the answer; both are ordinary.
        tokio::select! {
            _ = ended => {}
            _ = play(&sender, steps, finish, pace, turn) => {}
        }
    });
    let body = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    });
    (
        [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        Body::from_stream(body),
    )
        .into_response()
}

/// Sends an answer; `None` when the reader has gone.
async fn play(
    sender: &mpsc::Sender<Result<Bytes, io::Error>>,
    steps: Vec<Step>,
    finish: bool,
    pace: Duration,
    turn: usize,
) -> Option<()> {
    let mut written = 0_u64;
    let mut called = false;
    send(
        sender,
        &chunk(&json!({ "role": "assistant", "content": "" }), None),
    )
    .await?;
    for (pause, piece) in pieces(steps, pace, turn) {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        written += 1;
        let delta = match piece {
            Piece::Text(text) => json!({ "content": text }),
            Piece::Thought(text) => json!({ "reasoning_content": text }),
            Piece::Call {
                index,
                id,
                tool,
                arguments,
            } => {
                called = true;
                json!({ "tool_calls": [{ "index": index, "id": id, "type": "function", "function": { "name": tool, "arguments": arguments } }] })
            }
            Piece::Cut => {
                sender
                    .send(Err(io::Error::new(
                        io::ErrorKind::ConnectionReset,
                        "the script says to break off",
                    )))
                    .await
                    .ok()?;
                return None;
            }
        };
        send(sender, &chunk(&delta, None)).await?;
    }
    if finish {
        send(
            sender,
            &chunk(&json!({}), Some(if called { "tool_calls" } else { "stop" })),
        )
        .await?;
        let mut last = chunk(&json!({}), None);
        last["choices"] = json!([]);
        last["usage"] = usage(turn, written);
        send(sender, &last).await?;
    }
    sender
        .send(Ok(Bytes::from_static(b"data: [DONE]\n\n")))
        .await
        .ok()
}

async fn send(sender: &mpsc::Sender<Result<Bytes, io::Error>>, value: &Value) -> Option<()> {
    sender
        .send(Ok(Bytes::from(format!("data: {value}\n\n"))))
        .await
        .ok()
}

fn chunk(delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": MODEL_ID,
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish_reason }],
    })
}

fn whole(steps: &[Step], turn: usize) -> Response {
    let mut content = String::new();
    let mut thoughts = String::new();
    let mut calls = Vec::new();
    let mut written = 0;
    for (_, piece) in pieces(steps.to_vec(), Duration::ZERO, turn) {
        written += 1;
        match piece {
            Piece::Text(text) => content.push_str(&text),
            Piece::Thought(text) => thoughts.push_str(&text),
            Piece::Call {
                id,
                tool,
                arguments,
                ..
            } => {
                calls.push(
                    json!({ "id": id, "type": "function", "function": { "name": tool, "arguments": arguments } }),
                );
            }
            Piece::Cut => return broken(),
        }
    }
    let finish_reason = if calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    };
    let mut message = json!({ "role": "assistant", "content": content });
    if !thoughts.is_empty() {
        message["reasoning_content"] = json!(thoughts);
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    Json(json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL_ID,
        "choices": [{ "index": 0, "message": message, "finish_reason": finish_reason }],
        "usage": usage(turn, written),
    }))
    .into_response()
}

/// A body that breaks off: what `cut` is without streaming.
fn broken() -> Response {
    let items: [Result<Bytes, io::Error>; 2] = [
        Ok(Bytes::from_static(b"{\"choices\":[")),
        Err(io::Error::new(
            io::ErrorKind::ConnectionReset,
            "the script says to break off",
        )),
    ];
    (
        [(header::CONTENT_TYPE, "application/json")],
        Body::from_stream(stream::iter(items)),
    )
        .into_response()
}

fn usage(turn: usize, written: u64) -> Value {
    let read = 10 * turn as u64;
    json!({ "prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written })
}
