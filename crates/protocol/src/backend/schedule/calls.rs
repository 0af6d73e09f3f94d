//! What people call.

use super::checks::checked_spec;
use crate::backend::machine::person;
use crate::backend::rows::{Rows, after, save};
use crate::backend::tables::{Entry, ScheduleRow, key};
use crate::backend::{Actor, Backend};
use crate::error::{CallError, ErrorCode};
use crate::ids::ScheduleId;
use crate::limits::{SCHEDULES_MAX, SCHEDULES_PAGE};
use crate::schedule::Timing;
use crate::secret::Secret;
use crate::state::ScheduleState;
use crate::wire::{
    CreateScheduleArgs, Done, EditScheduleArgs, ListSchedulesArgs, RunArgs, RunReply, ScheduleArgs,
    ScheduleList, ScheduleView,
};

const WEBHOOK_SECRET_PREFIX: &str = "owh";
const PAUSED_BY_A_PERSON: &str = "Paused by a person.";

impl<R: Rows> Backend<'_, R> {
    pub(in crate::backend) fn schedule_list(
        &mut self,
        actor: &Actor,
        args: ListSchedulesArgs,
    ) -> Result<ScheduleList, CallError> {
        let index = match &args.worker_id {
            Some(id) => key::schedules_by_worker(&self.worker_row(actor, id)?.id),
            None => key::schedules_of(person(actor)?),
        };
        let from = args
            .after
            .map_or_else(|| index.clone(), |id| after(&format!("{index}{id}")));
        let (ids, has_more) = self.schedule_page(&index, &from, SCHEDULES_PAGE)?;
        let schedules = ids
            .iter()
            .map(|id| self.schedule_summary(&self.schedule_by_id(id)?))
            .collect::<Result<_, _>>()?;
        Ok(ScheduleList {
            schedules,
            has_more,
        })
    }

    pub(in crate::backend) fn schedule_view(
        &mut self,
        actor: &Actor,
        args: ScheduleArgs,
    ) -> Result<ScheduleView, CallError> {
        let row = self.schedule_row(actor, &args.schedule_id)?;
        self.schedule_view_of(&row.id)
    }

    pub(in crate::backend) fn schedule_create(
        &mut self,
        actor: &Actor,
        args: CreateScheduleArgs,
    ) -> Result<ScheduleView, CallError> {
        let owner = person(actor)?;
        let worker = self.usable_worker(actor, &args.worker_id)?;
        let (spec, timing) = checked_spec(args.spec)?;
        if self.schedule_ids(&key::schedules_of(owner))?.len() >= SCHEDULES_MAX {
            return Err(CallError::new(
                ErrorCode::LimitReached,
                format!(
                    "You have {SCHEDULES_MAX} schedules, which is the limit. Delete some that you no longer need."
                ),
            ));
        }
        let mut row = ScheduleRow {
            id: ScheduleId::generate(self.now, self.next_id_entropy()),
            owner: owner.clone(),
            machine: worker.machine,
            worker: worker.id,
            spec,
            state: ScheduleState::Enabled,
            reason: None,
            handled: self.now,
            next_at: None,
            failures_in_a_row: 0,
            revision: 1,
            created_at: self.now,
            changed_at: self.now,
            chat: None,
            last_run: None,
            last_ended: None,
            runs_made: 0,
            webhook_secret: None,
            is_deleted: false,
        };
        if args.paused {
            row.state = row.state.to(ScheduleState::Paused)?;
            row.reason = Some(PAUSED_BY_A_PERSON.to_owned());
        }
        self.give_webhook_secret(&mut row);
        save(self.rows, &key::schedule_of(&row.owner, &row.id), &Entry)?;
        save(
            self.rows,
            &key::schedule_by_worker(&row.worker, &row.id),
            &Entry,
        )?;
        self.arm_schedule(&mut row, &timing)?;
        self.schedule_view_of(&row.id)
    }

    pub(in crate::backend) fn schedule_edit(
        &mut self,
        actor: &Actor,
        args: EditScheduleArgs,
    ) -> Result<ScheduleView, CallError> {
        let row = self.live_schedule(actor, &args.schedule_id)?;
        if row.revision != args.revision {
            return Err(CallError::new(
                ErrorCode::Conflict,
                "This schedule was changed meanwhile. Look at what it is now, then change it again.",
            ));
        }
        self.usable_worker(actor, &row.worker)?;
        let (spec, timing) = checked_spec(args.spec)?;
        let mut row = self.fire_due(&row.id)?;
        row.spec = spec;
        row.handled = row.handled.max(self.now);
        row.revision += 1;
        row.changed_at = self.now;
        self.give_webhook_secret(&mut row);
        self.arm_schedule(&mut row, &timing)?;
        self.settle_runs()?;
        self.schedule_view_of(&row.id)
    }

    pub(in crate::backend) fn schedule_pause(
        &mut self,
        actor: &Actor,
        args: ScheduleArgs,
    ) -> Result<ScheduleView, CallError> {
        let row = self.live_schedule(actor, &args.schedule_id)?;
        let mut row = self.fire_due(&row.id)?;
        if row.state == ScheduleState::Enabled {
            row.changed_at = self.now;
            self.pause(&mut row, PAUSED_BY_A_PERSON)?;
        }
        self.settle_runs()?;
        self.schedule_view_of(&row.id)
    }

    pub(in crate::backend) fn schedule_resume(
        &mut self,
        actor: &Actor,
        args: ScheduleArgs,
    ) -> Result<ScheduleView, CallError> {
        let mut row = self.live_schedule(actor, &args.schedule_id)?;
        if row.state == ScheduleState::Paused {
            self.usable_worker(actor, &row.worker)?;
            row.state = row.state.to(ScheduleState::Enabled)?;
            row.reason = None;
            row.failures_in_a_row = 0;
            row.handled = row.handled.max(self.now);
            row.changed_at = self.now;
            let timing = Timing::new(&row.spec.when)?;
            self.arm_schedule(&mut row, &timing)?;
        }
        self.schedule_view_of(&row.id)
    }

    pub(in crate::backend) fn schedule_delete(
        &mut self,
        actor: &Actor,
        args: ScheduleArgs,
    ) -> Result<Done, CallError> {
        let row = self.schedule_row(actor, &args.schedule_id)?;
        if row.is_deleted {
            return Ok(Done {});
        }
        let mut row = self.fire_due(&row.id)?;
        row.is_deleted = true;
        row.changed_at = self.now;
        self.rows.delete(&key::schedule_of(&row.owner, &row.id))?;
        self.rows
            .delete(&key::schedule_by_worker(&row.worker, &row.id))?;
        let timing = Timing::new(&row.spec.when)?;
        self.arm_schedule(&mut row, &timing)?;
        for run in self.open_runs(&row.id)? {
            self.stop_run(run, None)?;
        }
        Ok(Done {})
    }

    pub(in crate::backend) fn schedule_run_now(
        &mut self,
        actor: &Actor,
        args: ScheduleArgs,
    ) -> Result<RunReply, CallError> {
        let row = self.live_schedule(actor, &args.schedule_id)?;
        self.usable_worker(actor, &row.worker)?;
        let row = self.fire_due(&row.id)?;
        let run = self
            .fire_now(&row)?
            .map_err(|why| CallError::new(ErrorCode::Conflict, why.text()))?;
        self.settle_runs()?;
        let run = self.run_by_id(&run)?;
        Ok(RunReply {
            run: run.summary(&self.schedule_by_id(&row.id)?),
        })
    }

    pub(in crate::backend) fn schedule_cancel_run(
        &mut self,
        actor: &Actor,
        args: RunArgs,
    ) -> Result<RunReply, CallError> {
        let run = self.run_row(actor, &args.run_id)?;
        if run.state.is_terminal() {
            return Err(CallError::new(
                ErrorCode::Conflict,
                format!("This run is {} already.", run.state.as_str()),
            ));
        }
        self.stop_run(run, None)?;
        self.settle_runs()?;
        let run = self.run_by_id(&args.run_id)?;
        Ok(RunReply {
            run: run.summary(&self.schedule_by_id(&run.schedule)?),
        })
    }

    fn live_schedule(&self, actor: &Actor, id: &ScheduleId) -> Result<ScheduleRow, CallError> {
        let row = self.schedule_row(actor, id)?;
        if row.is_deleted {
            return Err(CallError::new(
                ErrorCode::Conflict,
                "This schedule was deleted. Make a new one.",
            ));
        }
        Ok(row)
    }

    fn give_webhook_secret(&self, row: &mut ScheduleRow) {
        if row.spec.notify.webhook.is_some() && row.webhook_secret.is_none() {
            let secret = Secret::generate(WEBHOOK_SECRET_PREFIX, self.entropy.secret);
            row.webhook_secret = Some(secret);
        }
    }
}
