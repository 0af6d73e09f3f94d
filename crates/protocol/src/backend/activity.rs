//! What is known of a machine's directories without asking it again: the last listings, and the activity.

use super::path::checked_path;
use super::rows::{Order, Rows, after_all, load, save};
use super::tables::{CommandRow, DirectoryRow, Entry, key};
use super::{Actor, Backend, Topic};
use crate::error::CallError;
use crate::ids::{CommandId, MachineId};
use crate::limits::{ACTIVITY_PAGE_COMMANDS, KEPT_LISTINGS_MAX};
use crate::wire::{
    Activity, ActivityArgs, CommandResult, DirectoryArgs, DirectoryView, Listing, Operation,
};

impl<R: Rows> Backend<'_, R> {
    pub(super) fn machine_activity(
        &mut self,
        actor: &Actor,
        args: ActivityArgs,
    ) -> Result<Activity, CallError> {
        let machine = self.machine_row(actor, &args.machine_id)?;
        let prefix = if args.reads {
            key::commands_of(&machine.id)
        } else {
            key::changes_of(&machine.id)
        };
        let to = args
            .before
            .map_or_else(|| after_all(&prefix), |before| format!("{prefix}{before}"));
        let mut found =
            self.rows
                .scan(&prefix, &to, Order::Descending, ACTIVITY_PAGE_COMMANDS + 1)?;
        let has_earlier = found.len() > ACTIVITY_PAGE_COMMANDS;
        found.truncate(ACTIVITY_PAGE_COMMANDS);
        let commands = found
            .iter()
            .filter_map(|(path, _)| path.rsplit('/').next())
            .filter_map(|id| CommandId::parse(id).ok())
            .filter_map(|id| load::<CommandRow>(self.rows, &key::command(&id)).transpose())
            .map(|row| row.map(|row| row.summary()))
            .collect::<Result<_, _>>()?;
        Ok(Activity {
            commands,
            has_earlier,
        })
    }

    pub(super) fn machine_directory(
        &mut self,
        actor: &Actor,
        args: DirectoryArgs,
    ) -> Result<DirectoryView, CallError> {
        let machine = self.machine_row(actor, &args.machine_id)?;
        let directory = checked_path(&args.directory)?;
        let row: Option<DirectoryRow> = load(
            self.rows,
            &key::directory(&machine.id, args.hidden, &directory),
        )?;
        let Some(row) = row else {
            return Ok(DirectoryView::default());
        };
        let command = load::<CommandRow>(self.rows, &key::command(&row.command))?;
        Ok(DirectoryView {
            listing: row.listing,
            as_of: row.as_of,
            command: command.map(|command| command.summary()),
        })
    }

    /// A command that lists a directory's first page has begun to wait.
    pub(super) fn listing_requested(&mut self, command: &CommandRow) -> Result<(), CallError> {
        let Some((directory, hidden)) = first_page(&command.operation) else {
            return Ok(());
        };
        let path = key::directory(&command.machine, hidden, directory);
        let row = match load::<DirectoryRow>(self.rows, &path)? {
            Some(row) => DirectoryRow {
                command: command.id.clone(),
                ..row
            },
            None => DirectoryRow {
                listing: None,
                as_of: None,
                command: command.id.clone(),
                touched_at: self.now,
            },
        };
        self.keep_directory(&command.machine, hidden, directory, row)
    }

    /// A command has succeeded: if it listed a directory's first page, that is what is known of it now.
    pub(super) fn listed(
        &mut self,
        command: &CommandRow,
        result: &CommandResult,
    ) -> Result<(), CallError> {
        let (Some((directory, hidden)), CommandResult::Listing(listing)) =
            (first_page(&command.operation), result)
        else {
            return Ok(());
        };
        let row = DirectoryRow {
            listing: Some(Listing::clone(listing)),
            as_of: Some(self.now),
            command: command.id.clone(),
            touched_at: self.now,
        };
        self.keep_directory(&command.machine, hidden, directory, row)
    }

    fn keep_directory(
        &mut self,
        machine: &MachineId,
        hidden: bool,
        directory: &str,
        mut row: DirectoryRow,
    ) -> Result<(), CallError> {
        let path = key::directory(machine, hidden, directory);
        if let Some(before) = load::<DirectoryRow>(self.rows, &path)? {
            let age = key::directory_by_age(machine, before.touched_at, hidden, directory);
            self.rows.delete(&age)?;
        }
        row.touched_at = self.now;
        save(self.rows, &path, &row)?;
        let age = key::directory_by_age(machine, self.now, hidden, directory);
        save(self.rows, &age, &Entry)?;
        self.changed(Topic::Directory(machine.clone(), directory.to_owned()));
        self.forget_oldest_directory(machine)
    }

    fn forget_oldest_directory(&mut self, machine: &MachineId) -> Result<(), CallError> {
        let prefix = key::directories_by_age(machine);
        let kept = self.rows.scan(
            &prefix,
            &after_all(&prefix),
            Order::Ascending,
            KEPT_LISTINGS_MAX + 1,
        )?;
        if kept.len() <= KEPT_LISTINGS_MAX {
            return Ok(());
        }
        if let Some((oldest, _)) = kept.first() {
            self.rows.delete(oldest)?;
            // After the time come the two fields that name the row.
            if let Some((_, name)) = oldest[prefix.len()..].split_once('/') {
                self.rows
                    .delete(&format!("{}{name}", key::directories_of(machine)))?;
            }
        }
        Ok(())
    }
}

/// The directory whose first page, without a filter, the operation lists.
fn first_page(operation: &Operation) -> Option<(&str, bool)> {
    if let Operation::List {
        directory,
        hidden,
        filter: None,
        after: None,
    } = operation
    {
        Some((directory, *hidden))
    } else {
        None
    }
}
