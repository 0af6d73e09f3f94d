//! Builds a turn's parts from its chunks, the same way in the agent, in the terminal and (in TypeScript,
//! held to this one by `tests/vectors`) in the page.

use sha2::{Digest, Sha256};

use crate::secret::hex;
use crate::wire::{Chunk, ChunkOp, DeltaKind, Part, PartBody, PartId, ToolCall, ToolState};

/// What applying a chunk came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was the next one.
    Yes,
    /// It had been applied before; nothing changed.
    Duplicate,
    /// One before it is missing; nothing changed. The complete message will repair it.
    Gap {
        /// The sequence number that should have come.
        expected: u64,
    },
}

/// A turn's answer while it grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    parts: Vec<Part>,
    next_seq: u64,
    sealed: bool,
}

impl Transcript {
    /// The parts so far, in the order in which they began.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether the last chunk has come.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Applies the turn's next chunk.
    pub fn apply(&mut self, chunk: &Chunk) -> Applied {
        if chunk.seq < self.next_seq {
            return Applied::Duplicate;
        }
        if chunk.seq > self.next_seq {
            return Applied::Gap {
                expected: self.next_seq,
            };
        }
        self.next_seq += 1;
        self.apply_op(&chunk.op);
        Applied::Yes
    }

    /// Applies an operation without looking at its sequence number: for whoever numbers the chunks.
    pub fn apply_op(&mut self, op: &ChunkOp) {
        match op {
            ChunkOp::Append { part, kind, delta } => self.append(part, *kind, delta),
            ChunkOp::Replace { part } => self.replace(part),
            ChunkOp::Supersede { part } => self.supersede(part),
            ChunkOp::Seal { .. } => self.sealed = true,
            ChunkOp::Unknown => {}
        }
    }

    /// The hash of the answer's text.
    #[must_use]
    pub fn hash(&self) -> String {
        text_hash(&self.parts)
    }

    fn append(&mut self, id: &PartId, kind: DeltaKind, delta: &str) {
        let index = self.position(id).unwrap_or_else(|| {
            let body = match kind {
                DeltaKind::Text => PartBody::Text {
                    text: String::new(),
                },
                DeltaKind::Reasoning => PartBody::Reasoning {
                    text: String::new(),
                },
                DeltaKind::ToolOutput => PartBody::Tool(ToolCall::unnamed()),
                DeltaKind::Unknown => PartBody::Unknown,
            };
            self.parts.push(Part {
                id: id.clone(),
                body,
            });
            self.parts.len() - 1
        });
        match (&mut self.parts[index].body, kind) {
            (PartBody::Text { text }, DeltaKind::Text)
            | (PartBody::Reasoning { text }, DeltaKind::Reasoning) => {
                text.push_str(delta);
            }
            (PartBody::Tool(call), DeltaKind::ToolOutput) => {
                call.output.get_or_insert_default().push_str(delta);
            }
            // A delta that does not fit its part comes from a peer at fault; the complete message repairs it.
            (
                PartBody::Text { .. }
                | PartBody::Reasoning { .. }
                | PartBody::Tool(_)
                | PartBody::Notice { .. }
                | PartBody::Unknown,
                _,
            ) => {}
        }
    }

    fn replace(&mut self, part: &Part) {
        let Some(index) = self.position(&part.id) else {
            self.parts.push(part.clone());
            return;
        };
        let mut next = part.clone();
        if let (PartBody::Tool(new), PartBody::Tool(old)) =
            (&mut next.body, &mut self.parts[index].body)
            && new.output.is_none()
        {
            new.output = old.output.take();
        }
        self.parts[index] = next;
    }

    fn supersede(&mut self, id: &PartId) {
        if let Some(index) = self.position(id) {
            match &mut self.parts[index].body {
                PartBody::Text { text }
                | PartBody::Reasoning { text }
                | PartBody::Notice { text } => text.clear(),
                PartBody::Tool(call) => call.output = None,
                PartBody::Unknown => {}
            }
        }
    }

    fn position(&self, id: &PartId) -> Option<usize> {
        // The part that grows is nearly always the last one.
        self.parts.iter().rposition(|part| &part.id == id)
    }
}

impl ToolCall {
    fn unnamed() -> Self {
        Self {
            tool: String::new(),
            state: ToolState::Running,
            title: None,
            input: String::new(),
            output: None,
            truncated: false,
            error: None,
            started_at: None,
            ended_at: None,
        }
    }
}

/// The hash of an answer's text: SHA-256, in hexadecimal, over the UTF-8 of each text part that is not
/// empty, in order, each followed by a zero byte. Reasoning and tools are not in it: they may be cut.
#[must_use]
pub fn text_hash(parts: &[Part]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        if let PartBody::Text { text } = &part.body
            && !text.is_empty()
        {
            hasher.update(text.as_bytes());
            hasher.update([0]);
        }
    }
    hex(&hasher.finalize())
}
