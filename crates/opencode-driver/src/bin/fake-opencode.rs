//! A double of opencode for tests: speaks enough of its API to be driven, and misbehaves on demand. What it
//! does wrong is the value of `fake` in its configuration (`OPENCODE_CONFIG_CONTENT`):
//!
//! | `fake` | what happens |
//! | --- | --- |
//! | nothing | a turn answers `Grüße, 世界 😀` |
//! | `never-ready` | it starts and says nothing |
//! | `exit-at-start` | it complains and exits with code 7 |
//! | `killed-at-start` | the first try is killed with -9; only `acp` works afterwards |
//! | `always-killed` | each try is killed with -9 |
//! | `no-acp` | `acp` exits, `serve` works |
//! | `port-taken` | the first try ends as if its port were taken |
//! | `old` | it says at run time that it is version 1.2.0 |
//! | `hang` | it gets ready and never answers a request |
//! | `hang-mid-turn` | it answers nothing any more after the first word of a turn |
//! | `exit-mid-turn` | it exits after the first word of a turn |
//! | `endless-line` | it sends a line of 100 MB in a turn |
//! | `big-event` | it sends an event of 2 MiB in a turn, and the turn goes on |
//! | `split` | it sends its events byte by byte |
//! | `drop` | the event stream breaks off in a turn, and a word gets lost |
//! | `notes` | nothing; it appends the path of each request to `<database>.requests` |
//!
//! As a file called `opencode-says-VERSION` it says that version to `--version`.

use std::path::Path;
use std::process::exit;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

const VERSION: &str = "1.18.33";
const SESSION: &str = "ses_fake";
const WORDS: &[&str] = &["Grüße, ", "世界 ", "😀"];
const LINES_WAITING: usize = 1_024;

#[derive(Clone)]
struct Fake {
    how: String,
    lines: broadcast::Sender<Line>,
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
enum Line {
    Event(String),
    Endless,
    Drop,
    Exit,
}

#[derive(Default)]
struct State {
    is_busy: bool,
    is_hanging: bool,
    messages: Vec<Value>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let name = Path::new(&arguments[0])
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let command = arguments.get(1).map(String::as_str).unwrap_or_default();
    if command == "--version" {
        say(name.strip_prefix("opencode-says-").unwrap_or(VERSION)).await;
        return;
    }
    let config = std::env::var("OPENCODE_CONFIG_CONTENT").unwrap_or_default();
    let how = serde_json::from_str::<Value>(&config)
        .ok()
        .and_then(|config| Some(config["fake"].as_str()?.to_owned()))
        .unwrap_or_default();
    misbehave_at_start(&how, command).await;

    let port = arguments
        .iter()
        .skip_while(|argument| *argument != "--port")
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(0_u16);
    let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await else {
        die("ServeError", 1)
    };
    let (lines, _) = broadcast::channel(LINES_WAITING);
    let fake = Fake {
        how,
        lines,
        state: Arc::default(),
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let fake = fake.clone();
            tokio::spawn(async move {
                let _ = fake.serve(stream).await;
            });
        }
    });
    if command == "serve" {
        say("opencode server listening on http://127.0.0.1").await;
    }
    greet_until_eof(command == "acp").await;
    if command == "serve" {
        std::future::pending::<()>().await;
    }
}

async fn misbehave_at_start(how: &str, command: &str) {
    match how {
        "never-ready" => {
            eprintln!("thinking about it");
            greet_until_eof(false).await;
            exit(0);
        }
        "exit-at-start" => die("\u{1b}[91mError: \u{1b}[0mno space left on the moon", 7),
        "no-acp" if command == "acp" => die("Unknown command: acp", 1),
        "port-taken" => {
            let database = std::env::var("OPENCODE_DB").unwrap_or_default();
            let tried = format!("{database}.tried");
            if !Path::new(&tried).exists() {
                let _ = std::fs::write(tried, "");
                die("ServeError", 1);
            }
        }
        "killed-at-start" => {
            let database = std::env::var("OPENCODE_DB").unwrap_or_default();
            let tried = format!("{database}.tried");
            if !Path::new(&tried).exists() {
                let _ = std::fs::write(tried, "");
                be_killed();
            }
            if command != "acp" {
                die("a killed process is no reason to do without acp", 1);
            }
        }
        "always-killed" => be_killed(),
        _ => {}
    }
}

