//! Asks: kept until a person answers, their turn ends, or their deadline denies.

use super::machine::machine;
use super::rows::{Order, Rows, below, load, save};
use super::tables::{AskRow, ChatRow, Deadline, Entry, TurnRow, key};
use super::{Actor, Backend};
use crate::error::{CallError, ErrorCode};
use crate::ids::{AskId, ChatSessionId, TurnId};
use crate::limits::{ASK_LIFE_MS, ASK_MAX_BYTES, ASKS_MAX};
use crate::state::AskState;
use crate::wire::{
    AnswerAskArgs, AskAnswer, AskBody, Done, OpenAskArgs, OpenAskReply, SettleAskArgs,
};

const AGENT_ASK_ID_MAX_BYTES: usize = 256;

impl<R: Rows> Backend<'_, R> {
    pub(super) fn chat_open_ask(
        &mut self,
        actor: &Actor,
        args: OpenAskArgs,
    ) -> Result<OpenAskReply, CallError> {
        machine(actor)?;
        let turn = self.turn_row(actor, &args.turn_id)?;
        if args.agent_ask_id.is_empty() || args.agent_ask_id.len() > AGENT_ASK_ID_MAX_BYTES {
            return Err(CallError::new(
                ErrorCode::Invalid,
                format!("agentAskId has to be 1 to {AGENT_ASK_ID_MAX_BYTES} bytes."),
            ));
        }
        let by_agent = key::ask_by_agent(&turn.id, &args.agent_ask_id);
        if let Some(ask_id) = load::<AskId>(self.rows, &by_agent)? {
            return Ok(OpenAskReply { ask_id });
        }
        if turn.state.is_terminal() {
            return Err(CallError::new(
                ErrorCode::Conflict,
                format!(
                    "This turn is {}; it can't ask any more.",
                    turn.state.as_str()
                ),
            ));
        }
        check_size(&args.body)?;
        let mut chat = self.chat_by_id(&turn.chat)?;
        if chat.pending_ask_count as usize >= ASKS_MAX {
            return Err(CallError::new(
                ErrorCode::LimitReached,
                format!("{ASKS_MAX} asks wait in this chat session, which is the limit."),
            ));
        }
        let row = AskRow {
            id: AskId::generate(self.now, self.next_id_entropy()),
            agent_ask_id: args.agent_ask_id,
            chat: turn.chat,
            turn: turn.id,
            machine: turn.machine,
            body: args.body,
            state: AskState::Pending,
            answer: None,
            created_at: self.now,
            deadline: self.now.plus_ms(ASK_LIFE_MS),
        };
        save(self.rows, &by_agent, &row.id)?;
        save(self.rows, &key::open_ask_of(&row.chat, &row.id), &Entry)?;
        save(self.rows, &key::ask(&row.id), &row)?;
        self.arm(
            row.deadline,
            row.id.as_str(),
            &Deadline::AskExpires {
                ask: row.id.clone(),
            },
        )?;
        chat.pending_ask_count += 1;
        self.save_asked_chat(&chat, &row.turn)?;
        let ask_id = row.id.clone();
        if let Some(answer) = self.unattended_answer(&row.turn, &row.body)? {
            self.end_ask(row, AskState::Answered, Some(answer))?;
        }
        Ok(OpenAskReply { ask_id })
    }

    pub(super) fn chat_answer_ask(
        &mut self,
        actor: &Actor,
        args: AnswerAskArgs,
    ) -> Result<Done, CallError> {
        let row = self.ask_row(actor, &args.ask_id)?;
        check_fits(&row.body, &args.answer)?;
        check_size(&args.answer)?;
        if row.state != AskState::Pending {
            return Err(CallError::new(
                ErrorCode::Conflict,
                format!(
                    "This was {} already; the first answer stands.",
                    row.state.as_str()
                ),
            ));
        }
        self.end_ask(row, AskState::Answered, Some(args.answer))?;
        Ok(Done {})
    }

    pub(super) fn chat_settle_ask(
        &mut self,
        actor: &Actor,
        args: SettleAskArgs,
    ) -> Result<Done, CallError> {
        machine(actor)?;
        let turn = self.turn_row(actor, &args.turn_id)?;
        let by_agent = key::ask_by_agent(&turn.id, &args.agent_ask_id);
        let Some(id) = load::<AskId>(self.rows, &by_agent)? else {
            return Ok(Done {});
        };
        let row = self.ask_row(actor, &id)?;
        self.settle(row)?;
        Ok(Done {})
    }

    /// Withdraws all asks of a turn that ends.
    pub(super) fn withdraw_asks(&mut self, turn: &TurnRow) -> Result<(), CallError> {
        for row in self.open_asks(&turn.chat)? {
            if row.turn == turn.id {
                self.settle(row)?;
            }
        }
        Ok(())
    }

    /// Nobody needs to hear of this ask any more: not the machine, and if it waits, no person either.
    fn settle(&mut self, row: AskRow) -> Result<(), CallError> {
        let (chat, id) = (row.chat.clone(), row.id.clone());
        if row.state == AskState::Pending {
            self.end_ask(row, AskState::Withdrawn, None)?;
        }
        self.rows.delete(&key::open_ask_of(&chat, &id))?;
        let chat = self.chat_by_id(&chat)?;
        self.save_chat(&chat)
    }

    pub(super) fn end_ask(
        &mut self,
        mut row: AskRow,
        end: AskState,
        answer: Option<AskAnswer>,
    ) -> Result<(), CallError> {
        row.state = row.state.to(end)?;
        row.answer = answer;
        save(self.rows, &key::ask(&row.id), &row)?;
        let mut chat = self.chat_by_id(&row.chat)?;
        chat.pending_ask_count = chat.pending_ask_count.saturating_sub(1);
        self.save_asked_chat(&chat, &row.turn)
    }

    /// Asks that wait for a person, and ended ones that the machine has not settled.
    pub(super) fn open_asks(&self, chat: &ChatSessionId) -> Result<Vec<AskRow>, CallError> {
        let open: Vec<(String, Entry)> = below(
            self.rows,
            &key::open_asks_of(chat),
            Order::Ascending,
            2 * ASKS_MAX,
        )?;
        open.iter()
            .filter_map(|(id, _)| AskId::parse(id).ok())
            .filter_map(|id| load(self.rows, &key::ask(&id)).transpose())
            .collect()
    }

    fn save_asked_chat(&mut self, chat: &ChatRow, turn: &TurnId) -> Result<(), CallError> {
        self.save_chat(chat)?;
        self.run_asks(&chat.id, turn)?;
        self.machine_changed(&chat.machine)
    }
}

