//! Follows a chat session's turns through opencode's events and tells what happens in the driver's words.
//! Nothing here waits or talks to anybody: events and answers come in, driver events come out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::driver::{DriverEvent, TurnEnd};
use protocol::ids::TurnId;
use protocol::schedule::FailureKind;
use protocol::state::TurnState;
use protocol::wire::{DeltaKind, FullMessage, PartId};

use crate::answer::{fitted, full_message, reason, tool_call};
use crate::asks::{Asks, Settled};
use crate::output::{Growth, RunningOutput};
use crate::preview::Preview;
use crate::wire::{
    self, Event, PartBody as Body, PermissionAsk, Prose, QuestionAsk, Reply, Status,
    is_turn_message, message_id,
};

/// How long after a failure opencode is asked whether the turn is over: some failures have no idle event.
pub(crate) const LOOK_AFTER_FAILURE: Duration = Duration::from_millis(250);
/// How long after a look that found an unfinished turn comes the next one.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Looks in a row that find opencode idle and the turn unfinished, before the turn counts as broken off.
const IDLE_LOOKS_MAX: u32 = 20;
/// Looks in a row that find opencode idle and the message unanswered after a failure.
const FAILED_LOOKS_MAX: u32 = 2;
/// Answers in a row that end without a reason, before the turn is stopped: opencode would go on for ever.
const ENDS_WITHOUT_REASON_MAX: u32 = 3;

/// What an event comes to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Told {
    /// To be passed on, in this order.
    pub(crate) events: Vec<DriverEvent>,
    /// What to do next.
    pub(crate) next: Next,
}

/// What to do after an event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    #[default]
    Nothing,
    /// Ask opencode whether the turn is over, after this time.
    Look(Duration),
    /// Stop the turn.
    Abort,
    /// Answer an ask that no person can be asked.
    TurnDown { ask: String, reply: Reply },
}

/// What became of a prompt that is to be followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    New,
    /// It is under way already.
    Same,
    /// Another one is under way.
    Busy,
}

/// A chat session's turns, one at a time.
#[derive(Debug)]
pub(crate) struct Tracker {
    session: String,
    turn: Option<Turn>,
    asks: Asks,
}

/// The turn that is under way.
#[derive(Debug)]
struct Turn {
    id: TurnId,
    /// The messages that are answered in this turn: the person's, and those that opencode makes itself when
    /// it has summarised a long conversation.
    asking: BTreeSet<String>,
    /// The assistant's messages, and whether a person gets to see them.
    answering: BTreeMap<String, bool>,
    parts: BTreeMap<PartId, Track>,
    preview: Preview,
    failure: Option<(String, Option<FailureKind>)>,
    stopped_because: Option<String>,
    is_aborted: bool,
    ends_without_reason: BTreeSet<String>,
    retries_told: u32,
    idle_looks: u32,
}

/// What is known of a part that grows.
#[derive(Debug)]
enum Track {
    Prose {
        kind: DeltaKind,
        message: String,
        is_open: bool,
    },
    Tool {
        output: RunningOutput,
    },
}

impl Tracker {
    pub(crate) fn new(session: String) -> Self {
        Self {
            session,
            turn: None,
            asks: Asks::default(),
        }
    }

    /// The turn that is under way.
    pub(crate) fn current(&self) -> Option<&TurnId> {
        self.turn.as_ref().map(|turn| &turn.id)
    }

    /// Follows a turn from here on; to be called before its prompt is handed over.
    pub(crate) fn begin(&mut self, id: &TurnId) -> Begun {
        match &self.turn {
            Some(turn) if turn.id == *id => Begun::Same,
            Some(_) => Begun::Busy,
            None => {
                self.turn = Some(Turn::new(id.clone()));
                Begun::New
            }
        }
    }

    /// The prompt was refused: there is no such turn.
    pub(crate) fn forget(&mut self, id: &TurnId) {
        self.turn.take_if(|turn| turn.id == *id);
    }

    /// Somebody stops this turn; `false` when it is not under way.
    pub(crate) fn abort(&mut self, id: &TurnId) -> bool {
        let turn = self.turn.as_mut().filter(|turn| turn.id == *id);
        turn.is_some_and(|turn| {
            turn.is_aborted = true;
            true
        })
    }

    /// Whether somebody has stopped the turn that is under way.
    pub(crate) fn is_aborted(&self) -> bool {
        self.turn
            .as_ref()
            .is_some_and(|turn| turn.is_aborted || turn.stopped_because.is_some())
    }

    /// The asks that wait.
    pub(crate) fn asks(&mut self) -> &mut Asks {
        &mut self.asks
    }

