//! The person's page: looks again at what the backend says has changed, and reads the chunks of answers at its own
//! pace, each stream from where it left off.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Timestamp;
use protocol::ids::{AskId, ChatSessionId, TurnId};
use protocol::limits::LEASE_MS;
use protocol::state::ChatState;
use protocol::transcript::{Applied, Transcript, text_hash};
use protocol::wire::{ChatView, Chunk, MachineView, Presence, TranscriptPage, TurnSummary};
use serde_json::json;

use crate::broken::Broken;
use crate::faults::Fault;
use crate::world::{Event, World};

/// How long after the lease's end the page may still show a machine as online: it looks every half second.
const SHOWN_LATE_MS: u64 = 1_500;
/// How long a chat session may be busy with nothing that runs, while nothing goes wrong any more.
const BUSY_FOR_NOTHING_MS: u64 = 90_000;

/// What a reader has of one turn.
#[derive(Debug, Default)]
struct Reading {
    transcript: Transcript,
    /// How far in the stream it is.
    offset: usize,
    /// All that it has ever read: none of it may change.
    read: Vec<Chunk>,
    /// The hash of what is shown, once the turn has ended and that has been looked at.
    settled: Option<String>,
}

#[derive(Debug, Default)]
struct Chat {
    is_stale: bool,
    view: Option<ChatView>,
    readings: BTreeMap<TurnId, Reading>,
    /// Turns of the view that have ended and are not settled here.
    open: BTreeSet<TurnId>,
    busy_for_nothing_since: Option<Timestamp>,
}

/// The page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    chats: BTreeMap<ChatSessionId, Chat>,
    machine_is_stale: bool,
    machine: Option<MachineView>,
    /// A backend that can't write does not note that a lease has ended, and so does not tell the page.
    pub(crate) disk_full_until: Timestamp,
}

impl Page {
    pub(crate) fn add_chat(&mut self, chat: ChatSessionId) {
        self.chats.entry(chat).or_default().is_stale = true;
        self.machine_is_stale = true;
    }

    pub(crate) fn chat_changed(&mut self, chat: &ChatSessionId) {
        if let Some(chat) = self.chats.get_mut(chat) {
            chat.is_stale = true;
        }
    }

    pub(crate) fn machine_changed(&mut self) {
        self.machine_is_stale = true;
    }

    /// The connection was lost: everything is looked at again.
    pub(crate) fn all_changed(&mut self) {
        self.machine_is_stale = true;
        for chat in self.chats.values_mut() {
            chat.is_stale = true;
        }
    }

    pub(crate) fn chat_state(&self, chat: &ChatSessionId) -> Option<ChatState> {
        Some(self.chats.get(chat)?.view.as_ref()?.chat.state)
    }

    fn views(&self) -> impl Iterator<Item = &ChatView> {
        self.chats.values().filter_map(|chat| chat.view.as_ref())
    }

    pub(crate) fn turns(&self) -> impl Iterator<Item = &TurnSummary> {
        self.views().flat_map(|view| &view.turns)
    }

    pub(crate) fn asks(&self) -> Vec<AskId> {
        let asks = self.views().flat_map(|view| &view.asks);
        asks.map(|ask| ask.id.clone()).collect()
    }

    pub(crate) fn chat_of(&self, turn: &str) -> Option<ChatSessionId> {
        let has = |view: &&ChatView| view.turns.iter().any(|known| known.id.as_str() == turn);
        self.views().find(has).map(|view| view.chat.id.clone())
    }

    pub(crate) fn view(&self, chat: &ChatSessionId) -> Option<&ChatView> {
        self.chats.get(chat)?.view.as_ref()
    }

    pub(crate) fn machine(&self) -> Option<&MachineView> {
        self.machine.as_ref()
    }

    /// The hash of what is shown of a turn, if its reader has come to its end.
    pub(crate) fn shown(&self, chat: &ChatSessionId, turn: &TurnId) -> Option<&str> {
        self.chats.get(chat)?.readings.get(turn)?.settled.as_deref()
    }

    /// What readers have read, for whoever checks that it is still there.
    pub(crate) fn read(&self) -> impl Iterator<Item = (&TurnId, &[Chunk])> {
        let readings = self.chats.values().flat_map(|chat| &chat.readings);
        readings.map(|(turn, reading)| (turn, reading.read.as_slice()))
    }
}

impl World {
    /// Twice a second: the page shows how the machine is.
    pub(crate) fn look(&mut self) {
        self.after(500, Event::Look);
        if self.page.machine_is_stale {
            let args = json!({ "machineId": self.machine.id() });
            match self.look_up::<MachineView>("machine.view", args) {
                None => {}
                Some(Ok(view)) => {
                    self.page.machine_is_stale = false;
                    self.page.machine = Some(view);
                }
                Some(Err(error)) => self.fail(format!("machine.view was refused: {error}")),
            }
        }
        self.find_scheduled_chats();
        self.check_presence();
        self.note_rest();
    }

    /// Never online on hope.
    fn check_presence(&mut self) {
        let Some(view) = &self.page.machine else {
            return;
        };
        let silent_ms = self.now.ms_since(self.host.seen_at);
        let is_shown_alive = matches!(
            view.machine.presence,
            Presence::Online { .. } | Presence::Draining { .. }
        );
        let is_told = self.host.is_up()
            && !self.page.machine_is_stale
            && self.page.disk_full_until <= self.now;
        // Set back by less than a lease while the backend was down: that can't be told from a fresh lease.
        let set_back_ms = if self.host.clock_was_set { LEASE_MS } else { 0 };
        if is_shown_alive && is_told && silent_ms > LEASE_MS + set_back_ms + SHOWN_LATE_MS {
            self.fail(format!(
                "the page shows {:?}, and nothing was heard for {silent_ms} ms",
                view.machine.presence
            ));
        }
    }

