//! A person: sends, stops, continues, answers, starts and ends at random, through a client that repeats a request
//! under its idempotency key until there is an answer.

use std::collections::BTreeMap;

use protocol::backend::Caller;
use protocol::ids::{ChatSessionId, CommandId, IdempotencyKey, PersonId, TurnId, WorkerId};
use protocol::limits::{OPEN_COMMANDS_MAX, QUEUE_MAX_TURNS};
use protocol::state::{ChatState, TurnState};
use protocol::wire::{
    AskAnswer, CommandView, Operation, RegistrationKeyReply, StartSessionReply, TurnReply,
    WorkerSummary,
};
use protocol::{CallError, Timestamp};
use serde_json::{Value, json};

use crate::client::Call;
use crate::random::Random;
use crate::schedules::OnSchedule;
use crate::world::{Event, World};

/// Something a person does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Send,
    Cancel,
    Continue,
    Answer,
    StartSession,
    EndSession,
    RemoveWorker,
    RegisterWorker,
    Command,
    CancelCommand(CommandId),
    Revoke,
    Schedule(OnSchedule),
    /// More messages than fit, or more commands than may wait, at once.
    Flood,
}

/// How often each is done, of the acts that are done at random.
const ACTS: &[(u64, Act)] = &[
    (48, Act::Send),
    (10, Act::Cancel),
    (10, Act::Continue),
    (16, Act::Command),
    (5, Act::StartSession),
    (3, Act::EndSession),
    (1, Act::RemoveWorker),
    (4, Act::RegisterWorker),
];

/// A message that was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) chat: ChatSessionId,
    /// How many answers had come when it was made, and its place among the answers.
    pub(crate) made_after: u64,
    pub(crate) acked_as: u64,
    pub(crate) turn: TurnId,
}

/// The person.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) id: PersonId,
    /// Chat sessions that the person was told of.
    pub(crate) chats: Vec<ChatSessionId>,
    pub(crate) workers: Vec<WorkerId>,
    pub(crate) calls: BTreeMap<u64, Call>,
    pub(crate) answers: u64,
    messages: u64,
    clones: u64,
    /// By text: what was sent and acked.
    pub(crate) sent: BTreeMap<String, Sent>,
    /// Continued turns, by chat session.
    pub(crate) continued: BTreeMap<ChatSessionId, u64>,
}

impl Person {
    pub(crate) fn new(start: Timestamp, random: &mut Random) -> Self {
        Self {
            id: PersonId::generate(start, random.bytes()),
            chats: Vec::new(),
            workers: Vec::new(),
            calls: BTreeMap::new(),
            answers: 0,
            messages: 0,
            clones: 0,
            sent: BTreeMap::new(),
            continued: BTreeMap::new(),
        }
    }

    /// Every request has its answer.
    pub(crate) fn is_done(&self) -> bool {
        self.calls.is_empty()
    }
}

impl World {
    /// One machine, one worker, some chat sessions, and what the person will do.
    pub(crate) fn set_up(&mut self, storm_ms: u64) {
        let machine = json!({ "name": "box" });
        let key: RegistrationKeyReply = self.must("machine.create", machine).expect("refused");
        let register = json!({ "registrationKey": key.registration_key.expose(), "info": {} });
        let credentials = self
            .call(Caller::Anyone, "machine.register", register, None)
            .expect("a fresh key registers");
        let credentials = serde_json::from_value(credentials).expect("credentials");
        self.machine.register(credentials);
        self.machine.hibernate_after_ms = self.random.between(5_000, 90_000);
        self.scale();
        let worker = json!({ "machineId": key.machine_id, "directory": "repo" });
        let worker: WorkerSummary = self.must("worker.register", worker).expect("refused");
        self.person.workers.push(worker.id.clone());
        for _ in 0..self.random.between(1, 4) {
            let start = json!({ "workerId": worker.id });
            let started: StartSessionReply = self
                .must("worker.chat.startSession", start)
                .expect("refused");
            self.knows_chat(started.chat_session_id);
        }
        self.host.store.sync();
        let acts_until = storm_ms * 7 / 10;
        for _ in 0..self.random.between(6, 30) {
            let wait = self.random.below(acts_until);
            let act = self.random_act();
            self.after(wait, Event::Act(act));
        }
        if self.random.per_mille(25) {
            let wait = self.random.between(acts_until / 2, storm_ms);
            self.after(wait, Event::Act(Act::Revoke));
        }
        self.after(3_000, Event::Act(Act::Answer));
    }

