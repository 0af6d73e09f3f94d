//! One chat session on its machine: its process, and the turn it works on.

use std::collections::{BTreeSet, VecDeque};

use super::lanes::{Lane, Lanes, Purpose};
use super::link::Link;
use super::turn::{ActiveTurn, Step};
use super::{Generation, Output};
use crate::driver::{DriverEvent, SessionSpec, TurnEnd, TurnRecall};
use crate::error::CallError;
use crate::ids::{ChatSessionId, TurnId};
use crate::state::{ChatState, TurnState};
use crate::time::Timestamp;
use crate::transcript::Transcript;
use crate::wire::{
    Chunk, FullMessage, InboxChat, OpenAskArgs, ReportSessionArgs, SettleAskArgs, TakenTurn,
    TurnArgs,
};

/// What an interrupted turn says when its machine's agent was restarted.
const AGENT_RESTARTED: &str = "The agent was restarted while this turn ran.";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    Absent,
    Starting(Generation),
    Running(Generation),
    Stopping(Generation),
}

#[derive(Debug)]
pub(super) struct Chat {
    id: ChatSessionId,
    /// What the inbox says; `None` once the chat session has ended.
    pub(super) wanted: Option<InboxChat>,
    process: Process,
    turn: Option<ActiveTurn>,
    /// Turns that ended here and that the inbox still shows.
    ended: BTreeSet<TurnId>,
    /// The driver's names of asks whose answer has been passed on.
    replied: BTreeSet<String>,
    /// The driver's own name for the conversation, which the inbox may not show yet.
    agent_session_id: Option<String>,
    /// The state that was last reported: what the inbox shows may be older.
    told: Option<ChatState>,
    idle_since: Timestamp,
    held_back: bool,
    actions: VecDeque<Output>,
    /// Reports to make, in order.
    reports: VecDeque<Report>,
}

#[derive(Debug)]
enum Report {
    Session(ChatState, Option<String>),
    OpenAsk(OpenAskArgs),
    SettleAsk(SettleAskArgs),
}

impl Chat {
    pub(super) fn new(id: ChatSessionId) -> Self {
        Self {
            id,
            wanted: None,
            process: Process::Absent,
            turn: None,
            ended: BTreeSet::new(),
            replied: BTreeSet::new(),
            agent_session_id: None,
            told: None,
            idle_since: Timestamp::default(),
            held_back: false,
            actions: VecDeque::new(),
            reports: VecDeque::new(),
        }
    }

    pub(super) fn generation(&self) -> Option<Generation> {
        match self.process {
            Process::Absent => None,
            Process::Starting(generation)
            | Process::Running(generation)
            | Process::Stopping(generation) => Some(generation),
        }
    }

    pub(super) fn turn_id(&self) -> Option<&TurnId> {
        self.turn.as_ref().map(|turn| &turn.id)
    }

    pub(super) fn has_process(&self) -> bool {
        self.process != Process::Absent
    }

    /// Nothing is under way that a graceful stop should wait for.
    pub(super) fn is_idle(&self) -> bool {
        self.turn.is_none()
    }

    /// Ended, and nothing of it is left here.
    pub(super) fn is_forgotten(&self) -> bool {
        self.wanted.is_none() && self.process == Process::Absent && self.actions.is_empty()
    }

    pub(super) fn hibernate_at(&self, after_ms: u64) -> Option<Timestamp> {
        match self.process {
            Process::Running(_) if self.turn.is_none() => Some(self.idle_since.plus_ms(after_ms)),
            Process::Running(_) | Process::Absent | Process::Starting(_) | Process::Stopping(_) => {
                None
            }
        }
    }

