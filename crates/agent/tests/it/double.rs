//! A driver that does what a test tells it, and a person at the backend in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use agent::{Agent, DirectorySettings};
use async_trait::async_trait;
use futures::StreamExt;
use opencode_driver::{AgentProcess, Driver, DriverError, DriverInfo, StartedSession};
use protocol::driver::{DriverEvent, SessionSpec, TurnEnd, TurnRecall};
use protocol::functions::{
    CreateMachine, Function, Kind, RegisterMachine, RegisterWorker, SendMessage, StartSession,
};
use protocol::git_url::GitProtocol;
use protocol::ids::{ChatSessionId, TurnId};
use protocol::state::TurnState;
use protocol::wire::{
    AskAnswer, ChatView, ChunkOp, CreateMachineArgs, DeltaKind, FullMessage, MachineCredentials,
    Part, PartBody, RegisterMachineArgs, RegisterWorkerArgs, SendMessageArgs, StartSessionArgs,
    WorkerSettings,
};
use tokio::sync::mpsc;
use transport::fake::FakeBackend;
use transport::{Call, Transport, TransportError, new_key};

/// What a process was told, with the way to answer.
#[derive(Debug)]
pub(crate) enum Told {
    Prompt(TurnId, String, mpsc::Sender<DriverEvent>),
    Abort(TurnId, mpsc::Sender<DriverEvent>),
    Reply(String, AskAnswer),
    Stopped,
}

#[derive(Clone)]
pub(crate) struct Double {
    told: mpsc::Sender<Told>,
    recalls: Arc<Mutex<BTreeMap<TurnId, TurnRecall>>>,
    refuses: Arc<Mutex<Option<DriverError>>>,
    directories: Arc<Mutex<BTreeMap<ChatSessionId, String>>>,
}

impl Double {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Told>) {
        let (told, heard) = mpsc::channel(64);
        let double = Self {
            told,
            recalls: Arc::default(),
            refuses: Arc::default(),
            directories: Arc::default(),
        };
        (double, heard)
    }

    pub(crate) fn remember(&self, turn: &TurnId, recall: TurnRecall) {
        self.recalls.lock().unwrap().insert(turn.clone(), recall);
    }

    /// Where a chat session's process was started.
    pub(crate) fn directory_of(&self, chat: &ChatSessionId) -> String {
        self.directories.lock().unwrap()[chat].clone()
    }

    pub(crate) fn refuse(&self, error: Option<DriverError>) {
        *self.refuses.lock().unwrap() = error;
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
        if let Some(error) = self.refuses.lock().unwrap().clone() {
            return Err(error);
        }
        let mut directories = self.directories.lock().unwrap();
        directories.insert(spec.chat_session_id.clone(), spec.directory);
        Ok(StartedSession {
            agent_session_id: format!("double-{}", spec.chat_session_id),
            model: None,
            agent: None,
            process: Box::new(DoubleProcess {
                double: self.clone(),
                events,
            }),
        })
    }
}

struct DoubleProcess {
    double: Double,
    events: mpsc::Sender<DriverEvent>,
}

impl DoubleProcess {
    async fn tell(&self, told: Told) {
        self.double.told.send(told).await.unwrap();
    }
}

#[async_trait]
impl AgentProcess for DoubleProcess {
    async fn prompt(&self, turn_id: &TurnId, text: &str) -> Result<(), DriverError> {
        self.tell(Told::Prompt(
            turn_id.clone(),
            text.to_owned(),
            self.events.clone(),
        ))
        .await;
        Ok(())
    }

    async fn recall(&self, turn_id: &TurnId) -> Result<TurnRecall, DriverError> {
        Ok(self
            .double
            .recalls
            .lock()
            .unwrap()
            .get(turn_id)
            .cloned()
            .unwrap_or(TurnRecall::Absent))
    }

    async fn abort(&self, turn_id: &TurnId) -> Result<(), DriverError> {
        self.tell(Told::Abort(turn_id.clone(), self.events.clone()))
            .await;
        Ok(())
    }

    async fn reply(&self, agent_ask_id: &str, answer: AskAnswer) -> Result<(), DriverError> {
        self.tell(Told::Reply(agent_ask_id.to_owned(), answer))
            .await;
        Ok(())
    }