    /// Most worlds are small. Some have long answers, and some a person who wants too much at once.
    fn scale(&mut self) {
        self.opencode.pieces = self.random.between(2, 14);
        self.opencode.piece_bytes = 0;
        if self.random.per_mille(15) {
            self.opencode.pieces = 160;
            self.opencode.piece_bytes = 15 * 1_024;
        } else if self.random.per_mille(8) {
            self.opencode.pieces = 1;
            let wait = self.random.below(30_000);
            self.after(wait, Event::Act(Act::Flood));
        }
    }

    fn random_act(&mut self) -> Act {
        let all: u64 = ACTS.iter().map(|(often, _)| often).sum();
        let mut drawn = self.random.below(all);
        for (often, act) in ACTS {
            if drawn < *often {
                return act.clone();
            }
            drawn -= often;
        }
        Act::Send
    }

    pub(crate) fn act(&mut self, act: Act) {
        match act {
            Act::Send => {
                self.person.messages += 1;
                let text = format!("m{}", self.person.messages);
                if let Some(chat) = self.some_chat() {
                    let args = json!({ "chatSessionId": chat, "message": text });
                    self.make_call("worker.chat.sendMessage", args);
                }
            }
            Act::Cancel => {
                let open = self.turns_of_page(|state| !state.is_terminal());
                if let Some(turn) = self.random.pick(&open).cloned() {
                    self.make_call("worker.chat.cancelTurn", json!({ "turnId": turn }));
                }
            }
            Act::Continue => {
                let cut = self.turns_of_page(|state| state == TurnState::Interrupted);
                if let Some(turn) = self.random.pick(&cut).cloned() {
                    self.make_call("worker.chat.continueTurn", json!({ "turnId": turn }));
                }
            }
            Act::Answer => self.answer_asks(),
            Act::StartSession => {
                if let Some(worker) = self.random.pick(&self.person.workers).cloned() {
                    self.make_call("worker.chat.startSession", json!({ "workerId": worker }));
                }
            }
            Act::EndSession => {
                if let Some(chat) = self.some_chat() {
                    self.make_call("worker.chat.endSession", json!({ "chatSessionId": chat }));
                }
            }
            Act::RemoveWorker => {
                if let Some(worker) = self.random.pick(&self.person.workers).cloned() {
                    self.make_call("worker.remove", json!({ "workerId": worker }));
                }
            }
            Act::RegisterWorker => {
                let directory = format!("repo-{}", self.random.below(3));
                let machine = self.machine.id().clone();
                let args = json!({ "machineId": machine, "directory": directory });
                self.make_call("worker.register", args);
            }
            Act::Command => {
                let operation = self.some_operation();
                self.request_command(&operation);
            }
            Act::CancelCommand(id) => {
                self.make_call("machine.command.cancel", json!({ "commandId": id }));
            }
            Act::Revoke => {
                let machine = self.machine.id().clone();
                self.make_call("machine.revoke", json!({ "machineId": machine }));
            }
            Act::Schedule(act) => self.act_on_schedule(act),
            Act::Flood => self.flood(),
        }
    }

    fn request_command(&mut self, operation: &Operation) {
        let machine = self.machine.id().clone();
        let args = json!({ "machineId": machine, "operation": operation });
        self.make_call("machine.command.request", args);
    }

