//! What people and machines see: built from the rows on demand, never stored.

use std::collections::VecDeque;

use super::machine::machine;
use super::rows::{Order, Rows, after_all, below, load};
use super::tables::{
    AskRow, ChatRow, Entry, KeyRow, Link, MachineRow, PresenceRow, TurnRow, WorkerRow, key,
};
use super::{Actor, Backend};
use crate::error::{CallError, ErrorCode};
use crate::ids::{ChatSessionId, MachineId, TurnId, WorkerId};
use crate::limits::{
    LISTING_PAGE_ENTRIES, MACHINES_MAX, TRANSCRIPT_PAGE_BYTES, TRANSCRIPT_PAGE_TURNS,
    VIEW_MAX_TURNS, WORKERS_MAX,
};
use crate::state::{AskState, MachineState, TurnState};
use crate::wire::{
    Ask, ChatArgs, ChatSummary, ChatView, FullMessage, Inbox, InboxAnswer, InboxChat, InboxTurn,
    InboxWorker, MachineArgs, MachineList, MachineSummary, MachineView, NoArgs, Presence,
    TranscriptArgs, TranscriptPage, TurnRecord, TurnSummary, WorkerSummary,
};

/// Where the chunk stream of a turn is found below the backend's address.
#[must_use]
pub fn stream_path(turn: &TurnId) -> String {
    format!("/v1/streams/turn/{turn}")
}