    /// The reader of a chat session looks at it and reads on.
    pub(crate) fn read(&mut self, chat: ChatSessionId) {
        let wait = match self.happens(Fault::SlowReader) {
            Some(mut how) => how.between(2_000, 60_000),
            None => self.random.between(100, 1_500),
        };
        self.after(wait, Event::Read(chat.clone()));
        let is_cut = self.network.person.in_cut_until > self.now;
        if is_cut || !self.host.can_be_read() {
            return;
        }
        if self.happens(Fault::Reload).is_some()
            && let Some(shown) = self.page.chats.get_mut(&chat)
        {
            shown.is_stale = true;
            for reading in shown.readings.values_mut().filter(|r| r.settled.is_none()) {
                reading.transcript = Transcript::default();
                reading.offset = 0;
            }
        }
        self.look_at_chat(&chat);
        self.read_on(&chat);
        self.check_busy(&chat);
    }

    fn look_at_chat(&mut self, chat: &ChatSessionId) {
        if !self
            .page
            .chats
            .get(chat)
            .is_some_and(|shown| shown.is_stale)
        {
            return;
        }
        let args = json!({ "chatSessionId": chat });
        let view = match self.look_up::<ChatView>("worker.chat.view", args) {
            None => return,
            Some(Ok(view)) => view,
            Some(Err(error)) => {
                return self.fail(format!("worker.chat.view was refused: {error}"));
            }
        };
        let Some(shown) = self.page.chats.get_mut(chat) else {
            return;
        };
        shown.is_stale = false;
        for turn in &view.turns {
            let known = shown.readings.get(&turn.id);
            if turn.delivered_at.is_some() && known.is_none_or(|known| known.settled != turn.hash) {
                shown.open.insert(turn.id.clone());
            }
        }
        shown.view = Some(view);
    }

    /// Reads some of each stream that it is not through with.
    fn read_on(&mut self, chat: &ChatSessionId) {
        let Some(shown) = self.page.chats.get_mut(chat) else {
            return;
        };
        let open: Vec<TurnId> = shown.open.iter().cloned().collect();
        for turn in open {
            let page = usize::try_from(self.random.between(1, 40)).expect("small");
            let Some(shown) = self.page.chats.get_mut(chat) else {
                return;
            };
            let reading = shown.readings.entry(turn.clone()).or_default();
            let stream = self.host.store.stream(&turn);
            let stored = stream.map_or(&[][..], |stream| &stream.chunks);
            if stream.is_some() && stored.len() < reading.offset {
                return self.fail(format!("{turn}: chunks that were read are gone"));
            }
            let mut gap = None;
            for (_, chunk) in stored.iter().skip(reading.offset).take(page) {
                if reading.offset == reading.read.len() {
                    reading.read.push(chunk.clone());
                }
                reading.offset += 1;
                if let Applied::Gap { expected } = reading.transcript.apply(chunk) {
                    gap = Some((chunk.seq, expected));
                }
            }
            if let Some((seq, expected)) = gap {
                return self.fail(format!("{turn}: chunk {seq} came where {expected} should"));
            }
            let is_through = stream.is_none() || reading.offset >= stored.len();
            if is_through {
                self.settle_reading(chat, &turn);
            }
        }
    }

    /// The reader has all that there is. Once the turn has ended, it compares that with the complete message's
    /// hash, and takes the complete message where that differs.
    fn settle_reading(&mut self, chat: &ChatSessionId, turn: &TurnId) {
        let view = self.page.view(chat);
        let ended = view
            .and_then(|view| view.turns.iter().find(|known| known.id == *turn))
            .filter(|known| known.state.is_terminal())
            .cloned();
        let Some(ended) = ended else { return };
        let reading = self
            .page
            .chats
            .get_mut(chat)
            .and_then(|shown| shown.readings.get_mut(turn));
        let Some(reading) = reading else { return };
        let mut hash = reading.transcript.hash();
        if ended.hash.is_some()
            && ended.hash.as_ref() != Some(&hash)
            && self.broken != Some(Broken::ReaderRepair)
        {
            let args = json!({ "chatSessionId": chat, "turnIds": [turn] });
            match self.look_up::<TranscriptPage>("worker.chat.transcript", args) {
                Some(Ok(page)) => {
                    let answer = page.turns.into_iter().find_map(|record| record.answer);
                    hash = answer.map_or_else(String::new, |answer| text_hash(&answer.parts));
                }
                Some(Err(error)) => return self.fail(format!("no transcript: {error}")),
                None => return,
            }
        }
        if let Some(shown) = self.page.chats.get_mut(chat) {
            if let Some(reading) = shown.readings.get_mut(turn) {
                reading.settled = Some(hash);
            }
            shown.open.remove(turn);
        }
    }

    /// A chat session never stays busy with a machine that is there and nothing that runs.
    fn check_busy(&mut self, chat: &ChatSessionId) {
        let runs = self.opencode.is_at_work(chat);
        let is_there = self.machine.is_connected();
        let now = self.now;
        let is_calm = self.is_calm;
        let Some(shown) = self.page.chats.get_mut(chat) else {
            return;
        };
        let is_busy = shown
            .view
            .as_ref()
            .is_some_and(|view| view.chat.state == ChatState::Busy);
        if !is_busy || runs || !is_there || !is_calm {
            shown.busy_for_nothing_since = None;
            return;
        }
        let since = *shown.busy_for_nothing_since.get_or_insert(now);
        if now.ms_since(since) > BUSY_FOR_NOTHING_MS {
            self.fail(format!("{chat} is busy, and nothing runs"));
        }
    }
}
