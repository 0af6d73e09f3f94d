//! Commands: what a person asks of the machine's disk, which survives every crash.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Timestamp;
use protocol::agent::{Attempt, CommandEnd, Input};
use protocol::ids::CommandId;
use protocol::limits::{PROGRESS_EVERY_MS, RUNNING_COMMANDS_MAX};
use protocol::state::CommandState;
use protocol::wire::{
    CommandError, CommandErrorCode, CommandResult, CommandView, Operation, Progress,
};
use serde_json::{Value, json};

use super::{Event, Incarnation, PersonAct, STORM_MS, World};

const CLONES: u64 = 5;
const READS: u64 = 5;

/// The machine's disk and the work on it.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// Directories below the root, and the command that made each.
    made: BTreeMap<String, CommandId>,
    /// Half-done clones.
    half_done: BTreeSet<CommandId>,
    running: BTreeMap<CommandId, (Incarnation, Operation)>,
    cancelled: BTreeSet<(Incarnation, CommandId)>,
    /// Every command, and when the backend last heard how far it is.
    requested: BTreeMap<CommandId, (Option<Timestamp>, Value)>,
    most_running: usize,
}

impl Disk {
    pub(super) fn cancel(&mut self, incarnation: Incarnation, id: CommandId) {
        self.cancelled.insert((incarnation, id));
    }

    /// The last step of a clone: the name appears with everything in it, or not at all. Whoever comes again
    /// after it was done finds its own work.
    fn finish_clone(&mut self, id: &CommandId, path: String) -> CommandEnd {
        self.half_done.remove(id);
        let maker = self.made.entry(path).or_insert_with(|| id.clone());
        if maker == id {
            CommandEnd::Succeeded(CommandResult::Cloned { branch: None })
        } else {
            CommandEnd::Failed(CommandError::new(
                CommandErrorCode::AlreadyExists,
                "It is there.",
            ))
        }
    }
}

impl World {
    pub(super) fn plan_commands(&mut self) {
        for n in 0..CLONES {
            let operation = Operation::Clone {
                url: "https://example.org/repo.git".to_owned(),
                branch: None,
                // Two of them want the same place.
                path: format!("clone-{}", n.min(CLONES - 2)),
            };
            self.plan(operation);
        }
        for _ in 0..READS {
            let operation = Operation::List {
                directory: String::new(),
                hidden: false,
                filter: None,
                after: None,
            };
            self.plan(operation);
        }
    }

    fn plan(&mut self, operation: Operation) {
        let at = self.random.below(STORM_MS / 2);
        self.at(at, Event::Person(PersonAct::Request(operation)));
    }

    pub(super) fn request_command(&mut self, operation: Operation) {
        let machine = self
            .credentials
            .as_ref()
            .map(|known| known.machine_id.clone());
        let view: CommandView = self.ask(
            "machine.command.request",
            json!({ "machineId": machine, "operation": operation }),
        );
        let id = view.command.id;
        self.disk
            .requested
            .entry(id.clone())
            .or_insert((None, Value::Null));
        if self.random.per_mille(300) {
            let wait = self.random.below(30_000);
            self.at(wait, Event::Person(PersonAct::CancelCommand(id)));
        }
    }

    pub(super) fn run_command(
        &mut self,
        incarnation: Incarnation,
        id: &CommandId,
        attempt: Attempt,
        operation: Operation,
    ) {
        if let Some(told) = self.disk.requested.get_mut(id) {
            told.0 = None;
        }
        // What an earlier process left is removed first.
        self.disk.half_done.remove(id);
        let left = if operation.is_long() {
            self.disk.half_done.insert(id.clone());
            1 + self.random.below(60)
        } else {
            0
        };
        self.disk
            .running
            .insert(id.clone(), (incarnation, operation));
        let alive = self.disk.running.values();
        let alive = alive.filter(|(of, _)| *of == incarnation).count();
        self.disk.most_running = self.disk.most_running.max(alive);
        self.next_work(incarnation, id.clone(), attempt, left);
    }

