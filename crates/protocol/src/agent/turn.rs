//! The turn that a chat session works on: its chunks on their way to the backend, and its end.

use std::collections::VecDeque;

use crate::driver::TurnEnd;
use crate::error::{CallError, ErrorCode};
use crate::ids::TurnId;
use crate::limits::{MESSAGE_REFUSALS_MAX, REASON_MAX_BYTES, SPOOL_MAX_BYTES};
use crate::schedule::FailureKind;
use crate::state::TurnState;
use crate::time::Timestamp;
use crate::transcript::{Transcript, text_hash};
use crate::wire::{Appended, Chunk, ChunkOp, FullMessage, WriteMessageArgs};

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
    /// The process has said that it has the prompt.
    pub(super) is_prompted: bool,
    transcript: Transcript,
    next_chunk_seq: u64,
    /// Chunks that the backend has not acked, with their sizes.
    spool: VecDeque<(Chunk, usize)>,
    spool_bytes: usize,
    /// How many chunks from the spool's front the append under way has.
    in_flight: usize,
    sent: bool,
    next_append_seq: u64,
    /// When the latest append was sent, and the earliest time for the one after it.
    sent_at: Timestamp,
    gather_until: Timestamp,
    refused: bool,
    /// How often the complete message was refused.
    refusals: u32,
}

