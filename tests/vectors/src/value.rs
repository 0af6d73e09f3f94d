//! Values with variables: filled in where they are sent, matched and bound where they are expected.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::START_MS;

/// What the variables stand for.
pub(crate) type Bindings = BTreeMap<String, Value>;

/// Where a value is not what was expected.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mismatch {
    pub(crate) path: String,
    pub(crate) expected: String,
    pub(crate) got: Value,
}

/// A value as it is sent: variables and short forms written out.
pub(crate) fn fill(value: &Value, bindings: &Bindings) -> Result<Value, String> {
    if let Some(form) = Form::of(value)? {
        return match form {
            Form::Text(text) => Ok(Value::String(text)),
            Form::Number(number) => Ok(number.into()),
            Form::List(values) => values.iter().map(|value| fill(value, bindings)).collect(),
            Form::Any | Form::Starts(_) => Err(format!("{value} is only for what is expected")),
        };
    }
    match value {
        Value::String(text) => fill_text(text, bindings),
        Value::Array(values) => values.iter().map(|value| fill(value, bindings)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| Ok((name.clone(), fill(value, bindings)?)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

/// Compares what came with what was expected, and binds variables that are new.
pub(crate) fn compare(
    expected: &Value,
    got: &Value,
    bindings: &mut Bindings,
    path: &str,
) -> Result<(), Mismatch> {
    let differs = |text: String| Mismatch {
        path: path.to_owned(),
        expected: text,
        got: got.clone(),
    };
    if let Some(form) = Form::of(expected).map_err(differs)? {
        return match form {
            Form::Any if !got.is_null() => Ok(()),
            Form::Starts(start) if got.as_str().is_some_and(|text| text.starts_with(&start)) => {
                Ok(())
            }
            Form::Text(text) if got.as_str() == Some(&text) => Ok(()),
            Form::Number(number) if same_number(&number.into(), got) => Ok(()),
            Form::List(values) => compare(&Value::Array(values), got, bindings, path),
            Form::Any | Form::Starts(_) | Form::Text(_) | Form::Number(_) => {
                Err(differs(expected.to_string()))
            }
        };
    }
    match (expected, got) {
        (Value::String(text), _) => {
            if let Some(name) = variable(text)
                && !bindings.contains_key(name)
                && !got.is_null()
            {
                bindings.insert(name.to_owned(), got.clone());
                return Ok(());
            }
            let filled = fill_text(text, bindings).map_err(differs)?;
            if filled == *got || same_number(&filled, got) {
                Ok(())
            } else {
                Err(differs(format!("{text} = {filled}")))
            }
        }
        (Value::Array(expected), Value::Array(got_values)) => match expected.split_first() {
            Some((first, wanted)) if first == "..." => some_of(wanted, got_values, bindings, path),
            _ if expected.len() != got_values.len() => {
                Err(differs(format!("{} elements", expected.len())))
            }
            _ => expected.iter().zip(got_values).enumerate().try_for_each(
                |(index, (expected, got))| {
                    compare(expected, got, bindings, &format!("{path}[{index}]"))
                },
            ),
        },
        (Value::Object(expected), Value::Object(got)) => members(expected, got, bindings, path),
        (Value::Number(_), _) if same_number(expected, got) => Ok(()),
        _ if expected == got => Ok(()),
        _ => Err(differs(expected.to_string())),
    }
}

/// Each wanted element has to be there, wherever. What it binds is kept.
fn some_of(
    wanted: &[Value],
    got: &[Value],
    bindings: &mut Bindings,
    path: &str,
) -> Result<(), Mismatch> {
    for (index, expected) in wanted.iter().enumerate() {
        let found = got.iter().find_map(|value| {
            let mut tried = bindings.clone();
            compare(expected, value, &mut tried, path).ok()?;
            Some(tried)
        });
        *bindings = found.ok_or_else(|| Mismatch {
            path: format!("{path}[... {index}]"),
            expected: format!("an element like {expected}"),
            got: Value::Array(got.to_vec()),
        })?;
    }
    Ok(())
}

fn members(
    expected: &Map<String, Value>,
    got: &Map<String, Value>,
    bindings: &mut Bindings,
    path: &str,
) -> Result<(), Mismatch> {
    let is_open = expected.contains_key("...");
    for (name, value) in expected.iter().filter(|(name, _)| *name != "...") {
        let got = got.get(name).unwrap_or(&Value::Null);
        compare(value, got, bindings, &format!("{path}.{name}"))?;
    }
    let unexpected = got
        .iter()
        .find(|(name, value)| !is_open && !value.is_null() && !expected.contains_key(*name));
    match unexpected {
        None => Ok(()),
        Some((name, value)) => Err(Mismatch {
            path: format!("{path}.{name}"),
            expected: "nothing".to_owned(),
            got: value.clone(),
        }),
    }
}

/// Objects that stand for something else.
enum Form {
    Text(String),
    Number(u64),
    List(Vec<Value>),
    Any,
    Starts(String),
}

impl Form {
    fn of(value: &Value) -> Result<Option<Self>, String> {
        let Some((name, inner)) = sole_member(value) else {
            return Ok(None);
        };
        let wrong = || format!("{value} does not read as a form");
        Ok(Some(match name {
            "at" => Self::Number(START_MS + inner.as_u64().ok_or_else(wrong)?),
            "any" => Self::Any,
            "starts" => Self::Starts(inner.as_str().ok_or_else(wrong)?.to_owned()),
            "repeat" => {
                let (text, times) = pair(inner).ok_or_else(wrong)?;
                Self::Text(text.as_str().ok_or_else(wrong)?.repeat(times))
            }
            "list" => {
                let (template, times) = pair(inner).ok_or_else(wrong)?;
                Self::List((0..times).map(|index| numbered(template, index)).collect())
            }
            _ => return Ok(None),
        }))
    }
}

fn sole_member(value: &Value) -> Option<(&str, &Value)> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    members
        .iter()
        .next()
        .map(|(name, value)| (name.as_str(), value))
}

fn pair(value: &Value) -> Option<(&Value, usize)> {
    match value.as_array()?.as_slice() {
        [what, times] => Some((what, usize::try_from(times.as_u64()?).ok()?)),
        _ => None,
    }
}

/// The value with `#` in its texts replaced by a number; a list in it has numbers of its own.
pub(crate) fn numbered(value: &Value, index: usize) -> Value {
    match value {
        Value::String(text) => Value::String(numbered_text(text, index)),
        Value::Array(values) => values.iter().map(|value| numbered(value, index)).collect(),
        Value::Object(_) if sole_member(value).is_some_and(|(name, _)| name == "list") => {
            value.clone()
        }
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), numbered(value, index)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

pub(crate) fn numbered_text(text: &str, index: usize) -> String {
    text.replace('#', &index.to_string())
}

fn variable(text: &str) -> Option<&str> {
    text.strip_prefix('$')
        .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn fill_text(text: &str, bindings: &Bindings) -> Result<Value, String> {
    let bound = |name: &str| {
        bindings
            .get(name)
            .ok_or_else(|| format!("the variable ${name}, which stands for nothing yet"))
    };
    if let Some(name) = variable(text) {
        return bound(name).cloned();
    }
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| format!("{text:?}: a variable in a text ends with a brace"))?;
        filled.push_str(before);
        let value = bound(name)?;
        match value.as_str() {
            Some(value) => filled.push_str(value),
            None => filled.push_str(&value.to_string()),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(Value::String(filled))
}

/// JSON has one kind of number.
fn same_number(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.to_bits() == other.to_bits(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits(expected: Value, got: Value) -> bool {
        compare(&expected, &got, &mut Bindings::new(), "").is_ok()
    }

    #[test]
    fn objects_are_exact_unless_they_are_open_and_null_is_absent() {
        assert!(fits(json!({"a": 1, "b": null}), json!({"a": 1, "c": null})));
        assert!(!fits(json!({"a": 1}), json!({"a": 1, "b": 2})));
        assert!(fits(json!({"a": 1, "...": true}), json!({"a": 1, "b": 2})));
        assert!(!fits(json!({"b": 2, "...": true}), json!({"a": 1})));
        assert!(!fits(json!({}), json!(null)));
    }

    #[test]
    fn arrays_are_in_order_unless_they_are_open() {
        assert!(!fits(json!([1, 2]), json!([2, 1])));
        assert!(!fits(json!([1]), json!([1, 2])));
        assert!(fits(json!(["...", 2, 1]), json!([1, 3, 2])));
        assert!(!fits(json!(["...", 4]), json!([1, 3, 2])));
    }

    #[test]
    fn a_variable_binds_once_and_is_itself_from_then_on() {
        let mut bindings = Bindings::new();
        let pair = json!(["$a", {"x": "$a"}]);
        assert!(compare(&pair, &json!(["one", {"x": "two"}]), &mut bindings, "").is_err());
        assert_eq!(bindings["a"], "one");
        assert!(compare(&json!("$a"), &json!("two"), &mut bindings, "").is_err());
        assert!(compare(&json!("is ${a}!"), &json!("is one!"), &mut bindings, "").is_ok());
        assert!(compare(&json!("$b"), &json!(null), &mut bindings, "").is_err());
        assert_eq!(
            fill(&json!(["$a", "${a}x"]), &bindings),
            Ok(json!(["one", "onex"]))
        );
        assert!(fill(&json!("$b"), &bindings).is_err());
    }

    #[test]
    fn what_an_element_that_did_not_match_bound_is_forgotten() {
        let mut bindings = Bindings::new();
        let expected = json!(["...", {"id": "$id", "state": "b"}]);
        let got = json!([{"id": 1, "state": "a"}, {"id": 2, "state": "b"}]);
        assert!(compare(&expected, &got, &mut bindings, "").is_ok());
        assert_eq!(bindings["id"], 2);
    }

    #[test]
    fn short_forms_stand_for_what_they_say() {
        assert!(fits(json!({"at": 5}), json!(START_MS + 5)));
        assert!(fits(json!({"any": true}), json!([])) && !fits(json!({"any": true}), json!(null)));
        assert!(
            fits(json!({"starts": "a"}), json!("ab")) && !fits(json!({"starts": "b"}), json!("ab"))
        );
        assert!(fits(json!({"repeat": ["ab", 2]}), json!("abab")));
        assert!(fits(
            json!({"list": [{"n": "#"}, 2]}),
            json!([{"n": "0"}, {"n": "1"}])
        ));
        assert!(fits(json!(1), json!(1.0)) && !fits(json!(1), json!("1")));
        let filled = fill(&json!({"list": ["a#", 2]}), &Bindings::new());
        assert_eq!(filled, Ok(json!(["a0", "a1"])));
    }

    #[test]
    fn a_repetition_numbers_all_but_what_a_list_numbers() {
        let value = json!({"a": "x#", "b": {"list": ["y#", 1]}, "#": 1});
        let expected = json!({"a": "x7", "b": {"list": ["y#", 1]}, "#": 1});
        assert_eq!(numbered(&value, 7), expected);
    }

    #[test]
    fn a_mismatch_says_where_it_is() {
        let expected = json!({"a": [{"b": 1}]});
        let mismatch = compare(
            &expected,
            &json!({"a": [{"b": 2}]}),
            &mut Bindings::new(),
            "",
        );
        assert_eq!(mismatch.unwrap_err().path, ".a[0].b");
    }
}
