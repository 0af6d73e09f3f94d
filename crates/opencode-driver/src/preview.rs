//! What a reader of a turn's chunks has, and the chunks that bring them further. Every chunk fits into one
//! append to a chunk stream, whatever is in it.

use protocol::driver::DriverEvent;
use protocol::ids::TurnId;
use protocol::limits::CHUNK_DELTA_MAX_BYTES;
use protocol::transcript::Transcript;
use protocol::wire::{ChunkOp, DeltaKind, FullMessage, Part, PartBody, PartId, ToolCall};

use crate::answer::clipped;

/// The most of a tool call's input or error that is in a chunk, in bytes of JSON; the complete message has
/// more of it.
const HEAD_TEXT_MAX_BYTES: usize = CHUNK_DELTA_MAX_BYTES / 2;
/// What a byte comes to in JSON at most.
const JSON_BYTES_MAX: usize = 6;

/// A turn's answer as its readers have it.
#[derive(Debug)]
pub(crate) struct Preview {
    turn_id: TurnId,
    shown: Transcript,
}

impl Preview {
    pub(crate) fn new(turn_id: TurnId) -> Self {
        Self {
            turn_id,
            shown: Transcript::default(),
        }
    }

    /// The parts that readers have.
    pub(crate) fn parts(&self) -> &[Part] {
        self.shown.parts()
    }

    /// Adds text at the end of a part.
    pub(crate) fn append(&mut self, id: &str, kind: DeltaKind, mut text: &str) -> Vec<DriverEvent> {
        let mut events = Vec::new();
        while !text.is_empty() {
            let (piece, rest) = text.split_at(piece_end(text));
            events.push(self.tell(ChunkOp::Append {
                part: id.to_owned(),
                kind,
                delta: piece.to_owned(),
            }));
            text = rest;
        }
        events
    }

    /// Brings a part's text to what it is to be, with as little as it takes.
    pub(crate) fn set_text(&mut self, id: &str, kind: DeltaKind, text: &str) -> Vec<DriverEvent> {
        if let Some(rest) = text.strip_prefix(self.text(id)) {
            return self.append(id, kind, rest);
        }
        let mut events: Vec<DriverEvent> = self.supersede(id).into_iter().collect();
        events.extend(self.append(id, kind, text));
        events
    }

    /// Brings a tool call to what it is to be; without an output it keeps the one that it has.
    pub(crate) fn set_tool(&mut self, id: &str, call: &ToolCall) -> Vec<DriverEvent> {
        let head = head(call);
        let shown = self.part(id).and_then(|part| match &part.body {
            PartBody::Tool(shown) => Some(shown),
            PartBody::Text { .. }
            | PartBody::Reasoning { .. }
            | PartBody::Notice { .. }
            | PartBody::Unknown => None,
        });
        let is_head_shown = shown.is_some_and(|shown| {
            ToolCall {
                output: None,
                ..shown.clone()
            } == head
        });
        let shown_output = shown.and_then(|shown| shown.output.as_deref());
        let (output, rest) = match (&call.output, shown_output) {
            (None, _) => (None, ""),
            (Some(output), Some(shown)) if output.starts_with(shown) => {
                (None, &output[shown.len()..])
            }
            (Some(output), _) => (Some(String::new()), output.as_str()),
        };
        let mut events = Vec::new();
        if !is_head_shown || output.is_some() {
            let body = PartBody::Tool(ToolCall { output, ..head });
            events.push(self.tell(ChunkOp::Replace {
                part: Part {
                    id: id.to_owned(),
                    body,
                },
            }));
        }
        events.extend(self.append(id, DeltaKind::ToolOutput, rest));
        events
    }

    /// Says something about the turn itself, once.
    pub(crate) fn notice(&mut self, id: PartId, text: &str) -> Vec<DriverEvent> {
        if self.part(&id).is_some() {
            return Vec::new();
        }
        vec![self.tell(ChunkOp::Replace {
            part: Part {
                id,
                body: PartBody::Notice {
                    text: text.to_owned(),
                },
            },
        })]
    }

