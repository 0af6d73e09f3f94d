//! The machine: agent processes (one, or two with one identity) over the real core, and what happens to them.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Timestamp;
use protocol::agent::{AgentConfig, AgentCore, ExitReason, Failure, Input, Output, WatchId};
use protocol::ids::{ChatSessionId, MachineId};
use protocol::limits::SSE_DEAD_MS;
use protocol::secret::Secret;
use protocol::wire::{MachineCredentials, MachineInfo};
use serde_json::{Value, json};

use crate::backend::ahead;
use crate::faults::Fault;
use crate::network::Request;
use crate::random::Random;
use crate::world::{Event, World};

/// Tells the agent processes of the machine apart; later ones are greater.
pub(crate) type ProcessId = u64;

#[derive(Debug)]
struct Watch {
    id: WatchId,
    token: Secret,
    epoch: u64,
    /// The backend has it open. Its client may not know that it is gone, nor the backend.
    is_open: bool,
    is_stale: bool,
    shown: Option<Value>,
    heard_at: Timestamp,
    latest_value_at: Timestamp,
    /// Nothing comes through any more, and nobody knows.
    is_silent: bool,
}

#[derive(Debug)]
struct Process {
    core: AgentCore,
    wake_at: Option<Timestamp>,
    watch: Option<Watch>,
    half_open_until: Timestamp,
    was_told_to_leave: bool,
    held_back: BTreeSet<ChatSessionId>,
}

/// The machine.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    credentials: Option<MachineCredentials>,
    processes: BTreeMap<ProcessId, Process>,
    last_process: ProcessId,
    is_suspended: bool,
    kept: Vec<(ProcessId, Event)>,
    clock_ahead_ms: i64,
    clock_has_jumped: bool,
    pub(crate) hibernate_after_ms: u64,
    /// A person has revoked it.
    pub(crate) is_revoked: bool,
}

impl Machine {
    pub(crate) fn register(&mut self, credentials: MachineCredentials) {
        self.credentials = Some(credentials);
    }

    fn credentials(&self) -> &MachineCredentials {
        self.credentials.as_ref().expect("registered in set_up")
    }

    pub(crate) fn id(&self) -> &MachineId {
        &self.credentials().machine_id
    }

    pub(crate) fn connect_args(&self, process: ProcessId) -> Value {
        let credentials = self.credentials();
        json!({
            "machineId": credentials.machine_id, "secret": credentials.secret.expose(), "wireVersion": 1,
            "info": {}, "nonce": format!("process-{process}"),
        })
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.is_suspended
    }

    pub(crate) fn keep_for_later(&mut self, process: ProcessId, event: Event) {
        self.kept.push((process, event));
    }

    pub(crate) fn is_alive(&self, process: ProcessId) -> bool {
        self.processes.contains_key(&process)
    }

    pub(crate) fn clock_has_jumped(&self) -> bool {
        self.clock_has_jumped
    }

    /// Some agent runs, reaches the backend as far as it knows, and is not asleep.
    pub(crate) fn is_connected(&self) -> bool {
        !self.is_suspended
            && self
                .processes
                .values()
                .any(|process| process.core.is_connected())
    }

    pub(crate) fn process_count(&self) -> usize {
        let processes = self.processes.values();
        processes.map(|process| process.core.process_count()).sum()
    }

    pub(crate) fn is_half_open(&self, process: ProcessId, now: Timestamp) -> bool {
        self.processes
            .get(&process)
            .is_some_and(|process| process.half_open_until > now)
    }

    pub(crate) fn is_held_back(&self, process: ProcessId, chat: &ChatSessionId) -> bool {
        self.processes
            .get(&process)
            .is_some_and(|process| process.held_back.contains(chat))
    }

    // --- watches, as the backend has them ---

    fn watch(&mut self, process: ProcessId, watch: WatchId) -> Option<&mut Watch> {
        let watched = self.processes.get_mut(&process)?.watch.as_mut()?;
        Some(watched).filter(|watched| watched.id == watch)
    }

    pub(crate) fn open_watch(
        &mut self,
        process: ProcessId,
        id: WatchId,
        token: Secret,
        epoch: u64,
        now: Timestamp,
    ) {
        if let Some(watch) = self.watch(process, id) {
            watch.token = token;
            watch.epoch = epoch;
            watch.is_open = true;
            watch.is_stale = true;
            watch.heard_at = now;
        }
    }

    /// Gives its epoch, and whether there is another one of that epoch.
    pub(crate) fn close_watch(&mut self, process: ProcessId, id: WatchId) -> Option<(u64, bool)> {
        let watch = self.watch(process, id).filter(|watch| watch.is_open)?;
        watch.is_open = false;
        Some((watch.epoch, false))
    }

