//! The variables of a schedule's prompt.

use thiserror::Error;

use super::firing::{Timing, seconds};
use super::note::{clock_time, day};
use crate::state::RunState;
use crate::time::Timestamp;

/// The variables and what each stands for, for a person to read. A variable is written `{{name}}`.
pub const VARIABLES: &[(&str, &str)] = &[
    (
        "date",
        "the day of the firing in the schedule's zone: 2026-11-30",
    ),
    (
        "time",
        "the time of the firing in the schedule's zone: 09:00",
    ),
    (
        "instant",
        "the instant of the firing in UTC: 2026-11-30T08:00Z",
    ),
    ("schedule", "the schedule's name"),
    (
        "last_outcome",
        "how the run before ended: completed, failed, interrupted, cancelled, or none",
    ),
    (
        "last_reason",
        "why the run before did not complete; nothing if it did",
    ),
    (
        "last_date",
        "the day of the run before in the schedule's zone, or none",
    ),
];

/// A prompt that names a variable that there is not.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("There is no variable {{{{{name}}}}}. There are: {known}.")]
pub struct UnknownVariable {
    name: String,
    known: String,
}

/// What the variables stand for in one run.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    /// When the schedule fires.
    pub timing: &'a Timing,
    /// The instant of the firing.
    pub due: Timestamp,
    /// The schedule's name.
    pub schedule: &'a str,
    /// How, why and when (the instant it was due) the run before ended, if there was one.
    pub last: Option<(RunState, Option<&'a str>, Timestamp)>,
}

/// Checks that a prompt names only variables that there are.
///
/// # Errors
/// [`UnknownVariable`] names the first that there is not.
pub fn check_prompt(prompt: &str) -> Result<(), UnknownVariable> {
    for piece in pieces(prompt) {
        if let Piece::Variable(name) = piece
            && !VARIABLES.iter().any(|(known, _)| *known == name)
        {
            let known: Vec<_> = VARIABLES.iter().map(|(name, _)| *name).collect();
            return Err(UnknownVariable {
                name: name.to_owned(),
                known: known.join(", "),
            });
        }
    }
    Ok(())
}

/// The prompt of one run. What its variables stand for is not looked through for variables again.
#[must_use]
pub fn expand(prompt: &str, variables: &Variables<'_>) -> String {
    pieces(prompt)
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Variable(name) => value(name, variables),
        })
        .collect()
}

fn value(name: &str, variables: &Variables<'_>) -> String {
    match name {
        "date" => variables.timing.local_day(variables.due),
        "time" => variables.timing.local_time(variables.due),
        "instant" => utc_minute(variables.due),
        "schedule" => variables.schedule.to_owned(),
        "last_outcome" => variables
            .last
            .map_or("none", |(state, _, _)| state.as_str())
            .to_owned(),
        "last_reason" => variables
            .last
            .and_then(|(_, reason, _)| reason)
            .unwrap_or_default()
            .to_owned(),
        "last_date" => variables.last.map_or_else(
            || "none".to_owned(),
            |(_, _, due)| variables.timing.local_day(due),
        ),
        _ => format!("{{{{{name}}}}}"),
    }
}

fn utc_minute(at: Timestamp) -> String {
    let at = seconds(at);
    format!("{}T{}Z", day(at), clock_time(at - at % 60))
}

enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Cuts a prompt at its variables: `{{`, lower-case letters and underscores, `}}`, blanks around the name
/// allowed. Anything else in braces is text.
fn pieces(prompt: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut text_from, mut look_from, mut close) = (0, 0, 0);
    while let Some(open) = prompt[look_from..].find("{{").map(|at| at + look_from) {
        let inside = open + 2;
        // The end that was found for an earlier beginning is this one's too: a prompt is looked through once.
        if close < inside {
            let Some(at) = prompt[inside..].find("}}") else {
                break;
            };
            close = inside + at;
        }
        let name = prompt[inside..close].trim_matches(' ');
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if is_name {
            pieces.push(Piece::Text(&prompt[text_from..open]));
            pieces.push(Piece::Variable(name));
            text_from = close + 2;
            look_from = text_from;
        } else {
            look_from = open + 1;
        }
    }
    pieces.push(Piece::Text(&prompt[text_from..]));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::When;

    fn timing() -> Timing {
        Timing::new(&When::Cron {
            expression: "0 9 * * *".to_owned(),
            zone: "Europe/Berlin".to_owned(),
        })
        .unwrap()
    }

    fn expanded(prompt: &str, last: Option<(RunState, Option<&str>, Timestamp)>) -> String {
        expand(
            prompt,
            &Variables {
                timing: &timing(),
                due: Timestamp::from_ms(1_796_025_600_000),
                schedule: "Nightly",
                last,
            },
        )
    }

    #[test]
    fn variables_stand_for_what_the_list_says() {
        assert_eq!(
            expanded("{{schedule}} on {{date}} at {{ time }} ({{instant}})", None),
            "Nightly on 2026-11-30 at 09:00 (2026-11-30T08:00Z)"
        );
        assert_eq!(
            expanded("{{last_outcome}} {{last_reason}} {{last_date}}", None),
            "none  none"
        );
        let last = (
            RunState::Failed,
            Some("{{date}} is no date"),
            Timestamp::from_ms(1_795_939_200_000),
        );
        assert_eq!(
            expanded(
                "{{last_outcome}}: {{last_reason}} {{last_date}}",
                Some(last)
            ),
            "failed: {{date}} is no date 2026-11-29"
        );
    }

    #[test]
    fn other_braces_are_text() {
        for prompt in [
            "{{",
            "{{{",
            "}}",
            "{{}}",
            "{{ }}",
            "{{A}}",
            "{{a b}}",
            "ä{{ö}}",
            "{ {date} }",
        ] {
            assert_eq!(expanded(prompt, None), prompt);
            assert_eq!(check_prompt(prompt), Ok(()));
        }
        assert_eq!(expanded("{{{date}}}", None), "{2026-11-30}");
        assert_eq!(expanded("{{x {{date}}", None), "{{x 2026-11-30");
    }

    #[test]
    fn a_variable_that_there_is_not_is_named_with_those_there_are() {
        let error = check_prompt("Do it on {{dat}}.").unwrap_err().to_string();
        assert!(
            error.contains("{{dat}}") && error.contains("last_outcome"),
            "{error}"
        );
    }
}
