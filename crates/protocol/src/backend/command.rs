//! Commands: kept until a machine takes them, begun at least once, ended once.

use super::machine::{bounded_reason, machine, person};
use super::path::{checked_path, checked_target};
use super::rows::{Order, Rows, below, load, save};
use super::tables::{CommandRow, Deadline, Entry, ReportPlace, key};
use super::{Actor, Backend, Topic};
use crate::error::{CallError, ErrorCode};
use crate::git_url::{self, GitProtocol};
use crate::ids::{CommandId, MachineId, PersonId};
use crate::limits::{
    CHANGE_ACTIVITY_KEPT_MS, CHANGE_COMMAND_LIFE_MS, COMMAND_ATTEMPTS_MAX, COMMAND_MAX_BYTES,
    INSPECTED_MAX, NAME_MAX_BYTES, OPEN_COMMANDS_MAX, READ_ACTIVITY_KEPT_MS, READ_COMMAND_LIFE_MS,
    RESULT_KEPT_MS,
};
use crate::state::{CommandState, MachineState};
use crate::wire::{
    CommandArgs, CommandError, CommandErrorCode, CommandResult, CommandSummary, CommandView, Done,
    FinishCommandArgs, InboxCommand, Operation, Progress, ReportCommandArgs, RequestCommandArgs,
    TakenCommand,
};

/// The longest part of a name that a filter looks for, in bytes: a file's name has at most as many.
const FILTER_MAX_BYTES: usize = 255;
/// The longest place between two pages, in bytes.
const CURSOR_MAX_BYTES: usize = 2 * 1024;

