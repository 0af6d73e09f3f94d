//! From what is to what should be: the steps that a chat session takes after every input.

use std::collections::VecDeque;

use super::{Chat, Process, Report};
use crate::agent::lanes::{Lane, Lanes, Purpose};
use crate::agent::link::Link;
use crate::agent::turn::{ActiveTurn, Step};
use crate::agent::{Generation, Output};
use crate::driver::SessionSpec;
use crate::state::{ChatState, TurnState};
use crate::time::Timestamp;
use crate::wire::{InboxChat, InboxTurn, ReportSessionArgs, SettleAskArgs, TurnArgs};

impl Chat {
    /// Does the next steps from what is to what should be.
    pub(in crate::agent) fn reconcile(
        &mut self,
        now: Timestamp,
        takes_new: bool,
        hibernate_after_ms: u64,
        last_generation: &mut Generation,
        lanes: &mut Lanes,
    ) {
        self.drop_settled_turn();
        match self.wanted.clone() {
            Some(wanted) => {
                let shown = wanted.turn.as_ref().map(|turn| &turn.id);
                self.ended.retain(|ended| Some(ended) == shown);
                match self.process {
                    Process::Absent if takes_new => {
                        self.start_if_needed(&wanted, last_generation, lanes)
                    }
                    Process::Running(generation) => {
                        self.work(&wanted, generation, takes_new);
                        if self
                            .hibernate_at(hibernate_after_ms)
                            .is_some_and(|at| at <= now)
                            && self.next_turn(&wanted).is_none()
                        {
                            self.stop();
                            self.reports
                                .push_back(Report::Session(ChatState::Hibernated, None));
                        }
                    }
                    Process::Absent | Process::Starting(_) | Process::Stopping(_) => {}
                }
            }
            None => self.stop(),
        }
        self.report(lanes);
    }

    /// The inbox does not show our turn any more: a person settled it while we could not be told. What runs
    /// is stopped and then tells the backend what there is of the answer.
    fn drop_settled_turn(&mut self) {
        let shown = self.wanted.is_some().then(|| self.head_id()).flatten();
        let Some(turn) = self
            .turn
            .as_mut()
            .filter(|turn| shown.as_ref() != Some(&turn.id))
        else {
            return;
        };
        match (&turn.step, self.process) {
            (Step::Running, Process::Running(generation)) => {
                if !std::mem::replace(&mut turn.abort_sent, true) {
                    self.actions.push_back(Output::Abort(
                        self.id.clone(),
                        generation,
                        turn.id.clone(),
                    ));
                }
            }
            (Step::Taking | Step::Recalling | Step::ReadingBack(_) | Step::Running, _) => {
                self.turn = None
            }
            (Step::Ending(_) | Step::Writing, _) => {}
        }
    }

