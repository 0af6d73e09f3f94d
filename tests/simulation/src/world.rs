//! One simulated world: a backend, a machine that may crash, a network that loses, doubles and delays, and
//! a person who sends messages. Everything that happens is an event at a moment of virtual time.

mod checks;
mod commands;

use std::collections::{BTreeMap, BTreeSet};

use protocol::agent::{AgentConfig, AgentCore, Attempt, CallId, Failure, Input, Output};
use protocol::backend::{Backend, Caller, Effect, Entropy, MemoryRows, Outcome, Request};
use protocol::driver::{DriverEvent, TurnEnd};
use protocol::ids::{ChatSessionId, CommandId, IdempotencyKey, PersonId, TurnId};
use protocol::limits::CALL_TIMEOUT_MS;
use protocol::producer::{self, Decision, ProducerState};
use protocol::secret::Secret;
use protocol::state::TurnState;
use protocol::wire::{
    Appended, AskAnswer, ChatView, Chunk, CommandView, FullMessage, MachineCredentials,
    MachineInfo, Operation, RegistrationKeyReply, StartSessionReply, TurnReply, WorkerSummary,
};
use protocol::{CallError, Timestamp};
use serde_json::{Value, json};

use crate::model::Storage;
use crate::random::Random;
use commands::Disk;

/// How bad the world is: chances in a thousand.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// A request or its answer is lost.
    pub lose: u64,
    /// A request arrives twice.
    pub double: u64,
    /// The machine crashes at an event.
    pub crash: u64,
    /// The watch of the inbox breaks at an event.
    pub cut: u64,
    /// opencode dies at one of its events.
    pub exit: u64,
}

/// What happened in a run that held all promises.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events.
    pub steps: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Turns by how they ended.
    pub turns: BTreeMap<&'static str, u64>,
    /// Commands by how they ended.
    pub commands: BTreeMap<&'static str, u64>,
    /// A digest of everything that happened: the same seed gives the same.
    pub digest: u64,
}

type Incarnation = u64;
/// Names a request while it waits for its one answer.
type RequestId = u64;

#[derive(Debug)]
enum Event {
    ToAgent(Incarnation, Input),
    /// The answer to a request, or its time-out: whichever comes first.
    Answer(RequestId, Incarnation, Input),
    Call(RequestId, Incarnation, CallId, Secret, &'static str, Value),
    Connect(RequestId, Incarnation),
    Append(RequestId, Incarnation, Secret, TurnId, u64, u64, Vec<Chunk>),
    Read(RequestId, Incarnation, ChatSessionId, TurnId),
    /// Look whether the inbox has changed for this watch.
    Watch(RequestId, Incarnation, u64, Secret),
    /// opencode's next event of a turn.
    Model(
        Incarnation,
        ChatSessionId,
        u64,
        TurnId,
        std::collections::VecDeque<DriverEvent>,
    ),
    /// The next step of the work on a command.
    Work(Incarnation, CommandId, Attempt, u64),
    Wake(Incarnation),
    Person(PersonAct),
    Restart,
}

#[derive(Debug)]
enum PersonAct {
    Send(ChatSessionId, u32),
    CancelLast(ChatSessionId),
    AnswerAll,
    Request(Operation),
    CancelCommand(CommandId),
}

/// A world.
#[derive(Debug)]
pub struct World {
    random: Random,
    faults: Faults,
    now: Timestamp,
    queue: BTreeMap<(Timestamp, u64), Event>,
    last_event: u64,
    /// Requests without an answer so far.
    pending: BTreeSet<RequestId>,
    rows: MemoryRows,
    streams: BTreeMap<TurnId, (Option<ProducerState>, Vec<Chunk>)>,
    storage: Storage,
    owner: PersonId,
    credentials: Option<MachineCredentials>,
    agent: Option<AgentCore>,
    incarnation: Incarnation,
    watch: u64,
    watch_token: Option<Secret>,
    shown: Option<Value>,
    chats: Vec<ChatSessionId>,
    sent: BTreeMap<TurnId, String>,
    aborted: BTreeSet<TurnId>,
    disk: Disk,
    /// How far each turn's reader has come: what it has read must never change.
    read: BTreeMap<TurnId, usize>,
    calm: bool,
    trace: bool,
    /// The latest wake-up that was ordered.
    wake: Option<(Incarnation, Timestamp)>,
    /// The backend may have changed since the inbox was last looked at.
    dirty: bool,
    report: Report,
}

const CHATS: usize = 3;
const MESSAGES: u32 = 6;
/// After this long nothing breaks any more, and everything has to come to rest.
const STORM_MS: u64 = 4 * 60 * 1_000;
const END_MS: u64 = 20 * 60 * 1_000;

impl World {
    /// A world with one machine, one worker and some chat sessions, and a person's messages to come.
    ///
    /// # Panics
    /// When the backend refuses what nothing speaks against.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut random = Random::new(seed);
        let start = Timestamp::from_ms(1_700_000_000_000);
        let owner = PersonId::generate(start, random.bytes());
        let mut world = Self {
            random,
            faults,
            now: start,
            queue: BTreeMap::new(),
            last_event: 0,
            pending: BTreeSet::new(),
            rows: MemoryRows::default(),
            streams: BTreeMap::new(),
            storage: Storage::default(),
            owner,
            credentials: None,
            agent: None,
            incarnation: 0,
            watch: 0,
            watch_token: None,
            shown: None,
            chats: Vec::new(),
            sent: BTreeMap::new(),
            aborted: BTreeSet::new(),
            disk: Disk::default(),
            read: BTreeMap::new(),
            calm: false,
            trace: false,
            wake: None,
            dirty: true,
            report: Report::default(),
        };
        world.set_up();
        world
    }

