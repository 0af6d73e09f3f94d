//! opencode itself, spoken to without anything of the product in between.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::Failure;
use crate::processes::Tap;
use crate::product::Home;

/// How long any one step may take.
const LIMIT: Duration = Duration::from_secs(120);

/// An opencode server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    client: Client<HttpConnector, Full<Bytes>>,
    address: String,
    authorization: Option<String>,
}

impl Server {
    fn new(port: u16, password: Option<&str>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let basic = |password: &str| {
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(format!("opencode:{password}"))
            )
        };
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            address: format!("http://127.0.0.1:{port}"),
            authorization: password.map(basic),
        }
    }

    /// One that the product runs.
    pub(crate) fn tapped(tap: &Tap) -> Self {
        Self::new(tap.port, Some(&tap.password))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header("Content-Type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let request = request.body(
            body.map(|body| Full::from(body.to_string()))
                .unwrap_or_default(),
        )?;
        let response = tokio::time::timeout(LIMIT, self.client.request(request)).await??;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(format!("opencode answered {path} with {}", response.status()).into())
        }
    }

    /// Begins a conversation, as a client does that leaves everything to opencode.
    pub(crate) async fn create_session(&self) -> Result<String, Failure> {
        let answer = self
            .send(Method::POST, "/session", Some(&json!({})))
            .await?
            .into_body()
            .collect()
            .await?;
        let session: Value = serde_json::from_slice(&answer.to_bytes())?;
        Ok(session["id"]
            .as_str()
            .ok_or("the conversation has no id")?
            .to_owned())
    }

    /// Hands a message over.
    pub(crate) async fn prompt(&self, session: &str, text: &str) -> Result<(), Failure> {
        let body = json!({ "parts": [{ "type": "text", "text": text }] });
        self.send(
            Method::POST,
            &format!("/session/{session}/prompt_async"),
            Some(&body),
        )
        .await?;
        Ok(())
    }

    /// Its events from now on.
    pub(crate) async fn events(&self) -> Result<Events, Failure> {
        let body = self.send(Method::GET, "/event", None).await?.into_body();
        let mut events = Events {
            body,
            line: Vec::new(),
        };
        // From the first one on nothing is missed.
        events.next().await?;
        Ok(events)
    }
}

/// An event stream.
#[derive(Debug)]
pub(crate) struct Events {
    body: Incoming,
    line: Vec<u8>,
}

impl Events {
    /// The next events, and when they arrived.
    pub(crate) async fn next(&mut self) -> Result<(Instant, Vec<Value>), Failure> {
        loop {
            let frame = tokio::time::timeout(LIMIT, self.body.frame())
                .await?
                .ok_or("opencode's events ended")??;
            let arrived = Instant::now();
            let Some(bytes) = frame.data_ref() else {
                continue;
            };
            self.line.extend_from_slice(bytes);
            let Some(end) = self.line.iter().rposition(|byte| *byte == b'\n') else {
                continue;
            };
            let rest = self.line.split_off(end + 1);
            let whole = std::mem::replace(&mut self.line, rest);
            let events: Vec<Value> = whole
                .split(|byte| *byte == b'\n')
                .filter_map(|line| serde_json::from_slice(line.strip_prefix(b"data: ")?).ok())
                .collect();
            if !events.is_empty() {
                return Ok((arrived, events));
            }
        }
    }

    /// When the first word of an answer arrives.
    pub(crate) async fn first_word(&mut self) -> Result<Instant, Failure> {
        loop {
            let (arrived, events) = self.next().await?;
            if events.iter().any(|event| delta(event).is_some()) {
                return Ok(arrived);
            }
        }
    }

    /// Waits until the conversation is idle.
    pub(crate) async fn idle(&mut self) -> Result<(), Failure> {
        loop {
            let (_, events) = self.next().await?;
            if events.iter().any(|event| event["type"] == "session.idle") {
                return Ok(());
            }
        }
    }
}

/// The text that an event brings.
pub(crate) fn delta(event: &Value) -> Option<&str> {
    (event["type"] == "message.part.delta").then(|| event["properties"]["delta"].as_str())?
}

/// `opencode serve` as it comes.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) server: Server,
    child: Child,
}

impl Plain {
    /// Starts it and waits until it says that it listens.
    pub(crate) async fn start(
        program: &Path,
        directory: &Path,
        home: &Home,
    ) -> Result<Self, Failure> {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?
            .local_addr()?
            .port();
        let mut command = home.command(program);
        command
            .args(["serve", "--port", &port.to_string()])
            .envs(home.opencode_variables())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        loop {
            let line = tokio::time::timeout(LIMIT, lines.next_line()).await??;
            if line
                .ok_or("opencode ended while it was starting")?
                .contains("listening on http")
            {
                break;
            }
        }
        Ok(Self {
            server: Server::new(port, None),
            child,
        })
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        self.child.kill().await?;
        Ok(())
    }
}