fn check_fits(body: &AskBody, answer: &AskAnswer) -> Result<(), CallError> {
    let fits = match (body, answer) {
        (_, AskAnswer::Reject { .. })
        | (AskBody::Permission { .. }, AskAnswer::Once | AskAnswer::Always) => true,
        (AskBody::Question { questions }, AskAnswer::Answers { answers }) => {
            questions.len() == answers.len()
        }
        (AskBody::Permission { .. }, AskAnswer::Answers { .. } | AskAnswer::Unknown)
        | (AskBody::Question { .. }, AskAnswer::Once | AskAnswer::Always | AskAnswer::Unknown)
        | (
            AskBody::Unknown,
            AskAnswer::Once | AskAnswer::Always | AskAnswer::Answers { .. } | AskAnswer::Unknown,
        ) => false,
    };
    if fits {
        Ok(())
    } else {
        Err(CallError::new(
            ErrorCode::Invalid,
            "This answer does not fit the ask: a permission takes once, always or reject; a question takes one answer for each of its questions, or reject.",
        ))
    }
}

fn check_size(value: &impl serde::Serialize) -> Result<(), CallError> {
    let size = serde_json::to_vec(value).map_or(usize::MAX, |bytes| bytes.len());
    if size > ASK_MAX_BYTES {
        return Err(CallError::new(
            ErrorCode::TooLarge,
            format!("An ask or answer of {size} bytes is over the limit of {ASK_MAX_BYTES}."),
        ));
    }
    Ok(())
}
