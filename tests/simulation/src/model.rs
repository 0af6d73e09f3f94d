//! opencode as the agent sees it: knows prompts by their turn, answers each once, forgets the text of an
//! answer that was cut off, and dies with its agent.

use std::collections::BTreeMap;

use protocol::driver::{DriverEvent, TurnEnd, TurnRecall};
use protocol::ids::{ChatSessionId, TurnId};
use protocol::state::TurnState;
use protocol::wire::{AskBody, ChunkOp, DeltaKind, FullMessage, Part, PartBody};

use crate::random::Random;

/// What opencode's own storage has of a turn.
#[derive(Debug, Clone)]
pub struct Known {
    /// What it was asked.
    pub prompt: String,
    /// The whole answer, once it is there.
    pub end: Option<TurnEnd>,
    /// How many times a model was asked.
    pub runs: u32,
}

/// opencode's storage on one machine, which survives every crash.
#[derive(Debug, Default)]
pub struct Storage {
    /// By chat session and turn.
    pub turns: BTreeMap<(ChatSessionId, TurnId), Known>,
}

impl Storage {
    /// Takes a prompt. Gives the events of its answer, or nothing when it was known already.
    pub fn prompt(
        &mut self,
        chat: &ChatSessionId,
        turn: &TurnId,
        text: &str,
        random: &mut Random,
    ) -> Vec<DriverEvent> {
        let place = (chat.clone(), turn.clone());
        if self.turns.contains_key(&place) {
            return Vec::new();
        }
        self.turns.insert(
            place,
            Known {
                prompt: text.to_owned(),
                end: None,
                runs: 1,
            },
        );
        answer(turn, text, random)
    }

    /// Remembers that an answer is whole.
    pub fn finish(&mut self, chat: &ChatSessionId, turn: &TurnId, end: &TurnEnd) {
        if let Some(known) = self.turns.get_mut(&(chat.clone(), turn.clone())) {
            known.end.get_or_insert_with(|| end.clone());
        }
    }

    /// What it knows of a turn.
    pub fn recall(&self, chat: &ChatSessionId, turn: &TurnId) -> TurnRecall {
        match self.turns.get(&(chat.clone(), turn.clone())) {
            None => TurnRecall::Absent,
            Some(Known { end: Some(end), .. }) => TurnRecall::Finished(end.clone()),
            Some(Known { end: None, .. }) => TurnRecall::Unfinished(FullMessage::default()),
        }
    }
}

/// The answer that a prompt must have.
#[must_use]
pub fn expected_text(prompt: &str) -> String {
    (0..8).map(|n| format!("{prompt}-{n} ")).collect()
}

fn answer(turn: &TurnId, prompt: &str, random: &mut Random) -> Vec<DriverEvent> {
    let mut events = Vec::new();
    let chunk = |op| DriverEvent::Chunk {
        turn_id: turn.clone(),
        op,
    };
    let append = |delta: String| ChunkOp::Append {
        part: "text".to_owned(),
        kind: DeltaKind::Text,
        delta,
    };
    if random.per_mille(200) {
        // The model's stream breaks off and is tried again.
        events.push(chunk(append("half a th".to_owned())));
        events.push(chunk(ChunkOp::Supersede {
            part: "text".to_owned(),
        }));
    }
    for n in 0..8 {
        if n == 3 && random.per_mille(300) {
            let body = AskBody::Permission {
                permission: "bash".to_owned(),
                patterns: vec!["ls".to_owned()],
                detail: String::new(),
                always: Vec::new(),
            };
            events.push(DriverEvent::AskOpened {
                turn_id: turn.clone(),
                agent_ask_id: format!("ask-{turn}"),
                body,
            });
        }
        events.push(chunk(append(format!("{prompt}-{n} "))));
    }
    let part = Part {
        id: "text".to_owned(),
        body: PartBody::Text {
            text: expected_text(prompt),
        },
    };
    let answer = FullMessage {
        parts: vec![part],
        ..FullMessage::default()
    };
    let end = TurnEnd {
        outcome: TurnState::Completed,
        reason: None,
        answer,
    };
    events.push(DriverEvent::TurnEnded {
        turn_id: turn.clone(),
        end,
    });
    events
}
