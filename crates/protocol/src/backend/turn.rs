//! Turns: queued by people in order, taken and ended by the machine.

use super::chat::title_from;
use super::machine::{bounded_reason, machine};
use super::rows::{Order, Rows, below, load, save};
use super::tables::{ChatRow, Deadline, Link, PresenceRow, TurnRow, key};
use super::{Actor, Backend, Effect, Outcome};
use crate::error::{CallError, ErrorCode};
use crate::ids::{ChatSessionId, MachineId, TurnId};
use crate::limits::{CHUNKS_KEPT_MS, FULL_MESSAGE_MAX_BYTES, MESSAGE_MAX_BYTES, QUEUE_MAX_TURNS};
use crate::schedule::FailureKind;
use crate::secret::Secret;
use crate::state::{ChatState, TurnState};
use crate::transcript::text_hash;
use crate::wire::{
    Done, FullMessage, SendMessageArgs, TakenTurn, TurnArgs, TurnReply, WriteMessageArgs,
};

/// What "continue" sends.
const CONTINUE_MESSAGE: &str =
    "Your last answer was interrupted. Look at what has been done so far and go on from there.";

/// A turn that has ended, for the run that it may be of.
#[derive(Debug)]
pub(super) struct EndedTurn {
    pub(super) turn: TurnId,
    /// What kind of failure it was, if somebody knows.
    pub(super) failure: Option<FailureKind>,
    /// Somebody wanted it to stop.
    pub(super) was_stopped: bool,
}

