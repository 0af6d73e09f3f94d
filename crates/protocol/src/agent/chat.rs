//! One chat session on its machine: its process, and the turn it works on.

mod steps;

use std::collections::{BTreeSet, VecDeque};

use super::turn::{ActiveTurn, Step};
use super::{Generation, Output, PromptFailure};
use crate::driver::{DriverEvent, TurnEnd, TurnRecall};
use crate::error::CallError;
use crate::ids::{ChatSessionId, TurnId};
use crate::limits::PROMPT_DOUBTS_MAX;
use crate::schedule::FailureKind;
use crate::state::{ChatState, TurnState};
use crate::time::Timestamp;
use crate::transcript::Transcript;
use crate::wire::{Appended, Chunk, FullMessage, InboxChat, OpenAskArgs, SettleAskArgs, TakenTurn};

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
    /// Since when it needs a process and has none, if so.
    pub(super) waits_since: Option<Timestamp>,
    /// Its process has done a turn.
    has_worked: bool,
    held_back: bool,
    /// The turn of which it was not known whether its prompt had arrived, and how often.
    doubts: Option<(TurnId, u32)>,
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
            waits_since: None,
            has_worked: false,
            held_back: false,
            doubts: None,
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

    pub(super) fn has_process(&self) -> bool {
        self.process != Process::Absent
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.process, Process::Starting(_))
    }

    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.process, Process::Stopping(_))
    }

    /// There is nothing to do for it until something is heard: most of many chat sessions are like this.
    pub(super) fn is_dormant(&self) -> bool {
        self.process == Process::Absent
            && self.turn.is_none()
            && self.actions.is_empty()
            && self.reports.is_empty()
            && !self.held_back
            && self.ended.is_empty()
            && self.wanted.as_ref().is_some_and(|wanted| {
                wanted.turn.is_none()
                    && matches!(
                        self.told.unwrap_or(wanted.state),
                        ChatState::Hibernated | ChatState::Failed | ChatState::Closed
                    )
            })
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

    /// The process can't go on with its turn: what it has begun to answer is interrupted. What it may never have
    /// got is left as it is: the next process is asked whether it has it.
    fn give_up_turn(&mut self, reason: String) {
        let Some(turn) = &mut self.turn else { return };
        match turn.step {
            Step::Running if turn.is_prompted || turn.has_begun() => turn.interrupt(reason),
            Step::Running => self.leave_in_doubt(reason),
            Step::Taking | Step::Recalling => self.turn = None,
            Step::ReadingBack(_) | Step::Ending(_) | Step::Writing => {}
        }
    }

    /// Nobody knows whether the prompt has arrived. The next process is asked, but not again and again.
    fn leave_in_doubt(&mut self, reason: String) {
        let Some(turn) = &mut self.turn else { return };
        self.doubts = match self.doubts.take() {
            Some((id, count)) if id == turn.id => Some((id, count + 1)),
            _ => Some((turn.id.clone(), 1)),
        };
        if self
            .doubts
            .as_ref()
            .is_some_and(|(_, count)| *count > PROMPT_DOUBTS_MAX)
        {
            turn.fail(reason, Some(FailureKind::Process));
        } else {
            self.turn = None;
        }
    }

    pub(super) fn on_prompted(&mut self, now: Timestamp, result: Result<(), PromptFailure>) {
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.step == Step::Running) else {
            return;
        };
        match result {
            Ok(()) => turn.is_prompted = true,
            // It answers, so it has it.
            Err(failure) if failure.is_in_doubt && turn.has_begun() => turn.is_prompted = true,
            Err(failure) if failure.is_in_doubt => {
                self.leave_in_doubt(failure.reason);
                // A process that does not answer is not asked what it knows: the next one is.
                self.idle_since = now;
                self.stop();
            }
            Err(failure) => turn.fail(failure.reason, None),
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
            failure: Some(FailureKind::Process),
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
                    prompt(taken),
                ));
            }
            Some(_) | None => self.forget_turn(now, id),
        }
    }

    /// A turn is over, and this side has nothing to do with it any more.
    fn forget_turn(&mut self, now: Timestamp, id: &TurnId) {
        self.turn = None;
        self.ended.insert(id.clone());
        self.has_worked = true;
        self.idle_since = now;
    }

    /// The complete message was taken, or refused with what had been sent.
    pub(super) fn on_turn_written(
        &mut self,
        now: Timestamp,
        id: &TurnId,
        refused: Option<(CallError, serde_json::Value)>,
    ) {
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.id == *id) else {
            return;
        };
        if let Some((error, sent)) = refused
            && turn.write_again(&error, sent)
        {
            return;
        }
        self.replied.clear();
        self.forget_turn(now, id);
    }

    pub(super) fn awaits_append(&self, id: &TurnId, seq: u64) -> bool {
        self.turn
            .as_ref()
            .is_some_and(|turn| &turn.id == id && turn.awaits(seq))
    }

    pub(super) fn spooled_bytes(&self) -> usize {
        self.turn.as_ref().map_or(0, ActiveTurn::spooled_bytes)
    }

    /// When what has been gathered for the next append is to go, if it waits for nothing but time.
    pub(super) fn append_at(&self) -> Option<Timestamp> {
        self.turn.as_ref().and_then(ActiveTurn::append_at)
    }

    pub(super) fn on_appended(&mut self, appended: Appended) {
        if let Some(turn) = &mut self.turn {
            turn.on_appended(appended);
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
}

/// What the process is given: the message, and before it what was said in the chat session that it continues.
fn prompt(taken: TakenTurn) -> String {
    match taken.background {
        Some(background) => format!(
            "What follows up to the line was said in an earlier conversation, maybe on another machine. Files and \
             changes that it speaks of may be missing here: look before relying on them.\n\n{background}\n\n---\n\n{}",
            taken.message
        ),
        None => taken.message,
    }
}