    fn set_up(&mut self) {
        let key: RegistrationKeyReply = self.ask("machine.create", json!({ "name": "box" }));
        let register = json!({ "registrationKey": key.registration_key.expose(), "info": {} });
        let reply = self
            .call(Caller::Anyone, "machine.register", register)
            .expect("a fresh key registers");
        self.credentials = Some(serde_json::from_value(reply).expect("credentials"));
        let worker: WorkerSummary = self.ask(
            "worker.register",
            json!({ "machineId": key.machine_id, "directory": "repo" }),
        );
        for _ in 0..CHATS {
            let started: StartSessionReply =
                self.ask("worker.chat.startSession", json!({ "workerId": worker.id }));
            self.chats.push(started.chat_session_id);
        }
        for chat in self.chats.clone() {
            for n in 0..MESSAGES {
                let at = self.random.below(STORM_MS / 2);
                self.at(at, Event::Person(PersonAct::Send(chat.clone(), n)));
            }
            if self.random.per_mille(300) {
                let at = self.random.below(STORM_MS / 2);
                self.at(at, Event::Person(PersonAct::CancelLast(chat.clone())));
            }
        }
        self.plan_commands();
        self.at(5_000, Event::Person(PersonAct::AnswerAll));
        self.at(0, Event::Restart);
    }

    /// Says on standard error what happens.
    #[must_use]
    pub fn traced(mut self, trace: bool) -> Self {
        self.trace = trace;
        self
    }

