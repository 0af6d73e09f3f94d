//! What goes wrong now and then: cut and half-open connections, suspended machines, clocks that jump, full disks,
//! agents that are told to leave or that get a twin.

use protocol::Timestamp;
use protocol::agent::{Failure, Input};
use protocol::limits::SSE_DEAD_MS;

use crate::faults::Fault;
use crate::machine::ProcessId;
use crate::random::Random;
use crate::world::{Event, World};

impl World {
    pub(crate) fn weather(&mut self) {
        self.after(1_000, Event::Weather);
        let latest = self.machine.last_process;
        if self.happens(Fault::WatchCut).is_some() {
            self.cut_watch(latest);
        }
        if let Some(mut how) = self.happens(Fault::Partition) {
            let until = self.window(&mut how);
            self.network.machine.out_cut_until = until;
            self.network.machine.in_cut_until = until;
        }
        if let Some(mut how) = self.happens(Fault::PartitionOut) {
            self.network.machine.out_cut_until = self.window(&mut how);
        }
        if let Some(mut how) = self.happens(Fault::PartitionIn) {
            self.network.machine.in_cut_until = self.window(&mut how);
        }
        if let Some(mut how) = self.happens(Fault::PersonCut) {
            let until = self.window(&mut how);
            self.network.person.out_cut_until = until;
            self.network.person.in_cut_until = until;
        }
        if let Some(mut how) = self.happens(Fault::HalfOpen) {
            let until = self.window(&mut how);
            if let Some(process) = self.machine.processes.get_mut(&latest) {
                process.half_open_until = until;
                if let Some(watch) = &mut process.watch {
                    watch.is_silent = true;
                }
            }
        }
        if let Some(how) = self.happens(Fault::Suspend) {
            self.suspend(how);
        }
        if let Some(mut how) = self.happens(Fault::AgentClock) {
            self.machine.clock_ahead_ms = jump(&mut how);
            self.machine.clock_has_jumped = true;
            for id in self.machine.processes.keys().copied().collect::<Vec<_>>() {
                // The agent's loop looks at the clock at least every second.
                self.after(1_000, Event::Input(id, Input::Time));
            }
        }
        if let Some(mut how) = self.happens(Fault::BackendClock) {
            self.host.clock_ahead_ms = jump(&mut how);
            self.host.clock_was_set = true;
        }
        if let Some(mut how) = self.happens(Fault::DiskFull) {
            self.host.store.is_full = true;
            let wait = how.between(100, 20_000);
            self.page.disk_full_until = self.now.plus_ms(wait + 2_000);
            self.after(wait, Event::DiskFreed);
        }
        if self.happens(Fault::Twin).is_some() {
            self.start_agent();
        }
        if self.happens(Fault::Drain).is_some() {
            self.order(latest, Input::Drain);
        }
        if self.happens(Fault::Stop).is_some() {
            self.order(latest, Input::Stop);
        }
        self.look_at_watches();
    }

    /// Something of this kind lasts for up to two minutes, most often for less than half of one.
    fn window(&mut self, how: &mut Random) -> Timestamp {
        let most = if how.per_mille(200) { 120_000 } else { 20_000 };
        let until = self.now.plus_ms(how.between(200, most));
        self.lasts_until(until);
        until
    }

    fn order(&mut self, id: ProcessId, order: Input) {
        if self.machine.is_suspended {
            return;
        }
        if let Some(process) = self.machine.processes.get_mut(&id) {
            process.was_told_to_leave = true;
            self.tell_agent(id, order);
        }
    }

    fn cut_watch(&mut self, id: ProcessId) {
        let watch = self
            .machine
            .processes
            .get(&id)
            .and_then(|process| process.watch.as_ref());
        let Some(watch) = watch.filter(|watch| watch.is_open).map(|watch| watch.id) else {
            return;
        };
        self.watch_gone(id, watch);
        self.soon(
            id,
            Input::InboxEnded(watch, lost("the connection was reset")),
        );
    }

    /// The backend is gone. Most watches end at once; of some nothing more is heard.
    pub(crate) fn all_watches_end(&mut self) {
        let mut ended = Vec::new();
        for (id, process) in &mut self.machine.processes {
            if let Some(watch) = process.watch.as_mut().filter(|watch| watch.is_open) {
                watch.is_open = false;
                ended.push((*id, watch.id));
            }
        }
        for (id, watch) in ended {
            if self.random.per_mille(700) && self.path_to(id) {
                self.soon(
                    id,
                    Input::InboxEnded(watch, lost("the connection was reset")),
                );
            }
        }
    }

    /// Every second: what could not be sent is sent once the way is free, and a watch of which nothing is heard
    /// for too long counts as dead. A live one is pinged more often than that.
    fn look_at_watches(&mut self) {
        for id in self.machine.processes.keys().copied().collect::<Vec<_>>() {
            let has_path = self.path_to(id);
            let process = self.machine.processes.get_mut(&id);
            let Some(watch) = process.and_then(|process| process.watch.as_mut()) else {
                continue;
            };
            if watch.is_open && has_path && !watch.is_silent {
                watch.heard_at = self.now;
                if watch.is_stale {
                    let push = Event::Push(id, watch.id);
                    self.after(1, push);
                }
            } else if self.now.ms_since(watch.heard_at) > SSE_DEAD_MS {
                watch.heard_at = self.now;
                let input = Input::InboxEnded(watch.id, lost("nothing was heard for too long"));
                self.after(1, Event::Input(id, input));
            }
        }
    }

    fn suspend(&mut self, mut how: Random) {
        if self.machine.is_suspended {
            return;
        }
        let longest = if how.per_mille(500) {
            3_600_000
        } else {
            60_000
        };
        let wait = how.between(1_000, longest);
        self.machine.is_suspended = true;
        self.lasts_until(self.now.plus_ms(wait + 30_000));
        self.after(wait, Event::Resume);
        let open = self.machine.processes.iter().filter_map(|(id, process)| {
            let watch = process.watch.as_ref().filter(|watch| watch.is_open)?;
            Some((*id, watch.id))
        });
        for (id, watch) in open.collect::<Vec<_>>() {
            let seen_after = how.between(20_000, 60_000);
            if seen_after < wait {
                // Nobody takes what the backend sends: it gives the connection up.
                self.after(seen_after, Event::WatchGone(id, watch));
            }
        }
    }

    pub(crate) fn resume(&mut self) {
        self.machine.is_suspended = false;
        for (_, event) in std::mem::take(&mut self.machine.kept) {
            self.after(1, event);
        }
        for id in self.machine.processes.keys().copied().collect::<Vec<_>>() {
            self.order_wake(id);
        }
    }
}

/// To up to two hours before or after the true time; small ones as often as large ones.
fn jump(how: &mut Random) -> i64 {
    let most = *how.pick(&[2_000, 60_000, 7_200_000]).expect("three");
    let by = i64::try_from(how.below(most)).expect("small");
    if how.per_mille(500) { by } else { -by }
}

fn lost(why: &str) -> Failure {
    Failure::Lost(why.to_owned())
}