    /// Takes an event.
    pub(crate) fn take(&mut self, event: Event) -> Told {
        match event {
            Event::PermissionAsked(ask) => self.asked(
                &ask.id.clone(),
                Asks::of_permission(ask),
                Reply::Reject { message: None },
            ),
            Event::QuestionAsked(ask) => {
                self.asked(&ask.id.clone(), Asks::of_question(ask), Reply::Dismiss)
            }
            Event::AskSettled { id } => {
                Told::events(self.asks.settled_elsewhere(&id).into_iter().collect())
            }
            Event::Failed { session, error }
                if session
                    .as_ref()
                    .is_none_or(|session| *session == self.session) =>
            {
                self.failed(&error)
            }
            Event::Status { session, status } if session == self.session => self.status(&status),
            Event::Message(info) if info.session_id == self.session => self.message(&info),
            Event::Part(part) if part.session_id == self.session => self
                .turn
                .as_mut()
                .map(|turn| turn.part(&part))
                .unwrap_or_default(),
            Event::Delta { part, delta } => self
                .turn
                .as_mut()
                .map(|turn| turn.delta(&part, &delta))
                .unwrap_or_default(),
            // What sub-agents say shows in the card of the tool that called them.
            Event::Failed { .. } | Event::Status { .. } | Event::Message(_) | Event::Part(_) => {
                Told::default()
            }
            Event::Connected | Event::Other { .. } => Told::default(),
        }
    }

    /// Takes what opencode says when it is asked: whether it works, and the turn's messages. `None` while the
    /// turn goes on; then look again when something happens, or after [`LOOK_AGAIN`] if it is not busy.
    pub(crate) fn look(
        &mut self,
        is_busy: bool,
        messages: &[wire::Message],
    ) -> Option<Vec<DriverEvent>> {
        let turn = self.turn.as_mut()?;
        if is_busy {
            turn.idle_looks = 0;
            return None;
        }
        turn.idle_looks += 1;
        if !turn.is_over(messages) {
            return None;
        }
        Some(self.end(Some(messages)))
    }

    /// Ends the turn although opencode can't be asked how it ended.
    pub(crate) fn give_up(&mut self, why: &str) -> Vec<DriverEvent> {
        if let Some(turn) = &mut self.turn {
            turn.stopped_because.get_or_insert_with(|| why.to_owned());
        }
        self.end(None)
    }

    /// Takes what opencode has after events may have been missed. Text that is still being written is empty
    /// in its storage and stays as it is.
    pub(crate) fn repair(
        &mut self,
        messages: &[wire::Message],
        permissions: Vec<PermissionAsk>,
        questions: Vec<QuestionAsk>,
    ) -> Vec<DriverEvent> {
        let mut events = Vec::new();
        if let Some(turn) = &mut self.turn {
            for message in messages {
                events.extend(turn.message(&message.info).events);
                let parts = message.parts.iter().filter(|part| !is_unwritten(part));
                events.extend(parts.flat_map(|part| turn.part(part).events));
            }
        }
        let waiting: BTreeSet<String> = permissions
            .iter()
            .map(|ask| ask.id.clone())
            .chain(questions.iter().map(|ask| ask.id.clone()))
            .collect();
        events.extend(self.asks.close_unless(|id| waiting.contains(id)));
        for ask in permissions {
            events.extend(
                self.asked(
                    &ask.id.clone(),
                    Asks::of_permission(ask),
                    Reply::Reject { message: None },
                )
                .events,
            );
        }
        for ask in questions {
            events.extend(
                self.asked(&ask.id.clone(), Asks::of_question(ask), Reply::Dismiss)
                    .events,
            );
        }
        events
    }

    /// The process has ended: nobody waits for anything any more.
    pub(crate) fn exited(&mut self) -> Vec<DriverEvent> {
        self.turn = None;
        self.asks.close_unless(|_| false)
    }

    fn asked(&mut self, id: &str, body: protocol::wire::AskBody, no: Reply) -> Told {
        match &self.turn {
            Some(turn) if !self.asks.is_full() => {
                Told::events(self.asks.opened(&turn.id, id, body).into_iter().collect())
            }
            // Outside a turn nobody looks, and without an answer whoever asks would wait for ever.
            Some(_) | None => Told {
                events: Vec::new(),
                next: Next::TurnDown {
                    ask: id.to_owned(),
                    reply: no,
                },
            },
        }
    }

    fn failed(&mut self, error: &wire::Failure) -> Told {
        let Some(turn) = &mut self.turn else {
            return Told::default();
        };
        if !error.is_abort() {
            turn.failure = Some((reason(&error.message()), error.kind()));
        }
        Told {
            events: Vec::new(),
            next: Next::Look(LOOK_AFTER_FAILURE),
        }
    }

