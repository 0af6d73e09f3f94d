//! An agent inside another program, with a transport and a driver of its own: `cargo run -p agent --example embed`.
//!
//! The transport is the backend in memory; a real program would take `transport_http::HttpTransport`. The driver
//! answers each message by itself, word by word; a real one would run an agent process. The program then does what a
//! person does on the page: adds a worker, starts a chat session, sends a message, and reads the answer as it streams.

#![allow(clippy::print_stdout)] // What it prints is what it is for.

use std::error::Error;
use std::sync::Arc;

use agent::Agent;
use async_trait::async_trait;
use futures::StreamExt as _;
use opencode_driver::{AgentProcess, Driver, DriverError, DriverInfo, StartedSession};
use protocol::driver::{DriverEvent, SessionSpec, TurnEnd, TurnRecall};
use protocol::functions::{CreateMachine, Function, RegisterWorker, SendMessage, StartSession};
use protocol::ids::TurnId;
use protocol::state::TurnState;
use protocol::wire::{
    AskAnswer, ChunkOp, CreateMachineArgs, DeltaKind, FullMessage, MachineInfo, Part, PartBody,
    RegisterWorkerArgs, SendMessageArgs, StartSessionArgs, WorkerSettings,
};
use tokio::sync::mpsc;
use transport::fake::FakeBackend;
use transport::{Call, Transport, new_key};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let backend = FakeBackend::new();

    // Once: a person adds the machine, its process registers with the key and keeps the credentials.
    let name = "embedded".to_owned();
    let key = ask::<CreateMachine>(&backend, CreateMachineArgs { name }).await?;
    let credentials = agent::register(
        &backend,
        key.registration_key,
        transport::new_secret("omn"),
        MachineInfo::default(),
    )
    .await?;

    // Each time: nothing but the credentials and the root directory is needed to come back.
    let machine_id = credentials.machine_id.clone();
    let mut agent = Agent::builder(credentials, std::env::temp_dir())
        .transport(Arc::new(backend.clone()))
        .driver(Arc::new(Echo))
        .start()?;

    let answer = chat(&backend, machine_id, "Good day to you").await?;
    agent.drain().await;
    println!("The agent has ended: {:?}", agent.ended().await);
    if answer == "You said: Good day to you " {
        Ok(())
    } else {
        Err(format!("this is not an echo: {answer:?}").into())
    }
}

/// What a person does on the page.
async fn chat(
    backend: &FakeBackend,
    machine_id: protocol::ids::MachineId,
    message: &str,
) -> Result<String, Box<dyn Error>> {
    let worker = RegisterWorkerArgs {
        machine_id,
        directory: String::new(),
        name: Some("here".to_owned()),
        settings: WorkerSettings::default(),
    };
    let worker_id = ask::<RegisterWorker>(backend, worker).await?.id;
    let start = StartSessionArgs {
        worker_id,
        title: None,
        model: None,
        agent: None,
        own_worktree: false,
        continues: None,
    };
    let send = SendMessageArgs {
        chat_session_id: ask::<StartSession>(backend, start).await?.chat_session_id,
        message: message.to_owned(),
    };
    let turn = ask::<SendMessage>(backend, send).await?.turn;

    let mut answer = String::new();
    let mut chunks = backend.read(&turn.id, Some(backend.owner_token()), true);
    while let Some(batch) = chunks.next().await {
        for chunk in batch? {
            match chunk.op {
                ChunkOp::Append { delta, .. } => {
                    println!("chunk {}: {delta:?}", chunk.seq);
                    answer.push_str(&delta);
                }
                ChunkOp::Seal { outcome, .. } => {
                    println!("the turn is {}", outcome.as_str());
                    return Ok(answer);
                }
                ChunkOp::Replace { .. } | ChunkOp::Supersede { .. } | ChunkOp::Unknown => {}
            }
        }
    }
    Err("the stream ended before its turn".into())
}

/// Calls a function of the contract as the owner.
async fn ask<F: Function>(
    backend: &FakeBackend,
    args: F::Args,
) -> Result<F::Reply, Box<dyn Error>> {
    let call = Call {
        function: F::NAME.to_owned(),
        args: serde_json::to_value(args)?,
        key: Some(new_key()),
        credential: Some(backend.owner_token()),
    };
    Ok(serde_json::from_value(backend.call(call).await?)?)
}

/// A driver without any process: it says each message back.
struct Echo;

#[async_trait]
impl Driver for Echo {
    async fn check(&self) -> Result<DriverInfo, DriverError> {
        Ok(DriverInfo {
            program: "echo".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            path: None,
        })
    }

    async fn start(
        &self,
        spec: SessionSpec,
        events: mpsc::Sender<DriverEvent>,
    ) -> Result<StartedSession, DriverError> {
        Ok(StartedSession {
            agent_session_id: spec.chat_session_id.to_string(),
            model: None,
            agent: None,
            process: Box::new(Conversation { events }),
        })
    }
}

struct Conversation {
    events: mpsc::Sender<DriverEvent>,
}

#[async_trait]
impl AgentProcess for Conversation {
    async fn prompt(&self, turn_id: &TurnId, text: &str) -> Result<(), DriverError> {
        let (events, turn_id) = (self.events.clone(), turn_id.clone());
        let words: Vec<String> = format!("You said: {text}")
            .split(' ')
            .map(|word| format!("{word} "))
            .collect();
        // The prompt is taken at once; the answer comes as events. Where the channel is full, this waits.
        tokio::spawn(async move {
            for word in &words {
                let op = ChunkOp::Append {
                    part: "answer".to_owned(),
                    kind: DeltaKind::Text,
                    delta: word.clone(),
                };
                let turn_id = turn_id.clone();
                let _ = events.send(DriverEvent::Chunk { turn_id, op }).await;
            }
            let body = PartBody::Text {
                text: words.concat(),
            };
            let answer = FullMessage {
                parts: vec![Part {
                    id: "answer".to_owned(),
                    body,
                }],
                ..FullMessage::default()
            };
            let end = TurnEnd {
                outcome: TurnState::Completed,
                reason: None,
                failure: None,
                answer,
            };
            let _ = events.send(DriverEvent::TurnEnded { turn_id, end }).await;
        });
        Ok(())
    }

    async fn recall(&self, _: &TurnId) -> Result<TurnRecall, DriverError> {
        // It keeps nothing, so that handing a prompt over again is safe.
        Ok(TurnRecall::Absent)
    }

    async fn abort(&self, _: &TurnId) -> Result<(), DriverError> {
        Ok(())
    }

    async fn reply(&self, _: &str, _: AskAnswer) -> Result<(), DriverError> {
        Err(DriverError::UnknownAsk)
    }

    async fn stop(&self) {}
}

#[test]
fn it_runs_to_its_end() {
    main().expect("the answer comes back");
}
