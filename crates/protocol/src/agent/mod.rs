//! The agent core: what a machine does, decided without a clock, a network or a process. It is told what
//! happened ([`Input`]) and says what to do ([`Output`]); the loop around it carries bytes.
//!
//! The one idea: the inbox is the whole truth about what should be, and is compared with what is after
//! every input. Nothing is remembered that the inbox would not tell again, so a restarted process needs
//! only to connect.

mod backoff;
mod chat;
mod command;
mod governor;
mod lanes;
mod link;
mod status;
mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::driver::{DriverEvent, SessionSpec, TurnRecall};
use crate::error::CallError;
use crate::ids::{ChatSessionId, CommandId, MachineId, TurnId, WorkerId};
use crate::secret::Secret;
use crate::state::WorkerState;
use crate::time::{Steady, Timestamp};
use crate::wire::{
    Appended, AskAnswer, Chunk, ConnectReply, Inbox, MachineInfo, Operation, Progress,
    ReportWorkerArgs, Worktree,
};
use chat::Chat;
use command::Commands;
pub use command::{Attempt, CommandEnd};
use governor::Governor;
pub use lanes::{CallId, Lane};
use lanes::{Lanes, Purpose};
pub use link::DeadlineName;
use link::Link;
use status::Account;

/// What an agent is given when it starts.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// MACHINE_ID.
    pub machine_id: MachineId,
    /// The machine's secret.
    pub secret: Secret,
    /// A random secret that the process made: names its connection.
    pub nonce: Secret,
    /// What the machine tells about itself.
    pub info: MachineInfo,
    /// How long a chat session's process may sit without work before it is stopped, in milliseconds.
    pub hibernate_after_ms: u64,
    /// How long running turns may go on once the agent drains, in milliseconds.
    pub drain_ms: u64,
    /// How many chat sessions' processes there may be at once; at least one.
    pub process_limit: usize,
    /// How much memory they and all that they have started may take before no further one is started, in bytes;
    /// `None` where that can't be measured or is not limited.
    pub memory_limit_bytes: Option<u64>,
    /// Spreads the waits between two tries to reach the backend. It has to be random: machines with one seed come
    /// back in step when their backend was away.
    pub backoff_seed: u64,
}

/// Why something that was sent has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The backend refused it.
    Refused(CallError),
    /// No answer came: it may or may not have been done.
    Lost(String),
}

/// Why a prompt was not handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptFailure {
    /// For a person.
    pub reason: String,
    /// The process may have it all the same: it died, or did not answer.
    pub is_in_doubt: bool,
}

/// Tells the processes of one chat session apart; events of an earlier one are ignored.
pub type Generation = u64;

