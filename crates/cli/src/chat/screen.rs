//! An answer as it appears in the terminal: text as it streams, thoughts dim, each tool call in lines of its
//! own. Everything a model or a tool wrote is stripped of what could steer the terminal.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use protocol::ids::{ChatSessionId, TurnId};
use protocol::state::TurnState;
use protocol::transcript::{Applied, Transcript};
use protocol::wire::{
    Ask, Chunk, ChunkOp, DeltaKind, FullMessage, Part, PartBody, PartId, ToolCall, ToolState,
    TurnRecord,
};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::out::{Look, Out, one_line, printable};

/// How much of a tool call's title is shown, in characters.
const TITLE_MAX_CHARS: usize = 100;

/// Where an answer appears.
#[derive(Debug)]
pub(super) struct Screen {
    out: Out,
    /// Text appears as it streams; otherwise the complete answer is written at its end.
    is_live: bool,
    transcript: Transcript,
    /// What was shown of each tool call.
    tools: BTreeMap<PartId, ToolState>,
    /// What is at the end of the terminal's last line.
    open: Open,
    /// Whether something was written since [`Screen::is_covered`] was asked.
    has_written: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Reasoning,
}

impl Screen {
    pub(super) fn new(out: Out, is_conversation: bool) -> Self {
        let is_live = !out.is_json() && (is_conversation || std::io::stdout().is_terminal());
        Self {
            out,
            is_live,
            transcript: Transcript::default(),
            tools: BTreeMap::new(),
            open: Open::Nothing,
            has_written: false,
        }
    }

    /// Whether something was written over what stood last, since this was asked.
    pub(super) fn is_covered(&mut self) -> bool {
        std::mem::take(&mut self.has_written)
    }

    /// Which chat session it is, for programs.
    pub(super) fn session(&self, chat: &ChatSessionId) -> Result<(), Failure> {
        self.event(|| json!({ "event": "session", "chatSessionId": chat }))
    }

    fn event(&self, event: impl FnOnce() -> Value) -> Result<(), Failure> {
        if self.out.is_json() {
            self.out.value(&event())
        } else {
            Ok(())
        }
    }

    /// A turn that was over before.
    pub(super) fn earlier(&mut self, record: &TurnRecord) -> Result<(), Failure> {
        if self.out.is_json() {
            return Ok(());
        }
        self.out.say(
            &self
                .out
                .talk(Look::Bold, &format!("> {}", one_line(&record.message))),
        );
        if let Some(answer) = &record.answer {
            self.out.line(&printable(&text_of(&answer.parts)))?;
        }
        Ok(())
    }

    /// A turn begins.
    pub(super) fn begin(&mut self) {
        self.transcript = Transcript::default();
        self.tools.clear();
        self.open = Open::Nothing;
    }

    pub(super) fn state(&self, turn: &TurnId, state: TurnState) -> Result<(), Failure> {
        self.event(|| json!({ "event": "turn", "turnId": turn, "state": state }))
    }