    fn some_chat(&mut self) -> Option<ChatSessionId> {
        let open = |chat: &&ChatSessionId| self.page.chat_state(chat) != Some(ChatState::Closed);
        let open: Vec<_> = self.person.chats.iter().filter(open).cloned().collect();
        self.random.pick(&open).cloned()
    }

    fn turns_of_page(&self, fits: impl Fn(TurnState) -> bool) -> Vec<TurnId> {
        let turns = self.page.turns();
        turns
            .filter(|turn| fits(turn.state))
            .map(|turn| turn.id.clone())
            .collect()
    }

    fn some_operation(&mut self) -> Operation {
        if self.random.per_mille(500) {
            let hidden = self.random.per_mille(500);
            return Operation::List {
                directory: String::new(),
                hidden,
                filter: None,
                after: None,
            };
        }
        // Now and then two of them want the same place.
        self.person.clones += self.random.below(2);
        Operation::Clone {
            url: "https://example.org/repo.git".to_owned(),
            branch: None,
            path: format!("clone-{}", self.person.clones),
        }
    }

    fn answer_asks(&mut self) {
        let again = if self.is_calm {
            4_000
        } else {
            self.random.between(500, 15_000)
        };
        self.after(again, Event::Act(Act::Answer));
        for ask in self.page.asks() {
            let answer = if self.random.per_mille(800) {
                AskAnswer::Once
            } else {
                AskAnswer::Reject { message: None }
            };
            let args = json!({ "askId": ask, "answer": answer });
            self.make_call("worker.chat.answerAsk", args);
        }
    }

    /// Fills the queue of a chat session and that of the machine's commands beyond their limits, and gives most
    /// of it up again.
    fn flood(&mut self) {
        if !self.host.can_be_read() || self.host.store.is_full {
            return self.after(100, Event::Act(Act::Flood));
        }
        let Some(chat) = self.some_chat() else { return };
        let mut turns = Vec::new();
        for _ in 0..QUEUE_MAX_TURNS + 20 {
            self.person.messages += 1;
            let text = format!("m{}", self.person.messages);
            let args = json!({ "chatSessionId": chat, "message": text });
            let made_after = self.person.answers;
            match self.must::<TurnReply>("worker.chat.sendMessage", args) {
                Ok(reply) => {
                    turns.push(reply.turn.id.clone());
                    self.message_sent(&chat, text, made_after, reply.turn.id);
                }
                Err(_) => break,
            }
        }
        if turns.len() > QUEUE_MAX_TURNS + 1 {
            self.fail(format!("{} messages wait", turns.len()));
        }
        let machine = self.machine.id().clone();
        let mut commands = 0;
        for n in 0..OPEN_COMMANDS_MAX + 20 {
            let operation = Operation::List {
                directory: format!("d{n}"),
                hidden: false,
                filter: None,
                after: None,
            };
            let args = json!({ "machineId": machine, "operation": operation });
            match self.must::<CommandView>("machine.command.request", args) {
                Ok(view) => {
                    commands += 1;
                    self.disk.requested.insert(view.command.id);
                }
                Err(_) => break,
            }
        }
        if commands > OPEN_COMMANDS_MAX {
            self.fail(format!("{commands} commands wait"));
        }
        for turn in turns {
            if self.random.per_mille(970) {
                let cancelled =
                    self.must::<TurnReply>("worker.chat.cancelTurn", json!({ "turnId": turn }));
                drop(cancelled);
            }
        }
        self.sync_now();
    }

    /// A person's call without the network.
    pub(crate) fn must<T: serde::de::DeserializeOwned>(
        &mut self,
        function: &'static str,
        args: Value,
    ) -> Result<T, String> {
        let key = IdempotencyKey::generate(self.now, self.random.bytes());
        let reply: Result<Value, CallError> = self.person_call(function, args, key);
        let reply = reply.map_err(|error| format!("{function} was refused: {error}"))?;
        serde_json::from_value(reply).map_err(|error| format!("{function}: {error}"))
    }
}