impl<R: Rows> Backend<'_, R> {
    pub(super) fn machine_list(
        &mut self,
        actor: &Actor,
        _: NoArgs,
    ) -> Result<MachineList, CallError> {
        let owned: Vec<(String, Entry)> = below(
            self.rows,
            &key::machines_of(super::machine::person(actor)?),
            Order::Ascending,
            MACHINES_MAX,
        )?;
        let machines = owned
            .iter()
            .filter_map(|(id, _)| MachineId::parse(id).ok())
            .map(|id| {
                self.machine_row(actor, &id)
                    .and_then(|row| self.machine_summary(&row))
            })
            .collect::<Result<_, _>>()?;
        Ok(MachineList { machines })
    }

    pub(super) fn machine_view(
        &mut self,
        actor: &Actor,
        args: MachineArgs,
    ) -> Result<MachineView, CallError> {
        let row = self.machine_row(actor, &args.machine_id)?;
        let workers = self
            .workers(&row.id)?
            .iter()
            .map(|worker| self.worker_summary(worker))
            .collect::<Result<_, _>>()?;
        let mut chats = self.open_chats(&row.id)?;
        let closed: Vec<(String, Entry)> = below(
            self.rows,
            &key::closed_chats_of(&row.id),
            Order::Descending,
            LISTING_PAGE_ENTRIES,
        )?;
        for (id, _) in closed {
            if let Ok(id) = ChatSessionId::parse(&id) {
                chats.push(self.chat_by_id(&id)?);
            }
        }
        chats.sort_by(|a, b| b.active_at.cmp(&a.active_at).then_with(|| b.id.cmp(&a.id)));
        Ok(MachineView {
            machine: self.machine_summary(&row)?,
            workers,
            chats: chats.iter().map(ChatRow::summary).collect(),
        })
    }

    pub(super) fn machine_inbox(&mut self, actor: &Actor, _: NoArgs) -> Result<Inbox, CallError> {
        let (machine, epoch) = machine(actor)?;
        let workers = self.workers(machine)?;
        let chats = self
            .open_chats(machine)?
            .into_iter()
            .map(|chat| self.inbox_chat(chat, &workers))
            .collect::<Result<_, _>>()?;
        let workers = workers
            .into_iter()
            .map(|worker| InboxWorker {
                id: worker.id,
                directory: worker.directory,
                state: worker.state,
            })
            .collect();
        Ok(Inbox {
            machine_id: machine.clone(),
            epoch,
            workers,
            chats,
            commands: self.inbox_commands(machine)?,
        })
    }

    fn inbox_chat(&self, chat: ChatRow, workers: &[WorkerRow]) -> Result<InboxChat, CallError> {
        let turn = self.head_turn(&chat.id)?.map(|turn| InboxTurn {
            id: turn.id,
            state: turn.state,
            cancel_requested: turn.cancel_requested,
        });
        let answers = self
            .open_asks(&chat.id)?
            .into_iter()
            .filter(|ask| ask.state != AskState::Pending)
            .filter_map(|ask| {
                Some(InboxAnswer {
                    ask_id: ask.id,
                    agent_ask_id: ask.agent_ask_id,
                    answer: ask.answer?,
                })
            })
            .collect();
        let worker = workers.iter().find(|worker| worker.id == chat.worker);
        let directory = worker.map(|worker| worker.directory.clone());
        Ok(InboxChat {
            id: chat.id,
            worker_id: chat.worker,
            directory: directory.unwrap_or_default(),
            state: chat.state,
            title: chat.title,
            agent_session_id: chat.agent_session_id,
            model: chat.model,
            agent: chat.agent,
            sandbox: worker
                .map(|worker| worker.settings.sandbox)
                .unwrap_or_default(),
            worktree: chat.worktree,
            ask_first: chat.ask_first,
            turn,
            answers,
        })
    }

    pub(super) fn chat_view(
        &mut self,
        actor: &Actor,
        args: ChatArgs,
    ) -> Result<ChatView, CallError> {
        let chat = self.chat_row(actor, &args.chat_session_id)?;
        let turns = self.page(&chat.id, None, VIEW_MAX_TURNS)?;
        let asks = self.open_asks(&chat.id)?;
        let waiting = asks
            .into_iter()
            .filter(|ask| ask.state == AskState::Pending)
            .map(AskRow::wire)
            .collect();
        let stream = turns
            .iter()
            .find(|turn| matches!(turn.state, TurnState::Delivered | TurnState::Streaming))
            .map(|turn| stream_path(&turn.id));
        Ok(ChatView {
            chat: chat.summary(),
            has_earlier: turns.first().is_some_and(|turn| turn.ordinal > 1),
            turns: turns.iter().map(TurnRow::summary).collect(),
            asks: waiting,
            stream,
            wait: None,
        })
    }

    pub(super) fn chat_transcript(
        &mut self,
        actor: &Actor,
        args: TranscriptArgs,
    ) -> Result<TranscriptPage, CallError> {
        let chat = self.chat_row(actor, &args.chat_session_id)?;
        let mut turns = match args.turn_ids {
            Some(ids) if ids.len() > TRANSCRIPT_PAGE_TURNS => {
                return Err(CallError::new(
                    ErrorCode::TooLarge,
                    format!("At most {TRANSCRIPT_PAGE_TURNS} turns can be asked for at once."),
                ));
            }
            Some(ids) => ids
                .iter()
                .map(|id| self.turn_row(actor, id))
                .filter(|turn| turn.as_ref().map_or(true, |turn| turn.chat == chat.id))
                .collect::<Result<Vec<_>, _>>()?,
            None => self.page(&chat.id, args.before_ordinal, TRANSCRIPT_PAGE_TURNS)?,
        };
        // The latest first: what does not fit is on the page before.
        turns.sort_by_key(|turn| turn.ordinal);
        let mut page = VecDeque::new();
        let mut left_bytes = TRANSCRIPT_PAGE_BYTES;
        for turn in turns.iter().rev() {
            let message: String =
                load(self.rows, &key::turn_message(&turn.id))?.unwrap_or_default();
            let answer = self.answer_of(&turn.id)?;
            let bytes = message.len() + answer.as_ref().map_or(0, json_bytes);
            if bytes > left_bytes && !page.is_empty() {
                break;
            }
            left_bytes = left_bytes.saturating_sub(bytes);
            page.push_front(TurnRecord {
                turn: turn.summary(),
                message,
                answer,
            });
        }
        Ok(TranscriptPage {
            has_earlier: page.front().is_some_and(|record| record.turn.ordinal > 1),
            turns: page.into(),
        })
    }

    /// The latest turns before a place, in order.
    pub(super) fn page(
        &self,
        chat: &ChatSessionId,
        before: Option<u32>,
        limit: usize,
    ) -> Result<Vec<TurnRow>, CallError> {
        let prefix = key::turns_of(chat);
        let to = before.map_or_else(|| after_all(&prefix), |ordinal| key::turn_of(chat, ordinal));
        let mut turns = Vec::new();
        for (path, _) in self.rows.scan(&prefix, &to, Order::Descending, limit)? {
            let id: Option<TurnId> = load(self.rows, &path)?;
            if let Some(id) = id {
                turns.push(self.turn_by_id(&id)?);
            }
        }
        turns.reverse();
        Ok(turns)
    }

    pub(super) fn workers(&self, machine: &MachineId) -> Result<Vec<WorkerRow>, CallError> {
        let entries: Vec<(String, Entry)> = below(
            self.rows,
            &key::workers_of(machine),
            Order::Ascending,
            WORKERS_MAX,
        )?;
        entries
            .iter()
            .filter_map(|(id, _)| WorkerId::parse(id).ok())
            .filter_map(|id| load(self.rows, &key::worker(&id)).transpose())
            .collect()
    }

    fn machine_summary(&self, row: &MachineRow) -> Result<MachineSummary, CallError> {
        let chats = self.open_chats(&row.id)?;
        let key_expires_at = match &row.key_hash {
            Some(hash) => {
                load::<KeyRow>(self.rows, &key::registration_key(hash))?.map(|key| key.expires_at)
            }
            None => None,
        };
        let worker_prefix = key::workers_of(&row.id);
        let workers = self.rows.scan(
            &worker_prefix,
            &after_all(&worker_prefix),
            Order::Ascending,
            WORKERS_MAX,
        )?;
        Ok(MachineSummary {
            id: row.id.clone(),
            name: row.name.clone(),
            state: row.state,
            presence: self.presence(row)?,
            info: row.info.clone(),
            key_expires_at,
            created_at: row.created_at,
            worker_count: workers.len() as u32,
            open_chat_count: chats.len() as u32,
            pending_ask_count: chats.iter().map(|chat| chat.pending_ask_count).sum(),
        })
    }

    pub(super) fn presence(&self, row: &MachineRow) -> Result<Presence, CallError> {
        if row.state == MachineState::Revoked {
            return Ok(Presence::Never);
        }
        let Some(presence) = load::<PresenceRow>(self.rows, &key::presence(&row.id))? else {
            return Ok(Presence::Never);
        };
        Ok(match presence.link {
            Link::Up if presence.lease_holds(self.now) => Presence::Online {
                epoch: presence.epoch,
                since: presence.since,
            },
            Link::Draining if presence.lease_holds(self.now) => Presence::Draining {
                since: presence.since,
            },
            Link::Up | Link::Draining | Link::Lost => Presence::Unknown {
                since: presence.seen_at,
            },
            Link::Left => Presence::Offline {
                since: presence.seen_at,
            },
        })
    }

    pub(super) fn worker_summary(&self, row: &WorkerRow) -> Result<WorkerSummary, CallError> {
        let open = self.open_chats(&row.machine)?;
        Ok(WorkerSummary {
            id: row.id.clone(),
            machine_id: row.machine.clone(),
            name: row.name.clone(),
            directory: row.directory.clone(),
            state: row.state,
            reason: row.reason.clone(),
            created_at: row.created_at,
            open_chat_count: open.iter().filter(|chat| chat.worker == row.id).count() as u32,
            settings: row.settings.clone(),
        })
    }
}