    /// A talk line below what is there.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.close_line()?;
        self.out.say(text);
        self.has_written = true;
        Ok(())
    }

    pub(super) fn ask(&mut self, ask: &Ask) -> Result<(), Failure> {
        self.event(|| json!({ "event": "ask", "ask": ask }))
    }

    pub(super) fn chunk(&mut self, chunk: &Chunk) -> Result<(), Failure> {
        match self.transcript.apply(chunk) {
            Applied::Yes => self.show(&chunk.op),
            // The complete message repairs what is missing.
            Applied::Duplicate | Applied::Gap { .. } => Ok(()),
        }
    }

    fn show(&mut self, op: &ChunkOp) -> Result<(), Failure> {
        match op {
            ChunkOp::Append {
                part,
                kind: DeltaKind::Text,
                delta,
            } => {
                self.event(|| json!({ "event": "text", "part": part, "text": delta }))?;
                self.text(delta)
            }
            ChunkOp::Append {
                part,
                kind: DeltaKind::Reasoning,
                delta,
            } => {
                self.event(|| json!({ "event": "reasoning", "part": part, "text": delta }))?;
                self.reasoning(delta)
            }
            ChunkOp::Append {
                part,
                kind: DeltaKind::ToolOutput,
                delta,
            } => self.event(|| json!({ "event": "tool_output", "part": part, "text": delta })),
            ChunkOp::Replace { part } => self.part(part),
            ChunkOp::Supersede { part } => {
                self.event(|| json!({ "event": "supersede", "part": part }))?;
                self.note("the answer broke off; what was written above is void, it is tried again")
            }
            ChunkOp::Append {
                kind: DeltaKind::Unknown,
                ..
            }
            | ChunkOp::Seal { .. }
            | ChunkOp::Unknown => Ok(()),
        }
    }

    fn part(&mut self, part: &Part) -> Result<(), Failure> {
        match &part.body {
            PartBody::Tool(call) => {
                self.event(|| json!({ "event": "tool", "part": part.id, "call": call }))?;
                self.tool(&part.id, call)
            }
            PartBody::Notice { text } => {
                self.event(|| json!({ "event": "notice", "part": part.id, "text": text }))?;
                self.note(&one_line(text))
            }
            PartBody::Text { text } => {
                self.event(|| json!({ "event": "replace", "part": part.id, "kind": "text", "text": text }))
            }
            PartBody::Reasoning { text } => {
                self.event(|| json!({ "event": "replace", "part": part.id, "kind": "reasoning", "text": text }))
            }
            PartBody::Unknown => Ok(()),
        }
    }

    fn text(&mut self, delta: &str) -> Result<(), Failure> {
        if !self.is_live {
            return Ok(());
        }
        if self.open == Open::Reasoning {
            self.close_line()?;
        }
        self.has_written = true;
        self.out.piece(&printable(delta))?;
        self.open = if delta.ends_with('\n') {
            Open::Nothing
        } else {
            Open::Text
        };
        Ok(())
    }

    fn reasoning(&mut self, delta: &str) -> Result<(), Failure> {
        if !self.is_live {
            return Ok(());
        }
        if self.open == Open::Text {
            self.close_line()?;
        }
        self.has_written = true;
        self.out
            .say_piece(&self.out.talk(Look::Dim, &printable(delta)));
        self.open = if delta.ends_with('\n') {
            Open::Nothing
        } else {
            Open::Reasoning
        };
        Ok(())
    }

    fn tool(&mut self, id: &PartId, call: &ToolCall) -> Result<(), Failure> {
        if self.out.is_json() || self.tools.get(id) == Some(&call.state) {
            return Ok(());
        }
        let line = match call.state {
            // What it will be called with is not known yet.
            ToolState::Pending | ToolState::Unknown => return Ok(()),
            ToolState::Running => format!(
                "{} {} {}",
                self.out.talk(Look::Warn, "●"),
                one_line(&call.tool),
                self.out.talk(Look::Dim, &title(call))
            ),
            ToolState::Completed => {
                format!(
                    "{} {} {}",
                    self.out.talk(Look::Good, "✓"),
                    one_line(&call.tool),
                    self.out
                        .talk(Look::Dim, &format!("{}{}", title(call), took(call)))
                )
            }
            ToolState::Failed => {
                let why = call.error.as_deref().map(one_line).unwrap_or_default();
                format!(
                    "{} {} {}",
                    self.out.talk(Look::Bad, "✗"),
                    one_line(&call.tool),
                    cut(&why)
                )
            }
        };
        self.tools.insert(id.clone(), call.state);
        self.say(&line)
    }

    fn note(&mut self, text: &str) -> Result<(), Failure> {
        if self.out.is_json() {
            Ok(())
        } else {
            self.say(&self.out.talk(Look::Dim, &format!("({text})")))
        }
    }

    fn close_line(&mut self) -> Result<(), Failure> {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => Ok(()),
            Open::Text => self.out.piece("\n"),
            Open::Reasoning => {
                self.out.say_piece("\n");
                Ok(())
            }
        }
    }

    /// The turn is over, with the complete answer if there is one: what was shown is repaired by it.
    pub(super) fn end(
        &mut self,
        turn: &TurnId,
        state: TurnState,
        reason: Option<&str>,
        answer: Option<&FullMessage>,
    ) -> Result<(), Failure> {
        let complete = answer
            .map(|answer| text_of(&answer.parts))
            .unwrap_or_default();
        self.event(|| {
            let usage = answer.and_then(|answer| answer.usage.as_ref());
            let model = answer.and_then(|answer| answer.model.as_deref());
            json!({ "event": "end", "turnId": turn, "state": state, "reason": reason, "text": complete, "usage": usage, "model": model })
        })?;
        if self.out.is_json() {
            return Ok(());
        }
        if self.is_live {
            self.repair(answer, &complete)?;
            self.close_line()?;
        } else if !complete.is_empty() {
            self.out.line(&printable(&complete))?;
        }
        let reason = reason
            .map(|reason| format!(": {}", printable(reason)))
            .unwrap_or_default();
        match state {
            TurnState::Completed => {}
            TurnState::Cancelled => self.out.say(&self.out.talk(Look::Warn, "Stopped.")),
            TurnState::Interrupted => self.out.say(&format!(
                "{}{reason}",
                self.out.talk(Look::Warn, "Interrupted")
            )),
            TurnState::Failed => self
                .out
                .say(&format!("{}{reason}", self.out.talk(Look::Bad, "Failed"))),
            TurnState::Queued
            | TurnState::Delivered
            | TurnState::Streaming
            | TurnState::Unknown => {
                self.out
                    .say(&format!("The turn is {}{reason}", state.as_str()));
            }
        }
        Ok(())
    }

    fn repair(&mut self, answer: Option<&FullMessage>, complete: &str) -> Result<(), Failure> {
        let Some(answer) = answer.filter(|answer| answer.hash != self.transcript.hash()) else {
            return Ok(());
        };
        let shown = text_of(self.transcript.parts());
        match complete.strip_prefix(shown.as_str()) {
            Some(rest) => self.text(rest),
            None if answer.parts.is_empty() => Ok(()),
            None => {
                self.note("what was shown has gaps; the complete answer is:")?;
                self.text(complete)
            }
        }
    }
}

/// The text of an answer, its parts one below the other.
fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match &part.body {
        PartBody::Text { text } if !text.is_empty() => Some(text.as_str()),
        PartBody::Text { .. }
        | PartBody::Reasoning { .. }
        | PartBody::Tool(_)
        | PartBody::Notice { .. }
        | PartBody::Unknown => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// One line on what a tool is called with.
fn title(call: &ToolCall) -> String {
    let of_input = || {
        let input: Value = serde_json::from_str(&call.input).ok()?;
        let telling = [
            "command",
            "filePath",
            "path",
            "pattern",
            "url",
            "description",
        ];
        telling
            .iter()
            .find_map(|name| input[name].as_str().map(str::to_owned))
    };
    cut(&one_line(
        &of_input()
            .or_else(|| call.title.clone())
            .unwrap_or_default(),
    ))
}

fn took(call: &ToolCall) -> String {
    match (call.started_at, call.ended_at) {
        (Some(start), Some(end)) => {
            let tenths = end.ms_since(start) / 100;
            format!(" ({}.{} s)", tenths / 10, tenths % 10)
        }
        _ => String::new(),
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= TITLE_MAX_CHARS {
        return text.to_owned();
    }
    text.chars().take(TITLE_MAX_CHARS).chain(['…']).collect()
}
