//! Follows a chat session's turns through opencode's events and tells what happens in the driver's words.
//! Nothing here waits or talks to anybody: events and answers come in, driver events come out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::driver::{DriverEvent, TurnEnd};
use protocol::ids::TurnId;
use protocol::limits::CHUNK_DELTA_MAX_BYTES;
use protocol::state::TurnState;
use protocol::transcript::Transcript;
use protocol::wire::{ChunkOp, DeltaKind, FullMessage, Part, PartBody, PartId, ToolCall};

use crate::answer::{fitted, full_message, reason, tool_call};
use crate::asks::{Asks, Settled};
use crate::output::{Growth, RunningOutput};
use crate::wire::{
    self, Event, PartBody as Body, PermissionAsk, Prose, QuestionAsk, Reply, Status, is_turn_message, message_id,
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
    /// What a reader of the chunks has.
    shown: Transcript,
    failure: Option<String>,
    stopped_because: Option<String>,
    is_aborted: bool,
    ends_without_reason: BTreeSet<String>,
    retries_told: u32,
    idle_looks: u32,
}

/// What is known of a part that grows.
#[derive(Debug)]
enum Track {
    Prose { kind: DeltaKind, message: String, is_open: bool },
    Tool { call: Box<ToolCall>, output: RunningOutput },
}

impl Tracker {
    pub(crate) fn new(session: String) -> Self {
        Self { session, turn: None, asks: Asks::default() }
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
        self.turn.as_ref().is_some_and(|turn| turn.is_aborted || turn.stopped_because.is_some())
    }

    /// The asks that wait.
    pub(crate) fn asks(&mut self) -> &mut Asks {
        &mut self.asks
    }

    /// Takes an event.
    pub(crate) fn take(&mut self, event: Event) -> Told {
        match event {
            Event::PermissionAsked(ask) => {
                self.asked(&ask.id.clone(), Asks::of_permission(ask), Reply::Reject { message: None })
            }
            Event::QuestionAsked(ask) => self.asked(&ask.id.clone(), Asks::of_question(ask), Reply::Dismiss),
            Event::AskSettled { id } => Told::events(self.asks.settled_elsewhere(&id).into_iter().collect()),
            Event::Failed { session, error } if session.as_ref().is_none_or(|session| *session == self.session) => {
                self.failed(&error)
            }
            Event::Status { session, status } if session == self.session => self.status(&status),
            Event::Message(info) if info.session_id == self.session => self.message(&info),
            Event::Part(part) if part.session_id == self.session => {
                self.turn.as_mut().map(|turn| turn.part(&part)).unwrap_or_default()
            }
            Event::Delta { part, delta } => {
                self.turn.as_mut().map(|turn| turn.delta(&part, &delta)).unwrap_or_default()
            }
            // What sub-agents say shows in the card of the tool that called them.
            Event::Failed { .. } | Event::Status { .. } | Event::Message(_) | Event::Part(_) => Told::default(),
            Event::Connected | Event::Other { .. } => Told::default(),
        }
    }

    /// Takes what opencode says when it is asked: whether it works, and the turn's messages. `None` while the
    /// turn goes on; then look again when something happens, or after [`LOOK_AGAIN`] if it is not busy.
    pub(crate) fn look(&mut self, is_busy: bool, messages: &[wire::Message]) -> Option<Vec<DriverEvent>> {
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
        let waiting: BTreeSet<String> =
            permissions.iter().map(|ask| ask.id.clone()).chain(questions.iter().map(|ask| ask.id.clone())).collect();
        events.extend(self.asks.close_unless(|id| waiting.contains(id)));
        for ask in permissions {
            events
                .extend(self.asked(&ask.id.clone(), Asks::of_permission(ask), Reply::Reject { message: None }).events);
        }
        for ask in questions {
            events.extend(self.asked(&ask.id.clone(), Asks::of_question(ask), Reply::Dismiss).events);
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
            Some(_) | None => Told { events: Vec::new(), next: Next::TurnDown { ask: id.to_owned(), reply: no } },
        }
    }

    fn failed(&mut self, error: &wire::Failure) -> Told {
        let Some(turn) = &mut self.turn else { return Told::default() };
        if !error.is_abort() {
            turn.failure = Some(reason(&error.message()));
        }
        Told { events: Vec::new(), next: Next::Look(LOOK_AFTER_FAILURE) }
    }

