//! Chat sessions that go on with another one's conversation: what their agent is told of it.

use super::rows::{Rows, load};
use super::tables::{ChatRow, TurnRow, key};
use super::views::json_bytes;
use super::{Actor, Backend};
use crate::error::CallError;
use crate::ids::ChatSessionId;
use crate::limits::{
    BACKGROUND_MAX_BYTES, BACKGROUND_MAX_CHATS, TRANSCRIPT_PAGE_BYTES, TRANSCRIPT_PAGE_TURNS,
};
use crate::state::TurnState;
use crate::wire::{FullMessage, PartBody};

const LEFT_OUT: &str = "(What was said before this is left out.)";

impl<R: Rows> Backend<'_, R> {
    /// The chat session to go on with, which from now on tells where its conversation goes on.
    pub(super) fn continue_chat(
        &mut self,
        actor: &Actor,
        source: &ChatSessionId,
        by: &ChatSessionId,
    ) -> Result<ChatRow, CallError> {
        let mut row = self.chat_row(actor, source)?;
        row.continued_by = Some(by.clone());
        self.save_chat(&row)?;
        Ok(row)
    }

    /// Whether the turn that is taken now is to bring what was said before: it is the first one, or none of those
    /// that brought it has come to an answer.
    pub(super) fn needs_background(&self, chat: &ChatRow) -> Result<bool, CallError> {
        match (&chat.continues, &chat.background_for) {
            (None, _) => Ok(false),
            (Some(_), None) => Ok(true),
            (Some(_), Some(turn)) => Ok(!matches!(
                self.turn_by_id(turn)?.state,
                TurnState::Completed | TurnState::Interrupted
            )),
        }
    }

    /// What was said in the chat sessions that this one goes on with, as Markdown, oldest first. When it is too
    /// much, the latest of it.
    pub(super) fn background(&self, chat: &ChatRow) -> Result<Option<String>, CallError> {
        let mut texts = Vec::new();
        let mut left_bytes = BACKGROUND_MAX_BYTES;
        let mut left_reading = TRANSCRIPT_PAGE_BYTES;
        let mut next = chat.continues.clone();
        for _ in 0..BACKGROUND_MAX_CHATS {
            let Some(id) = next.take() else { break };
            let turns = self.page(&id, None, TRANSCRIPT_PAGE_TURNS)?;
            let mut is_whole = turns.first().is_none_or(|turn| turn.ordinal == 1);
            for turn in turns.iter().rev() {
                let message: String =
                    load(self.rows, &key::turn_message(&turn.id))?.unwrap_or_default();
                let answer = self.answer_of(&turn.id)?;
                let read = message.len() + answer.as_ref().map_or(0, json_bytes);
                let mut text = told(turn, &message, answer.as_ref());
                let fits = read <= left_reading && text.len() <= left_bytes;
                if !fits {
                    is_whole = false;
                    if !texts.is_empty() {
                        break;
                    }
                    text.truncate(text.floor_char_boundary(left_bytes));
                }
                left_reading = left_reading.saturating_sub(read);
                left_bytes -= text.len();
                texts.push(text);
                if !fits {
                    break;
                }
            }
            if !is_whole {
                texts.push(LEFT_OUT.to_owned());
                break;
            }
            next = self.chat_by_id(&id)?.continues;
        }
        if next.is_some() {
            texts.push(LEFT_OUT.to_owned());
        }
        texts.reverse();
        Ok((!texts.is_empty()).then(|| texts.join("\n\n")))
    }
}

fn told(turn: &TurnRow, message: &str, answer: Option<&FullMessage>) -> String {
    let mut said = vec![format!("### Person\n\n{message}\n\n### Agent")];
    for part in answer.iter().flat_map(|answer| &answer.parts) {
        match &part.body {
            PartBody::Text { text } if !text.is_empty() => said.push(text.clone()),
            PartBody::Tool(call) => said.push(match &call.title {
                Some(title) => format!("(Used {}: {title})", call.tool),
                None => format!("(Used {})", call.tool),
            }),
            PartBody::Text { .. }
            | PartBody::Reasoning { .. }
            | PartBody::Notice { .. }
            | PartBody::Unknown => {}
        }
    }
    let end = match turn.state {
        TurnState::Completed => None,
        TurnState::Interrupted => Some("interrupted"),
        TurnState::Failed => Some("failed"),
        TurnState::Cancelled => Some("cancelled"),
        TurnState::Queued | TurnState::Delivered | TurnState::Streaming | TurnState::Unknown => {
            Some("not ended")
        }
    };
    if let Some(end) = end {
        said.push(match &turn.reason {
            Some(reason) => format!("(This answer is {end}: {reason})"),
            None => format!("(This answer is {end}.)"),
        });
    }
    said.join("\n\n")
}
