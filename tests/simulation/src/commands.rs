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

use crate::machine::ProcessId;
use crate::world::{Event, World};

/// The machine's disk and the work on it.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Directories below the root, and the command that made each.
    made: BTreeMap<String, CommandId>,
    /// Half-done clones.
    half_done: BTreeSet<CommandId>,
    running: BTreeMap<(ProcessId, CommandId), Operation>,
    cancelled: BTreeSet<(ProcessId, CommandId)>,
    /// The latest report of each command that is at work, and when it was sent.
    reported: BTreeMap<CommandId, (Timestamp, Value)>,
    /// Every command that a person was told of.
    pub(crate) requested: BTreeSet<CommandId>,
}

impl Disk {
    pub(crate) fn cancel(&mut self, process: ProcessId, id: CommandId) {
        self.cancelled.insert((process, id));
    }

    /// The last step of a clone: the name appears with everything in it, or not at all. Whoever comes again
    /// after it was done finds its own work.
    fn finish_clone(&mut self, id: &CommandId, path: String) -> CommandEnd {
        self.half_done.remove(id);
        let maker = self.made.entry(path).or_insert_with(|| id.clone());
        if maker == id {
            CommandEnd::Succeeded(CommandResult::Cloned { branch: None })
        } else {
            let text = "It is there.";
            CommandEnd::Failed(CommandError::new(CommandErrorCode::AlreadyExists, text))
        }
    }
}

impl World {
    pub(crate) fn run_command(
        &mut self,
        process: ProcessId,
        id: &CommandId,
        attempt: Attempt,
        operation: Operation,
    ) {
        self.disk.reported.remove(id);
        // What an earlier process left is removed first.
        self.disk.half_done.remove(id);
        let left = if operation.is_long() {
            self.disk.half_done.insert(id.clone());
            1 + self.random.below(30)
        } else {
            0
        };
        self.disk.running.insert((process, id.clone()), operation);
        let running = self.disk.running.keys().filter(|(of, _)| *of == process);
        let running = running.count();
        if running > RUNNING_COMMANDS_MAX {
            self.fail(format!("{running} commands run at once"));
        }
        self.next_work(process, id.clone(), attempt, left);
    }

    fn next_work(&mut self, process: ProcessId, id: CommandId, attempt: Attempt, left: u64) {
        let wait = 1 + self.random.below(600);
        self.after(wait, Event::Work(process, id, attempt, left));
    }

    pub(crate) fn work(&mut self, process: ProcessId, id: &CommandId, attempt: Attempt, left: u64) {
        // The work dies with its process.
        if !self.machine.is_alive(process) {
            return;
        }
        let place = (process, id.clone());
        let is_cancelled = self.disk.cancelled.contains(&place);
        if left > 0 && !is_cancelled {
            let progress = Progress {
                phase: "Receiving objects".to_owned(),
                objects_done: Some(60 - left),
                ..Progress::default()
            };
            let input = Input::CommandProgress(id.clone(), attempt, progress);
            self.tell_agent(process, input);
            return self.next_work(process, id.clone(), attempt, left - 1);
        }
        let Some(operation) = self.disk.running.remove(&place) else {
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
        self.tell_agent(process, Input::CommandEnded(id.clone(), attempt, end));
    }

    /// Progress is told at most every [`PROGRESS_EVERY_MS`], as the machine counts: a clock that jumps forward
    /// shortens that.
    pub(crate) fn check_call(&mut self, function: &str, args: &Value) {
        if function != "machine.command.report" {
            return;
        }
        let id = args["commandId"].as_str();
        let Some(id) = id.and_then(|id| CommandId::parse(id).ok()) else {
            return;
        };
        let clock_jumps = self.machine.clock_has_jumped();
        let known = self.disk.reported.get(&id);
        if known.is_some_and(|(_, sent)| sent == args) {
            return;
        }
        let is_soon = known.is_some_and(|(at, _)| self.now.ms_since(*at) < PROGRESS_EVERY_MS);
        if is_soon && !clock_jumps {
            self.fail(format!("{id} was reported twice within a moment"));
        }
        self.disk.reported.insert(id, (self.now, args.clone()));
    }

    pub(crate) fn check_commands(&mut self) -> Result<(), String> {
        for id in self.disk.requested.clone() {
            let view: CommandView =
                self.must("machine.command.view", json!({ "commandId": id }))?;
            let state = view.command.state;
            if !state.is_terminal() {
                return Err(format!("{id} is still {}", state.as_str()));
            }
            *self.report.commands.entry(state.as_str()).or_default() += 1;
            if self.machine.is_revoked {
                continue;
            }
            // Given up after too many tries, or stopped while the machine was away, it may have been done all the
            // same: that is what it says.
            let is_unsure = matches!(state, CommandState::Failed | CommandState::Cancelled)
                && view
                    .command
                    .error
                    .is_some_and(|error| error.code == CommandErrorCode::Interrupted);
            let is_stopped_away = is_unsure && state == CommandState::Cancelled;
            if is_stopped_away {
                *self
                    .report
                    .commands
                    .entry("cancelled while away")
                    .or_default() += 1;
            }
            if self.disk.half_done.contains(&id) && !is_stopped_away {
                return Err(format!("{id} has left something half-done behind"));
            }
            let has_made = self.disk.made.values().any(|maker| *maker == id);
            let says_made = state == CommandState::Succeeded
                && matches!(view.command.operation, Operation::Clone { .. });
            if has_made != says_made && !is_unsure {
                return Err(format!("{id} is {}, but made: {has_made}", state.as_str()));
            }
        }
        Ok(())
    }
}