    /// The token of a watch that has something to look at.
    pub(crate) fn take_push(&mut self, process: ProcessId, id: WatchId) -> Option<Secret> {
        let watch = self.watch(process, id)?;
        let looks = watch.is_open && std::mem::take(&mut watch.is_stale);
        looks.then(|| watch.token.clone())
    }

    /// It can't be sent now.
    pub(crate) fn keep_push(&mut self, process: ProcessId, id: WatchId) {
        if let Some(watch) = self.watch(process, id) {
            watch.is_stale = true;
        }
    }

    pub(crate) fn shows_news(&mut self, process: ProcessId, value: &Value) -> bool {
        let watch = self
            .processes
            .get_mut(&process)
            .and_then(|process| process.watch.as_mut());
        let Some(watch) = watch.filter(|watch| watch.shown.as_ref() != Some(value)) else {
            return false;
        };
        watch.shown = Some(value.clone());
        true
    }

    /// When the next value of a watch arrives, if the one before it is still on its way.
    pub(crate) fn in_order(&mut self, process: ProcessId, at: Timestamp) -> Timestamp {
        let watch = self
            .processes
            .get_mut(&process)
            .and_then(|process| process.watch.as_mut());
        let Some(watch) = watch else { return at };
        watch.latest_value_at = watch.latest_value_at.max(at);
        watch.latest_value_at
    }

    /// Marks every open watch as one that has something to look at, and names those that had not.
    pub(crate) fn stale_watches(&mut self) -> Vec<(ProcessId, WatchId)> {
        let mut stale = Vec::new();
        for (id, process) in &mut self.processes {
            if let Some(watch) = process.watch.as_mut().filter(|watch| watch.is_open)
                && !std::mem::replace(&mut watch.is_stale, true)
            {
                stale.push((*id, watch.id));
            }
        }
        stale
    }
}

impl World {
    pub(crate) fn start_agent(&mut self) {
        if self.machine.is_suspended {
            return self.after(60_000, Event::Start);
        }
        let credentials = self.machine.credentials().clone();
        self.machine.last_process += 1;
        let core = AgentCore::new(AgentConfig {
            machine_id: credentials.machine_id,
            secret: credentials.secret,
            info: MachineInfo::default(),
            hibernate_after_ms: self.machine.hibernate_after_ms,
            drain_ms: 10_000,
        });
        let process = Process {
            core,
            wake_at: None,
            watch: None,
            half_open_until: Timestamp::default(),
            was_told_to_leave: false,
            held_back: BTreeSet::new(),
        };
        let id = self.machine.last_process;
        self.machine.processes.insert(id, process);
        self.drain_outputs(id);
    }

    /// Tells an agent something, unless it is killed just before.
    pub(crate) fn tell_agent(&mut self, id: ProcessId, input: Input) {
        if !self.machine.is_alive(id) {
            return;
        }
        if let Some(how) = self.happens(Fault::AgentCrash) {
            return self.crash_agent(id, how);
        }
        let now = self.agent_now();
        if let Some(process) = self.machine.processes.get_mut(&id) {
            process.core.handle_input(now, input);
        }
        self.drain_outputs(id);
    }

    fn agent_now(&self) -> Timestamp {
        ahead(self.now, self.machine.clock_ahead_ms)
    }

    fn drain_outputs(&mut self, id: ProcessId) {
        while let Some(output) = self.next_output(id) {
            if let Some(how) = self.happens(Fault::AgentCrashMidway) {
                return self.crash_agent(id, how);
            }
            self.tell("  does", &output);
            self.perform(id, output);
        }
        self.order_wake(id);
    }

    fn next_output(&mut self, id: ProcessId) -> Option<Output> {
        self.machine.processes.get_mut(&id)?.core.poll_output()
    }

    fn order_wake(&mut self, id: ProcessId) {
        let agent_now = self.agent_now();
        let Some(process) = self.machine.processes.get_mut(&id) else {
            return;
        };
        let Some((at, _)) = process.core.next_deadline() else {
            return;
        };
        let at = self.now.plus_ms(at.ms_since(agent_now).max(1));
        if process.wake_at != Some(at) {
            process.wake_at = Some(at);
            self.at(at, Event::Wake(id, at));
        }
    }

    pub(crate) fn wake(&mut self, id: ProcessId, at: Timestamp) {
        let process = self.machine.processes.get_mut(&id);
        if let Some(process) = process.filter(|process| process.wake_at == Some(at)) {
            process.wake_at = None;
            self.tell_agent(id, Input::Time);
        }
    }

