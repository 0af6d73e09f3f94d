//! Commands on their machine: each is taken, worked on, and ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::lanes::{Lane, Lanes, Purpose};
use super::{AgentCore, Output};
use crate::ids::{ChatSessionId, CommandId};
use crate::limits::{
    OPEN_COMMANDS_MAX, PROGRESS_EVERY_MS, RUNNING_COMMANDS_MAX, RUNNING_LONG_COMMANDS_MAX,
};
use crate::state::CommandState;
use crate::time::Timestamp;
use crate::wire::{
    CommandArgs, CommandError, CommandErrorCode, CommandResult, FinishCommandArgs, InboxCommand,
    Operation, Progress, ReportCommandArgs, TakenCommand,
};

/// Tells the runs of one command apart; what an earlier one still tells is ignored.
pub type Attempt = u32;

/// How the work on a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandEnd {
    /// It is done.
    Succeeded(CommandResult),
    /// It could not be done.
    Failed(CommandError),
    /// It was stopped, and nothing of it is left.
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Taking,
    /// Known, and about to begin.
    Taken(Operation),
    Working,
    Ending,
    /// The backend refused how it ended.
    Refused,
}

#[derive(Debug)]
struct Work {
    step: Step,
    attempt: Attempt,
    is_long: bool,
    is_read: bool,
    /// A person wants it to stop.
    is_cancelled: bool,
    /// The wish to stop it has been passed on.
    was_told: bool,
    /// What has not been reported yet.
    progress: Option<Progress>,
    /// When the next report may go out.
    report_at: Timestamp,
}

/// The commands that this process has taken.
#[derive(Debug, Default)]
pub(super) struct Commands {
    /// The connection on which they were taken.
    epoch: u64,
    taken: BTreeMap<CommandId, Work>,
    /// Ended here, and still shown by the inbox.
    ended: BTreeSet<CommandId>,
}

impl Commands {
    /// Whether nothing is under way that a graceful stop should wait for.
    pub(super) fn is_idle(&self) -> bool {
        self.taken.is_empty()
    }

    /// Compares the inbox with what is under way.
    pub(super) fn reconcile(
        &mut self,
        now: Timestamp,
        wanted: &[InboxCommand],
        takes_new: bool,
        has_process: impl Fn(&ChatSessionId) -> bool,
        lanes: &mut Lanes,
        outputs: &mut VecDeque<Output>,
    ) {
        self.ended
            .retain(|id| wanted.iter().any(|wanted| wanted.id == *id));
        self.stop_unwanted(wanted);
        for wanted in wanted {
            if let Some(work) = self.taken.get_mut(&wanted.id) {
                work.is_cancelled |= wanted.cancel_requested;
            } else if takes_new && !self.ended.contains(&wanted.id) && self.has_room_for(wanted) {
                self.take(wanted, lanes);
            }
        }
        for (id, work) in &mut self.taken {
            work.begin(id, &has_process, outputs);
            work.pass_on(id, outputs);
            work.report(now, id, lanes);
        }
    }

    /// What the inbox no longer shows was ended while this machine was away: nobody waits for it any more.
    fn stop_unwanted(&mut self, wanted: &[InboxCommand]) {
        // A full list may leave out what is still wanted.
        if wanted.len() >= OPEN_COMMANDS_MAX {
            return;
        }
        self.taken.retain(|id, work| {
            let is_wanted = wanted.iter().any(|wanted| wanted.id == *id);
            work.is_cancelled |= !is_wanted;
            // Not begun yet, so there is nothing to stop.
            is_wanted || !matches!(work.step, Step::Taken(_))
        });
    }

    /// When a report that waits for its time goes out. One that waits for an answer needs no deadline.
    pub(super) fn next_report(&self, lanes: &Lanes) -> Option<Timestamp> {
        self.taken
            .iter()
            .filter(|(_, work)| work.progress.is_some())
            .filter(|(id, _)| lanes.is_empty(&Lane::Command((*id).clone())))
            .map(|(_, work)| work.report_at)
            .min()
    }

    fn has_room_for(&self, wanted: &InboxCommand) -> bool {
        let long = self.taken.values().filter(|work| work.is_long).count();
        self.taken.len() < RUNNING_COMMANDS_MAX
            && (!wanted.is_long || long < RUNNING_LONG_COMMANDS_MAX)
    }