    pub(super) fn on_started(&mut self, now: Timestamp, result: Result<String, String>) {
        let Process::Starting(generation) = self.process else {
            return;
        };
        match result {
            Ok(agent_session_id) => {
                self.process = Process::Running(generation);
                self.agent_session_id = Some(agent_session_id);
                self.idle_since = now;
                self.reports
                    .push_back(Report::Session(ChatState::Ready, None));
            }
            Err(reason) => {
                self.process = Process::Absent;
                self.turn = None;
                // Its message ends with the report; until the inbox shows that, it is not tried again.
                self.ended.extend(self.head_id());
                self.reports
                    .push_back(Report::Session(ChatState::Failed, Some(reason)));
            }
        }
    }

    pub(super) fn on_stopped(&mut self) {
        self.process = Process::Absent;
    }

    pub(super) fn stop(&mut self) {
        match self.process {
            Process::Starting(generation) | Process::Running(generation) => {
                self.process = Process::Stopping(generation);
                self.actions
                    .push_back(Output::StopProcess(self.id.clone(), generation));
            }
            Process::Absent | Process::Stopping(_) => {}
        }
    }

    pub(super) fn on_event(&mut self, now: Timestamp, event: DriverEvent) {
        match event {
            DriverEvent::Chunk { turn_id, op } => {
                if let Some(turn) = self.running(&turn_id) {
                    turn.push(op);
                }
            }
            DriverEvent::AskOpened {
                turn_id,
                agent_ask_id,
                body,
            } => {
                if self.running(&turn_id).is_some() {
                    self.reports.push_back(Report::OpenAsk(OpenAskArgs {
                        turn_id,
                        agent_ask_id,
                        body,
                    }));
                }
            }
            DriverEvent::AskClosed {
                turn_id,
                agent_ask_id,
            } => {
                self.reports.push_back(Report::SettleAsk(SettleAskArgs {
                    turn_id,
                    agent_ask_id,
                }));
            }
            DriverEvent::TurnEnded { turn_id, end } => {
                if let Some(turn) = self.running(&turn_id) {
                    turn.end(end);
                }
            }
            DriverEvent::Exited { reason } => {
                self.process = Process::Absent;
                self.idle_since = now;
                self.give_up_turn(reason);
            }
        }
    }

    /// The process can't go on with its turn: what was prompted is interrupted, what was not is left as it is
    /// and begins anew with the next process.
    fn give_up_turn(&mut self, reason: String) {
        let Some(turn) = &mut self.turn else { return };
        match turn.step {
            Step::Running => turn.interrupt(reason),
            Step::Taking | Step::Recalling => self.turn = None,
            Step::ReadingBack(_) | Step::Ending(_) | Step::Writing => {}
        }
    }

    pub(super) fn on_prompted(&mut self, result: Result<(), String>) {
        if let (Err(reason), Some(turn)) = (result, &mut self.turn)
            && turn.step == Step::Running
        {
            let answer = FullMessage::default();
            turn.end(TurnEnd {
                outcome: TurnState::Failed,
                reason: Some(reason),
                answer,
            });
        }
    }

    pub(super) fn on_recalled(&mut self, id: &TurnId, result: Result<TurnRecall, String>) {
        let Some(turn) = self
            .turn
            .as_mut()
            .filter(|turn| &turn.id == id && turn.step == Step::Recalling)
        else {
            return;
        };
        match result {
            Ok(TurnRecall::Absent) => turn.step = Step::Taking,
            Ok(TurnRecall::Finished(end)) => turn.end(end),
            Ok(TurnRecall::Unfinished(known)) => turn.step = Step::ReadingBack(known),
            Err(_) => turn.step = Step::ReadingBack(FullMessage::default()),
        }
        match &turn.step {
            Step::ReadingBack(_) => self.actions.push_back(Output::ReadChunks {
                chat: self.id.clone(),
                turn_id: id.clone(),
                // Filled in when it is sent.
                token: crate::secret::Secret::new(""),
            }),
            Step::Taking | Step::Recalling | Step::Running | Step::Ending(_) | Step::Writing => {}
        }
    }

