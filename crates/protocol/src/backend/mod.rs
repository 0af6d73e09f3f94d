//! The backend core: the rules of every call, over [`Rows`]. The hub, the fake transport and the simulation
//! run this very code; what differs between them is only where the rows lie and who tells the time.

mod access;
mod activity;
mod ask;
mod chat;
mod command;
mod continued;
mod deadlines;
mod health;
mod machine;
mod path;
mod rows;
mod schedule;
mod tables;
mod turn;
mod views;
mod worker;
mod worktree;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;
use sha2::{Digest, Sha256};

pub use access::Actor;
pub use rows::{MemoryRows, Order, Rows, RowsError};
pub use views::stream_path;

use crate::error::{CallError, ErrorCode};
use crate::functions::{
    self, Access, CreateMachine, Function, FunctionInfo, Kind, ReissueKey, with_functions,
};
use crate::ids::{
    ChatSessionId, CommandId, IdEntropy, IdempotencyKey, MachineId, PersonId, ScheduleId, TurnId,
};
use crate::limits::{IDEMPOTENCY_LIFE_MS, REGISTRATION_KEY_LIFE_MS};
use crate::secret::{Secret, SecretEntropy, hex};
use crate::time::Timestamp;
use crate::wire;
use rows::{load, save};
use tables::{Deadline, IdempotencyRow, key};

/// Who calls, by what they brought. Whether it holds is decided here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Somebody without a credential.
    Anyone,
    /// A person whom the backend's own sign-in has recognised.
    Person(PersonId),
    /// Whoever holds a machine's connection token.
    Machine(Secret),
}

/// Random bytes for one call: enough for one id and one secret.
#[derive(Debug, Clone, Copy)]
pub struct Entropy {
    /// For the id of what the call makes.
    pub id: IdEntropy,
    /// For the secret that the call makes.
    pub secret: SecretEntropy,
}

/// Something whose watchers should look again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// A person's list of machines.
    Machines(PersonId),
    /// One machine with its workers and chat sessions.
    Machine(MachineId),
    /// How one machine is.
    Health(MachineId),
    /// One chat session.
    Chat(ChatSessionId),
    /// What one machine should know.
    Inbox(MachineId),
    /// One command.
    Command(CommandId),
    /// What was asked of one machine.
    Activity(MachineId),
    /// One directory of one machine.
    Directory(MachineId, String),
    /// A person's schedules, and the runs of all of them.
    Schedules(PersonId),
    /// One schedule and its runs.
    Schedule(ScheduleId),
}

/// What a call asks of the backend besides its rows. The first two belong into the same transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Begin the turn's chunk stream, if it has not begun.
    CreateStream(TurnId),
    /// Delete the turn's chunk stream, if there is one.
    DeleteStream(TurnId),
    /// Look again, after the commit.
    Changed(Topic),
    /// Cut the machine's live connections of epochs before this one, after the commit.
    CutConnections {
        /// The machine.
        machine: MachineId,
        /// The first epoch that may stay.
        below_epoch: u64,
    },
}

/// A call's answer and what else it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The answer, as JSON.
    pub reply: Value,
    /// What else to do, each once.
    pub effects: BTreeSet<Effect>,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The function's name.
    pub function: &'a str,
    /// Its arguments, as JSON.
    pub args: Value,
    /// The idempotency key, which a person's changing call must have.
    pub key: Option<IdempotencyKey>,
    /// Who calls.
    pub caller: Caller,
}

/// The rules, at work on one transaction's rows.
#[derive(Debug)]
pub struct Backend<'a, R> {
    rows: &'a mut R,
    now: Timestamp,
    entropy: Entropy,
    effects: BTreeSet<Effect>,
    /// Turns that have ended in this transaction: runs may follow them to their end.
    ended: VecDeque<turn::EndedTurn>,
    /// Schedules of which a run has ended in this transaction: another one may wait for that.
    unblocked: BTreeSet<ScheduleId>,
}

impl<'a, R: Rows> Backend<'a, R> {
    /// The rules over these rows, at this time.
    pub fn new(rows: &'a mut R, now: Timestamp, entropy: Entropy) -> Self {
        Self {
            rows,
            now,
            entropy,
            effects: BTreeSet::new(),
            ended: VecDeque::new(),
            unblocked: BTreeSet::new(),
        }
    }

