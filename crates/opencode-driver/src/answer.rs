//! From opencode's messages to an answer's parts.

use protocol::Timestamp;
use protocol::driver::TurnEnd;
use protocol::limits::{FULL_MESSAGE_MAX_BYTES, REASON_MAX_BYTES, TOOL_TEXT_MAX_BYTES};
use protocol::state::TurnState;
use protocol::wire::{FullMessage, Part, PartBody, ToolCall, ToolState, Usage};
use serde_json::Value;

use crate::wire;

/// What one micro-dollar is of a dollar.
const MICRO: f64 = 1e6;
/// The share of a clipped text that is its beginning; the rest is its end, where commands say what went wrong.
const HEAD_SHARE: usize = 4;
/// Names of a tool's arguments that say what it is about, most telling first.
const TELLING_ARGUMENTS: &[&str] = &[
    "command",
    "filePath",
    "path",
    "pattern",
    "url",
    "query",
    "description",
    "name",
];
/// The longest title and name of a tool call, in characters.
const TITLE_MAX_CHARS: usize = 200;

/// A complete answer from a turn's messages. Summaries that opencode makes for itself are not part of it.
pub(crate) fn full_message(messages: &[wire::Message]) -> FullMessage {
    let answers = || {
        messages
            .iter()
            .filter(|message| message.info.is_assistant() && !message.info.summary)
    };
    let mut full = FullMessage {
        model: answers()
            .next_back()
            .and_then(|message| message.info.model())
            .map(|model| model.to_string()),
        ..FullMessage::default()
    };
    let mut usage = Usage::default();
    for message in messages
        .iter()
        .filter(|message| message.info.is_assistant())
    {
        let tokens = &message.info.tokens;
        usage.input_tokens += whole(tokens.input + tokens.cache.read + tokens.cache.write);
        usage.output_tokens += whole(tokens.output + tokens.reasoning);
        usage.cost_micro_usd += whole(message.info.cost * MICRO);
    }
    full.usage = (usage != Usage::default()).then_some(usage);
    full.parts = answers()
        .flat_map(|message| message.parts.iter().filter_map(part))
        .collect();
    full
}

/// A turn as opencode's storage has it; `None` while its last message is not complete.
pub(crate) fn finished(messages: &[wire::Message]) -> Option<TurnEnd> {
    let last = messages
        .iter()
        .rfind(|message| message.info.is_assistant() && !message.info.summary)?;
    let failure = last
        .info
        .error
        .as_ref()
        .filter(|failure| !failure.is_abort());
    let (outcome, reason, failure) = match failure {
        Some(failure) if last.info.is_completed() => {
            let reason = reason(&failure.message());
            (TurnState::Failed, Some(reason), failure.kind())
        }
        _ if last.info.is_last_word() || was_turned_down(last) => {
            (TurnState::Completed, None, None)
        }
        _ => return None,
    };
    Some(TurnEnd {
        outcome,
        reason,
        failure,
        answer: fitted(full_message(messages)),
    })
}

/// A person has said no, and the turn ended with that.
fn was_turned_down(message: &wire::Message) -> bool {
    let says_no = |part: &wire::Part| matches!(&part.body, wire::PartBody::Tool { state, .. } if state.was_turned_down());
    message.info.is_completed() && message.info.error.is_none() && message.parts.iter().any(says_no)
}

/// A part that a person gets to see.
fn part(part: &wire::Part) -> Option<Part> {
    let body = match &part.body {
        wire::PartBody::Text(prose) if !prose.text.is_empty() => PartBody::Text {
            text: prose.text.clone(),
        },
        wire::PartBody::Reasoning(prose) if !prose.text.is_empty() => PartBody::Reasoning {
            text: prose.text.clone(),
        },
        wire::PartBody::Tool { tool, state } => PartBody::Tool(tool_call(tool, state)),
        wire::PartBody::Text(_)
        | wire::PartBody::Reasoning(_)
        | wire::PartBody::StepStart
        | wire::PartBody::Compaction
        | wire::PartBody::Other => return None,
    };
    Some(Part {
        id: part.id.clone(),
        body,
    })
}

/// A tool call with its texts within their limits.
pub(crate) fn tool_call(tool: &str, state: &wire::ToolState) -> ToolCall {
    let has_input = !state.input.is_null()
        && state
            .input
            .as_object()
            .is_none_or(|arguments| !arguments.is_empty());
    let input = if has_input {
        state.input.to_string()
    } else {
        String::new()
    };
    let (input, input_cut) = clipped(&input, TOOL_TEXT_MAX_BYTES);
    let written = state
        .output
        .as_deref()
        .or_else(|| state.output_window().filter(|_| is_over(state)));
    let output = written.map(|output| clipped(output, TOOL_TEXT_MAX_BYTES));
    let output_cut = output.as_ref().is_some_and(|(_, cut)| *cut);
    ToolCall {
        tool: tool.chars().take(TITLE_MAX_CHARS).collect(),
        state: match state.status {
            wire::ToolStatus::Pending => ToolState::Pending,
            wire::ToolStatus::Running => ToolState::Running,
            wire::ToolStatus::Completed => ToolState::Completed,
            wire::ToolStatus::Error => ToolState::Failed,
            wire::ToolStatus::Unknown => ToolState::Unknown,
        },
        title: state
            .title
            .as_deref()
            .and_then(line)
            .or_else(|| title(&state.input)),
        input,
        output: output.map(|(output, _)| output),
        truncated: input_cut || output_cut,
        error: state
            .error
            .as_deref()
            .map(|error| clipped(error, TOOL_TEXT_MAX_BYTES).0),
        started_at: state.time.start.map(Timestamp::from_ms),
        ended_at: state.time.end.map(Timestamp::from_ms),
    }
}

