//! The backend's end of the machine's watch.

use protocol::agent::{Failure, Input, WatchId};
use protocol::backend::{Actor, Caller};
use protocol::secret::Secret;
use protocol::wire::Inbox;
use serde_json::json;

use crate::machine::ProcessId;
use crate::network::{Delivery, RequestId};
use crate::world::{Event, World};

impl World {
    pub(crate) fn open_watch(
        &mut self,
        id: RequestId,
        process: ProcessId,
        watch: WatchId,
        token: &Secret,
    ) {
        // A request that came late or twice: nobody listens.
        if !self.is_pending(id) {
            return;
        }
        let token = self.token(token);
        let caller = Caller::Machine(token.clone());
        match self.backend().recognise(&caller) {
            Ok(Actor::Machine {
                id: machine, epoch, ..
            }) => {
                self.forget_request(id);
                self.machine
                    .open_watch(process, watch, token, epoch, self.now);
                let seen = self.transact(|backend| backend.connection_seen(&machine, epoch, true));
                if seen.is_ok() {
                    self.host.seen_at = self.now;
                }
                let delay = self.random.between(1, 40);
                self.after(delay, Event::Push(process, watch));
            }
            Ok(_) => {}
            Err(error) => {
                let input = Input::InboxEnded(watch, Failure::Refused(error));
                self.respond(id, Delivery::Agent(process, input));
            }
        }
    }

    /// A watch's connection is gone, and the backend has seen it.
    pub(crate) fn watch_gone(&mut self, process: ProcessId, watch: WatchId) {
        let Some((epoch, alive)) = self.machine.close_watch(process, watch) else {
            return;
        };
        if self.host.is_up {
            let machine = self.machine.id().clone();
            let seen = self.transact(|backend| backend.connection_seen(&machine, epoch, alive));
            // A full disk: the lease will tell.
            drop(seen);
        }
    }

    pub(crate) fn push_inbox(&mut self, process: ProcessId, watch: WatchId) {
        if !self.host.can_be_read() {
            if self.host.is_up {
                self.after(5, Event::Push(process, watch));
            }
            return;
        }
        let Some(token) = self.machine.take_push(process, watch) else {
            return;
        };
        if !self.path_to(process) {
            return self.machine.keep_push(process, watch);
        }
        let result = self
            .backend()
            .query("machine.inbox", &json!({}), &Caller::Machine(token));
        let input = match result {
            Ok(value) => match self.machine.shows_news(process, &value) {
                true => Input::Inbox(
                    watch,
                    serde_json::from_value::<Inbox>(value).expect("inbox"),
                ),
                false => return,
            },
            Err(error) => {
                self.watch_gone(process, watch);
                Input::InboxEnded(watch, Failure::Refused(error))
            }
        };
        // One connection keeps the order of its values.
        let at = self
            .machine
            .in_order(process, self.now.plus_ms(self.random.between(1, 60)));
        self.at(at, Event::Input(process, input));
    }

    pub(crate) fn inbox_changed(&mut self) {
        for (process, watch) in self.machine.stale_watches() {
            let delay = self.random.between(1, 20);
            self.after(delay, Event::Push(process, watch));
        }
    }

    /// Whether what the backend sends reaches this process now.
    pub(crate) fn path_to(&self, process: ProcessId) -> bool {
        self.network.machine.in_cut_until <= self.now
            && !self.machine.is_half_open(process, self.now)
    }
}