    /// Lets the world run to its end and checks every promise.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn run(mut self) -> Result<Report, String> {
        let start = self.now;
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            let elapsed = at.ms_since(start);
            if elapsed > END_MS {
                break;
            }
            self.calm = elapsed > STORM_MS;
            self.report.steps += 1;
            self.mix(at.as_ms());
            self.tell("event", &event);
            self.handle(event);
            self.tick_backend();
            self.look_at_inbox();
            self.check_streams()?;
        }
        self.report.virtual_ms = self.now.ms_since(start);
        self.check_end()?;
        Ok(self.report)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Restart => {
                self.incarnation += 1;
                let credentials = self.credentials.clone().expect("registered in set_up");
                self.agent = Some(AgentCore::new(AgentConfig {
                    machine_id: credentials.machine_id,
                    secret: credentials.secret,
                    info: MachineInfo::default(),
                    hibernate_after_ms: 60_000,
                    drain_ms: 10_000,
                }));
                self.drain_outputs();
            }
            Event::ToAgent(incarnation, input) => self.tell_agent(incarnation, input),
            Event::Answer(request, incarnation, input) => {
                if self.pending.remove(&request) {
                    self.tell_agent(incarnation, input);
                }
            }
            Event::Wake(incarnation) => {
                self.wake = None;
                self.tell_agent(incarnation, Input::Time);
            }
            Event::Connect(request, incarnation) => {
                let credentials = self.credentials.clone().expect("registered in set_up");
                let args = json!({
                    "machineId": credentials.machine_id, "secret": credentials.secret.expose(), "wireVersion": 1, "info": {},
                    "nonce": format!("process-{incarnation}"),
                });
                let result = self.call(Caller::Anyone, "machine.connect", args);
                let reply = result
                    .map_err(Failure::Refused)
                    .map(|value| serde_json::from_value(value).expect("a reply"));
                self.reply(request, incarnation, Input::Connected(reply));
            }
            Event::Call(request, incarnation, id, token, function, args) => {
                let result = self
                    .call(Caller::Machine(token), function, args)
                    .map_err(Failure::Refused);
                self.reply(request, incarnation, Input::CallDone(id, result));
            }
            Event::Append(request, incarnation, token, turn, epoch, seq, chunks) => {
                let result = self
                    .append(&token, &turn, epoch, seq, chunks)
                    .map(|()| self.gather())
                    .map_err(Failure::Refused);
                self.reply(request, incarnation, Input::AppendDone(turn, seq, result));
            }
            Event::Read(request, incarnation, chat, turn) => {
                let chunks = self
                    .streams
                    .get(&turn)
                    .map(|(_, chunks)| chunks.clone())
                    .unwrap_or_default();
                self.reply(
                    request,
                    incarnation,
                    Input::ChunksRead(chat, turn, Ok(chunks)),
                );
            }
            Event::Watch(request, incarnation, watch, token) => {
                if self.pending.remove(&request) {
                    self.push_inbox(incarnation, watch, &token);
                }
            }
            Event::Model(incarnation, chat, generation, turn, events) => {
                self.model(incarnation, chat, generation, turn, events);
            }
            Event::Work(incarnation, id, attempt, left) => {
                self.work(incarnation, &id, attempt, left);
            }
            Event::Person(act) => self.person(act),
        }
    }

    fn tell_agent(&mut self, incarnation: Incarnation, input: Input) {
        if incarnation != self.incarnation || self.agent.is_none() {
            return;
        }
        if self.happens(self.faults.crash, "agent crash") {
            self.agent = None;
            self.watch_token = None;
            let pause = self.random.below(30_000);
            self.at(pause, Event::Restart);
            return;
        }
        if let Some(agent) = &mut self.agent {
            agent.handle_input(self.now, input);
        }
        self.drain_outputs();
    }

    fn drain_outputs(&mut self) {
        let incarnation = self.incarnation;
        while let Some(output) = self.agent.as_mut().and_then(AgentCore::poll_output) {
            self.tell("output", &output);
            self.perform(incarnation, output);
        }
        if let Some((at, _)) = self.agent.as_ref().and_then(AgentCore::next_deadline) {
            // An earlier wake-up for the same moment is enough.
            let at = at.max(self.now.plus_ms(1));
            if self.wake != Some((incarnation, at)) {
                self.wake = Some((incarnation, at));
                self.at(at.ms_since(self.now), Event::Wake(incarnation));
            }
        }
    }

    fn perform(&mut self, inc: Incarnation, output: Output) {
        match output {
            Output::Connect => {
                let lost = Input::Connected(Err(timed_out()));
                self.request(inc, lost, |request| Event::Connect(request, inc));
            }
            Output::WatchInbox(watch, token) => {
                self.watch = watch;
                self.shown = None;
                self.watch_token = Some(token.clone());
                let lost = Input::InboxEnded(watch, timed_out());
                self.request(inc, lost, |request| {
                    Event::Watch(request, inc, watch, token.clone())
                });
            }
            Output::Call {
                id,
                token,
                function,
                args,
            } => {
                if function == "machine.command.report" {
                    self.check_command_report(&args, self.now);
                }
                let lost = Input::CallDone(id, Err(timed_out()));
                self.request(inc, lost, |request| {
                    Event::Call(request, inc, id, token.clone(), function, args.clone())
                });
            }
            Output::Append {
                turn_id,
                token,
                epoch,
                seq,
                chunks,
            } => {
                let lost = Input::AppendDone(turn_id.clone(), seq, Err(timed_out()));
                self.request(inc, lost, |request| {
                    Event::Append(
                        request,
                        inc,
                        token.clone(),
                        turn_id.clone(),
                        epoch,
                        seq,
                        chunks.clone(),
                    )
                });
            }
            Output::ReadChunks { chat, turn_id, .. } => {
                let lost = Input::ChunksRead(chat.clone(), turn_id.clone(), Err(timed_out()));
                self.request(inc, lost, |request| {
                    Event::Read(request, inc, chat.clone(), turn_id.clone())
                });
            }
            Output::CheckWorker { worker, .. } => {
                self.later(inc, Input::WorkerChecked(worker, Ok(())))
            }
            Output::StartProcess(generation, spec, _) => {
                let name = spec
                    .agent_session_id
                    .unwrap_or_else(|| format!("ses-{}", spec.chat_session_id));
                self.later(
                    inc,
                    Input::ProcessStarted(spec.chat_session_id, generation, Ok(name)),
                );
            }
            Output::StopProcess(chat, generation) => {
                self.later(inc, Input::ProcessStopped(chat, generation))
            }
            Output::Prompt(chat, generation, turn, text) => {
                let events = self.storage.prompt(&chat, &turn, &text, &mut self.random);
                self.later(inc, Input::Prompted(chat.clone(), generation, Ok(())));
                let wait = 100 + self.random.below(400);
                self.at(
                    wait,
                    Event::Model(inc, chat, generation, turn, events.into()),
                );
            }
            Output::Recall(chat, generation, turn) => {
                let known = self.storage.recall(&chat, &turn);
                self.later(inc, Input::Recalled(chat, generation, turn, Ok(known)));
            }
            Output::Abort(chat, generation, turn) => {
                self.aborted.insert(turn.clone());
                let end = TurnEnd {
                    outcome: TurnState::Cancelled,
                    reason: None,
                    answer: FullMessage::default(),
                };
                self.storage.finish(&chat, &turn, &end);
                self.later(
                    inc,
                    Input::Driver(
                        chat,
                        generation,
                        DriverEvent::TurnEnded { turn_id: turn, end },
                    ),
                );
            }
            Output::RunCommand(id, attempt, operation) => {
                self.run_command(inc, &id, attempt, operation);
            }
            Output::CancelCommand(id) => self.disk.cancel(inc, id),
            Output::Reply(..) | Output::HoldBack(..) => {}
            Output::Exit(_) => self.agent = None,
        }
    }

    /// Sends a request over the network: it may be lost, arrive twice, or lose its answer.
    fn request(
        &mut self,
        incarnation: Incarnation,
        lost: Input,
        make: impl Fn(RequestId) -> Event,
    ) {
        self.last_event += 1;
        let request = self.last_event;
        self.pending.insert(request);
        self.at(CALL_TIMEOUT_MS, Event::Answer(request, incarnation, lost));
        if self.happens(self.faults.lose, "request lost") {
            return;
        }
        let delay = self.delay();
        self.at(delay, make(request));
        if self.happens(self.faults.double, "request doubled") {
            let delay = self.delay();
            self.at(delay, make(request));
        }
    }

    fn reply(&mut self, request: RequestId, incarnation: Incarnation, input: Input) {
        if !self.happens(self.faults.lose, "answer lost") {
            let delay = self.delay();
            self.at(delay, Event::Answer(request, incarnation, input));
        }
    }

    fn later(&mut self, incarnation: Incarnation, input: Input) {
        let delay = self.delay();
        self.at(delay, Event::ToAgent(incarnation, input));
    }

    fn look_at_inbox(&mut self) {
        let Some(token) = self.watch_token.clone() else {
            return;
        };
        let (incarnation, watch) = (self.incarnation, self.watch);
        if self.happens(self.faults.cut, "watch cut") {
            self.watch_token = None;
            self.later(incarnation, Input::InboxEnded(watch, timed_out()));
        } else if self.shown.is_some() && std::mem::take(&mut self.dirty) {
            self.push_inbox(incarnation, watch, &token);
        }
    }

    fn push_inbox(&mut self, incarnation: Incarnation, watch: u64, token: &Secret) {
        if incarnation != self.incarnation || watch != self.watch || self.watch_token.is_none() {
            return;
        }
        let (now, entropy) = (self.now, self.entropy());
        let caller = Caller::Machine(token.clone());
        let backend = Backend::new(&mut self.rows, now, entropy);
        match backend.query("machine.inbox", &json!({}), &caller) {
            Ok(value) if self.shown.as_ref() != Some(&value) => {
                self.shown = Some(value.clone());
                let inbox = serde_json::from_value(value).expect("an inbox");
                // One connection keeps the order of its values.
                self.at(20, Event::ToAgent(incarnation, Input::Inbox(watch, inbox)));
            }
            Ok(_) => {}
            Err(error) => {
                self.watch_token = None;
                self.later(
                    incarnation,
                    Input::InboxEnded(watch, Failure::Refused(error)),
                );
            }
        }
    }

    fn model(
        &mut self,
        incarnation: Incarnation,
        chat: ChatSessionId,
        generation: u64,
        turn: TurnId,
        mut events: std::collections::VecDeque<DriverEvent>,
    ) {
        if incarnation != self.incarnation || self.agent.is_none() || self.aborted.contains(&turn) {
            return;
        }
        if self.happens(self.faults.exit, "opencode exit") {
            let event = DriverEvent::Exited {
                reason: "opencode was killed".to_owned(),
            };
            self.tell_agent(incarnation, Input::Driver(chat, generation, event));
            return;
        }
        let Some(event) = events.pop_front() else {
            return;
        };
        if let DriverEvent::TurnEnded { end, .. } = &event {
            self.storage.finish(&chat, &turn, end);
        }
        self.tell_agent(incarnation, Input::Driver(chat.clone(), generation, event));
        let wait = 1 + self.random.below(800);
        self.at(
            wait,
            Event::Model(incarnation, chat, generation, turn, events),
        );
    }

    fn person(&mut self, act: PersonAct) {
        match act {
            PersonAct::Send(chat, n) => {
                let text = format!("m{n}");
                let reply: TurnReply = self.ask(
                    "worker.chat.sendMessage",
                    json!({ "chatSessionId": chat, "message": text }),
                );
                self.sent.insert(reply.turn.id, text);
            }
            PersonAct::CancelLast(chat) => {
                let view: ChatView = self.ask("worker.chat.view", json!({ "chatSessionId": chat }));
                if let Some(turn) = view.turns.last() {
                    let _: TurnReply =
                        self.ask("worker.chat.cancelTurn", json!({ "turnId": turn.id }));
                }
            }
            PersonAct::AnswerAll => {
                for chat in self.chats.clone() {
                    let view: ChatView =
                        self.ask("worker.chat.view", json!({ "chatSessionId": chat }));
                    for ask in view.asks {
                        let args = json!({ "askId": ask.id, "answer": AskAnswer::Once });
                        let _: Value = self.ask("worker.chat.answerAsk", args);
                    }
                }
                self.at(5_000, Event::Person(PersonAct::AnswerAll));
            }
            PersonAct::Request(operation) => self.request_command(operation),
            PersonAct::CancelCommand(id) => {
                let _: CommandView = self.ask("machine.command.cancel", json!({ "commandId": id }));
            }
        }
    }

    fn append(
        &mut self,
        token: &Secret,
        turn: &TurnId,
        epoch: u64,
        seq: u64,
        chunks: Vec<Chunk>,
    ) -> Result<(), CallError> {
        self.transact(|backend| backend.accept_append(token, turn, epoch, seq))?;
        let (state, stored) = self.streams.entry(turn.clone()).or_default();
        match producer::decide(*state, epoch, seq) {
            Decision::Accept(next) => {
                *state = Some(next);
                stored.extend(chunks);
                Ok(())
            }
            Decision::Duplicate { .. } => Ok(()),
            refused @ (Decision::Gap { .. }
            | Decision::StaleEpoch { .. }
            | Decision::EpochMustStartAtZero) => Err(CallError::new(
                protocol::ErrorCode::Conflict,
                format!("{refused:?}"),
            )),
        }
    }

    /// Of the hub, which wants chunks at once, or of a backend that counts calls.
    fn gather(&mut self) -> Appended {
        let counts_calls = self.random.per_mille(500);
        let gather_ms = if counts_calls {
            self.random.below(3_000)
        } else {
            0
        };
        Appended { gather_ms }
    }

    fn tick_backend(&mut self) {
        let due = Backend::new(&mut self.rows, self.now, no_entropy())
            .next_deadline()
            .expect("memory does not fail");
        if due.is_some_and(|at| at <= self.now) {
            self.transact(|backend| backend.tick())
                .expect("a tick is never refused");
        }
    }

    /// A person's call, which nothing speaks against.
    fn ask<T: serde::de::DeserializeOwned>(&mut self, function: &'static str, args: Value) -> T {
        let caller = Caller::Person(self.owner.clone());
        let reply = self
            .call(caller, function, args)
            .unwrap_or_else(|error| panic!("{function}: {error}"));
        serde_json::from_value(reply).expect("the reply's type")
    }

    fn call(&mut self, caller: Caller, function: &str, args: Value) -> Result<Value, CallError> {
        let key = Some(IdempotencyKey::generate(self.now, self.random.bytes()));
        let request = Request {
            function,
            args,
            key,
            caller,
        };
        self.transact(|backend| backend.call(&request))
            .map(|outcome| outcome.reply)
    }

    fn transact(
        &mut self,
        act: impl FnOnce(Backend<'_, MemoryRows>) -> Result<Outcome, CallError>,
    ) -> Result<Outcome, CallError> {
        let entropy = self.entropy();
        match act(Backend::new(&mut self.rows, self.now, entropy)) {
            Ok(outcome) => {
                self.rows.commit();
                self.dirty = true;
                for effect in &outcome.effects {
                    match effect {
                        Effect::CreateStream(turn) => {
                            self.streams.entry(turn.clone()).or_default();
                        }
                        Effect::DeleteStream(_)
                        | Effect::Changed(_)
                        | Effect::CutConnections { .. } => {}
                    }
                }
                Ok(outcome)
            }
            Err(error) => {
                self.rows.roll_back();
                Err(error)
            }
        }
    }

    fn at(&mut self, wait_ms: u64, event: Event) {
        self.last_event += 1;
        self.queue
            .insert((self.now.plus_ms(wait_ms), self.last_event), event);
    }

    fn happens(&mut self, chance: u64, fault: &'static str) -> bool {
        let happens = !self.calm && self.random.per_mille(chance);
        if happens {
            *self.report.faults.entry(fault).or_default() += 1;
        }
        happens
    }

    fn delay(&mut self) -> u64 {
        1 + self.random.below(if self.random.clone().per_mille(20) {
            5_000
        } else {
            80
        })
    }

    fn entropy(&mut self) -> Entropy {
        Entropy {
            id: self.random.bytes(),
            secret: self.random.bytes(),
        }
    }

    #[allow(clippy::print_stderr)]
    fn tell(&self, what: &str, which: &dyn std::fmt::Debug) {
        if self.trace {
            let text = format!("{which:?}");
            let text: String = text.chars().take(600).collect();
            eprintln!("{} {what} {text}", self.now.as_ms() % 100_000_000);
        }
    }

    fn mix(&mut self, value: u64) {
        self.report.digest =
            (self.report.digest.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

fn timed_out() -> Failure {
    Failure::Lost("no answer in time".to_owned())
}

fn no_entropy() -> Entropy {
    Entropy {
        id: [0; 10],
        secret: [0; 32],
    }
}
