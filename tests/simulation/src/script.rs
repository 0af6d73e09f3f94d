//! What a model does because of a prompt: text, tools, asks, now and then a second try.

use std::collections::VecDeque;

use protocol::driver::DriverEvent;
use protocol::ids::TurnId;
use protocol::state::TurnState;
use protocol::wire::{AskBody, ChunkOp, DeltaKind, Part, PartBody, ToolCall, ToolState};

use crate::opencode::ended;
use crate::random::Random;
use crate::world::World;

impl World {
    /// What the model will do because of a prompt.
    pub(crate) fn script(&mut self, turn: &TurnId, prompt: &str) -> VecDeque<DriverEvent> {
        let random = &mut self.random;
        let mut script = VecDeque::new();
        let pieces = random.between(1, self.opencode.pieces + 1);
        if random.per_mille(150) {
            // The model's stream breaks off and is tried again.
            script.push_back(chunk(turn, text("half a th")));
            let part = "text".to_owned();
            script.push_back(chunk(turn, ChunkOp::Supersede { part }));
        }
        for n in 0..pieces {
            if random.per_mille(50) {
                script.push_back(permission(turn, n));
            }
            if random.per_mille(100) {
                script.extend(tool(turn, n, random));
            }
            let filler = "x".repeat(self.opencode.piece_bytes);
            script.push_back(chunk(turn, text(&format!("{prompt}-{n}{filler} "))));
        }
        script.push_back(DriverEvent::TurnEnded {
            turn_id: turn.clone(),
            end: ended(TurnState::Completed),
        });
        script
    }
}

fn chunk(turn: &TurnId, op: ChunkOp) -> DriverEvent {
    DriverEvent::Chunk {
        turn_id: turn.clone(),
        op,
    }
}

fn text(delta: &str) -> ChunkOp {
    ChunkOp::Append {
        part: "text".to_owned(),
        kind: DeltaKind::Text,
        delta: delta.to_owned(),
    }
}

fn permission(turn: &TurnId, n: u64) -> DriverEvent {
    let body = AskBody::Permission {
        permission: "bash".to_owned(),
        patterns: vec!["ls".to_owned()],
        detail: String::new(),
        always: Vec::new(),
    };
    DriverEvent::AskOpened {
        turn_id: turn.clone(),
        agent_ask_id: format!("ask-{turn}-{n}"),
        body,
    }
}

fn tool(turn: &TurnId, n: u64, random: &mut Random) -> Vec<DriverEvent> {
    let id = format!("tool-{n}");
    let state = |state, output: Option<String>| {
        let call = ToolCall {
            tool: "bash".to_owned(),
            state,
            title: None,
            input: "{}".to_owned(),
            output,
            truncated: false,
            error: None,
            started_at: None,
            ended_at: None,
        };
        let part = Part {
            id: id.clone(),
            body: PartBody::Tool(call),
        };
        chunk(turn, ChunkOp::Replace { part })
    };
    let output = chunk(
        turn,
        ChunkOp::Append {
            part: id.clone(),
            kind: DeltaKind::ToolOutput,
            delta: format!("line {}\n", random.below(100)),
        },
    );
    vec![
        state(ToolState::Running, None),
        output,
        state(ToolState::Completed, None),
    ]
}
