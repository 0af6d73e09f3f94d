//! The governor: how many processes this machine runs at once, and which chat session is the next to get one.
//!
//! Whoever needs a process waits in one queue, in the order in which the need came up; several that come up at
//! once (after a restart) are ordered by their messages' age, and those without a message come last. Nobody
//! overtakes. Room is made by stopping the process that has been idle longest. A process with a turn under way is
//! never stopped for others; one that has done a turn and has more of them leaves its place to whoever has waited
//! long enough, and queues up again.

use std::collections::{BTreeMap, VecDeque};

use super::chat::Chat;
use super::lanes::Lanes;
use super::{Generation, Output};
use crate::ids::ChatSessionId;
use crate::time::Timestamp;

/// How long somebody waits before a chat session with more messages leaves its place after the current one. A new
/// process takes a second or two, so changing places at every message would cost more than it gives.
const PATIENCE_MS: u64 = 30_000;
/// How often the processes' memory is measured while some run.
const MEASURE_EVERY_MS: u64 = 5_000;
/// What a process that was started since the latest measurement counts as.
const NEW_PROCESS_BYTES: u64 = 300 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Governor {
    process_limit: usize,
    memory_limit_bytes: Option<u64>,
    /// Those that wait for a process, the next one first.
    waiting: VecDeque<ChatSessionId>,
    /// What was measured last, while processes run.
    memory_bytes: Option<u64>,
    started_since: u64,
    measure_at: Option<Timestamp>,
    /// The latest measurement was too much, and nothing was stopped for it yet.
    owes_relief: bool,
    /// How many spares may be kept, as was last said.
    spares_told: Option<usize>,
}

/// The processes, as far as they matter here.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    all: usize,
    starting: usize,
    stopping: usize,
}

impl Governor {
    /// At least one process may always run.
    pub(super) fn new(process_limit: usize, memory_limit_bytes: Option<u64>) -> Self {
        Self {
            process_limit: process_limit.max(1),
            memory_limit_bytes,
            waiting: VecDeque::new(),
            memory_bytes: None,
            started_since: 0,
            measure_at: None,
            owes_relief: false,
            spares_told: None,
        }
    }

    pub(super) fn process_limit(&self) -> usize {
        self.process_limit
    }

    pub(super) fn memory_bytes(&self) -> Option<u64> {
        self.memory_bytes
    }

    pub(super) fn memory_limit_bytes(&self) -> Option<u64> {
        self.memory_limit_bytes
    }

    pub(super) fn waiting(&self) -> &VecDeque<ChatSessionId> {
        &self.waiting
    }

    /// When the memory is to be measured next, if anything runs.
    pub(super) fn measure_at(&self) -> Option<Timestamp> {
        self.measure_at
    }

    pub(super) fn on_memory(&mut self, bytes: Option<u64>, chats: &BTreeMap<ChatSessionId, Chat>) {
        self.memory_bytes = bytes;
        let starting = count(chats).starting;
        self.started_since = u64::try_from(starting).unwrap_or(u64::MAX);
        self.owes_relief = self.is_over();
    }

    /// What a process that has ended has given back is known once it is measured.
    pub(super) fn on_ended(&mut self, now: Timestamp) {
        if self.measure_at.is_some() && !self.fits_another() {
            self.measure_at = Some(now);
        }
    }

    /// How many chat sessions that would take their next message leave their place to others instead.
    pub(super) fn places_owed(
        &self,
        now: Timestamp,
        chats: &BTreeMap<ChatSessionId, Chat>,
    ) -> usize {
        let overdue = self
            .waiting
            .iter()
            .filter_map(|id| chats.get(id)?.waits_since)
            .take_while(|since| since.plus_ms(PATIENCE_MS) <= now)
            .count();
        if overdue == 0 {
            return 0;
        }
        let count = count(chats);
        let free = if self.fits_another() {
            self.process_limit.saturating_sub(count.all)
        } else {
            0
        };
        overdue.saturating_sub(count.stopping + free)
    }