    /// The inbox's turn, unless it has ended here.
    fn next_turn<'w>(&self, wanted: &'w InboxChat) -> Option<&'w InboxTurn> {
        wanted
            .turn
            .as_ref()
            .filter(|turn| !self.ended.contains(&turn.id))
    }

    fn start_if_needed(
        &mut self,
        wanted: &InboxChat,
        last_generation: &mut Generation,
        lanes: &Lanes,
    ) {
        // What the process's end left to tell comes first, else a new start would overtake it.
        if self.turn.is_some()
            || !self.reports.is_empty()
            || !lanes.is_empty(&Lane::Chat(self.id.clone()))
        {
            return;
        }
        let work = self.next_turn(wanted).is_some();
        match self.told.unwrap_or(wanted.state) {
            _ if work => {}
            ChatState::Requested => {}
            ChatState::Starting | ChatState::Ready => {
                self.reports
                    .push_back(Report::Session(ChatState::Hibernated, None));
                return;
            }
            ChatState::Busy
            | ChatState::Hibernated
            | ChatState::Failed
            | ChatState::Closed
            | ChatState::Unknown => return,
        }
        *last_generation += 1;
        self.process = Process::Starting(*last_generation);
        self.reports
            .push_back(Report::Session(ChatState::Starting, None));
        let spec = SessionSpec {
            chat_session_id: self.id.clone(),
            directory: wanted.directory.clone(),
            agent_session_id: self
                .agent_session_id
                .clone()
                .or_else(|| wanted.agent_session_id.clone()),
            title: wanted.title.clone(),
            model: wanted.model.clone(),
            agent: wanted.agent.clone(),
            is_own_directory: wanted.worktree.is_some(),
            sandbox: wanted.sandbox,
            also_writes: Vec::new(),
        };
        self.actions.push_back(Output::StartProcess(
            *last_generation,
            spec,
            wanted.worktree.clone(),
        ));
    }

    fn work(&mut self, wanted: &InboxChat, generation: Generation, takes_new: bool) {
        match (&mut self.turn, wanted.turn.as_ref()) {
            (None, Some(next)) if !self.ended.contains(&next.id) => match next.state {
                TurnState::Queued if takes_new => {
                    self.turn = Some(ActiveTurn::new(next.id.clone(), Step::Taking))
                }
                TurnState::Delivered | TurnState::Streaming => {
                    self.turn = Some(ActiveTurn::new(next.id.clone(), Step::Recalling));
                    self.actions.push_back(Output::Recall(
                        self.id.clone(),
                        generation,
                        next.id.clone(),
                    ));
                }
                TurnState::Queued
                | TurnState::Completed
                | TurnState::Interrupted
                | TurnState::Failed
                | TurnState::Cancelled
                | TurnState::Unknown => {}
            },
            (Some(turn), Some(shown))
                if turn.id == shown.id && shown.cancel_requested && !turn.abort_sent =>
            {
                if turn.step == Step::Running {
                    turn.abort_sent = true;
                    self.actions.push_back(Output::Abort(
                        self.id.clone(),
                        generation,
                        turn.id.clone(),
                    ));
                }
            }
            (None | Some(_), _) => {}
        }
        self.pass_answers_on(wanted, generation);
    }

    fn pass_answers_on(&mut self, wanted: &InboxChat, generation: Generation) {
        let Some(turn) = &self.turn else { return };
        for answer in &wanted.answers {
            if self.replied.insert(answer.agent_ask_id.clone()) {
                self.actions.push_back(Output::Reply(
                    self.id.clone(),
                    generation,
                    answer.agent_ask_id.clone(),
                    answer.answer.clone(),
                ));
                self.reports.push_back(Report::SettleAsk(SettleAskArgs {
                    turn_id: turn.id.clone(),
                    agent_ask_id: answer.agent_ask_id.clone(),
                }));
            }
        }
    }

    /// Hands what is to be told over to the chat session's lane, in the order in which it happened.
    fn report(&mut self, lanes: &mut Lanes) {
        let lane = Lane::Chat(self.id.clone());
        while let Some(report) = self.reports.pop_front() {
            match report {
                Report::Session(state, reason) => {
                    self.told = Some(state);
                    let args = ReportSessionArgs {
                        chat_session_id: self.id.clone(),
                        state,
                        reason,
                        agent_session_id: self.agent_session_id.clone(),
                        seq: lanes.next_seq(),
                    };
                    lanes.push(
                        lane.clone(),
                        Purpose::Report,
                        "worker.chat.reportSession",
                        &args,
                    );
                }
                Report::OpenAsk(args) => {
                    lanes.push(lane.clone(), Purpose::Report, "worker.chat.openAsk", &args)
                }
                Report::SettleAsk(args) => lanes.push(
                    lane.clone(),
                    Purpose::Report,
                    "worker.chat.settleAsk",
                    &args,
                ),
            }
        }
        let Some(turn) = &mut self.turn else { return };
        match &turn.step {
            Step::Taking if lanes.is_empty(&lane) => {
                let args = TurnArgs {
                    turn_id: turn.id.clone(),
                };
                lanes.push(
                    lane,
                    Purpose::Take(turn.id.clone()),
                    "worker.chat.takeTurn",
                    &args,
                );
            }
            Step::Ending(_) => {
                if let Some(args) = turn.take_end() {
                    lanes.push(
                        lane,
                        Purpose::EndTurn(turn.id.clone()),
                        "worker.chat.writeMessage",
                        &args,
                    );
                }
            }
            Step::Taking
            | Step::Recalling
            | Step::ReadingBack(_)
            | Step::Running
            | Step::Writing => {}
        }
    }

    /// Puts out what this chat session has to do and to append.
    pub(in crate::agent) fn send(
        &mut self,
        now: Timestamp,
        link: &Link,
        outputs: &mut VecDeque<Output>,
    ) {
        while let Some(action) = self.actions.pop_front() {
            match (action, link.credential()) {
                (Output::ReadChunks { chat, turn_id, .. }, Some((token, _))) => {
                    outputs.push_back(Output::ReadChunks {
                        chat,
                        turn_id,
                        token: token.clone(),
                    });
                }
                (Output::ReadChunks { .. }, None) => self.turn = None,
                (action, _) => outputs.push_back(action),
            }
        }
        let Some(turn) = &mut self.turn else {
            if std::mem::take(&mut self.held_back) {
                outputs.push_back(Output::HoldBack(self.id.clone(), false));
            }
            return;
        };
        if let Some((token, epoch)) = link.credential()
            && let Some((seq, chunks)) = turn.next_append(now, link.batch_max_bytes())
        {
            outputs.push_back(Output::Append {
                turn_id: turn.id.clone(),
                token: token.clone(),
                epoch,
                seq,
                chunks,
            });
        }
        if turn.is_full() != self.held_back {
            self.held_back = turn.is_full();
            outputs.push_back(Output::HoldBack(self.id.clone(), self.held_back));
        }
    }
}