    fn status(&mut self, status: &Status) -> Told {
        let Some(turn) = &mut self.turn else {
            return Told::default();
        };
        match status {
            Status::Idle => Told {
                events: Vec::new(),
                next: Next::Look(Duration::ZERO),
            },
            Status::Retry { attempt, message } => Told::events(turn.retry(*attempt, message)),
            Status::Busy | Status::Unknown => Told::default(),
        }
    }

    fn message(&mut self, info: &wire::MessageInfo) -> Told {
        self.turn
            .as_mut()
            .map(|turn| turn.message(info))
            .unwrap_or_default()
    }

    fn end(&mut self, messages: Option<&[wire::Message]>) -> Vec<DriverEvent> {
        let Some(mut turn) = self.turn.take() else {
            return Vec::new();
        };
        let id = turn.id.clone();
        let (outcome, reason, failure) = turn.outcome(messages.unwrap_or_default());
        let mut events = self.asks.close_unless(|_| false);
        let answer = match messages {
            Some(messages) => turn.preview.reachable(fitted(full_message(messages))),
            None => fitted(FullMessage {
                parts: turn.preview.parts().to_vec(),
                ..FullMessage::default()
            }),
        };
        events.extend(turn.preview.settle(&answer));
        events.push(DriverEvent::TurnEnded {
            turn_id: id,
            end: TurnEnd {
                outcome,
                reason,
                failure,
                answer,
            },
        });
        events
    }
}

impl Turn {
    fn new(id: TurnId) -> Self {
        let asking = BTreeSet::from([message_id(&id)]);
        Self {
            preview: Preview::new(id.clone()),
            id,
            asking,
            answering: BTreeMap::new(),
            parts: BTreeMap::new(),
            failure: None,
            stopped_because: None,
            is_aborted: false,
            ends_without_reason: BTreeSet::new(),
            retries_told: 0,
            idle_looks: 0,
        }
    }

    fn message(&mut self, info: &wire::MessageInfo) -> Told {
        if info.is_user() {
            if !is_turn_message(&info.id) {
                self.asking.insert(info.id.clone());
            }
            return Told::default();
        }
        if !info
            .parent_id
            .as_ref()
            .is_some_and(|parent| self.asking.contains(parent))
        {
            return Told::default();
        }
        self.answering.insert(info.id.clone(), !info.summary);
        if info.ended_without_reason() {
            self.ends_without_reason.insert(info.id.clone());
        }
        let turns_in_vain = u32::try_from(self.ends_without_reason.len()).unwrap_or(u32::MAX);
        if turns_in_vain >= ENDS_WITHOUT_REASON_MAX && self.stopped_because.is_none() {
            self.stopped_because = Some(format!(
                "The model ended its answer {turns_in_vain} times without saying why. Check the model's server, or choose another model."
            ));
            return Told {
                events: Vec::new(),
                next: Next::Abort,
            };
        }
        Told::default()
    }

    fn part(&mut self, part: &wire::Part) -> Told {
        if part.body == Body::Compaction && self.asking.contains(&part.message_id) {
            return Told::events(self.preview.notice(
                format!("compaction-{}", part.id),
                "The conversation was getting long. opencode has summarised its earlier part.",
            ));
        }
        if self.answering.get(&part.message_id) != Some(&true) {
            return Told::default();
        }
        Told::events(match &part.body {
            Body::Text(prose) => self.prose(part, prose, DeltaKind::Text),
            Body::Reasoning(prose) => self.prose(part, prose, DeltaKind::Reasoning),
            Body::Tool { tool, state } => self.tool(&part.id, tool, state),
            // The model begins anew in the same message: what it had not finished is void.
            Body::StepStart => self.supersede_open(Some(&part.message_id)),
            Body::Compaction | Body::Other => Vec::new(),
        })
    }

    fn prose(&mut self, part: &wire::Part, prose: &Prose, kind: DeltaKind) -> Vec<DriverEvent> {
        let track = Track::Prose {
            kind,
            message: part.message_id.clone(),
            is_open: prose.time.end.is_none(),
        };
        self.parts.insert(part.id.clone(), track);
        self.preview.set_text(&part.id, kind, &prose.text)
    }

    fn delta(&mut self, id: &str, delta: &str) -> Told {
        match self.parts.get(id) {
            Some(Track::Prose { kind, .. }) => {
                let kind = *kind;
                Told::events(self.preview.append(id, kind, delta))
            }
            // Of a sub-agent, of an earlier turn, or missed: the part's own event has all of it.
            Some(Track::Tool { .. }) | None => Told::default(),
        }
    }

