//! The product: a real agent whose driver replays, and a person who may read along.

use std::sync::Arc;
use std::time::Duration;

use agent::Agent;
use futures::StreamExt as _;
use protocol::functions::{CreateMachine, RegisterWorker, SendMessage, StartSession};
use protocol::ids::{ChatSessionId, TurnId};
use protocol::wire::{
    ChunkOp, CreateMachineArgs, MachineCredentials, MachineInfo, RegisterWorkerArgs,
    SendMessageArgs, StartSessionArgs, WorkerSettings,
};
use tokio::time::Instant;
use transport::Transport as _;
use transport_convex::ConvexTransport;

use super::Cost;
use super::bridge::Bridge;
use crate::Failure;
use crate::replay::{Recording, Replay};

/// How often it is looked whether a turn has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A machine with a chat session.
pub(super) struct Stage {
    /// The machine's connection.
    pub(super) transport: ConvexTransport,
    pub(super) credentials: MachineCredentials,
    pub(super) chat: ChatSessionId,
}

impl Stage {
    pub(super) async fn set(bridge: &Bridge, name: &str) -> Result<Self, Failure> {
        let transport = bridge.another()?;
        let name = name.to_owned();
        let key = bridge
            .call::<CreateMachine>(&CreateMachineArgs { name })
            .await?;
        let nonce = transport::new_secret("omn");
        let info = MachineInfo::default();
        let credentials = agent::register(&transport, key.registration_key, nonce, info).await?;
        let worker = RegisterWorkerArgs {
            machine_id: key.machine_id,
            directory: String::new(),
            name: Some("here".to_owned()),
            settings: WorkerSettings::default(),
        };
        let worker = bridge.call::<RegisterWorker>(&worker).await?;
        let start = StartSessionArgs {
            worker_id: worker.id,
            title: None,
            model: None,
            agent: None,
            own_worktree: false,
            continues: None,
        };
        let chat = bridge.call::<StartSession>(&start).await?.chat_session_id;
        Ok(Self {
            transport,
            credentials,
            chat,
        })
    }

    pub(super) async fn send(&self, bridge: &Bridge) -> Result<TurnId, Failure> {
        let message = SendMessageArgs {
            chat_session_id: self.chat.clone(),
            message: "go".to_owned(),
        };
        let reply = bridge.call::<SendMessage>(&message).await?;
        Ok(reply.turn.id)
    }

    pub(super) async fn stream(
        self,
        bridge: &Bridge,
        recording: &Recording,
        readers: usize,
    ) -> Result<Cost, Failure> {
        let root = tempfile::tempdir()?;
        let (replay, mut begun) = Replay::new(recording);
        let mut agent = Agent::builder(self.credentials.clone(), root.path())
            .transport(Arc::new(self.transport.clone()))
            .driver(Arc::new(replay))
            .start()?;
        until(bridge, |tables| is_chat(tables, &self.chat, "ready")).await?;
        bridge.reset_counts().await?;
        let turn = self.send(bridge).await?;
        begun.wait_for(Option::is_some).await?;
        let first_word = match readers {
            0 => None,
            _ => Some(self.read(bridge, &turn, recording).await?),
        };
        let first_word = first_word
            .zip(*begun.borrow())
            .map(|(at, begun)| at - begun);
        until(bridge, |tables| has_ended(tables, &turn)).await?;
        let counts = bridge.counts().await?;
        agent.drain().await;
        agent.ended().await;
        Ok(Cost { counts, first_word })
    }

    /// Reads to the end; says when the first chunk came.
    async fn read(
        &self,
        bridge: &Bridge,
        turn: &TurnId,
        recording: &Recording,
    ) -> Result<Instant, Failure> {
        let mut chunks = bridge
            .transport
            .read(turn, Some(bridge.person.clone()), true);
        let (mut first, mut text) = (None, String::new());
        while let Some(batch) = chunks.next().await {
            first.get_or_insert_with(Instant::now);
            for chunk in batch? {
                if let ChunkOp::Append { delta, .. } = chunk.op {
                    text.push_str(&delta);
                }
            }
        }
        if text != recording.text() {
            return Err("the reader did not get the whole answer".into());
        }
        first.ok_or_else(|| "the reader got nothing".into())
    }
}

/// Waits for what is stored to be so.
pub(super) async fn until(
    bridge: &Bridge,
    holds: impl Fn(&serde_json::Value) -> bool,
) -> Result<(), Failure> {
    let limit = Instant::now() + Duration::from_secs(120);
    while !holds(&bridge.tables().await?) {
        if Instant::now() > limit {
            return Err("what was waited for did not come".into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn is_chat(tables: &serde_json::Value, chat: &ChatSessionId, state: &str) -> bool {
    rows(tables, "chats").any(|row| row["id"] == chat.as_str() && row["state"] == state)
}

pub(super) fn has_ended(tables: &serde_json::Value, turn: &TurnId) -> bool {
    rows(tables, "turns").any(|row| row["id"] == turn.as_str() && row["state"] == "completed")
}

fn rows<'t>(
    tables: &'t serde_json::Value,
    name: &str,
) -> impl Iterator<Item = &'t serde_json::Value> {
    tables[name].as_array().into_iter().flatten()
}
