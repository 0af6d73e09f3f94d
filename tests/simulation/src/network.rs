//! The network: requests and their answers. Each may be lost, come late, come twice, or be overtaken.

use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::Timestamp;
use protocol::agent::{CallId, Failure, Input, WatchId};
use protocol::ids::{ChatSessionId, IdempotencyKey, TurnId};
use protocol::limits::CALL_TIMEOUT_MS;
use protocol::secret::Secret;
use protocol::wire::{Chunk, ConnectReply};
use serde_json::Value;

use crate::faults::Fault;
use crate::machine::ProcessId;
use crate::world::{Event, World};

/// Names a request while it waits for its one answer.
pub(crate) type RequestId = u64;

/// What somebody asks of the backend.
#[derive(Debug)]
pub(crate) enum Request {
    Connect(ProcessId),
    Call {
        process: ProcessId,
        id: CallId,
        token: Secret,
        function: &'static str,
        args: Value,
    },
    Append {
        process: ProcessId,
        token: Secret,
        turn: TurnId,
        epoch: u64,
        seq: u64,
        chunks: Vec<Chunk>,
    },
    ReadChunks {
        process: ProcessId,
        chat: ChatSessionId,
        turn: TurnId,
        token: Secret,
    },
    Watch {
        process: ProcessId,
        watch: WatchId,
        token: Secret,
    },
    Person {
        call: u64,
        key: IdempotencyKey,
        function: &'static str,
        args: Value,
    },
}

/// What comes back.
#[derive(Debug)]
pub(crate) enum Delivery {
    Agent(ProcessId, Input),
    Person(u64, Result<Value, Failure>),
}

impl Request {
    /// What its sender is told when no answer comes.
    fn lost(&self, why: &str) -> Delivery {
        let failure = Failure::Lost(why.to_owned());
        match self {
            Self::Connect(process) => {
                Delivery::Agent(*process, Input::Connected(Err::<ConnectReply, _>(failure)))
            }
            Self::Call { process, id, .. } => {
                Delivery::Agent(*process, Input::CallDone(*id, Err(failure)))
            }
            Self::Append {
                process, turn, seq, ..
            } => Delivery::Agent(
                *process,
                Input::AppendDone(turn.clone(), *seq, Err(failure)),
            ),
            Self::ReadChunks {
                process,
                chat,
                turn,
                ..
            } => Delivery::Agent(
                *process,
                Input::ChunksRead(chat.clone(), turn.clone(), Err(failure)),
            ),
            Self::Watch { process, watch, .. } => {
                Delivery::Agent(*process, Input::InboxEnded(*watch, failure))
            }
            Self::Person { call, .. } => Delivery::Person(*call, Err(failure)),
        }
    }

    fn process(&self) -> Option<ProcessId> {
        match self {
            Self::Connect(process)
            | Self::Call { process, .. }
            | Self::Append { process, .. }
            | Self::ReadChunks { process, .. }
            | Self::Watch { process, .. } => Some(*process),
            Self::Person { .. } => None,
        }
    }
}

/// Until when one way between two places is cut, in each direction.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) out_cut_until: Timestamp,
    pub(crate) in_cut_until: Timestamp,
}

/// The network.
#[derive(Debug, Default)]
pub(crate) struct Network {
    /// Requests without an answer so far, and what they were.
    pending: BTreeMap<RequestId, Rc<Request>>,
    pub(crate) machine: Way,
    pub(crate) person: Way,
}

impl World {
    /// Sends a request. Its sender hears exactly one thing of it.
    pub(crate) fn request(&mut self, request: Request) {
        let id = self.next_number();
        let request = Rc::new(request);
        self.network.pending.insert(id, Rc::clone(&request));
        self.after(
            CALL_TIMEOUT_MS,
            Event::Deliver(id, request.lost("no answer in time")),
        );
        let is_cut = match request.process() {
            Some(process) => {
                self.network.machine.out_cut_until > self.now
                    || self.machine.is_half_open(process, self.now)
            }
            None => self.network.person.out_cut_until > self.now,
        };
        if is_cut || self.happens(Fault::RequestLost).is_some() {
            return;
        }
        if let Some(mut how) = self.happens(Fault::RequestDoubled) {
            let latest = if how.per_mille(200) { 30_000 } else { 500 };
            let wait = how.below(latest);
            self.after(wait, Event::Arrive(id, Rc::clone(&request)));
        }
        let delay = self.delay();
        self.after(delay, Event::Arrive(id, request));
    }

    /// Sends an answer back.
    pub(crate) fn answer(&mut self, id: RequestId, delivery: Delivery) {
        let is_cut = match &delivery {
            Delivery::Agent(process, _) => {
                self.network.machine.in_cut_until > self.now
                    || self.machine.is_half_open(*process, self.now)
            }
            Delivery::Person(..) => self.network.person.in_cut_until > self.now,
        };
        if is_cut || self.happens(Fault::AnswerLost).is_some() {
            return;
        }
        let delay = self.delay();
        self.after(delay, Event::Deliver(id, delivery));
    }

    /// Nobody listens at the backend's address: the sender hears of that at once.
    pub(crate) fn refuse_connection(&mut self, id: RequestId, request: &Request) {
        let delay = self.random.between(1, 30);
        self.after(
            delay,
            Event::Deliver(id, request.lost("connection refused")),
        );
    }

    /// The backend is gone: most who wait for an answer hear of that, some have to wait until their time is over.
    pub(crate) fn reset_all(&mut self) {
        let pending: Vec<_> = self
            .network
            .pending
            .iter()
            .map(|(id, request)| (*id, Rc::clone(request)))
            .collect();
        for (id, request) in pending {
            if self.random.per_mille(700) {
                self.refuse_connection(id, &request);
            }
        }
    }

    pub(crate) fn deliver(&mut self, id: RequestId, delivery: Delivery) {
        if self.network.pending.remove(&id).is_none() {
            return;
        }
        match delivery {
            Delivery::Agent(process, input) => self.tell_agent(process, input),
            Delivery::Person(call, result) => self.call_answered(call, result),
        }
    }

    /// The one thing that a request's sender hears has been told another way.
    pub(crate) fn forget_request(&mut self, id: RequestId) {
        self.network.pending.remove(&id);
    }

    pub(crate) fn is_pending(&self, id: RequestId) -> bool {
        self.network.pending.contains_key(&id)
    }

    pub(crate) fn delay(&mut self) -> u64 {
        match self.happens(Fault::Delayed) {
            Some(mut how) => how.between(500, 20_000),
            None => self.random.between(1, 80),
        }
    }
}