impl ActiveTurn {
    pub(super) fn new(id: TurnId, step: Step) -> Self {
        Self {
            id,
            step,
            abort_sent: false,
            is_prompted: false,
            transcript: Transcript::default(),
            next_chunk_seq: 0,
            spool: VecDeque::new(),
            spool_bytes: 0,
            in_flight: 0,
            sent: false,
            next_append_seq: 0,
            sent_at: Timestamp::default(),
            gather_until: Timestamp::default(),
            refused: false,
            refusals: 0,
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

    /// The next append, unless one is under way, there is nothing to send, or more is to be gathered first. What
    /// fills an append, and the end of the turn, wait for no time.
    pub(super) fn next_append(
        &mut self,
        now: Timestamp,
        max_bytes: usize,
    ) -> Option<(u64, Vec<Chunk>)> {
        if self.sent || self.spool.is_empty() {
            return None;
        }
        if self.append_at().is_some_and(|at| now < at) && self.spool_bytes < max_bytes {
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
        self.sent_at = now;
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

    /// When what has been gathered is to go, if nothing but time keeps it.
    pub(super) fn append_at(&self) -> Option<Timestamp> {
        let gathers = !self.sent
            && self.in_flight == 0
            && !self.spool.is_empty()
            && !matches!(self.step, Step::Ending(_));
        gathers.then_some(self.gather_until)
    }

    pub(super) fn on_appended(&mut self, appended: Appended) {
        self.gather_until = self.sent_at.plus_ms(appended.gather_ms);
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

    /// The complete message was refused. Unless the turn has ended there, it goes out again, since it may have been
    /// damaged on its way; if that does not help, what goes out is that it failed. Says whether something does.
    pub(super) fn write_again(&mut self, error: &CallError, sent: serde_json::Value) -> bool {
        let has_ended = matches!(error.code, ErrorCode::Conflict | ErrorCode::NotFound);
        if has_ended || self.step != Step::Writing || self.refusals > MESSAGE_REFUSALS_MAX {
            return false;
        }
        self.refusals += 1;
        let is_worth_it = error.code != ErrorCode::TooLarge && self.refusals < MESSAGE_REFUSALS_MAX;
        match serde_json::from_value::<WriteMessageArgs>(sent) {
            Ok(sent) if is_worth_it => {
                self.step = Step::Ending(TurnEnd {
                    outcome: sent.outcome,
                    reason: sent.reason,
                    failure: sent.failure,
                    answer: sent.answer,
                });
            }
            Ok(_) | Err(_) => {
                self.refusals = MESSAGE_REFUSALS_MAX + 1;
                self.fail(format!("The answer could not be kept: {error}"), None);
            }
        }
        true
    }

    /// How much of the answer the backend has not taken yet.
    pub(super) fn spooled_bytes(&self) -> usize {
        self.spool_bytes
    }

    /// The process has told something of its answer.
    pub(super) fn has_begun(&self) -> bool {
        self.next_chunk_seq > 0
    }

    /// Ends the turn: nothing of it could be done.
    pub(super) fn fail(&mut self, reason: String, failure: Option<FailureKind>) {
        self.end(TurnEnd {
            outcome: TurnState::Failed,
            reason: Some(reason),
            failure,
            answer: FullMessage::default(),
        });
    }

    /// Ends the turn with what has been streamed of it: its process is gone.
    pub(super) fn interrupt(&mut self, reason: String) {
        let answer = FullMessage {
            parts: self.transcript.parts().to_vec(),
            ..FullMessage::default()
        };
        self.end(TurnEnd {
            outcome: TurnState::Interrupted,
            reason: Some(reason),
            failure: Some(FailureKind::Process),
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
                failure: end.failure,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DeltaKind;

    const BATCH_BYTES: usize = 1_000;

    fn turn() -> ActiveTurn {
        let id = TurnId::generate(Timestamp::from_ms(1), [1; 10]);
        ActiveTurn::new(id, Step::Running)
    }

    fn write(turn: &mut ActiveTurn, text: &str) {
        turn.push(ChunkOp::Append {
            part: "p".to_owned(),
            kind: DeltaKind::Text,
            delta: text.to_owned(),
        });
    }

    fn chunks_sent(turn: &mut ActiveTurn, at_ms: u64) -> Option<usize> {
        turn.next_append(Timestamp::from_ms(at_ms), BATCH_BYTES)
            .map(|(_, chunks)| chunks.len())
    }

    #[test]
    fn the_first_chunk_goes_at_once_and_the_next_ones_are_gathered() {
        let mut turn = turn();
        write(&mut turn, "a");
        assert_eq!(chunks_sent(&mut turn, 1_000), Some(1));
        write(&mut turn, "b");
        turn.on_appended(Appended { gather_ms: 500 });
        assert_eq!(chunks_sent(&mut turn, 1_100), None);
        write(&mut turn, "c");
        assert_eq!(turn.append_at(), Some(Timestamp::from_ms(1_500)));
        assert_eq!(chunks_sent(&mut turn, 1_499), None);
        assert_eq!(chunks_sent(&mut turn, 1_500), Some(2));
        turn.on_appended(Appended { gather_ms: 500 });
        assert_eq!(turn.append_at(), None, "nothing waits");
        write(&mut turn, "d");
        assert_eq!(chunks_sent(&mut turn, 9_000), Some(1), "it was quiet");
    }

    #[test]
    fn a_full_append_and_the_end_wait_for_no_time() {
        let mut turn = turn();
        write(&mut turn, "a");
        chunks_sent(&mut turn, 0);
        turn.on_appended(Appended { gather_ms: 60_000 });
        write(&mut turn, &"x".repeat(BATCH_BYTES));
        assert_eq!(chunks_sent(&mut turn, 1), Some(1));
        turn.on_appended(Appended { gather_ms: 60_000 });
        write(&mut turn, "b");
        assert_eq!(chunks_sent(&mut turn, 2), None);
        turn.interrupt("why".to_owned());
        assert_eq!(chunks_sent(&mut turn, 2), Some(2));
    }

    #[test]
    fn a_refused_message_is_sent_again_and_then_fails() {
        let mut turn = turn();
        let refused = CallError::new(ErrorCode::Invalid, "another hash");
        turn.interrupt("why".to_owned());
        for _ in 1..MESSAGE_REFUSALS_MAX {
            let sent = turn.take_end().expect("goes out");
            assert_eq!(sent.outcome, TurnState::Interrupted);
            assert!(turn.write_again(&refused, serde_json::to_value(sent).unwrap()));
        }
        let sent = serde_json::to_value(turn.take_end()).unwrap();
        assert!(turn.write_again(&refused, sent));
        let last = turn.take_end().expect("goes out");
        assert_eq!(last.outcome, TurnState::Failed);
        assert!(!turn.write_again(&refused, serde_json::to_value(last).unwrap()));
    }

    #[test]
    fn what_has_no_answer_is_sent_again_at_once() {
        let mut turn = turn();
        write(&mut turn, "a");
        chunks_sent(&mut turn, 0);
        turn.on_appended(Appended { gather_ms: 500 });
        write(&mut turn, "b");
        assert_eq!(chunks_sent(&mut turn, 500), Some(1));
        write(&mut turn, "c");
        turn.resend();
        assert_eq!(chunks_sent(&mut turn, 501), Some(1));
    }
}
