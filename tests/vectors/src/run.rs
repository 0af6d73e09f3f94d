//! Runs a scenario against a subject.

use std::collections::BTreeMap;
use std::fmt;

use protocol::functions::{self, Access, Kind};
use protocol::ids::IdempotencyKey;
use protocol::{CallError, Timestamp};
use serde_json::{Map, Value};

use crate::coverage::Coverage;
use crate::scenario::{Act, Expected, Key, Scenario, Step};
use crate::value::{Bindings, Mismatch, compare, fill, numbered, numbered_text};
use crate::{Actor, Append, START_MS, Subject};

/// The most of a value that a failure shows.
const SHOWN_CHARS: usize = 4_000;

/// In a longer repetition only the last one is looked at by the coverage, which reads all that is stored.
const OBSERVED_TIMES: usize = 20;

/// Where a scenario and its subject part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The scenario's name.
    pub scenario: String,
    /// Which step, counted from one.
    pub step: String,
    /// What was expected and what came.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            step,
            message,
        } = self;
        write!(f, "{scenario}.json, step {step}: {message}")
    }
}

/// Runs a scenario to its end or its first failure, and notes what it reaches.
///
/// # Errors
/// The first failure.
pub async fn run(
    scenario: &Scenario,
    subject: &mut dyn Subject,
    coverage: Option<&mut Coverage>,
) -> Result<(), Failure> {
    let mut run = Run {
        subject,
        coverage,
        bindings: Bindings::new(),
        keys: BTreeMap::new(),
        keys_made: 0,
        now_ms: START_MS,
    };
    if let Some(coverage) = &mut run.coverage {
        coverage.begin(&scenario.name);
    }
    for leaf in leaves(&scenario.steps, "", true) {
        run.take(&leaf).await.map_err(|message| Failure {
            scenario: scenario.name.clone(),
            step: leaf.place.clone(),
            message,
        })?;
    }
    Ok(())
}

/// A step that is done once.
struct Leaf {
    place: String,
    act: Act,
    /// Whether to look at what is stored after it: not within a long repetition.
    is_observed: bool,
}

fn leaves(steps: &[Step], prefix: &str, is_observed: bool) -> Vec<Leaf> {
    let mut leaves_of = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let place = format!("{prefix}{}", index + 1);
        let times = step.times.unwrap_or(1);
        for time in 0..times {
            let place = match step.times {
                Some(_) => format!("{place} (#{time})"),
                None => place.clone(),
            };
            let act = match step.times {
                Some(_) => step.act.numbered(time),
                None => step.act.clone(),
            };
            if let Act::Steps(inner) = act {
                let is_observed = is_observed && (times <= OBSERVED_TIMES || time + 1 == times);
                leaves_of.extend(leaves(&inner, &format!("{place}."), is_observed));
            } else {
                leaves_of.push(Leaf {
                    place,
                    act,
                    is_observed: is_observed && time + 1 == times,
                });
            }
        }
    }
    leaves_of
}

struct Run<'s> {
    subject: &'s mut dyn Subject,
    coverage: Option<&'s mut Coverage>,
    bindings: Bindings,
    keys: BTreeMap<String, IdempotencyKey>,
    keys_made: u64,
    now_ms: u64,
}

