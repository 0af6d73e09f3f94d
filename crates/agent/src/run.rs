//! The loop: tells the core what happened, does what it says. Everything that takes time runs in a task of
//! its own and comes back as one input through one bounded channel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use opencode_driver::Driver;
use protocol::agent::{AgentConfig, AgentCore, ExitReason, Failure, Input, Output, WatchId};
use protocol::ids::ChatSessionId;
use protocol::secret::Secret;
use protocol::wire::{ConnectArgs, MachineInfo, WIRE_VERSION};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use transport::{Append, Call, Transport, TransportError, now};

use crate::command::Commands;
use crate::directory::{Directories, Root};
use crate::session::{Place, Session};
use crate::{Order, Status};

/// Answers and events that wait for the core. When it is full, whoever has more waits: back-pressure.
const INPUT_QUEUE: usize = 256;

pub(crate) struct Parts {
    pub(crate) config: AgentConfig,
    pub(crate) root: Root,
    pub(crate) directories: Option<Directories>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) status: watch::Sender<Status>,
}

pub(crate) async fn run(parts: Parts) -> ExitReason {
    let Parts {
        config,
        root,
        directories,
        transport,
        driver,
        mut orders,
        status,
    } = parts;
    if let Some(directories) = &directories {
        directories.clear_leftovers().await;
    }
    let (inputs, mut arrived) = mpsc::channel(INPUT_QUEUE);
    let mut core = AgentCore::new(config.clone());
    let mut shell = Shell {
        info: config.info.clone(),
        is_checking: false,
        config,
        root,
        commands: Commands::new(directories.clone(), inputs.clone()),
        directories,
        transport,
        driver,
        inputs,
        tasks: JoinSet::new(),
        watch: None,
        sessions: BTreeMap::new(),
        last_error: None,
    };
    loop {
        while let Some(output) = core.poll_output() {
            if let Some(reason) = shell.perform(output) {
                tracing::info!(?reason, "the agent ends");
                return reason;
            }
        }
        shell.publish(&core, &status);
        let input = tokio::select! {
            Some(input) = arrived.recv() => input,
            Some(order) = orders.recv() => match order {
                Order::Drain => Input::Drain,
                Order::Stop => Input::Stop,
            },
            // The set only has to be emptied; what a task has to say it has sent.
            Some(_) = shell.tasks.join_next() => continue,
            () = until(&core) => Input::Time,
        };
        shell.note(&input);
        core.handle_input(now(), input);
    }
}

/// Sleeps until the core's next deadline. Wakes up at least once a second while there is one, since a
/// sleep does not see that the machine itself was suspended.
async fn until(core: &AgentCore) {
    const LONGEST_SLEEP: Duration = Duration::from_secs(1);
    match core.next_deadline() {
        Some((at, _)) => {
            let wait = Duration::from_millis(at.ms_since(now()));
            tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
        }
        None => std::future::pending().await,
    }
}

struct Shell {
    config: AgentConfig,
    root: Root,
    directories: Option<Directories>,
    commands: Commands,
    transport: Arc<dyn Transport>,
    driver: Arc<dyn Driver>,
    /// What the machine tells about itself, with what the driver has said by now.
    info: MachineInfo,
    /// The driver is being asked whether it works.
    is_checking: bool,
    inputs: mpsc::Sender<Input>,
    tasks: JoinSet<()>,
    /// The watch of the inbox.
    watch: Option<AbortHandle>,
    sessions: BTreeMap<ChatSessionId, Session>,
    last_error: Option<String>,
}

