//! The backend's transactions: the core's rules and the stream's append together or not at all; and what goes out
//! once they are on disk.

use protocol::agent::Input;
use protocol::backend::{Backend, Effect, Entropy, Outcome, Topic};
use protocol::{CallError, Timestamp};

use crate::backend::{Connection, ahead};
use crate::broken::Broken;
use crate::network::{Delivery, RequestId};
use crate::store::Store;
use crate::world::{Event, World};

impl World {
    pub(crate) fn backend(&mut self) -> Backend<'_, Store> {
        let now = self.backend_now();
        let entropy = Entropy {
            id: self.random.bytes(),
            secret: self.random.bytes(),
        };
        if self.broken == Some(Broken::LeaseExpiry) {
            self.host.store.lease_until_ms = Some(now.as_ms() + 1);
        }
        Backend::new(&mut self.host.store, now, entropy)
    }

    pub(crate) fn backend_now(&mut self) -> Timestamp {
        let shown = ahead(self.now, self.host.clock_ahead_ms);
        self.host.clock.at(shown)
    }

    pub(crate) fn transact(
        &mut self,
        act: impl FnOnce(Backend<'_, Store>) -> Result<Outcome, CallError>,
    ) -> Result<Outcome, CallError> {
        let outcome = self.attempt(act)?;
        self.conclude(Ok((outcome, ())))
            .map(|(outcome, ())| outcome)
    }

    /// The core's part of a transaction: what it asks for belongs to it, too.
    pub(crate) fn attempt(
        &mut self,
        act: impl FnOnce(Backend<'_, Store>) -> Result<Outcome, CallError>,
    ) -> Result<Outcome, CallError> {
        let result = act(self.backend());
        let result = result.inspect(|outcome| {
            for effect in &outcome.effects {
                match effect {
                    Effect::CreateStream(turn) => self.host.store.create_stream(turn),
                    Effect::DeleteStream(turn) => self.host.store.delete_stream(turn),
                    Effect::Changed(_) | Effect::CutConnections { .. } => {}
                }
            }
        });
        if result.is_err() {
            self.host.store.roll_back();
        }
        result
    }

    pub(crate) fn conclude<T>(
        &mut self,
        result: Result<(Outcome, T), CallError>,
    ) -> Result<(Outcome, T), CallError> {
        let Ok((outcome, _)) = &result else {
            self.host.store.roll_back();
            return result;
        };
        self.host.store.commit();
        self.host.effects.extend(outcome.effects.iter().cloned());
        let next = self.backend().next_deadline();
        self.host.next_deadline = next.expect("memory does not fail");
        if self.host.store.is_dirty() && !self.host.is_syncing {
            self.host.is_syncing = true;
            let wait = if self.broken == Some(Broken::FsyncBeforeAck) {
                self.random.between(100, 3_000)
            } else {
                self.random.between(1, 10)
            };
            self.after(wait, Event::Sync(self.host.incarnation));
        }
        if self.host.can_be_read() {
            self.release();
        }
        result
    }

    /// Sends an answer, once what it tells is on disk.
    pub(crate) fn respond(&mut self, id: RequestId, delivery: Delivery) {
        self.host.held.push((id, delivery));
        if self.host.can_be_read() {
            self.release();
        }
    }

    pub(crate) fn sync(&mut self, incarnation: u64) {
        if incarnation == self.host.incarnation {
            self.host.is_syncing = false;
            self.host.store.sync();
            self.release();
        }
    }

    /// All that was committed is on disk, at once.
    pub(crate) fn sync_now(&mut self) {
        self.host.store.sync();
        self.release();
    }

    /// All that waited for the disk goes out.
    pub(crate) fn release(&mut self) {
        for effect in std::mem::take(&mut self.host.effects) {
            match effect {
                Effect::Changed(Topic::Inbox(_)) | Effect::CutConnections { .. } => {
                    self.inbox_changed();
                }
                Effect::Changed(Topic::Chat(chat)) => self.page.chat_changed(&chat),
                Effect::Changed(Topic::Machine(_)) => self.page.machine_changed(),
                Effect::Changed(
                    Topic::Machines(_)
                    | Topic::Health(_)
                    | Topic::Command(_)
                    | Topic::Activity(_)
                    | Topic::Directory(..)
                    | Topic::Schedules(_)
                    | Topic::Schedule(_),
                )
                | Effect::CreateStream(_)
                | Effect::DeleteStream(_) => {}
            }
        }
        for (id, delivery) in std::mem::take(&mut self.host.held) {
            match &delivery {
                Delivery::Agent(process, Input::Connected(Ok(reply))) => {
                    let newer = Connection {
                        process: *process,
                        token: reply.connection_token.clone(),
                        epoch: reply.epoch,
                    };
                    self.connected(newer);
                }
                Delivery::Agent(_, Input::AppendDone(turn, _, Ok(_))) => {
                    let length = self.host.store.stream(turn).map_or(0, |s| s.chunks.len());
                    let acked = self.host.acked.entry(turn.clone()).or_default();
                    *acked = (*acked).max(length);
                }
                Delivery::Agent(..) | Delivery::Person(..) => {}
            }
            self.answer(id, delivery);
        }
    }

    pub(crate) fn connected(&mut self, newer: Connection) {
        self.host.seen_at = self.now;
        let known = self.host.connection.as_ref().map_or(0, |known| known.epoch);
        if newer.epoch >= known {
            self.host.connection = Some(newer);
        }
    }

    pub(crate) fn tick_backend(&mut self) {
        if !self.host.is_up
            || self
                .host
                .next_deadline
                .is_none_or(|at| at > self.backend_now())
        {
            return;
        }
        match self.transact(|backend| backend.tick()) {
            Ok(outcome) => {
                if outcome
                    .reply
                    .as_array()
                    .is_some_and(|given_up| !given_up.is_empty())
                {
                    self.fail(format!("deadlines were given up: {}", outcome.reply));
                }
            }
            // It is tried again with the next event.
            Err(error) if error.is_retryable() => {}
            Err(error) => self.fail(format!("a tick was refused: {error}")),
        }
    }
}