impl Run<'_> {
    async fn take(&mut self, leaf: &Leaf) -> Result<(), String> {
        self.act(&leaf.act).await?;
        if leaf.is_observed && self.coverage.is_some() {
            let stored = self.subject.stored().await;
            if let Some(coverage) = &mut self.coverage {
                coverage.observe(&stored);
            }
        }
        Ok(())
    }

    async fn act(&mut self, act: &Act) -> Result<(), String> {
        match act {
            Act::Call {
                actor,
                function,
                args,
                key,
                expected,
            } => {
                let (actor, args) = (self.actor(actor)?, fill(args, &self.bindings)?);
                let key = self.key(key, function);
                let answer = self.subject.call(&actor, function, args, key).await;
                if let Some(coverage) = &mut self.coverage {
                    match &answer {
                        Ok(_) => coverage.answered(function),
                        Err(error) => coverage.refused(function, error.code),
                    }
                }
                self.judge(function, expected, answer)
            }
            Act::Watch {
                actor,
                name,
                function,
                args,
            } => {
                let (actor, args) = (self.actor(actor)?, fill(args, &self.bindings)?);
                self.subject.watch(name, &actor, function, args).await;
                Ok(())
            }
            Act::Expect { name, expected } => {
                let newest = self.subject.newest(name).await;
                self.judge(&format!("the watch {name}"), expected, newest)
            }
            Act::Wait(ms) => {
                self.subject.advance(*ms).await;
                self.now_ms += ms;
                Ok(())
            }
            Act::Jump(ms) => {
                self.subject.jump(*ms).await;
                self.now_ms = self.now_ms.saturating_add_signed(*ms);
                Ok(())
            }
            Act::Append {
                actor,
                turn,
                epoch,
                seq,
                chunks,
                expected,
            } => {
                let append = Append {
                    actor: self.actor(actor)?,
                    turn: self.text(turn)?,
                    epoch: self.number(epoch)?,
                    seq: self.number(seq)?,
                    chunks: self.list(chunks)?,
                };
                let answer = self.subject.append(append).await;
                self.judge("the append", expected, answer.map(|()| Value::Null))
            }
            Act::Read {
                actor,
                turn,
                expected,
            } => {
                let (actor, turn) = (self.actor(actor)?, self.text(turn)?);
                let chunks = self.subject.read(&actor, &turn).await;
                self.judge("the chunks", expected, chunks.map(Value::Array))
            }
            Act::State(tables) => {
                let stored = self.subject.stored().await;
                let stored: Map<String, Value> = tables
                    .keys()
                    .map(|name| (name.clone(), stored[name].clone()))
                    .collect();
                let expected = Value::Object(tables.clone());
                self.compare("what is stored", &expected, &Value::Object(stored))
            }
            Act::Steps(_) => Ok(()),
        }
    }

    fn judge(
        &mut self,
        what: &str,
        expected: &Expected,
        answer: Result<Value, CallError>,
    ) -> Result<(), String> {
        match (expected, answer) {
            (Expected::Success, Ok(_)) => Ok(()),
            (Expected::Value(expected), Ok(value)) => self.compare(what, expected, &value),
            (Expected::Success | Expected::Value(_), Err(error)) => {
                Err(format!("{what} was refused: {}", shown(&json(&error))))
            }
            (Expected::Error(expected), Ok(value)) => Err(format!(
                "{what} should be refused with {expected}, but gave {}",
                shown(&value)
            )),
            (Expected::Error(expected), Err(error)) => {
                let mut expected = expected.clone();
                expected["..."] = true.into();
                self.compare(&format!("the refusal of {what}"), &expected, &json(&error))
            }
        }
    }

    fn compare(&mut self, what: &str, expected: &Value, got: &Value) -> Result<(), String> {
        compare(expected, got, &mut self.bindings, "").map_err(|mismatch| {
            let Mismatch {
                path,
                expected,
                got: here,
            } = mismatch;
            let at = if path.is_empty() { "itself" } else { &path };
            format!(
                "{what} is not as expected\n  at:       {at}\n  expected: {expected}\n  got:      {}\n  all of it: {}",
                shown(&here),
                shown(got)
            )
        })
    }

    fn actor(&self, name: &str) -> Result<Actor, String> {
        match name {
            "ann" | "bob" => Ok(Actor::Person(name.to_owned())),
            "nobody" => Ok(Actor::Nobody),
            token => self.text(&token.into()).map(Actor::Machine),
        }
    }

    fn key(&mut self, key: &Key, function: &str) -> Option<IdempotencyKey> {
        match key {
            Key::None => None,
            Key::Fresh => functions::find(function)
                .is_some_and(|it| it.kind == Kind::Mutation && it.access == Access::Person)
                .then(|| self.new_key()),
            Key::Named(name) => {
                if !self.keys.contains_key(name) {
                    let key = self.new_key();
                    self.keys.insert(name.clone(), key);
                }
                self.keys.get(name).cloned()
            }
        }
    }

    fn new_key(&mut self) -> IdempotencyKey {
        self.keys_made += 1;
        let mut entropy = [0; 10];
        entropy[2..].copy_from_slice(&self.keys_made.to_be_bytes());
        IdempotencyKey::generate(Timestamp::from_ms(self.now_ms), entropy)
    }

    fn text(&self, value: &Value) -> Result<String, String> {
        let filled = fill(value, &self.bindings)?;
        let text = filled.as_str().map(str::to_owned);
        text.ok_or_else(|| format!("{filled} is no text"))
    }

    fn list(&self, value: &Value) -> Result<Vec<Value>, String> {
        let filled = fill(value, &self.bindings)?;
        let list = filled.as_array().cloned();
        list.ok_or_else(|| format!("{filled} is no array"))
    }

    fn number(&self, value: &Value) -> Result<u64, String> {
        let number = fill(value, &self.bindings)?;
        number
            .as_u64()
            .ok_or_else(|| format!("{number} is no number"))
    }
}

impl Act {
    fn numbered(&self, index: usize) -> Self {
        let value = |value: &Value| numbered(value, index);
        let text = |text: &str| numbered_text(text, index);
        let outcome = |expected: &Expected| match expected {
            Expected::Success => Expected::Success,
            Expected::Value(expected) => Expected::Value(value(expected)),
            Expected::Error(expected) => Expected::Error(value(expected)),
        };
        match self {
            Self::Call {
                actor,
                function,
                args,
                key,
                expected,
            } => Self::Call {
                actor: text(actor),
                function: function.clone(),
                args: value(args),
                key: match key {
                    Key::Named(name) => Key::Named(text(name)),
                    Key::Fresh => Key::Fresh,
                    Key::None => Key::None,
                },
                expected: outcome(expected),
            },
            Self::Watch {
                actor,
                name,
                function,
                args,
            } => Self::Watch {
                actor: text(actor),
                name: text(name),
                function: function.clone(),
                args: value(args),
            },
            Self::Expect { name, expected } => Self::Expect {
                name: text(name),
                expected: outcome(expected),
            },
            Self::Wait(ms) => Self::Wait(*ms),
            Self::Jump(ms) => Self::Jump(*ms),
            Self::Append {
                actor,
                turn,
                epoch,
                seq,
                chunks,
                expected,
            } => Self::Append {
                actor: text(actor),
                turn: value(turn),
                epoch: value(epoch),
                seq: value(seq),
                chunks: value(chunks),
                expected: outcome(expected),
            },
            Self::Read {
                actor,
                turn,
                expected,
            } => Self::Read {
                actor: text(actor),
                turn: value(turn),
                expected: outcome(expected),
            },
            Self::State(tables) => Self::State(
                tables
                    .iter()
                    .map(|(name, rows)| (name.clone(), value(rows)))
                    .collect(),
            ),
            Self::Steps(steps) => Self::Steps(
                steps
                    .iter()
                    .map(|step| Step {
                        times: step.times,
                        act: step.act.numbered(index),
                    })
                    .collect(),
            ),
        }
    }
}

fn json(error: &CallError) -> Value {
    serde_json::to_value(error).unwrap_or_default()
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
