//! Workers: one per (machine, directory), with an identity that stays.

use super::chat::{checked_agent, checked_model};
use super::machine::{bounded_reason, checked_name, machine};
use super::path::checked_path;
use super::rows::{Order, Rows, after_all, load, save};
use super::tables::{ChatRow, Entry, ReportPlace, WorkerRow, key};
use super::{Actor, Backend, Topic};
use crate::error::{CallError, ErrorCode};
use crate::ids::{MachineId, WorkerId};
use crate::limits::{NAME_MAX_BYTES, OPEN_CHATS_MAX, WORKERS_MAX};
use crate::state::{MachineState, WorkerState};
use crate::wire::{
    ConfigureWorkerArgs, Done, RegisterWorkerArgs, RenameWorkerArgs, ReportWorkerArgs, Sandbox,
    WorkerArgs, WorkerSettings, WorkerSummary,
};

impl<R: Rows> Backend<'_, R> {
    pub(super) fn worker_register(
        &mut self,
        actor: &Actor,
        args: RegisterWorkerArgs,
    ) -> Result<WorkerSummary, CallError> {
        let machine = self.machine_row(actor, &args.machine_id)?;
        if machine.state == MachineState::Revoked {
            return Err(super::access::revoked());
        }
        let directory = checked_path(&args.directory)?;
        let name = args.name.as_deref().map(checked_name).transpose()?;
        let by_directory = key::worker_by_directory(&machine.id, &directory);
        if let Some(id) = load::<WorkerId>(self.rows, &by_directory)? {
            let row = self.worker_row(actor, &id)?;
            return self.worker_summary(&row);
        }
        let prefix = key::workers_of(&machine.id);
        if self
            .rows
            .scan(&prefix, &after_all(&prefix), Order::Ascending, WORKERS_MAX)?
            .len()
            >= WORKERS_MAX
        {
            return Err(CallError::new(
                ErrorCode::LimitReached,
                format!(
                    "This machine has {WORKERS_MAX} workers, which is the limit. Remove one first."
                ),
            ));
        }
        let id = WorkerId::generate(self.now, self.entropy.id);
        let row = WorkerRow {
            name: name.unwrap_or_else(|| default_name(&directory)),
            id,
            machine: machine.id,
            directory,
            state: WorkerState::Registered,
            reason: None,
            reported: ReportPlace::default(),
            created_at: self.now,
            settings: checked_settings(args.settings)?,
        };
        save(self.rows, &by_directory, &row.id)?;
        save(self.rows, &key::worker_of(&row.machine, &row.id), &Entry)?;
        self.save_worker(&row)?;
        self.machine_changed(&row.machine)?;
        self.worker_summary(&row)
    }

    pub(super) fn worker_rename(
        &mut self,
        actor: &Actor,
        args: RenameWorkerArgs,
    ) -> Result<Done, CallError> {
        let mut row = self.worker_row(actor, &args.worker_id)?;
        row.name = checked_name(&args.name)?;
        self.save_worker(&row)?;
        Ok(Done {})
    }

    pub(super) fn worker_configure(
        &mut self,
        actor: &Actor,
        args: ConfigureWorkerArgs,
    ) -> Result<WorkerSummary, CallError> {
        let mut row = self.worker_row(actor, &args.worker_id)?;
        row.settings = checked_settings(args.settings)?;
        self.save_worker(&row)?;
        self.worker_summary(&row)
    }

    pub(super) fn worker_remove(
        &mut self,
        actor: &Actor,
        args: WorkerArgs,
    ) -> Result<Done, CallError> {
        let mut row = self.worker_row(actor, &args.worker_id)?;
        if row.state == WorkerState::Removed {
            return Ok(Done {});
        }
        self.pause_schedules_of(&row.id, "Its worker was removed.")?;
        row.state = row.state.to(WorkerState::Removed)?;
        for chat in self.open_chats(&row.machine)? {
            if chat.worker == row.id {
                self.close_chat(actor, chat, false)?;
            }
        }
        self.rows
            .delete(&key::worker_by_directory(&row.machine, &row.directory))?;
        self.rows.delete(&key::worker_of(&row.machine, &row.id))?;
        self.save_worker(&row)?;
        self.machine_changed(&row.machine)?;
        Ok(Done {})
    }

    pub(super) fn worker_report(
        &mut self,
        actor: &Actor,
        args: ReportWorkerArgs,
    ) -> Result<Done, CallError> {
        let (_, epoch) = machine(actor)?;
        let mut row = self.worker_row(actor, &args.worker_id)?;
        if !matches!(args.state, WorkerState::Ready | WorkerState::Unavailable) {
            return Err(CallError::new(
                ErrorCode::Invalid,
                format!(
                    "A machine reports a worker as ready or unavailable, not as {}.",
                    args.state.as_str()
                ),
            ));
        }
        let place = ReportPlace(epoch, args.seq);
        if place <= row.reported {
            return Ok(Done {});
        }
        row.reported = place;
        let reason = args.reason.map(bounded_reason);
        if row.state != args.state {
            row.state = row.state.to(args.state)?;
        }
        row.reason = reason;
        self.save_worker(&row)?;
        Ok(Done {})
    }

    pub(super) fn open_chats(&self, machine: &MachineId) -> Result<Vec<ChatRow>, CallError> {
        let prefix = key::open_chats_of(machine);
        self.rows
            .scan(
                &prefix,
                &after_all(&prefix),
                Order::Ascending,
                OPEN_CHATS_MAX,
            )?
            .iter()
            .filter_map(|(path, _)| path.rsplit('/').next())
            .filter_map(|id| crate::ids::ChatSessionId::parse(id).ok())
            .filter_map(|id| load::<ChatRow>(self.rows, &key::chat(&id)).transpose())
            .collect()
    }

    fn save_worker(&mut self, row: &WorkerRow) -> Result<(), CallError> {
        save(self.rows, &key::worker(&row.id), row)?;
        self.changed(Topic::Machine(row.machine.clone()));
        self.changed(Topic::Inbox(row.machine.clone()));
        Ok(())
    }
}

fn checked_settings(settings: WorkerSettings) -> Result<WorkerSettings, CallError> {
    if settings.sandbox == Sandbox::Unknown {
        return Err(CallError::new(
            ErrorCode::Invalid,
            "This backend does not know that kind of sandbox. Choose off or workspace.",
        ));
    }
    Ok(WorkerSettings {
        model: settings.model.map(checked_model).transpose()?,
        agent: settings.agent.map(checked_agent).transpose()?,
        sandbox: settings.sandbox,
    })
}

fn default_name(directory: &str) -> String {
    let last = directory
        .rsplit('/')
        .next()
        .filter(|last| !last.is_empty())
        .unwrap_or("root");
    let end = (0..=last.len().min(NAME_MAX_BYTES))
        .rev()
        .find(|at| last.is_char_boundary(*at))
        .unwrap_or(0);
    last[..end].to_owned()
}