    /// Answers a call. When it is refused, the caller of this takes all writes back.
    ///
    /// # Errors
    /// [`CallError`] says why it was refused.
    pub fn call(mut self, request: &Request<'_>) -> Result<Outcome, CallError> {
        let function = find(request.function)?;
        let actor = self.authorise(function, &request.caller)?;
        let reply = match self.idempotency_scope(function, &actor, request)? {
            Some(scope) => self.call_once(&scope, &actor, request)?,
            None => self.answer(request.function, &actor, &request.args)?,
        };
        Ok(Outcome {
            reply,
            effects: self.effects,
        })
    }

    /// The value of a query, for a watch. Writes nothing.
    ///
    /// # Errors
    /// [`CallError`] says why it was refused.
    pub fn query(
        mut self,
        function: &str,
        args: &Value,
        caller: &Caller,
    ) -> Result<Value, CallError> {
        let info = find(function)?;
        if info.kind != Kind::Query {
            return Err(CallError::new(
                ErrorCode::Invalid,
                format!("{function} changes things; it can't be watched."),
            ));
        }
        let actor = self.authorise(info, caller)?;
        self.dispatch(function, &actor, args)
    }

    /// What a watch of this query has to listen to.
    ///
    /// # Errors
    /// [`CallError`] when the caller may not watch it.
    pub fn topic(
        &mut self,
        function: &str,
        args: &Value,
        caller: &Caller,
    ) -> Result<Topic, CallError> {
        let actor = self.authorise(find(function)?, caller)?;
        match (function, actor) {
            ("machine.list", Actor::Person(person)) => Ok(Topic::Machines(person)),
            ("machine.view", _) => Ok(Topic::Machine(parse::<wire::MachineArgs>(args)?.machine_id)),
            ("machine.health", _) => {
                Ok(Topic::Health(parse::<wire::MachineArgs>(args)?.machine_id))
            }
            ("worker.chat.view", _) => {
                Ok(Topic::Chat(parse::<wire::ChatArgs>(args)?.chat_session_id))
            }
            ("machine.command.view", _) => {
                Ok(Topic::Command(parse::<wire::CommandArgs>(args)?.command_id))
            }
            ("machine.activity", _) => Ok(Topic::Activity(
                parse::<wire::ActivityArgs>(args)?.machine_id,
            )),
            ("machine.directory", _) => {
                let args = parse::<wire::DirectoryArgs>(args)?;
                Ok(Topic::Directory(
                    args.machine_id,
                    path::checked_path(&args.directory)?,
                ))
            }
            ("machine.inbox", Actor::Machine { id, .. }) => Ok(Topic::Inbox(id)),
            ("schedule.list", Actor::Person(person)) => Ok(Topic::Schedules(person)),
            ("schedule.view", _) => Ok(Topic::Schedule(
                parse::<wire::ScheduleArgs>(args)?.schedule_id,
            )),
            ("schedule.ledger", Actor::Person(person)) => {
                let of_one = parse::<wire::LedgerArgs>(args)?.schedule_id;
                Ok(of_one.map_or(Topic::Schedules(person), Topic::Schedule))
            }
            _ => Err(CallError::new(
                ErrorCode::Invalid,
                format!("{function} can't be watched; call it instead."),
            )),
        }
    }

    /// Hands the effects of something that was not a call over.
    fn into_outcome(self) -> Outcome {
        Outcome {
            reply: Value::Null,
            effects: self.effects,
        }
    }

    /// Random bytes for one more id: a call may make thousands.
    fn next_id_entropy(&mut self) -> IdEntropy {
        let entropy = self.entropy.id;
        for byte in self.entropy.id.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        entropy
    }

    fn changed(&mut self, topic: Topic) {
        // What is shown of a machine's health is counted from both.
        if let Topic::Machine(machine) | Topic::Inbox(machine) = &topic {
            let health = Topic::Health(machine.clone());
            self.effects.insert(Effect::Changed(health));
        }
        self.effects.insert(Effect::Changed(topic));
    }

