//! A driver that gives one recorded answer, each piece at its recorded time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opencode_driver::{AgentProcess, Driver, DriverError, DriverInfo, StartedSession};
use protocol::driver::{DriverEvent, SessionSpec, TurnEnd, TurnRecall};
use protocol::ids::TurnId;
use protocol::state::TurnState;
use protocol::wire::{AskAnswer, ChunkOp, DeltaKind, FullMessage, Part, PartBody};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::Failure;

/// The one part that the recorded answers have.
const PART: &str = "answer";

/// An answer as it was streamed by the real opencode.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    /// When each piece came, after the first one, and its text.
    pub(super) deltas: Vec<(Duration, String)>,
}

impl Recording {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{} can't be read: {error}", path.display()))?;
        let deltas: Vec<(u64, String)> = serde_json::from_str(&text)?;
        Ok(Self {
            deltas: deltas
                .into_iter()
                .map(|(ms, text)| (Duration::from_millis(ms), text))
                .collect(),
        })
    }

    pub(super) fn length(&self) -> Duration {
        self.deltas.last().map_or(Duration::ZERO, |(at, _)| *at)
    }

    pub(super) fn text(&self) -> String {
        self.deltas.iter().map(|(_, text)| text.as_str()).collect()
    }

    pub(super) fn answer(&self) -> FullMessage {
        let parts = vec![Part {
            id: PART.to_owned(),
            body: PartBody::Text { text: self.text() },
        }];
        let hash = protocol::transcript::text_hash(&parts);
        FullMessage {
            parts,
            hash,
            ..FullMessage::default()
        }
    }
}

/// A piece of the recording.
pub(super) fn op(text: &str) -> ChunkOp {
    ChunkOp::Append {
        part: PART.to_owned(),
        kind: DeltaKind::Text,
        delta: text.to_owned(),
    }
}

/// Answers every prompt with the recording.
pub(super) struct Replay {
    recording: Arc<Recording>,
    /// When the latest answer's first word was given.
    begun: watch::Sender<Option<Instant>>,
}

impl Replay {
    pub(super) fn new(recording: &Recording) -> (Self, watch::Receiver<Option<Instant>>) {
        let (begun, when) = watch::channel(None);
        let replay = Self {
            recording: Arc::new(recording.clone()),
            begun,
        };
        (replay, when)
    }
}

#[async_trait]
impl Driver for Replay {
    async fn check(&self) -> Result<DriverInfo, DriverError> {
        Ok(DriverInfo {
            program: "replay".to_owned(),
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
            agent_session_id: format!("replay-{}", spec.chat_session_id),
            model: None,
            agent: None,
            process: Box::new(Player {
                recording: Arc::clone(&self.recording),
                begun: self.begun.clone(),
                events,
            }),
        })
    }
}

struct Player {
    recording: Arc<Recording>,
    begun: watch::Sender<Option<Instant>>,
    events: mpsc::Sender<DriverEvent>,
}

#[async_trait]
impl AgentProcess for Player {
    async fn prompt(&self, turn_id: &TurnId, _: &str) -> Result<(), DriverError> {
        let (recording, begun) = (Arc::clone(&self.recording), self.begun.clone());
        let (events, turn_id) = (self.events.clone(), turn_id.clone());
        tokio::spawn(async move {
            let start = Instant::now();
            begun.send_replace(Some(start));
            for (at, text) in &recording.deltas {
                tokio::time::sleep_until(start + *at).await;
                let chunk = DriverEvent::Chunk {
                    turn_id: turn_id.clone(),
                    op: op(text),
                };
                if events.send(chunk).await.is_err() {
                    return;
                }
            }
            let end = TurnEnd {
                outcome: TurnState::Completed,
                reason: None,
                failure: None,
                answer: recording.answer(),
            };
            let _ = events.send(DriverEvent::TurnEnded { turn_id, end }).await;
        });
        Ok(())
    }

    async fn recall(&self, _: &TurnId) -> Result<TurnRecall, DriverError> {
        Ok(TurnRecall::Absent)
    }

    async fn abort(&self, _: &TurnId) -> Result<(), DriverError> {
        Ok(())
    }

    async fn reply(&self, _: &str, _: AskAnswer) -> Result<(), DriverError> {
        Ok(())
    }

    async fn stop(&self) {}
}