/// Tells the watches of the inbox apart; what an earlier one still brings is ignored.
pub type WatchId = u64;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Nothing but time has passed.
    Time,
    /// The machine knows more of itself than it told when it connected.
    Info(MachineInfo),
    /// `machine.connect` was answered.
    Connected(Result<ConnectReply, Failure>),
    /// The watch of the inbox has a value.
    Inbox(WatchId, Inbox),
    /// The watch of the inbox has ended.
    InboxEnded(WatchId, Failure),
    /// A call was answered.
    CallDone(CallId, Result<Value, Failure>),
    /// The append with this sequence number was answered.
    AppendDone(TurnId, u64, Result<Appended, Failure>),
    /// The chunks that the backend has of a turn were read.
    ChunksRead(ChatSessionId, TurnId, Result<Vec<Chunk>, Failure>),
    /// A worker's directory was looked at; the error is the reason why it can't be used.
    WorkerChecked(WorkerId, Result<(), String>),
    /// A process has started and told its own name for the conversation, or has failed to, for the reason.
    ProcessStarted(ChatSessionId, Generation, Result<String, String>),
    /// A process that was told to stop has stopped.
    ProcessStopped(ChatSessionId, Generation),
    /// A process told something.
    Driver(ChatSessionId, Generation, DriverEvent),
    /// The prompt has reached the process, or has not as far as is known.
    Prompted(ChatSessionId, Generation, Result<(), PromptFailure>),
    /// What the process knows of a turn, or why it could not tell.
    Recalled(
        ChatSessionId,
        Generation,
        TurnId,
        Result<TurnRecall, String>,
    ),
    /// How far a command is.
    CommandProgress(CommandId, Attempt, Progress),
    /// The work on a command has ended.
    CommandEnded(CommandId, Attempt, CommandEnd),
    /// The memory of all processes and what they have started, in bytes, where it can be measured.
    Memory(Option<u64>),
    /// Take nothing new, finish what runs, say goodbye.
    Drain,
    /// Stop now.
    Stop,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Call `machine.connect`.
    Connect,
    /// Watch the inbox with this token, in place of any earlier watch.
    WatchInbox(WatchId, Secret),
    /// Call a function with this token.
    Call {
        /// Comes back with the answer.
        id: CallId,
        /// The connection token.
        token: Secret,
        /// The function's name.
        function: &'static str,
        /// Its arguments.
        args: Value,
    },
    /// Append to a turn's chunk stream.
    Append {
        /// The turn.
        turn_id: TurnId,
        /// The connection token.
        token: Secret,
        /// The producer's epoch.
        epoch: u64,
        /// The producer's sequence number.
        seq: u64,
        /// The chunks.
        chunks: Vec<Chunk>,
    },
    /// Read the chunks that the backend has of a turn.
    ReadChunks {
        /// The chat session that asks.
        chat: ChatSessionId,
        /// The turn.
        turn_id: TurnId,
        /// The connection token.
        token: Secret,
    },
    /// Look whether a worker's directory can be used.
    CheckWorker {
        /// The worker.
        worker: WorkerId,
        /// Its directory below the root.
        directory: String,
    },
    /// Do what a command asks.
    RunCommand(CommandId, Attempt, Operation),
    /// Stop the work on a command and take back what was done of it.
    CancelCommand(CommandId),
    /// Start a process, in this worktree if there is one, which may have to be made first. The spec's
    /// directory is still relative to the root.
    StartProcess(Generation, SessionSpec, Option<Worktree>),
    /// Stop a process.
    StopProcess(ChatSessionId, Generation),
    /// Give a process its prompt.
    Prompt(ChatSessionId, Generation, TurnId, String),
    /// Ask a process what it knows of a turn.
    Recall(ChatSessionId, Generation, TurnId),
    /// Tell a process to stop working on its turn.
    Abort(ChatSessionId, Generation, TurnId),
    /// Give a process the answer to its ask.
    Reply(ChatSessionId, Generation, String, AskAnswer),
    /// Take no more events from a process for now (`true`), or take them again (`false`).
    HoldBack(ChatSessionId, bool),
    /// Measure the memory of all processes.
    MeasureMemory,
    /// Keep no more processes than this in store for chat sessions to come.
    KeepSpares(usize),
    /// End. Nothing comes after this.
    Exit(ExitReason),
}

/// Why the agent ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReason {
    /// It was told to, and nothing runs any more.
    Stopped,
    /// A newer process has connected as this machine.
    Fenced(CallError),
    /// The machine was revoked, or its credentials are not known: it has to register again.
    Unregistered(CallError),
    /// The backend refuses this version or this machine for good.
    Refused(CallError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    Draining { until: Timestamp },
    Leaving,
    Ended,
}

/// The machine's side of the protocol.
#[derive(Debug)]
pub struct AgentCore {
    config: AgentConfig,
    link: Link,
    lanes: Lanes,
    inbox: Option<Inbox>,
    chats: BTreeMap<ChatSessionId, Chat>,
    commands: Commands,
    governor: Governor,
    /// Workers whose directory was looked at on this connection.
    checked: BTreeSet<WorkerId>,
    last_generation: Generation,
    phase: Phase,
    /// The machine's clock may be set back; every time in here is a steady one.
    clock: Steady,
    outputs: VecDeque<Output>,
    account: Account,
}

impl AgentCore {
    /// An agent that has not connected yet. Its first output is [`Output::Connect`].
    #[must_use]
    pub fn new(config: AgentConfig) -> Self {
        let governor = Governor::new(config.process_limit, config.memory_limit_bytes);
        Self {
            governor,
            link: Link::new(config.backoff_seed),
            config,
            lanes: Lanes::default(),
            inbox: None,
            chats: BTreeMap::new(),
            commands: Commands::default(),
            checked: BTreeSet::new(),
            last_generation: 0,
            phase: Phase::Working,
            clock: Steady::default(),
            outputs: VecDeque::from([Output::Connect]),
            account: Account::default(),
        }
    }

