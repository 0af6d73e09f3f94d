//! A driver that does what a test tells it, and a person at the backend in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use agent::{Agent, Builder, DirectorySettings};
use async_trait::async_trait;
use futures::StreamExt;
use opencode_driver::{AgentProcess, Driver, DriverError, DriverInfo, StartedSession};
use protocol::driver::{DriverEvent, SessionSpec, TurnEnd, TurnRecall};
use protocol::functions::{
    CreateMachine, Function, Kind, RegisterMachine, RegisterWorker, SendMessage, StartSession,
};
use protocol::git_url::GitProtocol;
use protocol::ids::{ChatSessionId, TurnId, WorkerId};
use protocol::state::TurnState;
use protocol::wire::{
    AskAnswer, ChatView, ChunkOp, CreateMachineArgs, DeltaKind, FullMessage, MachineCredentials,
    MachineSummary, MachineView, Part, PartBody, RegisterMachineArgs, RegisterWorkerArgs,
    SendMessageArgs, StartSessionArgs, WorkerSettings,
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
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
    /// What it says of itself; until it knows, whoever asks waits.
    check: watch::Sender<Option<Result<DriverInfo, DriverError>>>,
}

impl Double {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Told>) {
        let (told, heard) = mpsc::channel(64);
        let double = Self {
            told,
            recalls: Arc::default(),
            refuses: Arc::default(),
            directories: Arc::default(),
            check: watch::Sender::new(Some(Ok(version("1")))),
        };
        (double, heard)
    }

    pub(crate) fn remember(&self, turn: &TurnId, recall: TurnRecall) {
        self.recalls.lock().unwrap().insert(turn.clone(), recall);
    }

    /// What it says to whoever asks whether it works, from now on.
    pub(crate) fn says(&self, check: Option<Result<&str, DriverError>>) {
        self.check
            .send_replace(check.map(|check| check.map(version)));
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
        let mut check = self.check.subscribe();
        let known = check.wait_for(Option::is_some).await.unwrap();
        known.clone().unwrap()
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

fn version(version: &str) -> DriverInfo {
    DriverInfo {
        program: "double".to_owned(),
        version: version.to_owned(),
        path: None,
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
    pub(crate) worker: WorkerId,
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
        let worker = ask::<RegisterWorker>(&backend, worker).await.id;
        let chat = start(&backend, &worker).await;
        Self {
            backend,
            credentials,
            worker,
            chat,
            root,
        }
    }

    pub(crate) fn agent(&self, double: &Double) -> Agent {
        self.builder(double).start().unwrap()
    }

    pub(crate) fn builder(&self, double: &Double) -> Builder {
        let supervisor = env!("CARGO_BIN_EXE_agent-supervise");
        let mut directories = DirectorySettings::new(vec![supervisor.into()]);
        directories.protocols.push(GitProtocol::Http);
        Agent::builder(self.credentials.clone(), self.root.path())
            .transport(Arc::new(self.backend.clone()))
            .driver(Arc::new(double.clone()))
            .directories(directories)
    }

    /// A further chat session of the worker.
    pub(crate) async fn another_chat(&self) -> ChatSessionId {
        start(&self.backend, &self.worker).await
    }

    pub(crate) async fn send(&self, message: &str) -> TurnId {
        self.send_to(&self.chat, message).await
    }

    pub(crate) async fn send_to(&self, chat: &ChatSessionId, message: &str) -> TurnId {
        let args = SendMessageArgs {
            chat_session_id: chat.clone(),
            message: message.to_owned(),
        };
        ask::<SendMessage>(&self.backend, args).await.turn.id
    }

    /// The first view of the chat session for which the condition holds.
    pub(crate) async fn until(&self, holds: impl Fn(&ChatView) -> bool) -> ChatView {
        self.until_in(&self.chat, holds).await
    }

    pub(crate) async fn until_in(
        &self,
        chat: &ChatSessionId,
        holds: impl Fn(&ChatView) -> bool,
    ) -> ChatView {
        let args = serde_json::json!({ "chatSessionId": chat });
        self.watched("worker.chat.view", args, holds).await
    }

    /// The first view of the machine for which the condition holds.
    pub(crate) async fn until_machine(
        &self,
        holds: impl Fn(&MachineSummary) -> bool,
    ) -> MachineSummary {
        let args = serde_json::json!({ "machineId": self.credentials.machine_id });
        let holds = |view: &MachineView| holds(&view.machine);
        self.watched("machine.view", args, holds).await.machine
    }

    async fn watched<T: DeserializeOwned>(
        &self,
        function: &str,
        args: serde_json::Value,
        holds: impl Fn(&T) -> bool,
    ) -> T {
        let owner = Some(self.backend.owner_token());
        let mut views = self.backend.watch(function, args, owner);
        loop {
            let view = views.next().await.unwrap().unwrap();
            let view: T = serde_json::from_value(view).unwrap();
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

async fn start(backend: &FakeBackend, worker: &WorkerId) -> ChatSessionId {
    let args = StartSessionArgs {
        worker_id: worker.clone(),
        title: None,
        model: None,
        agent: None,
        own_worktree: false,
        continues: None,
    };
    ask::<StartSession>(backend, args).await.chat_session_id
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