impl<R: Rows> Backend<'_, R> {
    pub(super) fn chat_send_message(
        &mut self,
        actor: &Actor,
        args: SendMessageArgs,
    ) -> Result<TurnReply, CallError> {
        check_message(&args.message)?;
        let chat = self.chat_row(actor, &args.chat_session_id)?;
        self.queue_turn(chat, &args.message)
    }

    pub(super) fn queue_turn(
        &mut self,
        mut chat: ChatRow,
        message: &str,
    ) -> Result<TurnReply, CallError> {
        if chat.state == ChatState::Closed {
            return Err(CallError::new(
                ErrorCode::Conflict,
                "This chat session has ended. Start a new one on the same worker.",
            ));
        }
        if chat.queued_count as usize >= QUEUE_MAX_TURNS {
            return Err(CallError::new(
                ErrorCode::LimitReached,
                format!(
                    "{QUEUE_MAX_TURNS} messages wait in this chat session, which is the limit. Cancel some, or wait."
                ),
            ));
        }
        chat.last_ordinal += 1;
        chat.queued_count += 1;
        chat.active_at = self.now;
        if chat.title.is_empty() {
            chat.title = title_from(message);
        }
        let turn = TurnRow {
            id: TurnId::generate(self.now, self.next_id_entropy()),
            chat: chat.id.clone(),
            machine: chat.machine.clone(),
            ordinal: chat.last_ordinal,
            state: TurnState::Queued,
            reason: None,
            cancel_requested: false,
            created_at: self.now,
            delivered_at: None,
            ended_at: None,
            hash: None,
        };
        save(self.rows, &key::turn_message(&turn.id), &message)?;
        save(self.rows, &key::turn_of(&chat.id, turn.ordinal), &turn.id)?;
        save(self.rows, &key::waiting(&chat.id, turn.ordinal), &turn.id)?;
        self.save_turn(&turn)?;
        self.save_chat(&chat)?;
        Ok(TurnReply {
            turn: turn.summary(),
        })
    }

    pub(super) fn chat_continue_turn(
        &mut self,
        actor: &Actor,
        args: TurnArgs,
    ) -> Result<TurnReply, CallError> {
        let turn = self.turn_row(actor, &args.turn_id)?;
        if turn.state != TurnState::Interrupted {
            return Err(CallError::new(
                ErrorCode::Conflict,
                format!(
                    "Only an interrupted turn can be continued; this one is {}.",
                    turn.state.as_str()
                ),
            ));
        }
        let chat = self.chat_row(actor, &turn.chat)?;
        self.queue_turn(chat, CONTINUE_MESSAGE)
    }

    pub(super) fn chat_cancel_turn(
        &mut self,
        actor: &Actor,
        args: TurnArgs,
    ) -> Result<TurnReply, CallError> {
        let turn = self.turn_row(actor, &args.turn_id)?;
        Ok(TurnReply {
            turn: self.cancel_turn(turn)?.summary(),
        })
    }

    /// Stops a turn: at once where nobody works on it or can be told, else by its machine.
    pub(super) fn cancel_turn(&mut self, mut turn: TurnRow) -> Result<TurnRow, CallError> {
        if turn.state.is_terminal() {
            return Ok(turn);
        }
        if turn.state == TurnState::Queued {
            return self.end_turn(turn, TurnState::Cancelled, None);
        }
        if !self.is_connected(&turn.machine)? {
            let reason =
                "Stopped while the machine was away; it may have worked on for a while.".to_owned();
            return self.end_turn(turn, TurnState::Cancelled, Some(reason));
        }
        turn.cancel_requested = true;
        self.save_turn(&turn)?;
        Ok(turn)
    }

    /// Whether the machine can be told something now.
    pub(super) fn is_connected(&self, machine: &MachineId) -> Result<bool, CallError> {
        let presence: Option<PresenceRow> = load(self.rows, &key::presence(machine))?;
        Ok(presence.is_some_and(|row| {
            matches!(row.link, Link::Up | Link::Draining) && row.lease_holds(self.now)
        }))
    }

    pub(super) fn chat_take_turn(
        &mut self,
        actor: &Actor,
        args: TurnArgs,
    ) -> Result<TakenTurn, CallError> {
        machine(actor)?;
        let mut turn = self.turn_row(actor, &args.turn_id)?;
        let mut chat = self.chat_by_id(&turn.chat)?;
        if turn.state == TurnState::Queued {
            let head = self.head_turn(&turn.chat)?;
            if head.is_some_and(|head| head.id != turn.id) {
                return Err(CallError::new(
                    ErrorCode::Conflict,
                    "Another message of this chat session comes first.",
                ));
            }
            turn.state = turn.state.to(TurnState::Delivered)?;
            turn.delivered_at = Some(self.now);
            if self.needs_background(&chat)? {
                chat.background_for = Some(turn.id.clone());
            }
            chat.state = chat.state.to(ChatState::Busy)?;
            chat.queued_count = chat.queued_count.saturating_sub(1);
            chat.active_at = self.now;
            self.effects.insert(Effect::CreateStream(turn.id.clone()));
            self.save_turn(&turn)?;
            self.save_chat(&chat)?;
            self.run_taken(&turn.id)?;
        } else if matches!(turn.state, TurnState::Delivered | TurnState::Streaming) {
            // Taken before, by an earlier process: it is this chat session's work again.
            if chat.state == ChatState::Ready {
                chat.state = chat.state.to(ChatState::Busy)?;
                self.save_chat(&chat)?;
            }
        }
        let message = load(self.rows, &key::turn_message(&turn.id))?.unwrap_or_default();
        let is_open = matches!(turn.state, TurnState::Delivered | TurnState::Streaming);
        let background = if is_open && chat.background_for.as_ref() == Some(&turn.id) {
            self.background(&chat)?
        } else {
            None
        };
        Ok(TakenTurn {
            turn_id: turn.id,
            state: turn.state,
            message,
            background,
        })
    }

    /// Whether the holder of this connection token may append to the turn's chunk stream with this producer
    /// epoch and sequence number. Call it in the append's own transaction. The first append makes the turn
    /// `streaming`; no other one writes anything here.
    ///
    /// # Errors
    /// [`CallError`] says why not.
    pub fn accept_append(
        mut self,
        token: &Secret,
        turn: &TurnId,
        producer_epoch: u64,
        producer_seq: u64,
    ) -> Result<Outcome, CallError> {
        let actor = self.connection(token)?;
        let (_, epoch) = machine(&actor)?;
        if producer_epoch != epoch {
            return Err(super::access::stale_epoch(producer_epoch, epoch));
        }
        let mut turn = self.turn_row(&actor, turn)?;
        if turn.state == TurnState::Delivered {
            if producer_seq > 0 {
                return Err(CallError::new(
                    ErrorCode::Conflict,
                    format!(
                        "Append {producer_seq} came before append 0 of this turn. Send that one first."
                    ),
                ));
            }
            turn.state = turn.state.to(TurnState::Streaming)?;
            self.save_turn(&turn)?;
        } else if turn.state != TurnState::Streaming {
            return Err(CallError::new(
                ErrorCode::Conflict,
                format!(
                    "This turn is {}; its chunks have ended.",
                    turn.state.as_str()
                ),
            ));
        }
        Ok(self.into_outcome())
    }

    /// Whether the caller may read the turn's chunk stream.
    ///
    /// # Errors
    /// [`CallError`] says why not.
    pub fn accept_read(&mut self, caller: &super::Caller, turn: &TurnId) -> Result<(), CallError> {
        let actor = match caller {
            super::Caller::Anyone => {
                return Err(CallError::new(
                    ErrorCode::Unauthenticated,
                    "You are not signed in. Sign in and try again.",
                ));
            }
            super::Caller::Person(person) => Actor::Person(person.clone()),
            super::Caller::Machine(token) => self.connection(token)?,
        };
        self.turn_row(&actor, turn).map(|_| ())
    }

    pub(super) fn chat_write_message(
        &mut self,
        actor: &Actor,
        args: WriteMessageArgs,
    ) -> Result<Done, CallError> {
        machine(actor)?;
        let mut turn = self.turn_row(actor, &args.turn_id)?;
        if !args.outcome.is_terminal() || args.outcome == TurnState::Unknown {
            return Err(CallError::new(
                ErrorCode::Invalid,
                format!(
                    "A turn ends as completed, interrupted, failed or cancelled, not as {}.",
                    args.outcome.as_str()
                ),
            ));
        }
        if text_hash(&args.answer.parts) != args.answer.hash {
            return Err(CallError::new(
                ErrorCode::Invalid,
                "The answer's text does not have the hash that came with it. Send it again.",
            ));
        }
        let size = serde_json::to_vec(&args.answer).map_or(usize::MAX, |bytes| bytes.len());
        if size > FULL_MESSAGE_MAX_BYTES {
            return Err(CallError::new(
                ErrorCode::TooLarge,
                format!(
                    "The complete message has {size} bytes; {FULL_MESSAGE_MAX_BYTES} is the limit."
                ),
            ));
        }
        if turn.state.is_terminal() {
            return self.confirm_ended(&turn, &args);
        }
        turn.hash = Some(args.answer.hash.clone());
        save(self.rows, &key::turn_answer(&turn.id), &args.answer)?;
        self.end_turn_as(turn, args.outcome, args.reason, args.failure)?;
        Ok(Done {})
    }

    /// The same end again is fine; the answer of a turn that a person settled meanwhile is kept with it.
    fn confirm_ended(
        &mut self,
        turn: &TurnRow,
        args: &WriteMessageArgs,
    ) -> Result<Done, CallError> {
        match &turn.hash {
            Some(hash) if *hash == args.answer.hash && turn.state == args.outcome => Ok(Done {}),
            None if turn.state != TurnState::Queued => {
                let mut turn = turn.clone();
                turn.hash = Some(args.answer.hash.clone());
                save(self.rows, &key::turn_answer(&turn.id), &args.answer)?;
                self.save_turn(&turn)?;
                Ok(Done {})
            }
            _ => Err(CallError::new(
                ErrorCode::Conflict,
                format!(
                    "This turn has ended as {}; another end for it is refused.",
                    turn.state.as_str()
                ),
            )),
        }
    }

    /// Ends a turn that has not ended, frees its chat session for the next one, and withdraws its asks.
    pub(super) fn end_turn(
        &mut self,
        turn: TurnRow,
        outcome: TurnState,
        reason: Option<String>,
    ) -> Result<TurnRow, CallError> {
        self.end_turn_as(turn, outcome, reason, None)
    }

    /// As [`Backend::end_turn`], where it is known what kind of failure it was.
    pub(super) fn end_turn_as(
        &mut self,
        mut turn: TurnRow,
        outcome: TurnState,
        reason: Option<String>,
        failure: Option<FailureKind>,
    ) -> Result<TurnRow, CallError> {
        self.ended.push_back(EndedTurn {
            turn: turn.id.clone(),
            failure,
            was_stopped: turn.cancel_requested || outcome == TurnState::Cancelled,
        });
        let was_queued = turn.state == TurnState::Queued;
        turn.state = turn.state.to(outcome)?;
        turn.reason = reason.map(bounded_reason);
        turn.ended_at = Some(self.now);
        turn.cancel_requested = false;
        self.rows.delete(&key::waiting(&turn.chat, turn.ordinal))?;
        self.withdraw_asks(&turn)?;
        let mut chat = self.chat_by_id(&turn.chat)?;
        chat.active_at = self.now;
        if was_queued {
            chat.queued_count = chat.queued_count.saturating_sub(1);
        } else {
            if chat.state == ChatState::Busy {
                chat.state = chat.state.to(ChatState::Ready)?;
            }
            let drop_at = self.now.plus_ms(CHUNKS_KEPT_MS);
            self.arm(
                drop_at,
                turn.id.as_str(),
                &Deadline::DropChunks {
                    turn: turn.id.clone(),
                },
            )?;
        }
        self.save_turn(&turn)?;
        self.save_chat(&chat)?;
        Ok(turn)
    }

    /// The chat session's turn that is under way, else its next one.
    pub(super) fn head_turn(&self, chat: &ChatSessionId) -> Result<Option<TurnRow>, CallError> {
        let head: Vec<(String, TurnId)> =
            below(self.rows, &key::waiting_of(chat), Order::Ascending, 1)?;
        head.first().map(|(_, id)| self.turn_by_id(id)).transpose()
    }

    /// All turns of the chat session that have not ended, in order.
    pub(super) fn waiting_turns(&self, chat: &ChatSessionId) -> Result<Vec<TurnRow>, CallError> {
        let waiting: Vec<(String, TurnId)> = below(
            self.rows,
            &key::waiting_of(chat),
            Order::Ascending,
            QUEUE_MAX_TURNS + 1,
        )?;
        waiting.iter().map(|(_, id)| self.turn_by_id(id)).collect()
    }

    pub(super) fn turn_by_id(&self, id: &TurnId) -> Result<TurnRow, CallError> {
        load(self.rows, &key::turn(id))?.ok_or_else(|| CallError::not_found("turn"))
    }

    pub(super) fn answer_of(&self, id: &TurnId) -> Result<Option<FullMessage>, CallError> {
        load(self.rows, &key::turn_answer(id))
    }
}

pub(super) fn check_message(message: &str) -> Result<(), CallError> {
    if message.trim().is_empty() {
        return Err(CallError::new(
            ErrorCode::Invalid,
            "The message is empty. Write something to send.",
        ));
    }
    if message.len() > MESSAGE_MAX_BYTES {
        return Err(CallError::new(
            ErrorCode::TooLarge,
            format!(
                "The message has {} bytes; {MESSAGE_MAX_BYTES} is the limit. Put long material into a file and name the file.",
                message.len()
            ),
        ));
    }
    Ok(())
}