    fn status(&mut self, status: &Status) -> Told {
        let Some(turn) = &mut self.turn else { return Told::default() };
        match status {
            Status::Idle => Told { events: Vec::new(), next: Next::Look(Duration::ZERO) },
            Status::Retry { attempt, message } => Told::events(turn.retry(*attempt, message)),
            Status::Busy | Status::Unknown => Told::default(),
        }
    }

    fn message(&mut self, info: &wire::MessageInfo) -> Told {
        self.turn.as_mut().map(|turn| turn.message(info)).unwrap_or_default()
    }

    fn end(&mut self, messages: Option<&[wire::Message]>) -> Vec<DriverEvent> {
        let Some(mut turn) = self.turn.take() else { return Vec::new() };
        let id = turn.id.clone();
        let (outcome, reason) = turn.outcome(messages.unwrap_or_default());
        let mut events = self.asks.close_unless(|_| false);
        let answer = match messages {
            Some(messages) => turn.in_shown_order(fitted(turn.with_notices(full_message(messages)))),
            None => fitted(FullMessage { parts: turn.shown.parts().to_vec(), ..FullMessage::default() }),
        };
        events.extend(turn.settle(&answer));
        events.push(DriverEvent::TurnEnded { turn_id: id, end: TurnEnd { outcome, reason, answer } });
        events
    }
}