    fn take(&mut self, wanted: &InboxCommand, lanes: &mut Lanes) {
        lanes.push(
            Lane::Command(wanted.id.clone()),
            Purpose::TakeCommand,
            "machine.command.take",
            &CommandArgs {
                command_id: wanted.id.clone(),
            },
        );
        self.taken.insert(
            wanted.id.clone(),
            Work {
                step: Step::Taking,
                attempt: 0,
                is_long: wanted.is_long,
                is_read: false,
                is_cancelled: false,
                was_told: false,
                progress: None,
                report_at: Timestamp::default(),
            },
        );
    }

    pub(super) fn on_taken(&mut self, id: &CommandId, taken: Option<TakenCommand>) {
        let Some(work) = self.taken.get_mut(id) else {
            return;
        };
        match taken {
            Some(taken) if matches!(taken.state, CommandState::Leased | CommandState::Running) => {
                work.attempt = taken.attempt;
                work.is_read = taken.operation.is_read();
                work.is_cancelled |= taken.cancel_requested;
                work.step = Step::Taken(taken.operation);
            }
            Some(_) | None => self.forget(id),
        }
    }

    pub(super) fn on_progress(&mut self, id: &CommandId, attempt: Attempt, progress: Progress) {
        if let Some(work) = self.working(id, attempt) {
            work.progress = Some(progress);
        }
    }

    /// Whether it may have changed something.
    fn on_ended(
        &mut self,
        id: &CommandId,
        attempt: Attempt,
        end: CommandEnd,
        lanes: &mut Lanes,
    ) -> bool {
        let Some(work) = self.working(id, attempt) else {
            return false;
        };
        work.step = Step::Ending;
        work.progress = None;
        let has_changed = !work.is_read;
        finish(id, end, lanes);
        has_changed
    }

    /// The backend knows how it ended, or has refused what it was told.
    pub(super) fn on_finished(&mut self, id: &CommandId, was_refused: bool, lanes: &mut Lanes) {
        let Some(work) = self.taken.get_mut(id) else {
            return;
        };
        if was_refused && work.step == Step::Ending {
            // It may have been too large. A failure is always small enough to be told.
            work.step = Step::Refused;
            let refused = CommandError::new(
                CommandErrorCode::TooLarge,
                "The backend did not take the result.",
            );
            finish(id, CommandEnd::Failed(refused), lanes);
        } else {
            self.forget(id);
        }
    }

    /// What was taken on an earlier connection begins again on this one.
    pub(super) fn begin_epoch(
        &mut self,
        epoch: u64,
        lanes: &mut Lanes,
        outputs: &mut VecDeque<Output>,
    ) {
        if std::mem::replace(&mut self.epoch, epoch) == epoch {
            return;
        }
        for (id, work) in std::mem::take(&mut self.taken) {
            if work.step == Step::Working && !work.was_told {
                outputs.push_back(Output::CancelCommand(id.clone()));
            }
            lanes.clear(&Lane::Command(id));
        }
        self.ended.clear();
    }

    fn working(&mut self, id: &CommandId, attempt: Attempt) -> Option<&mut Work> {
        self.taken
            .get_mut(id)
            .filter(|work| work.step == Step::Working && work.attempt == attempt)
    }

    fn forget(&mut self, id: &CommandId) {
        self.taken.remove(id);
        self.ended.insert(id.clone());
    }
}

fn finish(id: &CommandId, end: CommandEnd, lanes: &mut Lanes) {
    let (outcome, result, error) = match end {
        CommandEnd::Succeeded(result) => (CommandState::Succeeded, Some(result), None),
        CommandEnd::Failed(error) => (CommandState::Failed, None, Some(error)),
        CommandEnd::Cancelled => (CommandState::Cancelled, None, None),
    };
    let args = FinishCommandArgs {
        command_id: id.clone(),
        outcome,
        result,
        error,
    };
    lanes.push(
        Lane::Command(id.clone()),
        Purpose::FinishCommand,
        "machine.command.finish",
        &args,
    );
}

impl Work {
    /// Begins, once nothing works any more on what it is to take away.
    fn begin(
        &mut self,
        id: &CommandId,
        has_process: &impl Fn(&ChatSessionId) -> bool,
        outputs: &mut VecDeque<Output>,
    ) {
        let Step::Taken(operation) = &self.step else {
            return;
        };
        if let Operation::RemoveWorktree {
            chat_session_id, ..
        } = operation
            && has_process(chat_session_id)
        {
            return;
        }
        outputs.push_back(Output::RunCommand(
            id.clone(),
            self.attempt,
            operation.clone(),
        ));
        self.step = Step::Working;
    }