    /// Voids a text, if there is any.
    pub(crate) fn supersede(&mut self, id: &str) -> Option<DriverEvent> {
        (!self.text(id).is_empty()).then(|| {
            self.tell(ChunkOp::Supersede {
                part: id.to_owned(),
            })
        })
    }

    /// Makes a complete answer of opencode's one that readers can be brought to: with the notices where they
    /// were shown, and with what only its readers have of a tool's output.
    pub(crate) fn reachable(&self, mut full: FullMessage) -> FullMessage {
        let mut place = 0;
        for shown in self.shown.parts() {
            if let Some(found) = full.parts.iter().position(|part| part.id == shown.id) {
                place = found + 1;
                keep_output(&mut full.parts[found].body, &shown.body);
            } else if matches!(shown.body, PartBody::Notice { .. }) {
                full.parts.insert(place, shown.clone());
                place += 1;
            }
        }
        self.in_shown_order(full)
    }

    /// Chunks only ever add at the end. If texts were missed in the middle, those that belong after them are
    /// shown again, so they need other names.
    fn in_shown_order(&self, mut full: FullMessage) -> FullMessage {
        let is_kept = |id: &&PartId| full.parts.iter().any(|part| part.id == **id);
        let shown: Vec<&PartId> = text_ids(self.shown.parts()).filter(is_kept).collect();
        let wanted: Vec<PartId> = text_ids(&full.parts).cloned().collect();
        let same = shown
            .iter()
            .zip(&wanted)
            .take_while(|(shown, wanted)| **shown == *wanted)
            .count();
        if same < shown.len() {
            for part in full
                .parts
                .iter_mut()
                .filter(|part| wanted[same..].contains(&part.id))
            {
                part.id.push('~');
            }
        }
        full
    }

    /// The chunks that bring whoever has read them all to the complete answer.
    pub(crate) fn settle(&mut self, answer: &FullMessage) -> Vec<DriverEvent> {
        let is_gone = |shown: &&Part| answer.parts.iter().all(|part| part.id != shown.id);
        let gone: Vec<PartId> = self
            .shown
            .parts()
            .iter()
            .filter(is_gone)
            .map(|part| part.id.clone())
            .collect();
        let mut events: Vec<DriverEvent> =
            gone.iter().filter_map(|id| self.supersede(id)).collect();
        for part in &answer.parts {
            events.extend(match &part.body {
                PartBody::Text { text } => self.set_text(&part.id, DeltaKind::Text, text),
                PartBody::Reasoning { text } => self.set_text(&part.id, DeltaKind::Reasoning, text),
                PartBody::Tool(call) => self.set_tool(&part.id, call),
                PartBody::Notice { text } => self.notice(part.id.clone(), text),
                PartBody::Unknown => Vec::new(),
            });
        }
        events
    }

    /// What readers have of a text.
    fn text(&self, id: &str) -> &str {
        match self.part(id).map(|part| &part.body) {
            Some(PartBody::Text { text } | PartBody::Reasoning { text }) => text,
            Some(PartBody::Tool(_) | PartBody::Notice { .. } | PartBody::Unknown) | None => "",
        }
    }

    fn part(&self, id: &str) -> Option<&Part> {
        self.shown.parts().iter().rfind(|part| part.id == id)
    }

    fn tell(&mut self, op: ChunkOp) -> DriverEvent {
        self.shown.apply_op(&op);
        DriverEvent::Chunk {
            turn_id: self.turn_id.clone(),
            op,
        }
    }
}

/// opencode forgets what a tool that was stopped has written.
fn keep_output(full: &mut PartBody, shown: &PartBody) {
    if let (PartBody::Tool(full), PartBody::Tool(shown)) = (full, shown)
        && full.output.is_none()
    {
        full.output.clone_from(&shown.output);
    }
}

/// A tool call without its output, as it fits into a chunk.
fn head(call: &ToolCall) -> ToolCall {
    let input = in_json(&call.input);
    let error = call.error.as_deref().map(in_json);
    let is_cut = input.1 || error.as_ref().is_some_and(|error| error.1);
    ToolCall {
        input: input.0,
        error: error.map(|error| error.0),
        truncated: call.truncated || is_cut,
        output: None,
        ..call.clone()
    }
}