    async fn stop(&self) {
        // A test that has ended does not listen any more.
        let _ = self.double.told.send(Told::Stopped).await;
    }
}

/// A backend with one machine, one worker and one chat session, and a root directory.
pub(crate) struct Stage {
    pub(crate) backend: FakeBackend,
    pub(crate) credentials: MachineCredentials,
    pub(crate) chat: ChatSessionId,
    pub(crate) root: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let backend = FakeBackend::new();
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("repo")).unwrap();
        let key = ask::<CreateMachine>(
            &backend,
            CreateMachineArgs {
                name: "box".to_owned(),
            },
        )
        .await;
        let register = RegisterMachineArgs {
            registration_key: key.registration_key,
            nonce: None,
            info: Default::default(),
        };
        let credentials = ask::<RegisterMachine>(&backend, register).await;
        let worker = RegisterWorkerArgs {
            machine_id: key.machine_id,
            directory: "repo".to_owned(),
            name: None,
            settings: WorkerSettings::default(),
        };
        let worker = ask::<RegisterWorker>(&backend, worker).await;
        let start = StartSessionArgs {
            worker_id: worker.id,
            title: None,
            model: None,
            agent: None,
            own_worktree: false,
            continues: None,
        };
        let chat = ask::<StartSession>(&backend, start).await.chat_session_id;
        Self {
            backend,
            credentials,
            chat,
            root,
        }
    }

    pub(crate) fn agent(&self, double: &Double) -> Agent {
        let supervisor = env!("CARGO_BIN_EXE_agent-supervise");
        let mut directories = DirectorySettings::new(vec![supervisor.into()]);
        directories.protocols.push(GitProtocol::Http);
        Agent::builder(self.credentials.clone(), self.root.path())
            .transport(Arc::new(self.backend.clone()))
            .driver(Arc::new(double.clone()))
            .directories(directories)
            .start()
            .unwrap()
    }

    pub(crate) async fn send(&self, message: &str) -> TurnId {
        let args = SendMessageArgs {
            chat_session_id: self.chat.clone(),
            message: message.to_owned(),
        };
        ask::<SendMessage>(&self.backend, args).await.turn.id
    }

    /// The first view of the chat session for which the condition holds.
    pub(crate) async fn until(&self, holds: impl Fn(&ChatView) -> bool) -> ChatView {
        let args = serde_json::json!({ "chatSessionId": self.chat });
        let mut views =
            self.backend
                .watch("worker.chat.view", args, Some(self.backend.owner_token()));
        loop {
            let view = views.next().await.unwrap().unwrap();
            let view: ChatView = serde_json::from_value(view).unwrap();
            if holds(&view) {
                return view;
            }
        }
    }

    /// The view once the latest turn has ended.
    pub(crate) async fn until_ended(&self) -> ChatView {
        self.until(|view| {
            view.turns
                .last()
                .is_some_and(|turn| turn.state.is_terminal())
        })
        .await
    }
}

pub(crate) async fn try_ask<F: Function>(
    backend: &FakeBackend,
    args: F::Args,
) -> Result<F::Reply, TransportError> {
    let call = Call {
        function: F::NAME.to_owned(),
        args: serde_json::to_value(args).unwrap(),
        key: (F::KIND == Kind::Mutation).then(new_key),
        credential: Some(backend.owner_token()),
    };
    backend
        .call(call)
        .await
        .map(|reply| serde_json::from_value(reply).unwrap())
}

pub(crate) async fn ask<F: Function>(backend: &FakeBackend, args: F::Args) -> F::Reply {
    try_ask::<F>(backend, args).await.unwrap()
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

pub(crate) fn message(text: &str) -> FullMessage {
    let part = Part {
        id: "p".to_owned(),
        body: PartBody::Text {
            text: text.to_owned(),
        },
    };
    FullMessage {
        parts: vec![part],
        ..FullMessage::default()
    }
}

pub(crate) fn ended(turn: &TurnId, outcome: TurnState, text: &str) -> DriverEvent {
    let end = TurnEnd {
        outcome,
        reason: None,
        failure: None,
        answer: message(text),
    };
    DriverEvent::TurnEnded {
        turn_id: turn.clone(),
        end,
    }
}
