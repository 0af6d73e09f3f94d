//! The promises.

use protocol::Timestamp;
use protocol::ids::TurnId;
use protocol::state::TurnState;
use protocol::transcript::{Applied, Transcript};
use protocol::wire::{ChatView, FullMessage, TranscriptPage};
use serde_json::json;

use super::World;
use crate::model::expected_text;

impl World {
    /// No gap, nothing doubled that a reader would see twice, nothing that was read ever changes.
    pub(super) fn check_streams(&mut self) -> Result<(), String> {
        for (turn, (_, chunks)) in self.streams.iter() {
            let seen = self.read.entry(turn.clone()).or_default();
            if chunks.len() < *seen {
                return Err(format!("{turn}: chunks that were acked are gone"));
            }
            if chunks.len() > *seen {
                *seen = chunks.len();
                let mut transcript = Transcript::default();
                for chunk in chunks {
                    if let Applied::Gap { expected } = transcript.apply(chunk) {
                        return Err(format!(
                            "{turn}: chunk {} came where {expected} should",
                            chunk.seq
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything has come to rest, and every promise was held.
    pub(super) fn check_end(&mut self) -> Result<(), String> {
        self.check_commands()?;
        for known in self.storage.turns.values() {
            if known.runs != 1 {
                return Err(format!("a prompt was run {} times", known.runs));
            }
        }
        for chat in self.chats.clone() {
            let page: TranscriptPage =
                self.ask("worker.chat.transcript", json!({ "chatSessionId": chat }));
            let mut last_delivered = Timestamp::default();
            for record in page.turns {
                let turn = &record.turn;
                if !turn.state.is_terminal() {
                    return Err(format!(
                        "{} of {chat} is still {}",
                        turn.id,
                        turn.state.as_str()
                    ));
                }
                *self.report.turns.entry(turn.state.as_str()).or_default() += 1;
                if let Some(at) = turn.delivered_at {
                    if at < last_delivered {
                        return Err(format!(
                            "{} was delivered before an earlier message",
                            turn.id
                        ));
                    }
                    last_delivered = at;
                }
                if turn.state == TurnState::Completed {
                    self.check_completed(&turn.id, record.answer)?;
                }
            }
            let view: ChatView = self.ask("worker.chat.view", json!({ "chatSessionId": chat }));
            if !view.asks.is_empty()
                || view.chat.queued_count != 0
                || view.chat.pending_ask_count != 0
            {
                return Err(format!("{chat} has not come to rest: {:?}", view.chat));
            }
        }
        Ok(())
    }

    fn check_completed(&self, turn: &TurnId, answer: Option<FullMessage>) -> Result<(), String> {
        let answer = answer.ok_or_else(|| format!("{turn} is completed without an answer"))?;
        let prompt = self.sent.get(turn).cloned().unwrap_or_default();
        let mut whole = Transcript::default();
        whole.apply_op(&protocol::wire::ChunkOp::Append {
            part: "text".to_owned(),
            kind: protocol::wire::DeltaKind::Text,
            delta: expected_text(&prompt),
        });
        if answer.hash != whole.hash() {
            return Err(format!("{turn} has not the answer to {prompt:?}"));
        }
        let mut streamed = Transcript::default();
        for chunk in self.streams.get(turn).iter().flat_map(|(_, chunks)| chunks) {
            streamed.apply(chunk);
        }
        if streamed.is_sealed() && streamed.hash() != answer.hash {
            return Err(format!(
                "{turn}: what was streamed is not what was answered"
            ));
        }
        Ok(())
    }
}