    /// Takes in what happened. Afterwards, take out all outputs, then wait until the next deadline at most.
    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        if self.phase == Phase::Ended {
            return;
        }
        let now = self.clock.at(now);
        self.account.begin(now);
        match input {
            Input::Time => {}
            Input::Info(info) => self.on_info(info),
            Input::Connected(result) => self.on_connected(now, result),
            Input::Inbox(watch, inbox) if self.link.is_watched_by(watch) => {
                self.on_inbox(now, inbox)
            }
            Input::InboxEnded(watch, failure) if self.link.is_watched_by(watch) => {
                self.link.end_watch();
                self.on_failure(now, failure);
            }
            Input::Inbox(..) | Input::InboxEnded(..) => {}
            Input::CallDone(id, result) => self.on_call_done(now, id, result),
            Input::AppendDone(turn, seq, result) => self.on_append_done(now, &turn, seq, result),
            Input::ChunksRead(chat, turn, result) => self.on_chunks_read(now, &chat, &turn, result),
            Input::WorkerChecked(worker, result) => self.on_worker_checked(worker, result),
            Input::ProcessStarted(chat, generation, result) => {
                if let Err(reason) = &result {
                    self.account.note(now, reason);
                }
                self.with_chat(&chat, generation, |chat| chat.on_started(now, result));
            }
            Input::ProcessStopped(chat, generation) => {
                self.with_chat(&chat, generation, Chat::on_stopped);
                self.governor.on_ended(now);
            }
            Input::Memory(bytes) => self.governor.on_memory(bytes, &self.chats),
            Input::Driver(chat, generation, event) => {
                self.with_chat(&chat, generation, |chat| chat.on_event(now, event))
            }
            Input::Prompted(chat, generation, result) => {
                self.with_chat(&chat, generation, |chat| chat.on_prompted(now, result))
            }
            Input::Recalled(chat, generation, turn, result) => {
                self.with_chat(&chat, generation, |chat| chat.on_recalled(&turn, result));
            }
            Input::CommandProgress(id, attempt, progress) => {
                self.commands.on_progress(&id, attempt, progress);
            }
            Input::CommandEnded(id, attempt, end) => self.on_command_ended(&id, attempt, end),
            Input::Drain => self.drain(now),
            Input::Stop => self.leave(),
        }
        self.on_time(now);
        self.reconcile(now);
    }

    /// The next thing to do, if there is one.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Time`] at the latest, and what for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Timestamp, DeadlineName)> {
        let idle = self
            .chats
            .values()
            .filter_map(|chat| chat.hibernate_at(self.config.hibernate_after_ms));
        let drain = match self.phase {
            Phase::Draining { until } => Some((until, DeadlineName::Drain)),
            Phase::Working | Phase::Leaving | Phase::Ended => None,
        };
        let idle = idle.min().map(|at| (at, DeadlineName::Hibernate));
        let report = self
            .commands
            .next_report(&self.lanes)
            .filter(|_| self.link.is_up())
            .map(|at| (at, DeadlineName::Progress));
        let gather = self.chats.values().filter_map(Chat::append_at).min();
        let gather = gather
            .filter(|_| self.link.is_up())
            .map(|at| (at, DeadlineName::Append));
        let measure = self.governor.measure_at();
        let measure = measure.map(|at| (at, DeadlineName::Measure));
        [
            self.link.next_deadline(),
            drain,
            idle,
            report,
            gather,
            measure,
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|(at, name)| (self.clock.shown_at(at), name))
    }

    /// How many processes run, start or stop.
    #[must_use]
    pub fn process_count(&self) -> usize {
        self.chats
            .values()
            .filter(|chat| chat.has_process())
            .count()
    }

    /// The chat sessions that wait for a process, the next one first.
    pub fn waiting(&self) -> impl Iterator<Item = &ChatSessionId> {
        self.governor.waiting().iter()
    }

    /// Whether the backend can be reached as far as is known.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.link.is_up()
    }

    fn on_inbox(&mut self, now: Timestamp, mut inbox: Inbox) {
        if self.link.come_up(now) {
            self.account.count_connection();
            self.lanes.resend_all();
            for chat in self.chats.values_mut() {
                chat.resend();
            }
        }
        let current: BTreeSet<&ChatSessionId> = inbox.chats.iter().map(|chat| &chat.id).collect();
        for (id, chat) in &mut self.chats {
            if !current.contains(id) {
                chat.wanted = None;
            }
        }
        for wanted in std::mem::take(&mut inbox.chats) {
            let id = wanted.id.clone();
            let chat = self.chats.entry(id.clone());
            chat.or_insert_with(|| Chat::new(id)).wanted = Some(wanted);
        }
        self.inbox = Some(inbox);
    }

    fn on_worker_checked(&mut self, worker_id: WorkerId, result: Result<(), String>) {
        let (state, reason) = match result {
            Ok(()) => (WorkerState::Ready, None),
            Err(reason) => (WorkerState::Unavailable, Some(reason)),
        };
        let known = self
            .inbox
            .iter()
            .flat_map(|inbox| &inbox.workers)
            .find(|worker| worker.id == worker_id);
        if known.is_some_and(|worker| worker.state != state || state == WorkerState::Unavailable) {
            let args = ReportWorkerArgs {
                worker_id,
                state,
                reason,
                seq: self.lanes.next_seq(),
            };
            self.lanes
                .push(Lane::Machine, Purpose::Report, "worker.report", &args);
        }
    }

    fn on_chunks_read(
        &mut self,
        now: Timestamp,
        chat: &ChatSessionId,
        turn: &TurnId,
        result: Result<Vec<Chunk>, Failure>,
    ) {
        match result {
            Ok(chunks) => {
                if let Some(chat) = self.chats.get_mut(chat) {
                    chat.on_chunks_read(turn, &chunks);
                }
            }
            // Without them the turn still ends; what was streamed stays in the stream.
            Err(Failure::Refused(error))
                if !error.is_fenced() && !error.requires_reregistration() =>
            {
                if let Some(chat) = self.chats.get_mut(chat) {
                    chat.on_chunks_read(turn, &[]);
                }
            }
            Err(failure) => {
                if let Some(chat) = self.chats.get_mut(chat) {
                    chat.forget_recall();
                }
                self.on_failure(now, failure);
            }
        }
    }

    fn with_chat(
        &mut self,
        chat: &ChatSessionId,
        generation: Generation,
        act: impl FnOnce(&mut Chat),
    ) {
        if let Some(chat) = self.chats.get_mut(chat)
            && chat.generation() == Some(generation)
        {
            act(chat);
        }
    }

    fn drain(&mut self, now: Timestamp) {
        match self.phase {
            Phase::Working => {
                self.phase = Phase::Draining {
                    until: now.plus_ms(self.config.drain_ms),
                };
                self.link.heartbeat_by(now);
            }
            Phase::Draining { .. } => self.leave(),
            Phase::Leaving | Phase::Ended => {}
        }
    }

    fn leave(&mut self) {
        self.phase = Phase::Leaving;
        for chat in self.chats.values_mut() {
            chat.stop();
        }
    }

    fn exit(&mut self, reason: ExitReason) {
        self.phase = Phase::Ended;
        self.outputs.push_back(Output::Exit(reason));
    }

    /// Compares what is with what should be and does the next steps towards it.
    fn reconcile(&mut self, now: Timestamp) {
        if self.phase == Phase::Ended {
            return;
        }
        if let Phase::Draining { until } = self.phase
            && (now >= until || (self.chats.values().all(Chat::is_idle) && self.commands.is_idle()))
        {
            self.leave();
        }
        self.check_workers();
        let takes_new = self.phase == Phase::Working;
        let mut places_owed = self.governor.places_owed(now, &self.chats);
        for chat in self.chats.values_mut().filter(|chat| !chat.is_dormant()) {
            chat.reconcile(
                now,
                takes_new,
                self.config.hibernate_after_ms,
                &mut places_owed,
                &self.lanes,
            );
        }
        self.governor.share_out(
            now,
            takes_new,
            &mut self.chats,
            &mut self.last_generation,
            &self.lanes,
        );
        for chat in self.chats.values_mut().filter(|chat| !chat.is_dormant()) {
            chat.report(&mut self.lanes);
            chat.send(now, &self.link, &mut self.outputs);
        }
        self.chats.retain(|_, chat| !chat.is_forgotten());
        self.governor.send(now, &self.chats, &mut self.outputs);
        if let Some(inbox) = &self.inbox
            && self.link.is_up()
        {
            self.commands.reconcile(
                now,
                &inbox.commands,
                takes_new,
                |chat| self.chats.contains_key(chat),
                &mut self.lanes,
                &mut self.outputs,
            );
        }
        self.lanes.send(&self.link, &mut self.outputs);
        self.hurry_status(now);
        if self.phase == Phase::Leaving && self.process_count() == 0 {
            self.say_goodbye();
        }
    }

    fn check_workers(&mut self) {
        if !self.link.is_up() {
            return;
        }
        for worker in self.inbox.iter().flat_map(|inbox| &inbox.workers) {
            if self.checked.insert(worker.id.clone()) {
                let (worker, directory) = (worker.id.clone(), worker.directory.clone());
                self.outputs
                    .push_back(Output::CheckWorker { worker, directory });
            }
        }
    }
}

#[cfg(test)]
mod tests;
