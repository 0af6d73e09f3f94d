//! From what is to what should be: the steps that a chat session takes after every input.

use std::collections::VecDeque;

use super::{Chat, Process, Report};
use crate::agent::lanes::{Lane, Lanes, Purpose};
use crate::agent::link::Link;
use crate::agent::turn::{ActiveTurn, Step};
use crate::agent::{Generation, Output};
use crate::driver::SessionSpec;
use crate::ids::TurnId;
use crate::state::{ChatState, TurnState};
use crate::time::Timestamp;
use crate::wire::{InboxChat, InboxTurn, ReportSessionArgs, SettleAskArgs, TurnArgs};

impl Chat {
    /// Does the next steps from what is to what should be. Whether it gets a process is up to the governor, which
    /// may want places for others: so many are owed.
    pub(in crate::agent) fn reconcile(
        &mut self,
        now: Timestamp,
        takes_new: bool,
        hibernate_after_ms: u64,
        places_owed: &mut usize,
        lanes: &Lanes,
    ) {
        self.drop_settled_turn();
        // Put back below: nothing in between looks at it there.
        let Some(wanted) = self.wanted.take() else {
            return self.stop();
        };
        let shown = wanted.turn.as_ref().map(|turn| &turn.id);
        self.ended.retain(|ended| Some(ended) == shown);
        match self.process {
            Process::Absent if takes_new && self.has_told_all(lanes) => self.tell_rest(&wanted),
            Process::Running(_) if self.leaves_place(&wanted, *places_owed) => {
                *places_owed -= 1;
                self.hibernate();
            }
            Process::Running(generation) => {
                self.work(&wanted, generation, takes_new);
                let is_over = self.hibernate_at(hibernate_after_ms);
                if is_over.is_some_and(|at| at <= now) && self.next_turn(&wanted).is_none() {
                    self.hibernate();
                }
            }
            Process::Absent | Process::Starting(_) | Process::Stopping(_) => {}
        }
        self.wanted = Some(wanted);
    }

    /// Stops the process, which has nothing to do for now.
    pub(in crate::agent) fn hibernate(&mut self) {
        self.stop();
        self.reports
            .push_back(Report::Session(ChatState::Hibernated, None));
    }

    /// Since when its process has had nothing to do, if so.
    pub(in crate::agent) fn rests_since(&self) -> Option<Timestamp> {
        let is_idle = matches!(self.process, Process::Running(_)) && self.turn.is_none();
        (is_idle && self.next_turn_id().is_none()).then_some(self.idle_since)
    }

    /// The turn that it is to work on, unless that has ended here.
    pub(in crate::agent) fn next_turn_id(&self) -> Option<&TurnId> {
        self.next_turn(self.wanted.as_ref()?).map(|turn| &turn.id)
    }

    /// Whether it can't go on without a process.
    pub(in crate::agent) fn needs_process(&self, lanes: &Lanes) -> bool {
        if self.process != Process::Absent {
            return false;
        }
        let Some(wanted) = &self.wanted else {
            return false;
        };
        let is_requested = self.told.unwrap_or(wanted.state) == ChatState::Requested;
        (is_requested || self.next_turn(wanted).is_some()) && self.has_told_all(lanes)
    }

    /// What a process's end left to tell comes before a new start, else that would overtake it.
    fn has_told_all(&self, lanes: &Lanes) -> bool {
        self.turn.is_none()
            && self.reports.is_empty()
            && lanes.is_empty(&Lane::Chat(self.id.clone()))
    }

    /// It would take its next turn, and others have waited long enough for its place. Each process does one turn
    /// at least.
    fn leaves_place(&self, wanted: &InboxChat, places_owed: usize) -> bool {
        let is_queued = |turn: &InboxTurn| turn.state == TurnState::Queued;
        places_owed > 0
            && self.has_worked
            && self.turn.is_none()
            && self.next_turn(wanted).is_some_and(is_queued)
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

    /// No process is left of what the inbox shows as one that runs: it hibernates.
    fn tell_rest(&mut self, wanted: &InboxChat) {
        match self.told.unwrap_or(wanted.state) {
            ChatState::Starting | ChatState::Ready if self.next_turn(wanted).is_none() => self
                .reports
                .push_back(Report::Session(ChatState::Hibernated, None)),
            ChatState::Requested
            | ChatState::Starting
            | ChatState::Ready
            | ChatState::Busy
            | ChatState::Hibernated
            | ChatState::Failed
            | ChatState::Closed
            | ChatState::Unknown => {}
        }
    }

    pub(in crate::agent) fn start(&mut self, last_generation: &mut Generation) {
        let Some(wanted) = &self.wanted else { return };
        *last_generation += 1;
        self.process = Process::Starting(*last_generation);
        self.has_worked = false;
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
            ask_first: wanted.ask_first,
            also_writes: Vec::new(),
        };
        self.actions.push_back(Output::StartProcess(
            *last_generation,
            spec,
            wanted.worktree.clone(),
        ));
    }

    fn work(&mut self, wanted: &InboxChat, generation: Generation, takes_new: bool) {
        // The inbox may still show a turn as waiting that was taken, and whose prompt may have arrived.
        let in_doubt = self.doubts.as_ref().map(|(turn, _)| turn);
        match (&mut self.turn, wanted.turn.as_ref()) {
            (None, Some(next)) if !self.ended.contains(&next.id) => match next.state {
                TurnState::Queued if in_doubt != Some(&next.id) => {
                    if takes_new {
                        self.turn = Some(ActiveTurn::new(next.id.clone(), Step::Taking));
                    }
                }
                TurnState::Queued | TurnState::Delivered | TurnState::Streaming => {
                    self.turn = Some(ActiveTurn::new(next.id.clone(), Step::Recalling));
                    self.actions.push_back(Output::Recall(
                        self.id.clone(),
                        generation,
                        next.id.clone(),
                    ));
                }
                TurnState::Completed
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
    pub(in crate::agent) fn report(&mut self, lanes: &mut Lanes) {
        if self.reports.is_empty() && self.turn.is_none() {
            return;
        }
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