    fn tool(&mut self, id: &str, tool: &str, state: &wire::ToolState) -> Vec<DriverEvent> {
        let mut call = tool_call(tool, state);
        let mut output = match self.parts.remove(id) {
            Some(Track::Tool { output }) => output,
            Some(Track::Prose { .. }) | None => RunningOutput::default(),
        };
        let growth = match state.output_window() {
            Some(window) if call.output.is_none() => output.grow(window),
            Some(_) | None => Growth::Nothing,
        };
        if call.output.is_none() {
            call.truncated |= output.is_cut();
        }
        if let Growth::Restart(text) = &growth {
            call.output = Some(text.clone());
        }
        let mut events = self.preview.set_tool(id, &call);
        if let Growth::Append(text) = growth {
            events.extend(self.preview.append(id, DeltaKind::ToolOutput, &text));
        }
        self.parts.insert(id.to_owned(), Track::Tool { output });
        events
    }

    fn retry(&mut self, attempt: u32, message: &str) -> Vec<DriverEvent> {
        let mut events = self.supersede_open(None);
        if attempt > 0 && !message.is_empty() {
            self.retries_told += 1;
            let text =
                format!("The model did not answer ({message}). Trying again, attempt {attempt}.");
            events.extend(
                self.preview
                    .notice(format!("retry-{}", self.retries_told), &reason(&text)),
            );
        }
        events
    }

    /// Voids the texts that were being written, of one message or of all.
    fn supersede_open(&mut self, message: Option<&str>) -> Vec<DriverEvent> {
        let is_open = |track: &Track| matches!(track, Track::Prose { message: of, is_open: true, .. } if message.is_none_or(|message| message == of));
        let open: Vec<PartId> = self
            .parts
            .iter()
            .filter(|(_, track)| is_open(track))
            .map(|(id, _)| id.clone())
            .collect();
        let mut events = Vec::new();
        for id in open {
            if let Some(Track::Prose { is_open, .. }) = self.parts.get_mut(&id) {
                *is_open = false;
            }
            events.extend(self.preview.supersede(&id));
        }
        events
    }

    /// opencode is idle: is there anything left to come?
    fn is_over(&self, messages: &[wire::Message]) -> bool {
        match messages.last() {
            Some(last) if last.info.is_assistant() && last.info.is_completed() => true,
            // The first idle after a failure comes before the message is complete.
            Some(last) if last.info.is_assistant() => self.idle_looks >= IDLE_LOOKS_MAX,
            Some(_) | None if self.failure.is_some() || self.is_aborted => {
                self.idle_looks >= FAILED_LOOKS_MAX
            }
            Some(_) | None => self.idle_looks >= IDLE_LOOKS_MAX,
        }
    }

    fn outcome(
        &self,
        messages: &[wire::Message],
    ) -> (TurnState, Option<String>, Option<FailureKind>) {
        let last = messages
            .iter()
            .rfind(|message| message.info.is_assistant())
            .map(|message| &message.info);
        if last.is_some_and(wire::MessageInfo::is_last_word) {
            return (TurnState::Completed, None, None);
        }
        if self.is_aborted {
            return (TurnState::Cancelled, None, None);
        }
        if let Some(why) = &self.stopped_because {
            let (outcome, failure) = if last.is_none() {
                (TurnState::Interrupted, Some(FailureKind::Process))
            } else {
                (TurnState::Failed, None)
            };
            return (outcome, Some(why.clone()), failure);
        }
        let Some(last) = last else {
            let (why, failure) = self.failure.clone().unwrap_or_else(|| {
                let why = "opencode did not begin to answer. Send the message again.";
                (why.to_owned(), None)
            });
            return (TurnState::Failed, Some(why), failure);
        };
        match (&last.error, &self.failure) {
            (Some(error), _) if error.is_abort() => (
                TurnState::Interrupted,
                Some("The turn was stopped on the machine.".to_owned()),
                None,
            ),
            (Some(error), _) => (
                TurnState::Failed,
                Some(reason(&error.message())),
                error.kind(),
            ),
            (None, Some((why, failure))) => (TurnState::Failed, Some(why.clone()), *failure),
            (None, None) if last.is_completed() => (TurnState::Completed, None, None),
            (None, None) => (
                TurnState::Interrupted,
                Some("opencode stopped in the middle of the answer.".to_owned()),
                Some(FailureKind::Process),
            ),
        }
    }
}

/// A text that is being written: only its events have it.
fn is_unwritten(part: &wire::Part) -> bool {
    match &part.body {
        Body::Text(prose) | Body::Reasoning(prose) => {
            prose.text.is_empty() && prose.time.end.is_none()
        }
        Body::Tool { .. } | Body::StepStart | Body::Compaction | Body::Other => false,
    }
}

impl Told {
    fn events(events: Vec<DriverEvent>) -> Self {
        Self {
            events,
            next: Next::Nothing,
        }
    }
}

impl From<Settled> for DriverEvent {
    fn from(settled: Settled) -> Self {
        Self::AskClosed {
            turn_id: settled.turn_id,
            agent_ask_id: settled.id,
        }
    }
}

#[cfg(test)]
mod tests;
