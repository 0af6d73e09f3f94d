//! One agent core, a backend that agrees to everything, and processes that do what a test says.

use crate::agent::{AgentConfig, AgentCore, Input, Output, WatchId};
use crate::driver::{DriverEvent, TurnEnd};
use crate::ids::{ChatSessionId, MachineId, TurnId, WorkerId};
use crate::secret::Secret;
use crate::state::{ChatState, TurnState};
use crate::time::Timestamp;
use crate::wire::{
    ConnectReply, FullMessage, HeartbeatArgs, Inbox, InboxChat, InboxTurn, MachineInfo,
    MachineStatus, Sandbox, TakenTurn, TurnArgs, WIRE_VERSION,
};

pub(super) const MIB: u64 = 1024 * 1024;
const HEARTBEAT_MS: u64 = 15_000;

pub(super) struct Bench {
    core: AgentCore,
    now: Timestamp,
    watch: WatchId,
    inbox: Inbox,
    epoch: u64,
    /// The chat sessions whose processes were told to start, by their numbers.
    pub(super) starts: Vec<u8>,
    /// The same of those that were told to stop.
    pub(super) stops: Vec<u8>,
    /// What was told with signs of life, and when.
    pub(super) told: Vec<(u64, MachineStatus)>,
    /// Calls of signs of life are not answered.
    pub(super) is_slow: bool,
    unanswered: Vec<Input>,
}

impl Bench {
    pub(super) fn new(process_limit: usize, memory_limit_mib: Option<u64>) -> Self {
        let machine_id = MachineId::generate(Timestamp::from_ms(1), [0; 10]);
        let core = AgentCore::new(AgentConfig {
            machine_id: machine_id.clone(),
            secret: Secret::new("oms_x"),
            nonce: Secret::new("omn_x"),
            info: MachineInfo::default(),
            hibernate_after_ms: 24 * 60 * 60 * 1_000,
            drain_ms: 60_000,
            process_limit,
            backoff_seed: 1,
            memory_limit_bytes: memory_limit_mib.map(|mib| mib * MIB),
        });
        let mut bench = Self {
            core,
            now: Timestamp::from_ms(1_000_000),
            watch: 0,
            inbox: Inbox {
                machine_id,
                epoch: 1,
                workers: Vec::new(),
                chats: Vec::new(),
                commands: Vec::new(),
            },
            epoch: 0,
            starts: Vec::new(),
            stops: Vec::new(),
            told: Vec::new(),
            is_slow: false,
            unanswered: Vec::new(),
        };
        bench.settle();
        bench
    }

    /// A chat session that has a process to come back to, and nothing to do.
    pub(super) fn add(&mut self, number: u8) {
        self.add_as(number, ChatState::Hibernated);
    }

    pub(super) fn add_as(&mut self, number: u8, state: ChatState) {
        self.inbox.chats.push(InboxChat {
            id: chat(number),
            worker_id: WorkerId::generate(Timestamp::from_ms(1), [0; 10]),
            directory: String::new(),
            state,
            title: String::new(),
            agent_session_id: None,
            model: None,
            agent: None,
            sandbox: Sandbox::default(),
            worktree: None,
            ask_first: false,
            turn: None,
            answers: Vec::new(),
        });
    }

    /// The chat session's next message, without the agent hearing of it yet.
    pub(super) fn queue(&mut self, number: u8, message: u8) {
        let turn = InboxTurn {
            id: turn(message),
            state: TurnState::Queued,
            cancel_requested: false,
        };
        self.set_turn(number, Some(turn));
    }

    fn set_turn(&mut self, number: u8, turn: Option<InboxTurn>) {
        let chats = &mut self.inbox.chats;
        let shown = chats.iter_mut().find(|shown| shown.id == chat(number));
        shown.expect("was added").turn = turn;
    }

    /// The agent hears what the inbox has now.
    pub(super) fn show(&mut self) {
        self.tell(Input::Inbox(self.watch, self.inbox.clone()));
    }

    pub(super) fn send(&mut self, number: u8, message: u8) {
        self.queue(number, message);
        self.show();
    }

    /// The process of the chat session has started, if it was told to.
    pub(super) fn started(&mut self, number: u8) {
        let id = chat(number);
        self.tell(Input::ProcessStarted(
            id,
            self.generation(number),
            Ok("s".to_owned()),
        ));
    }

    pub(super) fn stopped(&mut self, number: u8) {
        self.tell(Input::ProcessStopped(chat(number), self.generation(number)));
    }

    /// The process has answered that message, and there is no other one, or that.
    pub(super) fn answered(&mut self, number: u8, message: u8, next: Option<u8>) {
        self.set_turn(number, None);
        if let Some(next) = next {
            self.queue(number, next);
        }
        let end = TurnEnd {
            outcome: TurnState::Completed,
            reason: None,
            failure: None,
            answer: FullMessage::default(),
        };
        let ended = DriverEvent::TurnEnded {
            turn_id: turn(message),
            end,
        };
        self.tell(Input::Driver(chat(number), self.generation(number), ended));
        self.show();
    }

    /// The person has taken the message back.
    pub(super) fn withdraw(&mut self, number: u8) {
        self.set_turn(number, None);
        self.show();
    }