    /// Passes the wish to stop on, once there is something to stop.
    fn pass_on(&mut self, id: &CommandId, outputs: &mut VecDeque<Output>) {
        if self.is_cancelled && self.step == Step::Working && !self.was_told {
            self.was_told = true;
            outputs.push_back(Output::CancelCommand(id.clone()));
        }
    }

    fn report(&mut self, now: Timestamp, id: &CommandId, lanes: &mut Lanes) {
        let lane = Lane::Command(id.clone());
        if now < self.report_at || !lanes.is_empty(&lane) {
            return;
        }
        let Some(progress) = self.progress.take() else {
            return;
        };
        self.report_at = now.plus_ms(PROGRESS_EVERY_MS);
        let args = ReportCommandArgs {
            command_id: id.clone(),
            progress,
            seq: lanes.next_seq(),
        };
        lanes.push(lane, Purpose::Report, "machine.command.report", &args);
    }
}

impl AgentCore {
    pub(super) fn on_command_ended(&mut self, id: &CommandId, attempt: Attempt, end: CommandEnd) {
        if self.commands.on_ended(id, attempt, end, &mut self.lanes) {
            // A worker's directory may have come, gone or moved.
            self.checked.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that has taken a command, and perhaps begun it.
    struct Machine {
        commands: Commands,
        lanes: Lanes,
        id: CommandId,
    }

    impl Machine {
        fn with(operation: Operation, is_process_there: bool) -> Self {
            let id = CommandId::generate(Timestamp::default(), [1; 10]);
            let mut machine = Self {
                commands: Commands::default(),
                lanes: Lanes::default(),
                id,
            };
            let shown = [machine.shown()];
            assert_eq!(machine.sees(&shown, is_process_there), []);
            let taken = TakenCommand {
                command_id: machine.id.clone(),
                state: CommandState::Leased,
                attempt: 1,
                cancel_requested: false,
                operation,
            };
            machine.commands.on_taken(&machine.id.clone(), Some(taken));
            machine.sees(&shown, is_process_there);
            machine
        }

        fn shown(&self) -> InboxCommand {
            InboxCommand {
                id: self.id.clone(),
                is_long: false,
                cancel_requested: false,
            }
        }

        fn sees(&mut self, inbox: &[InboxCommand], is_process_there: bool) -> Vec<Output> {
            let mut outputs = VecDeque::new();
            self.commands.reconcile(
                Timestamp::default(),
                inbox,
                true,
                |_| is_process_there,
                &mut self.lanes,
                &mut outputs,
            );
            outputs.into()
        }
    }

    fn make_directory() -> Operation {
        Operation::MakeDirectory {
            path: "made".to_owned(),
        }
    }

    #[test]
    fn what_the_inbox_no_longer_shows_is_stopped_once() {
        let mut machine = Machine::with(make_directory(), false);
        let id = machine.id.clone();
        assert_eq!(machine.sees(&[], false), [Output::CancelCommand(id)]);
        assert_eq!(machine.sees(&[], false), []);
    }

    #[test]
    fn what_waits_to_begin_never_begins_when_the_inbox_no_longer_shows_it() {
        let removal = Operation::RemoveWorktree {
            chat_session_id: ChatSessionId::generate(Timestamp::default(), [2; 10]),
            force: false,
            repository: String::new(),
            directory: String::new(),
            branch: String::new(),
        };
        let mut machine = Machine::with(removal, true);
        assert_eq!(machine.sees(&[], true), []);
        assert!(machine.commands.is_idle());
        assert_eq!(machine.sees(&[], false), []);
    }

    #[test]
    fn a_full_inbox_stops_nothing_that_it_leaves_out() {
        let mut machine = Machine::with(make_directory(), false);
        let others: Vec<InboxCommand> = (0..OPEN_COMMANDS_MAX)
            .map(|_| InboxCommand {
                id: CommandId::generate(Timestamp::default(), [3; 10]),
                ..machine.shown()
            })
            .collect();
        assert_eq!(machine.sees(&others, false), []);
    }
}