    fn next_work(&mut self, incarnation: Incarnation, id: CommandId, attempt: Attempt, left: u64) {
        let wait = 1 + self.random.below(400);
        self.at(wait, Event::Work(incarnation, id, attempt, left));
    }

    pub(super) fn work(
        &mut self,
        incarnation: Incarnation,
        id: &CommandId,
        attempt: Attempt,
        left: u64,
    ) {
        // The work dies with its process.
        if incarnation != self.incarnation || self.agent.is_none() {
            return;
        }
        let is_cancelled = self.disk.cancelled.contains(&(incarnation, id.clone()));
        if left > 0 && !is_cancelled {
            let progress = Progress {
                phase: "Receiving objects".to_owned(),
                objects_done: Some(60 - left),
                ..Progress::default()
            };
            self.tell_agent(
                incarnation,
                Input::CommandProgress(id.clone(), attempt, progress),
            );
            return self.next_work(incarnation, id.clone(), attempt, left - 1);
        }
        let Some((_, operation)) = self.disk.running.remove(id) else {
            return;
        };
        let path = if let Operation::Clone { path, .. } = operation {
            Some(path)
        } else {
            None
        };
        // What an earlier process finished is finished, also when it was to be stopped.
        let is_made = path
            .as_ref()
            .is_some_and(|path| self.disk.made.get(path) == Some(id));
        let end = match path {
            _ if is_cancelled && !is_made => {
                self.disk.half_done.remove(id);
                CommandEnd::Cancelled
            }
            Some(path) => self.disk.finish_clone(id, path),
            None => CommandEnd::Succeeded(CommandResult::Done),
        };
        self.tell_agent(incarnation, Input::CommandEnded(id.clone(), attempt, end));
    }

    /// Progress is told at most every [`PROGRESS_EVERY_MS`], as the machine counts; on the way it may be
    /// delayed, so this looks at when it was sent.
    pub(super) fn check_command_report(&mut self, args: &Value, sent_at: Timestamp) {
        let Some(id) = args["commandId"]
            .as_str()
            .and_then(|id| CommandId::parse(id).ok())
        else {
            return;
        };
        if let Some((last, last_args)) = self.disk.requested.get_mut(&id)
            && last_args != args
        {
            let too_soon = last.is_some_and(|last| sent_at.ms_since(last) < PROGRESS_EVERY_MS);
            assert!(!too_soon, "{id} was reported twice within a moment");
            *last = Some(sent_at);
            *last_args = args.clone();
        }
    }

    pub(super) fn check_commands(&mut self) -> Result<(), String> {
        if self.disk.most_running > RUNNING_COMMANDS_MAX {
            return Err(format!("{} commands ran at once", self.disk.most_running));
        }
        if let Some(id) = self.disk.half_done.first() {
            return Err(format!("{id} has left something half-done behind"));
        }
        let ids: Vec<CommandId> = self.disk.requested.keys().cloned().collect();
        for id in ids {
            let view: CommandView = self.ask("machine.command.view", json!({ "commandId": id }));
            let state = view.command.state;
            if !state.is_terminal() {
                return Err(format!("{id} is still {}", state.as_str()));
            }
            *self.report.commands.entry(state.as_str()).or_default() += 1;
            let has_made = self.disk.made.values().any(|maker| *maker == id);
            let says_made = state == CommandState::Succeeded
                && matches!(view.command.operation, Operation::Clone { .. });
            // Given up after too many tries, it may have been done all the same: that is what it says.
            let is_unsure = state == CommandState::Failed
                && view
                    .command
                    .error
                    .is_some_and(|error| error.code == CommandErrorCode::Interrupted);
            if has_made != says_made && !is_unsure {
                return Err(format!("{id} is {}, but made: {has_made}", state.as_str()));
            }
        }
        Ok(())
    }
}