    /// Starts processes for those whose turn it is, and makes room for the others.
    pub(super) fn share_out(
        &mut self,
        now: Timestamp,
        takes_new: bool,
        chats: &mut BTreeMap<ChatSessionId, Chat>,
        last_generation: &mut Generation,
        lanes: &Lanes,
    ) {
        self.queue_up(now, takes_new, chats, lanes);
        let mut processes = count(chats);
        if processes.all == 0 {
            self.memory_bytes = None;
            self.started_since = 0;
            self.owes_relief = false;
        }
        while self.has_room(processes.all)
            && let Some(next) = self.waiting.pop_front()
        {
            if let Some(chat) = chats.get_mut(&next) {
                chat.waits_since = None;
                chat.start(last_generation);
                processes.all += 1;
                self.started_since += 1;
            }
        }
        let mut ends = self.ends_wanted(processes);
        while ends > 0
            && let Some(chat) = longest_idle(chats)
        {
            chat.hibernate();
            ends -= 1;
        }
    }

    /// What the governor wants of the world around the core.
    pub(super) fn send(
        &mut self,
        now: Timestamp,
        chats: &BTreeMap<ChatSessionId, Chat>,
        outputs: &mut VecDeque<Output>,
    ) {
        let processes = count(chats);
        if processes.all == 0 {
            self.measure_at = None;
        } else if self.measure_at.is_none_or(|at| at <= now) {
            if self.measure_at.is_some() {
                outputs.push_back(Output::MeasureMemory);
            }
            self.measure_at = Some(now.plus_ms(MEASURE_EVERY_MS));
        }
        // A start may still want the spare that would be given up for it.
        if processes.starting > 0 {
            return;
        }
        let room = if self.fits_another() {
            self.process_limit.saturating_sub(processes.all)
        } else {
            0
        };
        if self.spares_told != Some(room) {
            self.spares_told = Some(room);
            outputs.push_back(Output::KeepSpares(room));
        }
    }

    fn queue_up(
        &mut self,
        now: Timestamp,
        takes_new: bool,
        chats: &mut BTreeMap<ChatSessionId, Chat>,
        lanes: &Lanes,
    ) {
        let mut new = Vec::new();
        let mut has_left = false;
        for (id, chat) in chats.iter_mut() {
            let needs = takes_new && chat.needs_process(lanes);
            match chat.waits_since {
                None if needs => {
                    chat.waits_since = Some(now);
                    let turn = chat.next_turn_id().cloned();
                    new.push((turn.is_none(), turn, id.clone()));
                }
                Some(_) if !needs => {
                    chat.waits_since = None;
                    has_left = true;
                }
                None | Some(_) => {}
            }
        }
        if has_left || !self.waiting.is_empty() {
            self.waiting
                .retain(|id| chats.get(id).is_some_and(|chat| chat.waits_since.is_some()));
        }
        // Ids order by age.
        new.sort();
        self.waiting.extend(new.into_iter().map(|(_, _, id)| id));
    }

    fn has_room(&self, processes: usize) -> bool {
        processes == 0 || (processes < self.process_limit && self.fits_another())
    }

    fn is_over(&self) -> bool {
        match (self.memory_bytes, self.memory_limit_bytes) {
            (Some(bytes), Some(limit)) => bytes > limit,
            (None | Some(_), _) => false,
        }
    }

    /// Whether the memory allows one more process.
    fn fits_another(&self) -> bool {
        let expected = self
            .memory_bytes
            .unwrap_or(0)
            .saturating_add(self.started_since.saturating_mul(NEW_PROCESS_BYTES));
        self.memory_limit_bytes
            .is_none_or(|limit| expected <= limit)
    }

    /// How many idle processes have to end: for those that wait, for the limit, for the memory.
    fn ends_wanted(&mut self, processes: Count) -> usize {
        let waiting = self.waiting.len();
        let for_limit = (processes.all + waiting).saturating_sub(self.process_limit);
        let for_memory = if !self.fits_another() && waiting > 0 {
            waiting
        } else {
            // One after the other: what each gives back is measured before the next one goes.
            usize::from(std::mem::take(&mut self.owes_relief))
        };
        for_limit.max(for_memory).saturating_sub(processes.stopping)
    }
}

fn count(chats: &BTreeMap<ChatSessionId, Chat>) -> Count {
    let mut count = Count::default();
    for chat in chats.values() {
        count.all += usize::from(chat.has_process());
        count.starting += usize::from(chat.is_starting());
        count.stopping += usize::from(chat.is_stopping());
    }
    count
}

fn longest_idle(chats: &mut BTreeMap<ChatSessionId, Chat>) -> Option<&mut Chat> {
    chats
        .values_mut()
        .filter_map(|chat| Some((chat.rests_since()?, chat)))
        .min_by_key(|(since, _)| *since)
        .map(|(_, chat)| chat)
}