    /// Where the reply of a person's changing call is kept; `None` for calls that need no keeping:
    /// queries, a machine's reports (fenced, and repeatable by what they do), and registering and connecting
    /// (their secrets are kept nowhere; each has a rule of its own that makes a repeat safe).
    fn idempotency_scope(
        &self,
        function: &FunctionInfo,
        actor: &Actor,
        request: &Request<'_>,
    ) -> Result<Option<String>, CallError> {
        match (function.kind, function.access, actor) {
            (Kind::Mutation, Access::Person, Actor::Person(person)) => match &request.key {
                Some(key) => Ok(Some(key::reply(person.as_str(), key.as_str()))),
                None => Err(CallError::new(
                    ErrorCode::Invalid,
                    format!(
                        "{} changes things, so it needs an idempotency key.",
                        function.name
                    ),
                )),
            },
            _ => Ok(None),
        }
    }

    /// What the call itself does, and then what follows from it for runs.
    fn answer(&mut self, function: &str, actor: &Actor, args: &Value) -> Result<Value, CallError> {
        let reply = self.dispatch(function, actor, args)?;
        self.settle_runs()?;
        Ok(reply)
    }

    fn call_once(
        &mut self,
        scope: &str,
        actor: &Actor,
        request: &Request<'_>,
    ) -> Result<Value, CallError> {
        let request_hash = request_hash(request.function, &request.args);
        if let Some(earlier) = load::<IdempotencyRow>(self.rows, scope)? {
            if earlier.request_hash == request_hash {
                return Ok(earlier.reply);
            }
            return Err(CallError::new(
                ErrorCode::Conflict,
                "This idempotency key was used for another request. Make a new key for a new request.",
            ));
        }
        let reply = self.answer(request.function, actor, &request.args)?;
        save(
            self.rows,
            scope,
            &IdempotencyRow {
                request_hash,
                reply: reply.clone(),
            },
        )?;
        let forget_at = self.now.plus_ms(reply_life_ms(request.function));
        self.arm(
            forget_at,
            scope,
            &Deadline::ForgetReply {
                key: scope.to_owned(),
            },
        )?;
        Ok(reply)
    }
}

macro_rules! dispatch {
    ($([$method:ident, $name:literal, $Type:ident, $access:ident, $kind:ident, $Args:ident => $Reply:ident, $doc:literal])*) => {
        impl<R: Rows> Backend<'_, R> {
            fn dispatch(&mut self, function: &str, actor: &Actor, args: &Value) -> Result<Value, CallError> {
                match function {
                    $($name => {
                        let reply: wire::$Reply = self.$method(actor, parse::<wire::$Args>(args)?)?;
                        serde_json::to_value(reply)
                            .map_err(|error| CallError::new(ErrorCode::Internal, format!("{function}'s reply: {error}")))
                    })*
                    _ => Err(no_such_function(function)),
                }
            }
        }
    };
}
with_functions!(dispatch);

/// How long a reply is kept. One that holds a registration key goes when the key does.
fn reply_life_ms(function: &str) -> u64 {
    match function {
        CreateMachine::NAME | ReissueKey::NAME => REGISTRATION_KEY_LIFE_MS,
        _ => IDEMPOTENCY_LIFE_MS,
    }
}

fn find(name: &str) -> Result<&'static FunctionInfo, CallError> {
    functions::find(name).ok_or_else(|| no_such_function(name))
}

fn no_such_function(name: &str) -> CallError {
    let name: String = name.chars().take(64).collect();
    CallError::new(
        ErrorCode::NotFound,
        format!("There is no function {name:?}. A newer client may need a newer backend."),
    )
}

fn parse<T: serde::de::DeserializeOwned>(args: &Value) -> Result<T, CallError> {
    // An absent body is an empty one: functions without arguments can be called with nothing.
    let empty = Value::Object(serde_json::Map::new());
    let args = if args.is_null() { &empty } else { args };
    T::deserialize(args).map_err(|error| {
        CallError::new(
            ErrorCode::Invalid,
            format!("The arguments do not fit: {error}."),
        )
    })
}

fn request_hash(function: &str, args: &Value) -> String {
    let mut hasher = Sha256::new();
    hasher.update(function.as_bytes());
    hasher.update([0]);
    hasher.update(canonical(args).to_string().as_bytes());
    hex(&hasher.finalize())
}

/// The same value with every object's members in one order, so that equal arguments have equal texts however
/// serde_json was built.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, Value> = members
                .iter()
                .map(|(name, value)| (name, canonical(value)))
                .collect();
            Value::Object(
                sorted
                    .into_iter()
                    .map(|(name, value)| (name.clone(), value))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests;
