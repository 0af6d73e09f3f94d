//! The machine: agent processes (one, or two with one identity) over the real core, and what happens to them.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Timestamp;
use protocol::agent::{AgentConfig, AgentCore, ExitReason, Input, Output, WatchId};
use protocol::ids::{ChatSessionId, MachineId};
use protocol::secret::Secret;
use protocol::wire::{MachineCredentials, MachineInfo};
use serde_json::{Value, json};

use crate::backend::ahead;
use crate::faults::Fault;
use crate::governed::{Governed, Limits, MEMORY_LIMIT_BYTES};
use crate::network::Request;
use crate::random::Random;
use crate::watch::Watch;
use crate::world::{Event, World};

/// Tells the agent processes of the machine apart; later ones are greater.
pub(crate) type ProcessId = u64;

/// Tells the waits of the agents from all else that a seed decides.
const BACKOFFS: u64 = 1_000;

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) core: AgentCore,
    pub(crate) wake_at: Option<Timestamp>,
    pub(crate) watch: Option<Watch>,
    pub(crate) half_open_until: Timestamp,
    pub(crate) was_told_to_leave: bool,
    pub(crate) held_back: BTreeSet<ChatSessionId>,
    pub(crate) governed: Governed,
}

/// The machine.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) credentials: Option<MachineCredentials>,
    pub(crate) processes: BTreeMap<ProcessId, Process>,
    pub(crate) last_process: ProcessId,
    pub(crate) is_suspended: bool,
    pub(crate) kept: Vec<(ProcessId, Event)>,
    pub(crate) clock_ahead_ms: i64,
    pub(crate) clock_has_jumped: bool,
    pub(crate) hibernate_after_ms: u64,
    pub(crate) limits: Limits,
    /// The world's.
    pub(crate) seed: u64,
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
            nonce: Secret::new(format!("process-{}", self.machine.last_process)),
            info: MachineInfo::default(),
            hibernate_after_ms: self.machine.hibernate_after_ms,
            drain_ms: 10_000,
            process_limit: self.process_limit_told(),
            memory_limit_bytes: Some(MEMORY_LIMIT_BYTES),
            backoff_seed: Random::of(self.machine.seed, BACKOFFS, self.machine.last_process).bits(),
        });
        let process = Process {
            core,
            wake_at: None,
            watch: None,
            half_open_until: Timestamp::default(),
            was_told_to_leave: false,
            held_back: BTreeSet::new(),
            governed: Governed::default(),
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
        self.begin_governed(id, &input);
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

    pub(crate) fn order_wake(&mut self, id: ProcessId) {
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
            Output::StartProcess(generation, spec, _) => {
                self.check_start(id, &spec.chat_session_id, generation);
                self.start_opencode(id, generation, spec);
            }
            Output::MeasureMemory => self.measure_memory(id),
            Output::KeepSpares(most) => self.check_spares(id, most),
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
            process.watch = Some(Watch::new(watch, token.clone(), self.now));
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
            // Another process has used a later connection, and goes on.
            ExitReason::Fenced(_) if self.host.latest_process() != Some(id) => {}
            ExitReason::Unregistered(_) if self.machine.is_revoked => {}
            ExitReason::Stopped
            | ExitReason::Fenced(_)
            | ExitReason::Unregistered(_)
            | ExitReason::Refused(_) => self.fail(format!("process {id} ended: {reason:?}")),
        }
    }
}