impl Shell {
    /// Does what the core says. Gives the reason when the agent is to end.
    fn perform(&mut self, output: Output) -> Option<ExitReason> {
        match output {
            Output::Connect => self.connect(),
            Output::WatchInbox(watch, token) => self.watch_inbox(watch, token),
            Output::Call {
                id,
                token,
                function,
                args,
            } => {
                let call = Call {
                    function: function.to_owned(),
                    args,
                    key: None,
                    credential: Some(token),
                };
                let transport = Arc::clone(&self.transport);
                self.spawn(async move {
                    Input::CallDone(id, transport.call(call).await.map_err(failure))
                });
            }
            Output::Append {
                turn_id,
                token,
                epoch,
                seq,
                chunks,
            } => {
                let append = Append {
                    turn_id: turn_id.clone(),
                    credential: token,
                    epoch,
                    seq,
                    chunks,
                };
                let transport = Arc::clone(&self.transport);
                self.spawn(async move {
                    let result = transport.append(append).await.map_err(failure);
                    Input::AppendDone(turn_id, seq, result)
                });
            }
            Output::ReadChunks {
                chat,
                turn_id,
                token,
            } => {
                let mut pages = self.transport.read(&turn_id, Some(token), false);
                self.spawn(async move {
                    let mut chunks = Vec::new();
                    while let Some(page) = pages.next().await {
                        match page {
                            Ok(page) => chunks.extend(page),
                            Err(error) => {
                                return Input::ChunksRead(chat, turn_id, Err(failure(error)));
                            }
                        }
                    }
                    Input::ChunksRead(chat, turn_id, Ok(chunks))
                });
            }
            Output::CheckWorker { worker, directory } => {
                let checked = self.root.directory(&directory).map(|_| ());
                self.spawn(async move { Input::WorkerChecked(worker, checked) });
            }
            Output::StartProcess(generation, spec, worktree) => {
                let chat = spec.chat_session_id.clone();
                let place = Place {
                    root: self.root.clone(),
                    directories: self.directories.clone(),
                    worktree,
                };
                let session = Session::start(
                    generation,
                    spec,
                    place,
                    Arc::clone(&self.driver),
                    self.inputs.clone(),
                );
                self.sessions.insert(chat, session);
            }
            Output::RunCommand(id, attempt, operation) => self.commands.run(id, attempt, operation),
            Output::CancelCommand(id) => self.commands.cancel(&id),
            Output::HoldBack(chat, held) => {
                if let Some(session) = self.sessions.get(&chat) {
                    session.hold_back(held);
                }
            }
            Output::StopProcess(chat, generation) => {
                self.tell(&chat, generation, crate::session::Order::Stop)
            }
            Output::Prompt(chat, generation, turn, text) => {
                self.tell(&chat, generation, crate::session::Order::Prompt(turn, text));
            }
            Output::Recall(chat, generation, turn) => {
                self.tell(&chat, generation, crate::session::Order::Recall(turn))
            }
            Output::Abort(chat, generation, turn) => {
                self.tell(&chat, generation, crate::session::Order::Abort(turn))
            }
            Output::Reply(chat, generation, ask, answer) => {
                self.tell(&chat, generation, crate::session::Order::Reply(ask, answer));
            }
            Output::MeasureMemory => {
                self.spawn(async {
                    let measured =
                        tokio::task::spawn_blocking(opencode_driver::memory::of_children);
                    Input::Memory(measured.await.ok().flatten())
                });
            }
            Output::KeepSpares(most) => self.driver.keep_spares(most),
            Output::Exit(reason) => return Some(reason),
        }
        None
    }

    fn connect(&mut self) {
        self.check_driver();
        let transport = Arc::clone(&self.transport);
        let args = ConnectArgs {
            machine_id: self.config.machine_id.clone(),
            secret: self.config.secret.clone(),
            wire_version: WIRE_VERSION,
            nonce: Some(self.config.nonce.clone()),
            info: self.info.clone(),
        };
        self.spawn(async move {
            let args = serde_json::to_value(args).unwrap_or_default();
            let call = Call {
                function: "machine.connect".to_owned(),
                args,
                key: None,
                credential: None,
            };
            let reply = transport.call(call).await.map_err(failure);
            Input::Connected(reply.and_then(read))
        });
    }

    /// Asks the driver whether it works. Nobody waits for that: it may take as long as a program takes to start.
    fn check_driver(&mut self) {
        if std::mem::replace(&mut self.is_checking, true) {
            return;
        }
        let driver = Arc::clone(&self.driver);
        let mut info = self.config.info.clone();
        self.spawn(async move {
            match driver.check().await {
                Ok(found) => info.opencode_version = Some(found.version),
                Err(error) => info.problem = Some(error.to_string()),
            }
            Input::Info(info)
        });
    }

