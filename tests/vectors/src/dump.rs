//! The backend core's rows as the tables that scenarios look at.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What is stored, by table: machines, credentials, registrationKeys, presence, workers, chats, turns, asks,
/// commands, results, directories, schedules, runs, replies and streams. Fields are named as the core's rows, in camelCase; what
/// is secret, or the hash of a secret, is left out. Takes rows as `(key, JSON)` and the turns that have a stream.
///
/// # Panics
/// When a row of the core's does not read as one.
pub fn tables<'r>(
    rows: impl IntoIterator<Item = (&'r str, &'r [u8])>,
    streams: impl IntoIterator<Item = String>,
) -> Value {
    let mut tables: BTreeMap<&str, Vec<Value>> =
        TABLES.iter().map(|name| (*name, vec![])).collect();
    for (key, bytes) in rows {
        if let Some((table, row)) = row(key, bytes) {
            tables.entry(table).or_default().push(row);
        }
    }
    let streams: Vec<_> = streams
        .into_iter()
        .map(|turn| json!({ "turn": turn }))
        .collect();
    tables.insert("streams", streams);
    for (table, rows) in &mut tables {
        rows.sort_by_cached_key(|row| place(table, row));
    }
    json!(tables)
}

const TABLES: &[&str] = &[
    "machines",
    "credentials",
    "registrationKeys",
    "presence",
    "workers",
    "chats",
    "turns",
    "asks",
    "commands",
    "results",
    "directories",
    "schedules",
    "runs",
    "replies",
    "streams",
];

fn row(key: &str, bytes: &[u8]) -> Option<(&'static str, Value)> {
    let (prefix, id) = key.split_once('/')?;
    let value = || -> Value {
        serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("the row {key}: {error}"))
    };
    let (table, row) = match prefix {
        "machine" => ("machines", without(camel(value()), "keyHash")),
        "machine.credentials" => (
            "credentials",
            json!({ "machine": id, "epoch": value()["epoch"] }),
        ),
        "machine.key" => (
            "registrationKeys",
            only(&camel(value()), &["machine", "state", "expiresAt"]),
        ),
        "machine.presence" => ("presence", presence(id, camel(value()))),
        "worker" => ("workers", camel(value())),
        "chat" => ("chats", camel(value())),
        "turn" => ("turns", camel(value())),
        "ask" => ("asks", camel(value())),
        "command" => ("commands", camel(value())),
        "command.result" => ("results", json!({ "command": id, "result": value() })),
        "directory" => ("directories", directory(id, camel(value()))?),
        "schedule" => ("schedules", without(camel(value()), "webhookSecret")),
        "run" => ("runs", camel(value())),
        "reply" => {
            let (scope, key) = id.split_once('/')?;
            ("replies", json!({ "scope": scope, "key": key }))
        }
        _ => return None,
    };
    Some((table, row))
}

fn presence(machine: &str, mut row: Value) -> Value {
    row["machine"] = machine.into();
    row["link"] = row["link"]
        .as_str()
        .unwrap_or_default()
        .to_lowercase()
        .into();
    row
}

fn directory(key: &str, mut row: Value) -> Option<Value> {
    let mut fields = key.splitn(3, '/');
    row["machine"] = fields.next()?.into();
    row["hidden"] = (fields.next()? == "true").into();
    row["directory"] = fields.next()?.into();
    Some(row)
}

/// Rows are in the order in which they were made, which ids tell; others in that of what names them.
fn place(table: &str, row: &Value) -> Vec<String> {
    let names: &[&str] = match table {
        "credentials" | "presence" => &["machine"],
        "registrationKeys" => &["expiresAt", "machine", "state"],
        "results" => &["command"],
        "directories" => &["machine", "hidden", "directory"],
        "replies" => &["scope", "key"],
        "streams" => &["turn"],
        _ => &["id"],
    };
    let text = |name: &&str| {
        let value = &row[*name];
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    names.iter().map(text).collect()
}

fn camel(mut row: Value) -> Value {
    if let Some(members) = row.as_object_mut() {
        let renamed = std::mem::take(members).into_iter();
        members.extend(renamed.map(|(name, value)| (camel_name(&name), value)));
    }
    row
}

fn camel_name(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        name + &initial.to_uppercase() + rest
    })
}

fn without(mut row: Value, name: &str) -> Value {
    if let Some(members) = row.as_object_mut() {
        members.remove(name);
    }
    row
}

fn only(row: &Value, names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| ((*name).to_owned(), row[*name].clone()))
        .collect::<Map<_, _>>()
        .into()
}
