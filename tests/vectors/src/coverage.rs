//! What the scenarios reach: functions with their answers and refusals, rows of the state tables.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use protocol::ErrorCode;
use protocol::functions::FUNCTIONS;
use protocol::state::{StateTable, TABLES};
use serde_json::Value;

/// Rows of the state tables that nothing can take, and why.
pub const UNREACHABLE: &[(&str, &str, &str, &str)] = &[
    (
        "command",
        "leased",
        "expired",
        "only a waiting command expires",
    ),
    (
        "command",
        "running",
        "expired",
        "only a waiting command expires",
    ),
];

/// Where the things of a state table are stored.
const STORED: &[(&str, &str)] = &[
    ("registration key", "registrationKeys"),
    ("machine", "machines"),
    ("worker", "workers"),
    ("chat session", "chats"),
    ("turn", "turns"),
    ("ask", "asks"),
    ("command", "commands"),
    ("schedule", "schedules"),
    ("run", "runs"),
];

/// What was reached so far.
#[derive(Debug, Default)]
pub struct Coverage {
    answered: BTreeMap<String, usize>,
    refused: BTreeMap<String, BTreeSet<ErrorCode>>,
    /// (thing, from, to): the first scenario that took it.
    taken: BTreeMap<(&'static str, &'static str, &'static str), String>,
    scenario: String,
    before: BTreeMap<(&'static str, String), (String, u64)>,
}

impl Coverage {
    pub(crate) fn begin(&mut self, scenario: &str) {
        scenario.clone_into(&mut self.scenario);
        self.before.clear();
    }

    pub(crate) fn answered(&mut self, function: &str) {
        *self.answered.entry(function.to_owned()).or_default() += 1;
    }

    pub(crate) fn refused(&mut self, function: &str, code: ErrorCode) {
        self.refused
            .entry(function.to_owned())
            .or_default()
            .insert(code);
    }

    /// Compares what is stored after a step with what was stored before it. What happened in between is told
    /// by the shortest way that the table has.
    pub(crate) fn observe(&mut self, stored: &Value) {
        for (thing, table) in STORED {
            let Some(states) = TABLES.iter().find(|states| states.thing == *thing) else {
                continue;
            };
            for row in stored[*table].as_array().into_iter().flatten() {
                let now = text(&row["state"]);
                let attempt = row["attempt"].as_u64().unwrap_or_default();
                let last = self
                    .before
                    .insert((*thing, name(row)), (now.clone(), attempt));
                let (was, tried) = last.unwrap_or_else(|| (states.rows[0].0.to_owned(), attempt));
                // Taken again: it has waited again in between.
                let by = (attempt > tried && was != "queued").then_some("queued");
                for (from, to) in by.map_or_else(
                    || way(states, &was, &now),
                    |by| [way(states, &was, by), way(states, by, &now)].concat(),
                ) {
                    self.taken
                        .entry((*thing, from, to))
                        .or_insert_with(|| self.scenario.clone());
                }
            }
        }
    }

    /// What no scenario reaches although it can be reached, and the other way round.
    #[must_use]
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for function in FUNCTIONS {
            if !self.answered.contains_key(function.name) {
                gaps.push(format!("{} never succeeds", function.name));
            }
            if !self.refused.contains_key(function.name) {
                gaps.push(format!("{} is never refused", function.name));
            }
        }
        for (thing, from, to) in rows() {
            let taken = self.taken.contains_key(&(thing, from, to));
            let why = UNREACHABLE
                .iter()
                .find(|row| (row.0, row.1, row.2) == (thing, from, to));
            match (taken, why) {
                (false, None) => gaps.push(format!("no {thing} goes from {from} to {to}")),
                (true, Some(why)) => gaps.push(format!(
                    "a {thing} went from {from} to {to}, though \"{}\"",
                    why.3
                )),
                (true, None) | (false, Some(_)) => {}
            }
        }
        gaps
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<32} {:>5}  refused", "function", "ok")?;
        for function in FUNCTIONS {
            let name = function.name;
            let ok = self.answered.get(name).copied().unwrap_or_default();
            let codes: Vec<_> = self
                .refused
                .get(name)
                .into_iter()
                .flatten()
                .map(code)
                .collect();
            writeln!(f, "{name:<32} {ok:>5}  {}", codes.join(" "))?;
        }
        writeln!(f, "\n{:<18} {:<26} first taken in", "thing", "transition")?;
        for (thing, from, to) in rows() {
            let by = match self.taken.get(&(thing, from, to)) {
                Some(scenario) => scenario.clone(),
                None => UNREACHABLE
                    .iter()
                    .find(|row| (row.0, row.1, row.2) == (thing, from, to))
                    .map_or_else(|| "NOTHING".to_owned(), |row| format!("(never: {})", row.3)),
            };
            writeln!(f, "{thing:<18} {:<26} {by}", format!("{from} -> {to}"))?;
        }
        Ok(())
    }
}

/// Every row of every table.
fn rows() -> Vec<(&'static str, &'static str, &'static str)> {
    TABLES
        .iter()
        .flat_map(|table| {
            table
                .rows
                .iter()
                .flat_map(|(from, next)| next.iter().map(|to| (table.thing, *from, *to)))
        })
        .collect()
}

/// The shortest way between two states.
fn way(table: &StateTable, from: &str, to: &str) -> Vec<(&'static str, &'static str)> {
    let mut ways = VecDeque::from([(from.to_owned(), Vec::new())]);
    let mut seen = BTreeSet::new();
    while let Some((at, way)) = ways.pop_front() {
        if at == to {
            return way;
        }
        let row = table.rows.iter().find(|(state, _)| *state == at);
        if let Some((state, next)) = row {
            for next in next.iter().filter(|next| seen.insert(**next)) {
                let longer = [way.clone(), vec![(*state, *next)]].concat();
                ways.push_back(((*next).to_owned(), longer));
            }
        }
    }
    Vec::new()
}

fn name(row: &Value) -> String {
    let id = row["id"].as_str().map(str::to_owned);
    // A registration key has none.
    id.unwrap_or_else(|| format!("{} {}", row["machine"], row["expiresAt"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn code(code: &ErrorCode) -> String {
    serde_json::to_value(code).map_or_else(|_| String::new(), |code| text(&code))
}

#[cfg(test)]
mod tests {
    use protocol::state::COMMAND;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_happened_between_two_looks_is_told_by_the_shortest_way() {
        assert_eq!(
            way(&COMMAND, "leased", "succeeded"),
            [("leased", "running"), ("running", "succeeded")]
        );
        assert_eq!(way(&COMMAND, "leased", "leased"), []);
    }

    #[test]
    fn a_command_that_was_taken_again_has_waited_in_between() {
        let mut coverage = Coverage::default();
        coverage.begin("s");
        let command = |state: &str, attempt: u64| json!({ "commands": [{ "id": "c", "state": state, "attempt": attempt }] });
        for (state, attempt) in [("queued", 0), ("leased", 1), ("running", 1), ("leased", 2)] {
            coverage.observe(&command(state, attempt));
        }
        let taken: Vec<_> = coverage.taken.keys().map(|row| (row.1, row.2)).collect();
        assert_eq!(
            taken,
            [
                ("leased", "running"),
                ("queued", "leased"),
                ("running", "queued")
            ]
        );
    }
}
