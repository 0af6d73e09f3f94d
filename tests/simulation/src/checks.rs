//! The promises that are not checked where something happens: what a crash may not take, and how a world ends.

use std::collections::BTreeMap;

use protocol::Timestamp;
use protocol::ids::{ChatSessionId, TurnId};
use protocol::secret::Secret;
use protocol::state::TurnState;
use protocol::transcript::text_hash;
use protocol::wire::{ChatView, MachineView, TranscriptPage, TurnRecord};
use serde_json::json;

use crate::schedules::SCHEDULED;
use crate::world::World;

impl World {
    /// What was begun and has not ended, if anything.
    pub(crate) fn unfinished(&self) -> Option<String> {
        let store = &self.host.store;
        let counts = [
            (
                "requests of the person without an answer",
                usize::from(!self.person.is_done()),
            ),
            ("turns", store.count("turn.waiting")),
            ("asks", store.count("ask.open")),
            ("runs", store.count("run.open")),
        ];
        let left: Vec<_> = counts.iter().filter(|(_, count)| *count > 0).collect();
        let commands = store.count("command.open");
        if left.is_empty() && commands == 0 {
            return None;
        }
        Some(format!("{left:?}, {commands} commands"))
    }

    /// At most one epoch writes: nobody who was told of a connection is followed by a write of an earlier one.
    pub(crate) fn check_writer(&mut self, token: &Secret, function: &str) {
        let epoch = token.expose().split('_').nth(3);
        let epoch: u64 = epoch.and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
        let known = self.host.connection.as_ref().map_or(0, |known| known.epoch);
        if epoch < known {
            self.fail(format!(
                "{function} of epoch {epoch} was done, though {known} had begun"
            ));
        }
    }

    /// Of one connection, chunks are stored in order and once.
    pub(crate) fn check_appended(&mut self, turn: &TurnId) {
        let Some(stream) = self.host.store.stream(turn) else {
            return;
        };
        let latest = stream.chunks.iter().rev().take(64).collect::<Vec<_>>();
        for pair in latest.windows(2) {
            let [(later_epoch, later), (epoch, chunk)] = pair else {
                continue;
            };
            let in_order =
                epoch < later_epoch || (epoch == later_epoch && chunk.seq + 1 == later.seq);
            if !in_order {
                let (seq, later_seq, later_epoch) = (chunk.seq, later.seq, *later_epoch);
                let what = format!(
                    "{turn}: chunk {later_seq} of epoch {later_epoch} is stored after chunk {seq} of {epoch}"
                );
                return self.fail(what);
            }
        }
    }

    /// After a crash of the backend: all that anybody was told of is there.
    pub(crate) fn check_nothing_acked_is_lost(&mut self) {
        let mut lost = None;
        for (turn, acked) in &self.host.acked {
            // A stream is deleted an hour after its turn's end.
            if let Some(stream) = self.host.store.stream(turn)
                && stream.chunks.len() < *acked
            {
                lost = Some(format!(
                    "{turn}: {acked} chunks were acked, {} are there",
                    stream.chunks.len()
                ));
            }
        }
        for (turn, read) in self.page.read() {
            if let Some(stream) = self.host.store.stream(turn) {
                let stored = stream.chunks.iter().map(|(_, chunk)| chunk);
                if !read.iter().eq(stored.take(read.len())) {
                    lost = Some(format!("{turn}: what was read of it has changed"));
                }
            }
        }
        if let Some(lost) = lost {
            self.fail(lost);
        }
    }

    /// Everything has come to rest, and every promise was held.
    pub(crate) fn check_end(&mut self) {
        self.host.store.sync();
        let checked = self
            .check_commands()
            .and_then(|()| self.check_page())
            .and_then(|()| self.check_chats())
            .and_then(|()| self.check_schedules());
        if let Err(broken) = checked {
            self.fail(broken);
        }
    }

    fn check_page(&mut self) -> Result<(), String> {
        let machine = self.machine.id().clone();
        let view: MachineView = self.must("machine.view", json!({ "machineId": machine }))?;
        if self.page.machine() != Some(&view) {
            return Err(format!(
                "the page shows {:?}, and it is {view:?}",
                self.page.machine()
            ));
        }
        if view.chats.len() != self.person.chats.len() {
            return Err(format!(
                "{} chat sessions were started, {} are there",
                self.person.chats.len(),
                view.chats.len()
            ));
        }
        let processes = self.machine.process_count();
        if processes > self.processes_at_rest() {
            return Err(format!(
                "{processes} processes still run, long after the last turn"
            ));
        }
        Ok(())
    }