impl Turn {
    fn new(id: TurnId) -> Self {
        let asking = BTreeSet::from([message_id(&id)]);
        Self {
            id,
            asking,
            answering: BTreeMap::new(),
            parts: BTreeMap::new(),
            shown: Transcript::default(),
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
        if !info.parent_id.as_ref().is_some_and(|parent| self.asking.contains(parent)) {
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
            return Told { events: Vec::new(), next: Next::Abort };
        }
        Told::default()
    }

    fn part(&mut self, part: &wire::Part) -> Told {
        if part.body == Body::Compaction && self.asking.contains(&part.message_id) {
            return Told::events(self.notice(
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
        let track = Track::Prose { kind, message: part.message_id.clone(), is_open: prose.time.end.is_none() };
        self.parts.insert(part.id.clone(), track);
        self.set_text(&part.id, kind, &prose.text)
    }

    fn delta(&mut self, id: &str, delta: &str) -> Told {
        match self.parts.get(id) {
            Some(Track::Prose { kind, .. }) => {
                let kind = *kind;
                Told::events(self.append(id, kind, delta))
            }
            // Of a sub-agent, of an earlier turn, or missed: the part's own event has all of it.
            Some(Track::Tool { .. }) | None => Told::default(),
        }
    }

    fn tool(&mut self, id: &str, tool: &str, state: &wire::ToolState) -> Vec<DriverEvent> {
        let call = tool_call(tool, state);
        let is_running = call.output.is_none();
        let (mut output, known) = match self.parts.remove(id) {
            Some(Track::Tool { call, output }) => (output, Some(call)),
            Some(Track::Prose { .. }) | None => (RunningOutput::default(), None),
        };
        let mut events = Vec::new();
        let changed = known.is_none_or(|known| *known != call);
        let growth = if is_running {
            state.output_window().map(|window| output.grow(window)).unwrap_or(Growth::Nothing)
        } else {
            Growth::Nothing
        };
        let with_output = |text: Option<String>| {
            let mut call = call.clone();
            call.truncated |= is_running && output.is_cut();
            call.output = text.or(call.output);
            ChunkOp::Replace { part: Part { id: id.to_owned(), body: PartBody::Tool(call) } }
        };
        let op = match &growth {
            Growth::Restart(text) => Some(with_output(Some(text.clone()))),
            Growth::Append(_) | Growth::Nothing if changed => Some(with_output(None)),
            Growth::Append(_) | Growth::Nothing => None,
        };
        events.extend(op.map(|op| self.tell(op)));
        if let Growth::Append(text) = growth {
            events.extend(self.append(id, DeltaKind::ToolOutput, &text));
        }
        self.parts.insert(id.to_owned(), Track::Tool { call: Box::new(call), output });
        events
    }

    fn retry(&mut self, attempt: u32, message: &str) -> Vec<DriverEvent> {
        let mut events = self.supersede_open(None);
        if attempt > 0 && !message.is_empty() {
            self.retries_told += 1;
            let text = format!("The model did not answer ({message}). Trying again, attempt {attempt}.");
            events.extend(self.notice(format!("retry-{}", self.retries_told), &reason(&text)));
        }
        events
    }

    /// Voids the texts that were being written, of one message or of all.
    fn supersede_open(&mut self, message: Option<&str>) -> Vec<DriverEvent> {
        let is_open = |track: &Track| matches!(track, Track::Prose { message: of, is_open: true, .. } if message.is_none_or(|message| message == of));
        let open: Vec<PartId> =
            self.parts.iter().filter(|(_, track)| is_open(track)).map(|(id, _)| id.clone()).collect();
        let mut events = Vec::new();
        for id in open {
            if let Some(Track::Prose { is_open, .. }) = self.parts.get_mut(&id) {
                *is_open = false;
            }
            events.extend(self.supersede(&id));
        }
        events
    }

    fn supersede(&mut self, id: &str) -> Option<DriverEvent> {
        (!self.text(id).is_empty()).then(|| self.tell(ChunkOp::Supersede { part: id.to_owned() }))
    }

    fn notice(&mut self, id: PartId, text: &str) -> Vec<DriverEvent> {
        if self.shown.parts().iter().any(|part| part.id == id) {
            return Vec::new();
        }
        vec![self.tell(ChunkOp::Replace { part: Part { id, body: PartBody::Notice { text: text.to_owned() } } })]
    }

    /// Brings a part's text to what it is to be, with as little as it takes.
    fn set_text(&mut self, id: &str, kind: DeltaKind, text: &str) -> Vec<DriverEvent> {
        let shown = self.text(id);
        if let Some(rest) = text.strip_prefix(shown) {
            let rest = rest.to_owned();
            return self.append(id, kind, &rest);
        }
        let mut events: Vec<DriverEvent> = self.supersede(id).into_iter().collect();
        events.extend(self.append(id, kind, text));
        events
    }

    fn append(&mut self, id: &str, kind: DeltaKind, mut text: &str) -> Vec<DriverEvent> {
        let mut events = Vec::new();
        while !text.is_empty() {
            let (piece, rest) = text.split_at(text.floor_char_boundary(CHUNK_DELTA_MAX_BYTES));
            events.push(self.tell(ChunkOp::Append { part: id.to_owned(), kind, delta: piece.to_owned() }));
            text = rest;
        }
        events
    }

    fn tell(&mut self, op: ChunkOp) -> DriverEvent {
        self.shown.apply_op(&op);
        DriverEvent::Chunk { turn_id: self.id.clone(), op }
    }

    /// What a reader of the chunks has of a text.
    fn text(&self, id: &str) -> &str {
        match self.shown.parts().iter().rev().find(|part| part.id == id).map(|part| &part.body) {
            Some(PartBody::Text { text } | PartBody::Reasoning { text }) => text,
            Some(PartBody::Tool(_) | PartBody::Notice { .. } | PartBody::Unknown) | None => "",
        }
    }

    /// opencode is idle: is there anything left to come?
    fn is_over(&self, messages: &[wire::Message]) -> bool {
        match messages.last() {
            Some(last) if last.info.is_assistant() && last.info.is_completed() => true,
            // The first idle after a failure comes before the message is complete.
            Some(last) if last.info.is_assistant() => self.idle_looks >= IDLE_LOOKS_MAX,
            Some(_) | None if self.failure.is_some() || self.is_aborted => self.idle_looks >= FAILED_LOOKS_MAX,
            Some(_) | None => self.idle_looks >= IDLE_LOOKS_MAX,
        }
    }

    fn outcome(&self, messages: &[wire::Message]) -> (TurnState, Option<String>) {
        let last = messages.iter().rfind(|message| message.info.is_assistant()).map(|message| &message.info);
        if last.is_some_and(wire::MessageInfo::is_last_word) {
            return (TurnState::Completed, None);
        }
        if self.is_aborted {
            return (TurnState::Cancelled, None);
        }
        if let Some(why) = &self.stopped_because {
            let outcome = if last.is_none() { TurnState::Interrupted } else { TurnState::Failed };
            return (outcome, Some(why.clone()));
        }
        let Some(last) = last else {
            let why = self
                .failure
                .clone()
                .unwrap_or_else(|| "opencode did not begin to answer. Send the message again.".to_owned());
            return (TurnState::Failed, Some(why));
        };
        match (&last.error, &self.failure) {
            (Some(error), _) if error.is_abort() => {
                (TurnState::Interrupted, Some("The turn was stopped on the machine.".to_owned()))
            }
            (Some(error), _) => (TurnState::Failed, Some(reason(&error.message()))),
            (None, Some(failure)) => (TurnState::Failed, Some(failure.clone())),
            (None, None) if last.is_completed() => (TurnState::Completed, None),
            (None, None) => (TurnState::Interrupted, Some("opencode stopped in the middle of the answer.".to_owned())),
        }
    }

    /// Puts the notices that were shown where they were shown.
    fn with_notices(&self, mut full: FullMessage) -> FullMessage {
        let mut place = 0;
        for shown in self.shown.parts() {
            if let Some(found) = full.parts.iter().position(|part| part.id == shown.id) {
                place = found + 1;
            } else if matches!(shown.body, PartBody::Notice { .. }) {
                full.parts.insert(place, shown.clone());
                place += 1;
            }
        }
        full
    }

    /// Chunks only ever add at the end. If texts were missed in the middle, those that belong after them are
    /// shown again, so they need other names.
    fn in_shown_order(&self, mut full: FullMessage) -> FullMessage {
        let shown: Vec<&PartId> =
            text_ids(self.shown.parts()).filter(|id| full.parts.iter().any(|part| part.id == **id)).collect();
        let wanted: Vec<PartId> = text_ids(&full.parts).cloned().collect();
        let same = shown.iter().zip(&wanted).take_while(|(shown, wanted)| **shown == *wanted).count();
        if same < shown.len() {
            for part in full.parts.iter_mut().filter(|part| wanted[same..].contains(&part.id)) {
                part.id.push('~');
            }
        }
        full
    }

    /// The chunks that bring whoever has read them all to the complete answer.
    fn settle(&mut self, answer: &FullMessage) -> Vec<DriverEvent> {
        let mut events = Vec::new();
        let gone: Vec<PartId> = self
            .shown
            .parts()
            .iter()
            .filter(|shown| answer.parts.iter().all(|part| part.id != shown.id))
            .map(|part| part.id.clone())
            .collect();
        for id in gone {
            events.extend(self.supersede(&id));
        }
        for part in &answer.parts {
            match &part.body {
                PartBody::Text { text } => events.extend(self.set_text(&part.id, DeltaKind::Text, text)),
                PartBody::Reasoning { text } => events.extend(self.set_text(&part.id, DeltaKind::Reasoning, text)),
                PartBody::Tool(_) | PartBody::Notice { .. } | PartBody::Unknown => {
                    if !self.shown.parts().contains(part) {
                        events.push(self.tell(ChunkOp::Replace { part: part.clone() }));
                    }
                }
            }
        }
        events
    }
}

/// The parts that count for an answer's hash, in order.
fn text_ids(parts: &[Part]) -> impl Iterator<Item = &PartId> {
    parts.iter().filter(|part| matches!(&part.body, PartBody::Text { text } if !text.is_empty())).map(|part| &part.id)
}

/// A text that is being written: only its events have it.
fn is_unwritten(part: &wire::Part) -> bool {
    match &part.body {
        Body::Text(prose) | Body::Reasoning(prose) => prose.text.is_empty() && prose.time.end.is_none(),
        Body::Tool { .. } | Body::StepStart | Body::Compaction | Body::Other => false,
    }
}

impl Told {
    fn events(events: Vec<DriverEvent>) -> Self {
        Self { events, next: Next::Nothing }
    }
}

impl From<Settled> for DriverEvent {
    fn from(settled: Settled) -> Self {
        Self::AskClosed { turn_id: settled.turn_id, agent_ask_id: settled.id }
    }
}

#[cfg(test)]
mod tests;
