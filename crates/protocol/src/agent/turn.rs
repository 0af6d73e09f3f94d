//! The turn that a chat session works on: its chunks on their way to the backend, and its end.

use std::collections::VecDeque;

use crate::driver::TurnEnd;
use crate::ids::TurnId;
use crate::limits::{REASON_MAX_BYTES, SPOOL_MAX_BYTES};
use crate::state::TurnState;
use crate::transcript::{Transcript, text_hash};
use crate::wire::{Chunk, ChunkOp, FullMessage, WriteMessageArgs};

/// Where a turn is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// `takeTurn` is under way.
    Taking,
    /// The process is asked what it knows of it.
    Recalling,
    /// The backend is asked what was streamed of it; then it ends as interrupted.
    ReadingBack(FullMessage),
    /// The prompt is on its way or has arrived.
    Running,
    /// The process is done; its chunks are going out, then the complete message.
    Ending(TurnEnd),
    /// The complete message is under way.
    Writing,
}

#[derive(Debug)]
pub(super) struct ActiveTurn {
    pub(super) id: TurnId,
    pub(super) step: Step,
    pub(super) abort_sent: bool,
    transcript: Transcript,
    next_chunk_seq: u64,
    /// Chunks that the backend has not acked, with their sizes.
    spool: VecDeque<(Chunk, usize)>,
    spool_bytes: usize,
    /// How many chunks from the spool's front the append under way has.
    in_flight: usize,
    sent: bool,
    next_append_seq: u64,
    refused: bool,
}

impl ActiveTurn {
    pub(super) fn new(id: TurnId, step: Step) -> Self {
        Self {
            id,
            step,
            abort_sent: false,
            transcript: Transcript::default(),
            next_chunk_seq: 0,
            spool: VecDeque::new(),
            spool_bytes: 0,
            in_flight: 0,
            sent: false,
            next_append_seq: 0,
            refused: false,
        }
    }

    pub(super) fn push(&mut self, op: ChunkOp) {
        self.transcript.apply_op(&op);
        if self.refused {
            return;
        }
        let chunk = Chunk {
            turn: self.id.clone(),
            seq: self.next_chunk_seq,
            op,
        };
        self.next_chunk_seq += 1;
        let bytes = serde_json::to_string(&chunk).map_or(0, |text| text.len() + 1);
        self.spool_bytes += bytes;
        self.spool.push_back((chunk, bytes));
    }

    pub(super) fn is_full(&self) -> bool {
        self.spool_bytes >= SPOOL_MAX_BYTES
    }

    /// The next append, unless one is under way or there is nothing to send.
    pub(super) fn next_append(&mut self, max_bytes: usize) -> Option<(u64, Vec<Chunk>)> {
        if self.sent || self.spool.is_empty() {
            return None;
        }
        if self.in_flight == 0 {
            let mut bytes = 2;
            for (_, size) in &self.spool {
                if self.in_flight > 0 && bytes + size > max_bytes {
                    break;
                }
                bytes += size;
                self.in_flight += 1;
            }
        }
        self.sent = true;
        let chunks = self
            .spool
            .iter()
            .take(self.in_flight)
            .map(|(chunk, _)| chunk.clone())
            .collect();
        Some((self.next_append_seq, chunks))
    }

    /// Whether this is the append that waits for its answer, and not one that was answered before.
    pub(super) fn awaits(&self, seq: u64) -> bool {
        self.in_flight > 0 && seq == self.next_append_seq
    }

    pub(super) fn on_appended(&mut self) {
        for (_, bytes) in self.spool.drain(..self.in_flight.min(self.spool.len())) {
            self.spool_bytes -= bytes;
        }
        self.in_flight = 0;
        self.sent = false;
        self.next_append_seq += 1;
    }

    /// The backend wants no chunks of this turn any more: it has ended there.
    pub(super) fn on_append_refused(&mut self) {
        self.refused = true;
        self.spool.clear();
        self.spool_bytes = 0;
        self.in_flight = 0;
        self.sent = false;
    }

    /// The append under way has no answer: the same again, which the backend tells from a new one.
    pub(super) fn resend(&mut self) {
        self.sent = false;
    }

    /// A new epoch counts its appends from zero. Chunks that had arrived come twice; readers know by their seq.
    pub(super) fn begin_epoch(&mut self) {
        self.sent = false;
        self.in_flight = 0;
        self.next_append_seq = 0;
    }

    /// The process is done: what is left is the seal and the complete message.
    pub(super) fn end(&mut self, mut end: TurnEnd) {
        end.answer.hash = text_hash(&end.answer.parts);
        if self.next_chunk_seq > 0 {
            self.push(ChunkOp::Seal {
                outcome: end.outcome,
                hash: end.answer.hash.clone(),
            });
        }
        self.step = Step::Ending(end);
    }

    /// Ends the turn with what has been streamed of it.
    pub(super) fn interrupt(&mut self, reason: String) {
        let answer = FullMessage {
            parts: self.transcript.parts().to_vec(),
            ..FullMessage::default()
        };
        self.end(TurnEnd {
            outcome: TurnState::Interrupted,
            reason: Some(reason),
            answer,
        });
    }

    /// The complete message, once all chunks have arrived.
    pub(super) fn take_end(&mut self) -> Option<WriteMessageArgs> {
        if !self.spool.is_empty() {
            return None;
        }
        match std::mem::replace(&mut self.step, Step::Writing) {
            Step::Ending(end) => Some(WriteMessageArgs {
                turn_id: self.id.clone(),
                outcome: end.outcome,
                reason: end.reason.map(cut),
                answer: end.answer,
            }),
            other @ (Step::Taking
            | Step::Recalling
            | Step::ReadingBack(_)
            | Step::Running
            | Step::Writing) => {
                self.step = other;
                None
            }
        }
    }
}

fn cut(mut reason: String) -> String {
    if reason.len() > REASON_MAX_BYTES {
        let end = (0..=REASON_MAX_BYTES)
            .rev()
            .find(|at| reason.is_char_boundary(*at))
            .unwrap_or(0);
        reason.truncate(end);
    }
    reason
}