fn is_over(state: &wire::ToolState) -> bool {
    matches!(
        state.status,
        wire::ToolStatus::Completed | wire::ToolStatus::Error
    )
}

/// One line that says what a call is about, while the tool has not given one itself.
fn title(input: &Value) -> Option<String> {
    TELLING_ARGUMENTS
        .iter()
        .find_map(|name| line(input.get(name)?.as_str()?))
}

/// The first line of a text that has any.
fn line(text: &str) -> Option<String> {
    text.trim()
        .lines()
        .next()
        .map(|line| line.chars().take(TITLE_MAX_CHARS).collect())
}

/// A text of at most that many bytes: its beginning and its end, with a word about what is missing.
pub(crate) fn clipped(text: &str, max_bytes: usize) -> (String, bool) {
    if text.len() <= max_bytes {
        return (text.to_owned(), false);
    }
    let gap = format!("\n... {} bytes left out ...\n", text.len() - max_bytes);
    let room = max_bytes.saturating_sub(gap.len());
    let head = &text[..text.floor_char_boundary(room / HEAD_SHARE)];
    let tail = &text[text.ceil_char_boundary(text.len() - (room - head.len()))..];
    (format!("{head}{gap}{tail}"), true)
}

/// A reason of a length that is fit to be shown.
pub(crate) fn reason(text: &str) -> String {
    text[..text.floor_char_boundary(REASON_MAX_BYTES)].to_owned()
}

/// An answer within the limit of a complete message. What can best be spared goes first: tool output, then
/// thoughts, then the end of the longest texts; a notice says so.
pub(crate) fn fitted(mut full: FullMessage) -> FullMessage {
    // A byte takes up to six characters in JSON; with this much for each part all of them fit.
    let share = FULL_MESSAGE_MAX_BYTES / (12 * full.parts.len().max(1));
    let mut spare = [
        spare_output as fn(&mut PartBody, usize),
        spare_thoughts,
        spare_text,
    ]
    .into_iter();
    let mut is_cut = false;
    while size(&full) > FULL_MESSAGE_MAX_BYTES {
        let Some(spare) = spare.next() else { break };
        full.parts
            .iter_mut()
            .for_each(|part| spare(&mut part.body, share));
        is_cut = true;
    }
    if is_cut {
        let text = format!(
            "This answer was longer than {} MiB; parts of it were left out.",
            FULL_MESSAGE_MAX_BYTES / (1024 * 1024)
        );
        full.parts.push(Part {
            id: "cut".to_owned(),
            body: PartBody::Notice { text },
        });
    }
    full
}

fn size(full: &FullMessage) -> usize {
    serde_json::to_vec(full).map_or(usize::MAX, |json| json.len())
}

/// The most that is left of a tool's text or a thought that has to be spared, in bytes.
const SPARED_BYTES: usize = 1024;

fn spare_output(body: &mut PartBody, share: usize) {
    if let PartBody::Tool(call) = body {
        for text in [
            Some(&mut call.input),
            call.output.as_mut(),
            call.error.as_mut(),
        ]
        .into_iter()
        .flatten()
        {
            let (short, cut) = clipped(text, SPARED_BYTES.min(share));
            *text = short;
            call.truncated |= cut;
        }
    }
}

fn spare_thoughts(body: &mut PartBody, share: usize) {
    if let PartBody::Reasoning { text } = body {
        *text = clipped(text, SPARED_BYTES.min(share)).0;
    }
}

fn spare_text(body: &mut PartBody, share: usize) {
    if let PartBody::Text { text } = body {
        *text = clipped(text, share).0;
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and prices are small and not negative"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clipped_text_keeps_both_ends_and_stays_within_its_limit() {
        let text = format!("begin{}end", "é".repeat(5_000));
        let (short, cut) = clipped(&text, 1_000);
        assert!(
            cut && short.len() <= 1_000 && short.starts_with("begin") && short.ends_with("end"),
            "{}",
            short.len()
        );
        assert_eq!(clipped("short", 1_000), ("short".to_owned(), false));
    }

    #[test]
    fn an_answer_over_the_limit_is_cut_and_says_so() {
        let text = |id: &str, text: String| Part {
            id: id.to_owned(),
            body: PartBody::Text { text },
        };
        let full = fitted(FullMessage {
            parts: vec![
                text("a", "x".repeat(FULL_MESSAGE_MAX_BYTES)),
                text("b", "whole".to_owned()),
            ],
            ..FullMessage::default()
        });
        assert!(size(&full) <= FULL_MESSAGE_MAX_BYTES);
        assert!(
            matches!(&full.parts[2].body, PartBody::Notice { text } if text.contains("left out"))
        );
        let PartBody::Text { text } = &full.parts[1].body else {
            panic!()
        };
        assert_eq!(text, "whole");
    }
}