    fn watch_inbox(&mut self, watch: WatchId, token: Secret) {
        if let Some(earlier) = self.watch.take() {
            earlier.abort();
        }
        let mut values = self
            .transport
            .watch("machine.inbox", serde_json::json!({}), Some(token));
        let inputs = self.inputs.clone();
        self.watch = Some(self.tasks.spawn(async move {
            loop {
                let input = match values.next().await {
                    Some(Ok(value)) => match read(value) {
                        Ok(inbox) => Input::Inbox(watch, inbox),
                        Err(failure) => Input::InboxEnded(watch, failure),
                    },
                    Some(Err(error)) => Input::InboxEnded(watch, failure(error)),
                    None => Input::InboxEnded(watch, Failure::Lost("the watch ended".to_owned())),
                };
                let ends = matches!(input, Input::InboxEnded(..));
                if inputs.send(input).await.is_err() || ends {
                    return;
                }
            }
        }));
    }

    fn tell(&mut self, chat: &ChatSessionId, generation: u64, order: crate::session::Order) {
        if let Some(session) = self
            .sessions
            .get(chat)
            .filter(|session| session.generation() == generation)
        {
            session.tell(order);
        }
    }

    fn spawn(&mut self, work: impl Future<Output = Input> + Send + 'static) {
        let inputs = self.inputs.clone();
        self.tasks.spawn(async move {
            let input = work.await;
            // Nobody listens only when the agent has ended.
            let _ = inputs.send(input).await;
        });
    }

    /// Remembers and logs what a person may have to know.
    fn note(&mut self, input: &Input) {
        let failure = match input {
            Input::Connected(Err(failure))
            | Input::InboxEnded(_, failure)
            | Input::CallDone(_, Err(failure))
            | Input::AppendDone(_, _, Err(failure))
            | Input::ChunksRead(_, _, Err(failure)) => failure,
            Input::ProcessStarted(chat, _, Err(reason)) => {
                tracing::warn!(%chat, reason, "a chat session's process did not start");
                return;
            }
            Input::ProcessStopped(chat, _) => {
                self.sessions.remove(chat);
                return;
            }
            Input::Info(info) => {
                self.info = info.clone();
                self.is_checking = false;
                return;
            }
            Input::CommandEnded(id, attempt, _) => {
                self.commands.forget(id, *attempt);
                return;
            }
            Input::Driver(chat, _, protocol::driver::DriverEvent::Exited { reason }) => {
                tracing::warn!(%chat, reason, "a chat session's process has ended");
                self.sessions.remove(chat);
                return;
            }
            Input::Time
            | Input::Connected(Ok(_))
            | Input::Inbox(..)
            | Input::CallDone(..)
            | Input::AppendDone(..)
            | Input::ChunksRead(..)
            | Input::WorkerChecked(..)
            | Input::ProcessStarted(..)
            | Input::Driver(..)
            | Input::Prompted(..)
            | Input::Recalled(..)
            | Input::CommandProgress(..)
            | Input::Memory(_)
            | Input::Drain
            | Input::Stop => return,
        };
        match failure {
            Failure::Lost(why) => {
                tracing::warn!(why, "the backend can't be reached; trying again");
                self.last_error = Some(why.clone());
            }
            Failure::Refused(error) => tracing::debug!(%error, "the backend refused a call"),
        }
    }

    fn publish(&mut self, core: &AgentCore, status: &watch::Sender<Status>) {
        if core.is_connected() {
            self.last_error = None;
        }
        let next = Status {
            connected: core.is_connected(),
            process_count: core.process_count(),
            last_error: self.last_error.clone(),
        };
        status.send_if_modified(|current| {
            let changed = *current != next;
            *current = next;
            changed
        });
    }
}

fn failure(error: TransportError) -> Failure {
    match error {
        TransportError::Refused(error) => Failure::Refused(error),
        TransportError::Lost(why) => Failure::Lost(why),
    }
}

fn read<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| {
        Failure::Lost(format!(
            "the backend's answer does not read as such ({error})"
        ))
    })
}