    fn perform(&mut self, id: ProcessId, output: Output) {
        match output {
            Output::Connect => self.request(Request::Connect(id)),
            Output::WatchInbox(watch, token) => self.watch_inbox(id, watch, token),
            Output::Call {
                id: call,
                token,
                function,
                args,
            } => {
                self.check_call(function, &args);
                self.request(Request::Call {
                    process: id,
                    id: call,
                    token,
                    function,
                    args,
                });
            }
            Output::Append {
                turn_id,
                token,
                epoch,
                seq,
                chunks,
            } => self.request(Request::Append {
                process: id,
                token,
                turn: turn_id,
                epoch,
                seq,
                chunks,
            }),
            Output::ReadChunks {
                chat,
                turn_id,
                token,
            } => self.request(Request::ReadChunks {
                process: id,
                chat,
                turn: turn_id,
                token,
            }),
            Output::CheckWorker { worker, .. } => {
                self.soon(id, Input::WorkerChecked(worker, Ok(())));
            }
            Output::StartProcess(generation, spec, _) => self.start_opencode(id, generation, spec),
            Output::StopProcess(chat, generation) => self.stop_opencode(id, chat, generation),
            Output::Prompt(chat, generation, turn, text) => {
                self.prompt(id, chat, generation, turn, &text);
            }
            Output::Recall(chat, generation, turn) => self.recall(id, chat, generation, turn),
            Output::Abort(chat, generation, turn) => self.abort(id, chat, generation, &turn),
            Output::Reply(chat, generation, ask, answer) => {
                self.reply(id, chat, generation, &ask, &answer);
            }
            Output::HoldBack(chat, is_held) => self.hold_back(id, chat, is_held),
            Output::RunCommand(command, attempt, operation) => {
                self.run_command(id, &command, attempt, operation);
            }
            Output::CancelCommand(command) => self.disk.cancel(id, command),
            Output::Exit(reason) => self.exit(id, &reason),
        }
    }

    fn hold_back(&mut self, id: ProcessId, chat: ChatSessionId, is_held: bool) {
        let Some(process) = self.machine.processes.get_mut(&id) else {
            return;
        };
        if is_held {
            process.held_back.insert(chat);
            *self.report.acts.entry("held back".to_owned()).or_default() += 1;
        } else if process.held_back.remove(&chat) {
            self.model_goes_on(id, chat);
        }
    }

    /// Something on the machine tells the agent something in a moment.
    pub(crate) fn soon(&mut self, id: ProcessId, input: Input) {
        let wait = self.random.between(1, 80);
        self.after(wait, Event::Input(id, input));
    }

    fn watch_inbox(&mut self, id: ProcessId, watch: WatchId, token: Secret) {
        self.leave_watch(id);
        if let Some(process) = self.machine.processes.get_mut(&id) {
            process.watch = Some(Watch {
                id: watch,
                token: token.clone(),
                epoch: 0,
                is_open: false,
                is_stale: false,
                shown: None,
                heard_at: self.now,
                latest_value_at: self.now,
                is_silent: false,
            });
        }
        self.request(Request::Watch {
            process: id,
            watch,
            token,
        });
    }

    /// The agent closes its watch; unless the way is cut, the backend sees that.
    fn leave_watch(&mut self, id: ProcessId) {
        if !self.can_send(id) {
            return;
        }
        let watch = self
            .machine
            .processes
            .get(&id)
            .and_then(|process| process.watch.as_ref());
        if let Some(watch) = watch.map(|watch| watch.id) {
            self.watch_gone(id, watch);
        }
    }

    fn can_send(&self, id: ProcessId) -> bool {
        self.network.machine.out_cut_until <= self.now && !self.machine.is_half_open(id, self.now)
    }

    /// A process is no more, and its opencodes with it.
    fn end_process(&mut self, id: ProcessId) {
        self.leave_watch(id);
        self.machine.processes.remove(&id);
        self.opencode.end_of(id);
    }

    pub(crate) fn crash_agent(&mut self, id: ProcessId, mut how: Random) {
        self.end_process(id);
        let pause = how.between(100, 30_000);
        self.after(pause, Event::Start);
    }

    fn exit(&mut self, id: ProcessId, reason: &ExitReason) {
        let was_told = self
            .machine
            .processes
            .get(&id)
            .is_some_and(|process| process.was_told_to_leave);
        self.end_process(id);
        let kind = match reason {
            ExitReason::Stopped => "stopped",
            ExitReason::Fenced(_) => "fenced",
            ExitReason::Unregistered(_) => "unregistered",
            ExitReason::Refused(_) => "refused",
        };
        *self.report.acts.entry(format!("agent {kind}")).or_default() += 1;
        match reason {
            ExitReason::Stopped if was_told => {
                let pause = self.random.between(100, 10_000);
                self.after(pause, Event::Start);
            }
            // Another process has connected since, and goes on.
            ExitReason::Fenced(_) if self.host.latest_process() != Some(id) => {}
            ExitReason::Unregistered(_) if self.machine.is_revoked => {}
            ExitReason::Stopped
            | ExitReason::Fenced(_)
            | ExitReason::Unregistered(_)
            | ExitReason::Refused(_) => self.fail(format!("process {id} ended: {reason:?}")),
        }
    }

    // --- what goes wrong now and then ---

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