    /// The chat session has a process which has nothing to do.
    pub(super) fn idle(&mut self, number: u8, message: u8) {
        self.add(number);
        self.send(number, message);
        self.started(number);
        self.answered(number, message, None);
    }

    /// The chat session has a process which is at work.
    pub(super) fn busy(&mut self, number: u8, message: u8) {
        self.add(number);
        self.send(number, message);
        self.started(number);
    }

    pub(super) fn measured(&mut self, mib: u64) {
        self.tell(Input::Memory(Some(mib * MIB)));
    }

    /// Another connection, before a backend that remembers nothing of the one before.
    pub(super) fn reconnect(&mut self) {
        let lost = crate::error::CallError::new(crate::error::ErrorCode::Unauthenticated, "who?");
        self.tell(Input::InboxEnded(
            self.watch,
            crate::agent::Failure::Refused(lost),
        ));
    }

    /// Lets time pass; every deadline is met at its own time.
    pub(super) fn pass(&mut self, ms: u64) {
        let until = self.now.plus_ms(ms);
        while let Some((at, _)) = self.core.next_deadline().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            self.tell(Input::Time);
        }
        self.now = until;
    }

    /// What was sent while the backend was slow is answered now.
    pub(super) fn answer_all(&mut self) {
        self.is_slow = false;
        for answer in std::mem::take(&mut self.unanswered) {
            self.tell(answer);
        }
    }

    /// Those that wait, the next one first.
    pub(super) fn waiting(&self) -> Vec<u8> {
        self.core.waiting().map(number_of).collect()
    }

    /// Milliseconds since the beginning.
    pub(super) fn elapsed_ms(&self) -> u64 {
        self.now.ms_since(Timestamp::from_ms(1_000_000))
    }

    fn generation(&self, number: u8) -> u64 {
        self.core.chats[&chat(number)]
            .generation()
            .expect("has a process")
    }

    fn tell(&mut self, input: Input) {
        self.core.handle_input(self.now, input);
        self.settle();
        // Whatever is due at once is not put off.
        while self
            .core
            .next_deadline()
            .is_some_and(|(at, _)| at <= self.now)
        {
            self.core.handle_input(self.now, Input::Time);
            self.settle();
        }
    }

    fn settle(&mut self) {
        while let Some(output) = self.core.poll_output() {
            if let Some(input) = self.world_does(output) {
                self.core.handle_input(self.now, input);
            }
        }
    }

    fn world_does(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Connect => {
                self.epoch += 1;
                Some(Input::Connected(Ok(ConnectReply {
                    epoch: self.epoch,
                    connection_token: Secret::new("omc_x"),
                    wire_version: WIRE_VERSION,
                    lease_ms: 3 * HEARTBEAT_MS,
                    heartbeat_ms: HEARTBEAT_MS,
                    chunk_batch_max_bytes: 65_536,
                })))
            }
            Output::WatchInbox(watch, _) => {
                self.watch = watch;
                Some(Input::Inbox(watch, self.inbox.clone()))
            }
            Output::Call {
                id, function, args, ..
            } => {
                let mut reply = serde_json::json!({});
                if function == "worker.chat.takeTurn" {
                    let args: TurnArgs = serde_json::from_value(args.clone()).unwrap();
                    reply = serde_json::to_value(TakenTurn {
                        turn_id: args.turn_id,
                        state: TurnState::Delivered,
                        message: String::new(),
                        background: None,
                    })
                    .unwrap();
                }
                let answer = Input::CallDone(id, Ok(reply));
                if function == "machine.heartbeat" {
                    let args: HeartbeatArgs = serde_json::from_value(args).unwrap();
                    self.told
                        .push((self.elapsed_ms(), args.status.expect("a status")));
                    if self.is_slow {
                        self.unanswered.push(answer);
                        return None;
                    }
                }
                Some(answer)
            }
            Output::StartProcess(_, spec, _) => {
                self.starts.push(number_of(&spec.chat_session_id));
                None
            }
            Output::StopProcess(id, _) => {
                self.stops.push(number_of(&id));
                None
            }
            Output::Prompt(id, generation, ..) => Some(Input::Prompted(id, generation, Ok(()))),
            Output::MeasureMemory
            | Output::KeepSpares(_)
            | Output::Append { .. }
            | Output::ReadChunks { .. }
            | Output::CheckWorker { .. }
            | Output::RunCommand(..)
            | Output::CancelCommand(_)
            | Output::Recall(..)
            | Output::Abort(..)
            | Output::Reply(..)
            | Output::HoldBack(..)
            | Output::Exit(_) => None,
        }
    }
}

pub(super) fn chat(number: u8) -> ChatSessionId {
    ChatSessionId::generate(Timestamp::from_ms(1), [number; 10])
}

/// Messages with a greater number are later ones.
fn turn(message: u8) -> TurnId {
    TurnId::generate(Timestamp::from_ms(u64::from(message)), [0; 10])
}

fn number_of(id: &ChatSessionId) -> u8 {
    (0..=u8::MAX)
        .find(|number| chat(*number) == *id)
        .expect("one of ours")
}
