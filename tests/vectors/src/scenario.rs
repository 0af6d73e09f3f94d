//! The format of a scenario.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// What happens to a backend, and what it must answer.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The file's name without its ending.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    steps: Vec<RawStep>,
}

/// A step as it is written: which fields it has says what it does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStep {
    r#as: Option<String>,
    call: Option<String>,
    args: Option<Value>,
    #[serde(deserialize_with = "present")]
    key: Option<Value>,
    reply: Option<Value>,
    error: Option<Value>,
    watch: Option<String>,
    expect: Option<String>,
    value: Option<Value>,
    wait: Option<u64>,
    jump: Option<i64>,
    append: Option<Value>,
    epoch: Option<Value>,
    seq: Option<Value>,
    read: Option<Value>,
    chunks: Option<Value>,
    state: Option<Map<String, Value>>,
    times: Option<usize>,
    steps: Option<Vec<RawStep>>,
}

/// `null` is not the same as nothing here.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) times: Option<usize>,
    pub(crate) act: Act,
}

#[derive(Debug, Clone)]
pub(crate) enum Act {
    Call {
        actor: String,
        function: String,
        args: Value,
        key: Key,
        expected: Expected,
    },
    Watch {
        actor: String,
        name: String,
        function: String,
        args: Value,
    },
    Expect {
        name: String,
        expected: Expected,
    },
    Wait(u64),
    Jump(i64),
    Append {
        actor: String,
        turn: Value,
        epoch: Value,
        seq: Value,
        chunks: Value,
        expected: Expected,
    },
    Read {
        actor: String,
        turn: Value,
        expected: Expected,
    },
    State(Map<String, Value>),
    Steps(Vec<Step>),
}

/// Which idempotency key a call has.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    /// A new one where the function needs one.
    Fresh,
    None,
    Named(String),
}

#[derive(Debug, Clone)]
pub(crate) enum Expected {
    Success,
    Value(Value),
    Error(Value),
}

/// Reads one scenario.
///
/// # Errors
/// What is wrong with the file.
pub fn load(path: &Path) -> Result<Scenario, String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let bytes = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
    let file: File = serde_json::from_slice(&bytes).map_err(|error| format!("{name}: {error}"))?;
    Ok(Scenario {
        steps: steps(file.steps).map_err(|error| format!("{name}: {error}"))?,
        about: file.about,
        name: name.into_owned(),
    })
}

/// All scenarios by name, or only those whose name contains what the environment variable `VECTOR` holds.
///
/// # Errors
/// What is wrong with a file, or that there is none.
pub fn load_all() -> Result<Vec<Scenario>, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("backend");
    let wanted = std::env::var("VECTOR").unwrap_or_default();
    let is_wanted = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        path.extension().is_some_and(|ending| ending == "json") && name.contains(&wanted)
    };
    let entries = std::fs::read_dir(&directory).map_err(|error| error.to_string())?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_wanted)
        .collect();
    if files.is_empty() {
        return Err(format!("no scenario has {wanted:?} in its name"));
    }
    files.sort();
    files.iter().map(|path| load(path)).collect()
}

fn steps(raw: Vec<RawStep>) -> Result<Vec<Step>, String> {
    let numbered = raw.into_iter().enumerate();
    numbered
        .map(|(index, raw)| step_of(raw).map_err(|error| format!("step {}: {error}", index + 1)))
        .collect()
}

fn step_of(raw: RawStep) -> Result<Step, String> {
    let times = raw.times;
    Ok(Step {
        times,
        act: act(raw)?,
    })
}

fn act(mut raw: RawStep) -> Result<Act, String> {
    let value = raw.reply.take().or(raw.value.take());
    if let Some(steps_of) = raw.steps {
        return Ok(Act::Steps(steps(steps_of)?));
    }
    if let Some(ms) = raw.wait {
        return Ok(Act::Wait(ms));
    }
    if let Some(ms) = raw.jump {
        return Ok(Act::Jump(ms));
    }
    if let Some(tables) = raw.state {
        return Ok(Act::State(tables));
    }
    if let Some(name) = raw.expect {
        let expected = expected(value, raw.error)?;
        return Ok(Act::Expect { name, expected });
    }
    let actor = raw.r#as.ok_or("who does it? \"as\" is missing")?;
    if let Some(turn) = raw.append {
        return Ok(Act::Append {
            actor,
            turn,
            epoch: raw.epoch.ok_or("an append has an epoch")?,
            seq: raw.seq.ok_or("an append has a seq")?,
            chunks: raw.chunks.ok_or("an append has chunks")?,
            expected: expected(None, raw.error)?,
        });
    }
    if let Some(turn) = raw.read {
        return Ok(Act::Read {
            actor,
            turn,
            expected: expected(raw.chunks, raw.error)?,
        });
    }
    let function = raw.call.ok_or("what does it do? \"call\" is missing")?;
    let args = raw.args.unwrap_or_default();
    if let Some(name) = raw.watch {
        return Ok(Act::Watch {
            actor,
            name,
            function,
            args,
        });
    }
    let key = match raw.key {
        None => Key::Fresh,
        Some(Value::Null) => Key::None,
        Some(Value::String(name)) => Key::Named(name),
        Some(other) => return Err(format!("a key is a name or null, not {other}")),
    };
    Ok(Act::Call {
        actor,
        function,
        args,
        key,
        expected: expected(value, raw.error)?,
    })
}

fn expected(value: Option<Value>, error: Option<Value>) -> Result<Expected, String> {
    match (value, error) {
        (None, None) => Ok(Expected::Success),
        (Some(value), None) => Ok(Expected::Value(value)),
        (None, Some(error)) => Ok(Expected::Error(error)),
        (Some(_), Some(_)) => Err("it can't both succeed and be refused".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(step: &str) -> Result<Step, String> {
        step_of(serde_json::from_str(step).map_err(|error: serde_json::Error| error.to_string())?)
    }

    #[test]
    fn a_key_that_is_null_is_not_one_that_is_left_out() {
        for (text, expected) in [
            (r#"{"as": "ann", "call": "f"}"#, "Fresh"),
            (r#"{"as": "ann", "call": "f", "key": null}"#, "None"),
            (r#"{"as": "ann", "call": "f", "key": "k"}"#, "Named(\"k\")"),
        ] {
            let Act::Call { key, .. } = read(text).unwrap().act else {
                panic!("{text} is a call");
            };
            assert_eq!(format!("{key:?}"), expected);
        }
    }

    #[test]
    fn a_step_that_does_not_read_says_why() {
        for (text, why) in [
            (r#"{"call": "f"}"#, "\"as\" is missing"),
            (r#"{"as": "ann"}"#, "\"call\" is missing"),
            (
                r#"{"as": "ann", "call": "f", "reply": {}, "error": {}}"#,
                "both",
            ),
            (
                r#"{"as": "ann", "call": "f", "replies": {}}"#,
                "unknown field",
            ),
            (
                r#"{"as": "$c", "append": "$turn", "seq": 0, "chunks": []}"#,
                "epoch",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
