//! A driver that does what a test tells it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use opencode_driver::{AgentProcess, Driver, DriverError, DriverInfo, StartedSession};
use protocol::driver::{DriverEvent, SessionSpec, TurnEnd, TurnRecall};
use protocol::ids::TurnId;
use protocol::state::TurnState;
use protocol::wire::{AskAnswer, ChunkOp, DeltaKind, FullMessage, Part, PartBody};
use tokio::sync::mpsc;

/// A prompt that a process was given, with the way to answer.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) turn: TurnId,
    pub(crate) text: String,
    pub(crate) events: mpsc::Sender<DriverEvent>,
}

#[derive(Clone)]
pub(crate) struct Double {
    prompts: mpsc::Sender<Prompt>,
    /// What the agent program remembers of turns.
    recalls: Arc<Mutex<BTreeMap<TurnId, TurnRecall>>>,
}

impl Double {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Prompt>) {
        let (prompts, given) = mpsc::channel(64);
        let double = Self {
            prompts,
            recalls: Arc::default(),
        };
        (double, given)
    }

    pub(crate) fn remember(&self, turn: &TurnId, recall: TurnRecall) {
        self.recalls.lock().unwrap().insert(turn.clone(), recall);
    }
}

#[async_trait]
impl Driver for Double {
    async fn check(&self) -> Result<DriverInfo, DriverError> {
        Ok(DriverInfo {
            program: "double".to_owned(),
            version: "1".to_owned(),
            path: None,
        })
    }

    async fn start(
        &self,
        spec: SessionSpec,
        events: mpsc::Sender<DriverEvent>,
    ) -> Result<StartedSession, DriverError> {
        Ok(StartedSession {
            agent_session_id: format!("double-{}", spec.chat_session_id),
            model: None,
            agent: None,
            process: Box::new(Process {
                double: self.clone(),
                events,
            }),
        })
    }
}

struct Process {
    double: Double,
    events: mpsc::Sender<DriverEvent>,
}

#[async_trait]
impl AgentProcess for Process {
    async fn prompt(&self, turn_id: &TurnId, text: &str) -> Result<(), DriverError> {
        let prompt = Prompt {
            turn: turn_id.clone(),
            text: text.to_owned(),
            events: self.events.clone(),
        };
        self.double.prompts.send(prompt).await.unwrap();
        Ok(())
    }

    async fn recall(&self, turn_id: &TurnId) -> Result<TurnRecall, DriverError> {
        let recalls = self.double.recalls.lock().unwrap();
        Ok(recalls.get(turn_id).cloned().unwrap_or(TurnRecall::Absent))
    }

    async fn abort(&self, _: &TurnId) -> Result<(), DriverError> {
        Ok(())
    }

    async fn reply(&self, _: &str, _: AskAnswer) -> Result<(), DriverError> {
        Ok(())
    }

    async fn stop(&self) {}
}

pub(crate) fn text(turn: &TurnId, delta: &str) -> DriverEvent {
    let op = ChunkOp::Append {
        part: "p".to_owned(),
        kind: DeltaKind::Text,
        delta: delta.to_owned(),
    };
    DriverEvent::Chunk {
        turn_id: turn.clone(),
        op,
    }
}

pub(crate) fn parts(text: &str) -> Vec<Part> {
    vec![Part {
        id: "p".to_owned(),
        body: PartBody::Text {
            text: text.to_owned(),
        },
    }]
}

pub(crate) fn completed(turn: &TurnId, text: &str) -> DriverEvent {
    DriverEvent::TurnEnded {
        turn_id: turn.clone(),
        end: end(text),
    }
}

pub(crate) fn end(text: &str) -> TurnEnd {
    TurnEnd {
        outcome: TurnState::Completed,
        reason: None,
        failure: None,
        answer: FullMessage {
            parts: parts(text),
            ..FullMessage::default()
        },
    }
}