    /// What was streamed before the interruption stands; what the process still knows is used only when
    /// nothing was streamed.
    pub(super) fn on_chunks_read(&mut self, id: &TurnId, chunks: &[Chunk]) {
        let Some(turn) = self.turn.as_mut().filter(|turn| &turn.id == id) else {
            return;
        };
        let Step::ReadingBack(known) = &mut turn.step else {
            return;
        };
        let mut transcript = Transcript::default();
        for chunk in chunks {
            transcript.apply(chunk);
        }
        let mut answer = std::mem::take(known);
        if !transcript.parts().is_empty() {
            answer.parts = transcript.parts().to_vec();
        }
        turn.end(TurnEnd {
            outcome: TurnState::Interrupted,
            reason: Some(AGENT_RESTARTED.to_owned()),
            answer,
        });
    }

    /// The chunks could not be read for want of a connection: ask again once there is one.
    pub(super) fn forget_recall(&mut self) {
        if let Some(ActiveTurn {
            step: Step::ReadingBack(_),
            ..
        }) = self.turn
        {
            self.turn = None;
        }
    }

    pub(super) fn on_taken(&mut self, now: Timestamp, id: &TurnId, taken: Option<TakenTurn>) {
        let Some(turn) = self
            .turn
            .as_mut()
            .filter(|turn| &turn.id == id && turn.step == Step::Taking)
        else {
            return;
        };
        let Process::Running(generation) = self.process else {
            self.turn = None;
            return;
        };
        match taken {
            Some(taken) if matches!(taken.state, TurnState::Delivered | TurnState::Streaming) => {
                turn.step = Step::Running;
                self.actions.push_back(Output::Prompt(
                    self.id.clone(),
                    generation,
                    id.clone(),
                    taken.message,
                ));
            }
            Some(_) | None => {
                self.turn = None;
                self.ended.insert(id.clone());
                self.idle_since = now;
            }
        }
    }

    pub(super) fn on_turn_written(
        &mut self,
        now: Timestamp,
        id: &TurnId,
        refused: Option<CallError>,
    ) {
        if self.turn_id() != Some(id) {
            return;
        }
        if let (Some(error), Some(turn)) = (refused, &mut self.turn)
            && error.code == crate::ErrorCode::TooLarge
            && turn.step == Step::Writing
        {
            let reason = format!("The answer could not be kept: {error}");
            turn.end(TurnEnd {
                outcome: TurnState::Failed,
                reason: Some(reason),
                answer: FullMessage::default(),
            });
            return;
        }
        self.turn = None;
        self.ended.insert(id.clone());
        self.replied.clear();
        self.idle_since = now;
    }

    pub(super) fn awaits_append(&self, id: &TurnId, seq: u64) -> bool {
        self.turn
            .as_ref()
            .is_some_and(|turn| &turn.id == id && turn.awaits(seq))
    }

    pub(super) fn on_appended(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.on_appended();
        }
    }

    pub(super) fn on_append_refused(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.on_append_refused();
        }
    }

    pub(super) fn resend(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.resend();
        }
    }

    pub(super) fn begin_epoch(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.begin_epoch();
        }
    }

    fn running(&mut self, id: &TurnId) -> Option<&mut ActiveTurn> {
        self.turn
            .as_mut()
            .filter(|turn| &turn.id == id && turn.step == Step::Running)
    }

    fn head_id(&self) -> Option<TurnId> {
        self.wanted
            .as_ref()
            .and_then(|wanted| wanted.turn.as_ref())
            .map(|turn| turn.id.clone())
    }

    /// Does the next steps from what is to what should be.
    pub(super) fn reconcile(
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
    fn next_turn<'w>(&self, wanted: &'w InboxChat) -> Option<&'w crate::wire::InboxTurn> {
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
        };
        self.actions
            .push_back(Output::StartProcess(*last_generation, spec));
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
    pub(super) fn send(&mut self, link: &Link, outputs: &mut VecDeque<Output>) {
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
            && let Some((seq, chunks)) = turn.next_append(link.batch_max_bytes())
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