    fn check_chats(&mut self) -> Result<(), String> {
        let mut runs = BTreeMap::new();
        for ((_, turn), known) in &self.opencode.turns {
            *runs.entry(turn.clone()).or_insert(0) += known.runs;
        }
        if let Some((turn, runs)) = runs.iter().find(|(_, runs)| **runs != 1) {
            return Err(format!("{turn}: a model was asked {runs} times"));
        }
        for chat in self.person.chats.clone() {
            let view: ChatView = self.must("worker.chat.view", json!({ "chatSessionId": chat }))?;
            if view.chat.queued_count != 0
                || view.chat.pending_ask_count != 0
                || !view.asks.is_empty()
            {
                return Err(format!("{chat} has not come to rest: {:?}", view.chat));
            }
            if self.page.view(&chat) != Some(&view) {
                return Err(format!(
                    "the page shows {:?}, and it is {view:?}",
                    self.page.view(&chat)
                ));
            }
            let records = self.transcript(&chat)?;
            self.check_messages(&chat, &records)?;
            let mut delivered_at = Timestamp::default();
            let clock_jumps = self.host.clock_ahead_ms != 0;
            for record in &records {
                let at = record.turn.delivered_at.unwrap_or(delivered_at);
                if at < delivered_at && !clock_jumps {
                    return Err(format!(
                        "{} was delivered before an earlier message",
                        record.turn.id
                    ));
                }
                delivered_at = at;
                self.check_turn(&chat, record)?;
            }
        }
        Ok(())
    }

    fn transcript(&mut self, chat: &ChatSessionId) -> Result<Vec<TurnRecord>, String> {
        let mut records = Vec::new();
        let mut before = None;
        loop {
            let args = json!({ "chatSessionId": chat, "beforeOrdinal": before });
            let mut page: TranscriptPage = self.must("worker.chat.transcript", args)?;
            before = page.turns.first().map(|record| record.turn.ordinal);
            page.turns.append(&mut records);
            records = page.turns;
            if !page.has_earlier {
                break;
            }
        }
        let in_order = records
            .iter()
            .zip(1..)
            .all(|(record, place)| record.turn.ordinal == place);
        if !in_order {
            return Err(format!("{chat}: the turns are not numbered from one on"));
        }
        Ok(records)
    }

    /// Each message once, in the order of sending, and nothing that nobody sent.
    fn check_messages(&self, chat: &ChatSessionId, records: &[TurnRecord]) -> Result<(), String> {
        let mut continued = 0;
        let mut latest: Vec<(u64, u64, &str)> = Vec::new();
        let mut there = 0;
        for record in records {
            if record.message.starts_with(SCHEDULED) {
                continue;
            }
            let Some(sent) = self.person.sent.get(&record.message) else {
                continued += 1;
                continue;
            };
            if sent.chat != *chat || sent.turn != record.turn.id {
                return Err(format!(
                    "{} was sent once, and is there twice",
                    record.message
                ));
            }
            there += 1;
            // Whoever sends after an answer has come, is after what was answered.
            if let Some(later) = latest
                .iter()
                .find(|(made_after, ..)| *made_after >= sent.acked_as)
            {
                return Err(format!("{} was sent before {}", record.message, later.2));
            }
            latest.push((sent.made_after, sent.acked_as, &record.message));
        }
        let sent = self
            .person
            .sent
            .values()
            .filter(|sent| sent.chat == *chat)
            .count();
        if there != sent {
            return Err(format!(
                "{chat}: {sent} messages were taken, {there} are there"
            ));
        }
        let known = self.person.continued.get(chat).copied().unwrap_or_default();
        if continued != known {
            return Err(format!(
                "{chat}: continued {known} times, and {continued} messages say so"
            ));
        }
        Ok(())
    }

    fn check_turn(&mut self, chat: &ChatSessionId, record: &TurnRecord) -> Result<(), String> {
        let turn = &record.turn;
        if !turn.state.is_terminal() {
            return Err(format!("{} is still {}", turn.id, turn.state.as_str()));
        }
        *self.report.turns.entry(turn.state.as_str()).or_default() += 1;
        let answer_hash = record
            .answer
            .as_ref()
            .map(|answer| text_hash(&answer.parts));
        if answer_hash != turn.hash {
            return Err(format!(
                "{}: the answer has not the hash that it is said to have",
                turn.id
            ));
        }
        if turn.state == TurnState::Completed {
            let produced = self
                .opencode
                .end(chat, &turn.id)
                .map(|end| text_hash(&end.answer.parts));
            if produced.is_none() || produced != answer_hash {
                return Err(format!(
                    "{} has not the answer that the model gave",
                    turn.id
                ));
            }
        }
        // The page looks at the latest turns, and at none that had never begun.
        let is_shown = self
            .page
            .view(chat)
            .is_some_and(|view| view.turns.iter().any(|known| known.id == turn.id));
        if let (true, true, Some(hash)) = (is_shown, turn.delivered_at.is_some(), &turn.hash) {
            let shown = self.page.shown(chat, &turn.id);
            if shown != Some(hash) {
                return Err(format!(
                    "{}: the page does not show the answer ({:?})",
                    turn.id, turn.state
                ));
            }
        }
        Ok(())
    }
}