fn in_json(text: &str) -> (String, bool) {
    if text.chars().map(json_bytes).sum::<usize>() <= HEAD_TEXT_MAX_BYTES {
        return (text.to_owned(), false);
    }
    clipped(text, HEAD_TEXT_MAX_BYTES / JSON_BYTES_MAX)
}

/// The end of the longest beginning of a text that fits into one chunk as JSON.
fn piece_end(text: &str) -> usize {
    let mut bytes = 0;
    let over = text.char_indices().find(|(_, character)| {
        bytes += json_bytes(*character);
        bytes > CHUNK_DELTA_MAX_BYTES
    });
    over.map_or(text.len(), |(end, _)| end)
}

fn json_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        control if control < ' ' => JSON_BYTES_MAX,
        other => other.len_utf8(),
    }
}

/// The parts that count for an answer's hash, in order.
fn text_ids(parts: &[Part]) -> impl Iterator<Item = &PartId> {
    let has_text = |part: &&Part| matches!(&part.body, PartBody::Text { text } if !text.is_empty());
    parts.iter().filter(has_text).map(|part| &part.id)
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;
    use protocol::limits::{CHUNK_BATCH_MAX_BYTES, TOOL_TEXT_MAX_BYTES};
    use protocol::wire::{Chunk, ToolState};

    use super::*;

    fn preview() -> Preview {
        Preview::new(TurnId::generate(Timestamp::from_ms(1), [1; 10]))
    }

    fn call(fill: &str) -> ToolCall {
        let text = fill.repeat(TOOL_TEXT_MAX_BYTES / fill.len());
        ToolCall {
            tool: "bash".to_owned(),
            state: ToolState::Completed,
            title: Some("A title".to_owned()),
            input: text.clone(),
            output: Some(text.clone()),
            truncated: false,
            error: Some(text),
            started_at: None,
            ended_at: None,
        }
    }

    #[test]
    fn every_chunk_fits_into_an_append() {
        for fill in ["x", "\u{1}", "\"", "é", "😀"] {
            let mut preview = preview();
            let mut events = preview.set_tool("a", &call(fill));
            events.extend(preview.set_text("b", DeltaKind::Text, &fill.repeat(50_000)));
            for event in events {
                let DriverEvent::Chunk { turn_id, op } = event else {
                    panic!("{event:?}")
                };
                let json = serde_json::to_vec(&[Chunk {
                    turn: turn_id,
                    seq: u64::MAX,
                    op,
                }])
                .unwrap();
                assert!(
                    json.len() <= CHUNK_BATCH_MAX_BYTES,
                    "{fill:?}: {}",
                    json.len()
                );
            }
            assert_eq!(preview.text("b"), fill.repeat(50_000));
        }
    }

    #[test]
    fn a_tools_output_is_not_sent_twice() {
        let mut preview = preview();
        let running = ToolCall {
            state: ToolState::Running,
            output: None,
            input: String::new(),
            error: None,
            ..call("x")
        };
        assert_eq!(preview.set_tool("a", &running).len(), 1);
        assert_eq!(preview.set_tool("a", &running), Vec::new());
        preview.append("a", DeltaKind::ToolOutput, "one\n");
        let done = ToolCall {
            state: ToolState::Completed,
            output: Some("one\ntwo\n".to_owned()),
            ..running
        };
        let events = preview.set_tool("a", &done);
        let ops: Vec<ChunkOp> = events
            .into_iter()
            .map(|event| match event {
                DriverEvent::Chunk { op, .. } => op,
                other @ (DriverEvent::AskOpened { .. }
                | DriverEvent::AskClosed { .. }
                | DriverEvent::TurnEnded { .. }
                | DriverEvent::Exited { .. }) => panic!("{other:?}"),
            })
            .collect();
        assert!(
            matches!(&ops[0], ChunkOp::Replace { part: Part { body: PartBody::Tool(call), .. } } if call.output.is_none())
        );
        assert!(matches!(&ops[1..], [ChunkOp::Append { delta, .. }] if delta == "two\n"));
        assert!(matches!(&preview.parts()[0].body, PartBody::Tool(shown) if *shown == done));
    }
}