impl<R: Rows> Backend<'_, R> {
    pub(super) fn command_request(
        &mut self,
        actor: &Actor,
        args: RequestCommandArgs,
    ) -> Result<CommandView, CallError> {
        let machine = self.machine_row(actor, &args.machine_id)?;
        if machine.state == MachineState::Revoked {
            return Err(super::access::revoked());
        }
        let operation = self.checked_operation(&machine.id, args.operation)?;
        let open = self.open_commands(&machine.id)?;
        // Reading the same again before it was read changes nothing: whoever waits, waits for one.
        if let Some(same) = open
            .iter()
            .find(|open| operation.is_read() && open.operation == operation)
        {
            return self.view(same);
        }
        if open.len() >= OPEN_COMMANDS_MAX {
            return Err(CallError::new(
                ErrorCode::LimitReached,
                format!(
                    "{OPEN_COMMANDS_MAX} requests wait for this machine, which is the limit. Cancel some, or wait until the machine is back."
                ),
            ));
        }
        let row = self.wait_for_machine(&machine.id, person(actor)?, operation)?;
        self.view(&row)
    }

    /// Puts a command among those that wait.
    pub(super) fn wait_for_machine(
        &mut self,
        machine: &MachineId,
        requested_by: &PersonId,
        operation: Operation,
    ) -> Result<CommandRow, CallError> {
        let life = if operation.is_read() {
            READ_COMMAND_LIFE_MS
        } else {
            CHANGE_COMMAND_LIFE_MS
        };
        let row = CommandRow {
            id: CommandId::generate(self.now, self.next_id_entropy()),
            machine: machine.clone(),
            requested_by: requested_by.clone(),
            operation,
            state: CommandState::Queued,
            epoch: 0,
            attempt: 0,
            cancel_requested: false,
            progress: None,
            reported: ReportPlace::default(),
            error: None,
            created_at: self.now,
            started_at: None,
            ended_at: None,
            expires_at: self.now.plus_ms(life),
        };
        save(
            self.rows,
            &key::open_command_of(&row.machine, &row.id),
            &Entry,
        )?;
        save(self.rows, &key::command_of(&row.machine, &row.id), &Entry)?;
        if !row.operation.is_read() {
            save(self.rows, &key::change_of(&row.machine, &row.id), &Entry)?;
        }
        self.arm(
            row.expires_at,
            row.id.as_str(),
            &Deadline::CommandExpires {
                command: row.id.clone(),
            },
        )?;
        self.save_command(&row)?;
        self.listing_requested(&row)?;
        Ok(row)
    }

    pub(super) fn command_cancel(
        &mut self,
        actor: &Actor,
        args: CommandArgs,
    ) -> Result<CommandView, CallError> {
        let mut row = self.command_row(actor, &args.command_id)?;
        match row.state {
            CommandState::Queued => self.end_command(&mut row, CommandState::Cancelled)?,
            CommandState::Leased | CommandState::Running => {
                row.cancel_requested = true;
                self.save_command(&row)?;
            }
            // It was faster than the wish to stop it.
            CommandState::Succeeded
            | CommandState::Failed
            | CommandState::Cancelled
            | CommandState::Expired
            | CommandState::Unknown => {}
        }
        self.view(&row)
    }

    pub(super) fn command_view(
        &mut self,
        actor: &Actor,
        args: CommandArgs,
    ) -> Result<CommandView, CallError> {
        let row = self.command_row(actor, &args.command_id)?;
        self.view(&row)
    }

    pub(super) fn command_take(
        &mut self,
        actor: &Actor,
        args: CommandArgs,
    ) -> Result<TakenCommand, CallError> {
        let (_, epoch) = machine(actor)?;
        let mut row = self.command_row(actor, &args.command_id)?;
        // Taken on an earlier connection: the process that took it is gone, so it begins again.
        if matches!(row.state, CommandState::Leased | CommandState::Running) && row.epoch != epoch {
            row.state = row.state.to(CommandState::Queued)?;
        }
        if row.state == CommandState::Queued {
            row.state = row.state.to(CommandState::Leased)?;
            row.progress = None;
            if row.attempt >= COMMAND_ATTEMPTS_MAX {
                // Once more, to remove what the others left.
                row.cancel_requested = true;
                row.error = Some(CommandError::new(
                    CommandErrorCode::Interrupted,
                    format!(
                        "The machine's process ended {COMMAND_ATTEMPTS_MAX} times while it worked on this. Look at its log, then try again."
                    ),
                ));
            }
            row.epoch = epoch;
            row.attempt += 1;
            row.started_at.get_or_insert(self.now);
            self.save_command(&row)?;
        }
        Ok(TakenCommand {
            command_id: row.id,
            state: row.state,
            attempt: row.attempt,
            cancel_requested: row.cancel_requested,
            operation: row.operation,
        })
    }

    pub(super) fn command_report(
        &mut self,
        actor: &Actor,
        args: ReportCommandArgs,
    ) -> Result<Done, CallError> {
        let (_, epoch) = machine(actor)?;
        let mut row = self.command_row(actor, &args.command_id)?;
        let place = ReportPlace(epoch, args.seq);
        // Late ones, and those of a command that has ended, tell nothing new.
        if row.epoch != epoch || row.state.is_terminal() || place <= row.reported {
            return Ok(Done {});
        }
        row.reported = place;
        if row.state != CommandState::Running {
            row.state = row.state.to(CommandState::Running)?;
        }
        row.progress = Some(bounded_progress(args.progress));
        self.save_command(&row)?;
        Ok(Done {})
    }

    pub(super) fn command_finish(
        &mut self,
        actor: &Actor,
        args: FinishCommandArgs,
    ) -> Result<Done, CallError> {
        let (_, epoch) = machine(actor)?;
        let mut row = self.command_row(actor, &args.command_id)?;
        if row.state.is_terminal() {
            return Ok(Done {});
        }
        if row.epoch != epoch {
            return Err(CallError::new(
                ErrorCode::Conflict,
                "This connection has not taken the command. Take it first.",
            ));
        }
        if row.state == CommandState::Leased && args.outcome == CommandState::Succeeded {
            row.state = row.state.to(CommandState::Running)?;
        }
        let is_given_up = args.outcome == CommandState::Cancelled && row.error.is_some();
        let outcome = if is_given_up {
            // It was stopped because it had been tried too often.
            CommandState::Failed
        } else {
            args.outcome
        };
        match outcome {
            CommandState::Succeeded => {
                row.error = None;
                let result = args.result.unwrap_or(CommandResult::Done);
                bounded_json("result", &result)?;
                self.listed(&row, &result)?;
                save(self.rows, &key::command_result(&row.id), &result)?;
                self.arm(
                    self.now.plus_ms(RESULT_KEPT_MS),
                    row.id.as_str(),
                    &Deadline::DropResult {
                        command: row.id.clone(),
                    },
                )?;
            }
            CommandState::Failed => {
                let error = args.error.or(row.error.take()).unwrap_or_else(|| {
                    CommandError::new(CommandErrorCode::Other, "The machine did not say why.")
                });
                row.error = Some(CommandError {
                    message: bounded_reason(error.message),
                    ..error
                });
            }
            CommandState::Cancelled => {}
            CommandState::Queued
            | CommandState::Leased
            | CommandState::Running
            | CommandState::Expired
            | CommandState::Unknown => {
                return Err(CallError::new(
                    ErrorCode::Invalid,
                    format!("A command can't end as {}.", outcome.as_str()),
                ));
            }
        }
        self.end_command(&mut row, outcome)?;
        Ok(Done {})
    }

    /// The machine never came for it in time.
    pub(super) fn command_expires(&mut self, id: &CommandId) -> Result<(), CallError> {
        match load::<CommandRow>(self.rows, &key::command(id))? {
            Some(mut row) if row.state == CommandState::Queued => {
                self.end_command(&mut row, CommandState::Expired)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Its time in the activity is over.
    pub(super) fn forget_command(&mut self, id: &CommandId) -> Result<(), CallError> {
        if let Some(row) = load::<CommandRow>(self.rows, &key::command(id))? {
            self.rows.delete(&key::command(id))?;
            self.rows.delete(&key::command_result(id))?;
            self.rows.delete(&key::command_of(&row.machine, id))?;
            self.rows.delete(&key::change_of(&row.machine, id))?;
            self.changed(Topic::Activity(row.machine));
        }
        Ok(())
    }

    /// The machine's credentials are void: nothing that waits for it will ever be done.
    pub(super) fn cancel_all_commands(&mut self, machine: &MachineId) -> Result<(), CallError> {
        // Closing many chat sessions may have left more than a person may ask for.
        loop {
            let open = self.open_commands(machine)?;
            if open.is_empty() {
                return Ok(());
            }
            for mut row in open {
                self.end_command(&mut row, CommandState::Cancelled)?;
            }
        }
    }

    pub(super) fn inbox_commands(
        &self,
        machine: &MachineId,
    ) -> Result<Vec<InboxCommand>, CallError> {
        let open = self.open_commands(machine)?;
        Ok(open
            .into_iter()
            .map(|row| InboxCommand {
                is_long: row.operation.is_long(),
                id: row.id,
                cancel_requested: row.cancel_requested,
            })
            .collect())
    }

    pub(super) fn open_commands(&self, machine: &MachineId) -> Result<Vec<CommandRow>, CallError> {
        let entries: Vec<(String, Entry)> = below(
            self.rows,
            &key::open_commands_of(machine),
            Order::Ascending,
            OPEN_COMMANDS_MAX,
        )?;
        entries
            .iter()
            .filter_map(|(id, _)| CommandId::parse(id).ok())
            .filter_map(|id| load(self.rows, &key::command(&id)).transpose())
            .collect()
    }

    fn end_command(&mut self, row: &mut CommandRow, end: CommandState) -> Result<(), CallError> {
        row.state = row.state.to(end)?;
        row.ended_at = Some(self.now);
        row.progress = None;
        self.rows
            .delete(&key::open_command_of(&row.machine, &row.id))?;
        let kept_ms = if row.operation.is_read() {
            READ_ACTIVITY_KEPT_MS
        } else {
            CHANGE_ACTIVITY_KEPT_MS
        };
        self.worktree_command_ended(row)?;
        self.arm(
            self.now.plus_ms(kept_ms),
            row.id.as_str(),
            &Deadline::ForgetCommand {
                command: row.id.clone(),
            },
        )?;
        self.save_command(row)
    }

    fn save_command(&mut self, row: &CommandRow) -> Result<(), CallError> {
        save(self.rows, &key::command(&row.id), row)?;
        self.changed(Topic::Command(row.id.clone()));
        self.changed(Topic::Activity(row.machine.clone()));
        self.changed(Topic::Inbox(row.machine.clone()));
        if let Operation::List { directory, .. } = &row.operation {
            self.changed(Topic::Directory(row.machine.clone(), directory.clone()));
        }
        Ok(())
    }

    fn view(&self, row: &CommandRow) -> Result<CommandView, CallError> {
        Ok(CommandView {
            command: row.summary(),
            result: load(self.rows, &key::command_result(&row.id))?,
        })
    }

    fn checked_operation(
        &self,
        machine: &MachineId,
        operation: Operation,
    ) -> Result<Operation, CallError> {
        let checked = match operation {
            Operation::List {
                directory,
                hidden,
                filter,
                after,
            } => Operation::List {
                directory: checked_path(&directory)?,
                hidden,
                filter: short(filter, "filter", FILTER_MAX_BYTES)?,
                after: short(after, "place of the page", CURSOR_MAX_BYTES)?,
            },
            Operation::InspectRepositories { directories } => {
                if directories.len() > INSPECTED_MAX {
                    return Err(CallError::new(
                        ErrorCode::TooLarge,
                        format!("At most {INSPECTED_MAX} directories are inspected at once."),
                    ));
                }
                let directories = directories
                    .iter()
                    .map(|directory| checked_path(directory))
                    .collect::<Result<_, _>>()?;
                Operation::InspectRepositories { directories }
            }
            Operation::ReadFile { path } => Operation::ReadFile {
                path: checked_target(&path)?,
            },
            Operation::MakeDirectory { path } => Operation::MakeDirectory {
                path: checked_target(&path)?,
            },
            Operation::Rename { from, to } => Operation::Rename {
                from: checked_target(&from)?,
                to: checked_target(&to)?,
            },
            Operation::Trash { path } => Operation::Trash {
                path: checked_target(&path)?,
            },
            Operation::Restore { trashed, .. } => {
                let missing = || CallError::not_found("thing in the trash");
                let row: CommandRow =
                    load(self.rows, &key::command(&trashed))?.ok_or_else(missing)?;
                let is_trashed = row.machine == *machine && row.state == CommandState::Succeeded;
                let Operation::Trash { path } = row.operation else {
                    return Err(missing());
                };
                if !is_trashed {
                    return Err(missing());
                }
                Operation::Restore { trashed, path }
            }
            Operation::RemoveWorktree {
                chat_session_id,
                force,
                ..
            } => self.removal(machine, &chat_session_id, force)?,
            Operation::Clone { url, branch, path } => Operation::Clone {
                url: checked_url(&url)?,
                branch: short(branch, "branch", NAME_MAX_BYTES * 4)?,
                path: checked_target(&path)?,
            },
            Operation::Unknown => {
                return Err(CallError::new(
                    ErrorCode::Invalid,
                    "This backend does not know that operation. Update it.",
                ));
            }
        };
        bounded_json("operation", &checked)?;
        Ok(checked)
    }
}

impl CommandRow {
    pub(super) fn summary(&self) -> CommandSummary {
        CommandSummary {
            id: self.id.clone(),
            machine_id: self.machine.clone(),
            requested_by: self.requested_by.clone(),
            operation: self.operation.clone(),
            state: self.state,
            attempt: self.attempt,
            cancel_requested: self.cancel_requested,
            progress: self.progress.clone(),
            error: self.error.clone(),
            created_at: self.created_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            expires_at: self.expires_at,
        }
    }
}

/// The form of an address; whether its protocol is allowed is the machine's to say. A password in it would be
/// kept in the activity, so it is refused here and not only there.
fn checked_url(url: &str) -> Result<String, CallError> {
    let url = url.trim();
    if let Err(error) = git_url::check(url, &GitProtocol::ALL) {
        // What is advised is what every machine allows.
        let advice = git_url::check(url, &GitProtocol::DEFAULT)
            .err()
            .unwrap_or(error);
        return Err(CallError::new(ErrorCode::Invalid, advice.to_string()));
    }
    Ok(url.to_owned())
}

fn short(text: Option<String>, what: &str, limit: usize) -> Result<Option<String>, CallError> {
    match text {
        Some(text) if text.len() > limit => Err(CallError::new(
            ErrorCode::TooLarge,
            format!("The {what} is over its limit of {limit} bytes."),
        )),
        Some(text) if text.is_empty() => Ok(None),
        text => Ok(text),
    }
}

fn bounded_progress(progress: Progress) -> Progress {
    Progress {
        phase: bounded_reason(progress.phase),
        percent: progress.percent.map(|percent| percent.min(100)),
        ..progress
    }
}

fn bounded_json(what: &str, value: &impl serde::Serialize) -> Result<(), CallError> {
    let size = serde_json::to_vec(value).map_or(usize::MAX, |json| json.len());
    if size > COMMAND_MAX_BYTES {
        return Err(CallError::new(
            ErrorCode::TooLarge,
            format!("The {what} is over its limit of {COMMAND_MAX_BYTES} bytes."),
        ));
    }
    Ok(())
}