fn be_killed() -> ! {
    let _ = std::process::Command::new("kill")
        .args(["-9", &std::process::id().to_string()])
        .status();
    die("this process can't be killed", 1)
}

fn die(why: &str, code: i32) -> ! {
    eprintln!("{why}");
    exit(code)
}

async fn say(line: &str) {
    let mut stdout = tokio::io::stdout();
    let _ = stdout.write_all(format!("{line}\n").as_bytes()).await;
    let _ = stdout.flush().await;
}

/// Reads standard input to its end; answers the first line if it is to.
async fn greet_until_eof(mut is_to_answer: bool) {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0; 4_096];
    while let Ok(read) = stdin.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        if std::mem::take(&mut is_to_answer) {
            say(r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1}}"#).await;
        }
    }
}

impl Fake {
    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some((head, body)) = read_request(&mut stream).await? else {
            return Ok(());
        };
        let mut words = head.split_whitespace();
        let (method, target) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let path = target.split('?').next().unwrap_or_default();
        if self.how == "notes" {
            note(path).await?;
        }
        if self.how == "hang" || self.state().is_hanging {
            std::future::pending::<()>().await;
        }
        match (method, path) {
            ("GET", "/event") => self.stream_events(stream).await,
            ("POST", path) if path.ends_with("/prompt_async") => {
                let fake = self.clone();
                tokio::spawn(async move { fake.answer(&body).await });
                respond(&mut stream, "204 No Content", "").await
            }
            (method, path) => {
                let (status, body) = self.plain_answer(method, path);
                respond(&mut stream, status, &body.to_string()).await
            }
        }
    }

    fn plain_answer(&self, method: &str, path: &str) -> (&'static str, Value) {
        let state = self.state();
        let found = |id: &str| {
            state
                .messages
                .iter()
                .find(|message| message["info"]["id"] == id)
                .cloned()
        };
        match (method, path) {
            ("GET", "/global/health") => (
                "200 OK",
                json!({ "healthy": true, "version": if self.how == "old" { "1.2.0" } else { VERSION } }),
            ),
            ("GET", "/config") => ("200 OK", json!({ "model": "fake/model" })),
            ("GET", "/agent") => ("200 OK", json!([{ "name": "build", "mode": "primary" }])),
            ("POST", "/session") | ("GET", "/session/ses_fake") => {
                ("200 OK", json!({ "id": SESSION }))
            }
            ("GET", "/session/status") => (
                "200 OK",
                if state.is_busy {
                    json!({ SESSION: { "type": "busy" } })
                } else {
                    json!({})
                },
            ),
            ("GET", "/session/ses_fake/message") => ("200 OK", json!(state.messages)),
            ("GET", "/permission" | "/question") => ("200 OK", json!([])),
            ("POST", "/session/ses_fake/abort" | "/global/dispose") => ("200 OK", json!(true)),
            ("GET", path) => match path
                .strip_prefix("/session/ses_fake/message/")
                .and_then(found)
            {
                Some(message) => ("200 OK", message),
                None => (
                    "404 Not Found",
                    json!({ "name": "NotFoundError", "data": { "message": "not found" } }),
                ),
            },
            _ => (
                "404 Not Found",
                json!({ "name": "NotFoundError", "data": { "message": "no such path" } }),
            ),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays a turn.
    async fn answer(&self, body: &str) {
        let prompt: Value = serde_json::from_str(body).unwrap_or_default();
        let question = prompt["messageID"].as_str().unwrap_or_default().to_owned();
        let answer = format!("msg_answer_{question}");
        let user = json!({ "id": question, "sessionID": SESSION, "role": "user", "time": { "created": 1 } });
        let mut assistant = json!({ "id": answer, "sessionID": SESSION, "role": "assistant", "parentID": question, "time": { "created": 2 } });
        let mut part = json!({ "id": format!("prt_{answer}"), "messageID": answer, "sessionID": SESSION, "type": "text", "text": "" });
        {
            let mut state = self.state();
            state.is_busy = true;
            state.messages.push(json!({ "info": user, "parts": [] }));
            state
                .messages
                .push(json!({ "info": assistant, "parts": [part] }));
        }
        self.tell("message.updated", json!({ "info": user }));
        self.tell("message.updated", json!({ "info": assistant }));
        self.tell("message.part.updated", json!({ "part": part }));
        for (index, word) in WORDS.iter().enumerate() {
            if index == 1 {
                self.misbehave_mid_turn().await;
            }
            // A word that is said while nobody listens is lost.
            self.tell("message.part.delta", json!({ "sessionID": SESSION, "messageID": answer, "partID": part["id"], "field": "text", "delta": word }));
        }
        part["text"] = json!(WORDS.concat());
        part["time"] = json!({ "start": 3, "end": 4 });
        assistant["time"]["completed"] = json!(5);
        assistant["finish"] = json!("stop");
        {
            let mut state = self.state();
            state.is_busy = false;
            state.messages.pop();
            state
                .messages
                .push(json!({ "info": assistant, "parts": [part] }));
        }
        self.tell("message.part.updated", json!({ "part": part }));
        self.tell("message.updated", json!({ "info": assistant }));
        self.tell("session.idle", json!({ "sessionID": SESSION }));
    }

    async fn misbehave_mid_turn(&self) {
        match self.how.as_str() {
            "exit-mid-turn" => {
                let _ = self.lines.send(Line::Exit);
                std::future::pending().await
            }
            "hang-mid-turn" => {
                self.state().is_hanging = true;
                self.tell("session.idle", json!({ "sessionID": SESSION }));
                std::future::pending().await
            }
            "endless-line" => {
                let _ = self.lines.send(Line::Endless);
                std::future::pending().await
            }
            "big-event" => self.tell(
                "tui.picture",
                json!({ "data": "x".repeat(2 * 1024 * 1024) }),
            ),
            "drop" => {
                let _ = self.lines.send(Line::Drop);
                while self.lines.receiver_count() > 0 {
                    tokio::task::yield_now().await;
                }
            }
            _ => {}
        }
    }

    fn tell(&self, kind: &str, properties: Value) {
        let _ = self.lines.send(Line::Event(
            json!({ "id": "evt_fake", "type": kind, "properties": properties }).to_string(),
        ));
    }

    async fn stream_events(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = self.lines.subscribe();
        stream
            .write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
            )
            .await?;
        stream
            .write_all(b"data: {\"type\":\"server.connected\",\"properties\":{}}\n\n")
            .await?;
        while let Ok(line) = lines.recv().await {
            match line {
                Line::Event(event) if self.how == "split" => {
                    for byte in format!("data: {event}\n\n").bytes() {
                        stream.write_all(&[byte]).await?;
                        stream.flush().await?;
                        tokio::task::yield_now().await;
                    }
                }
                Line::Event(event) => {
                    stream
                        .write_all(format!("data: {event}\n\n").as_bytes())
                        .await?
                }
                Line::Endless => {
                    stream.write_all(b"data: {\"type\":\"").await?;
                    let piece = vec![b'x'; 1_000_000];
                    for _ in 0..100 {
                        stream.write_all(&piece).await?;
                    }
                }
                Line::Drop => return Ok(()),
                // The word before is on its way by now, so that there is something to lose.
                Line::Exit => die("I have had enough", 9),
            }
        }
        Ok(())
    }
}

async fn note(path: &str) -> std::io::Result<()> {
    let database = std::env::var("OPENCODE_DB").unwrap_or_default();
    let mut notes = tokio::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(format!("{database}.requests"))
        .await?;
    notes.write_all(format!("{path}\n").as_bytes()).await?;
    notes.flush().await
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<(String, String)>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0_usize);
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((
        head,
        String::from_utf8_lossy(&bytes[head_end + 4..]).into_owned(),
    )))
}

async fn respond(stream: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