pub(super) fn json_bytes(answer: &FullMessage) -> usize {
    serde_json::to_vec(answer).map_or(usize::MAX, |bytes| bytes.len())
}

impl ChatRow {
    fn summary(&self) -> ChatSummary {
        ChatSummary {
            id: self.id.clone(),
            machine_id: self.machine.clone(),
            worker_id: self.worker.clone(),
            title: self.title.clone(),
            state: self.state,
            reason: self.reason.clone(),
            model: self.model.clone(),
            agent: self.agent.clone(),
            queued_count: self.queued_count,
            pending_ask_count: self.pending_ask_count,
            created_at: self.created_at,
            active_at: self.active_at,
            worktree: self.worktree.clone(),
            continues: self.continues.clone(),
            continued_by: self.continued_by.clone(),
        }
    }
}

impl TurnRow {
    pub(super) fn summary(&self) -> TurnSummary {
        TurnSummary {
            id: self.id.clone(),
            ordinal: self.ordinal,
            state: self.state,
            reason: self.reason.clone(),
            cancel_requested: self.cancel_requested,
            created_at: self.created_at,
            delivered_at: self.delivered_at,
            ended_at: self.ended_at,
            hash: self.hash.clone(),
        }
    }
}

impl AskRow {
    fn wire(self) -> Ask {
        Ask {
            id: self.id,
            chat_session_id: self.chat,
            turn_id: self.turn,
            body: self.body,
            state: self.state,
            answer: self.answer,
            created_at: self.created_at,
            deadline: self.deadline,
        }
    }
}
