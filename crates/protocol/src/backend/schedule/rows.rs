//! The rows of schedules and runs, and what people see of them.

use crate::backend::rows::{Order, Rows, after_all, load, save};
use crate::backend::tables::{Deadline, Entry, RunRow, ScheduleRow, key};
use crate::backend::{Backend, Topic};
use crate::error::CallError;
use crate::ids::{RunId, ScheduleId, TurnId};
use crate::limits::{PARALLEL_RUNS_MAX, SCHEDULES_MAX, VIEW_MAX_RUNS};
use crate::schedule::{MissedRange, MissedWhy, Timing};
use crate::state::{RunState, ScheduleState};
use crate::time::Timestamp;
use crate::wire::{RunSummary, ScheduleSummary, ScheduleView};

/// More than can be open: those side by side, and one that waits for them.
const OPEN_RUNS_READ: usize = 2 * PARALLEL_RUNS_MAX;

/// A firing that is not run, or a range of them.
pub(super) struct LeftOut {
    pub(super) due_at: Timestamp,
    pub(super) until: Option<Timestamp>,
    pub(super) count: u32,
    pub(super) why: MissedWhy,
}

impl From<MissedRange> for LeftOut {
    fn from(range: MissedRange) -> Self {
        Self {
            due_at: range.first,
            until: Some(range.last),
            count: u32::try_from(range.count).unwrap_or(u32::MAX),
            why: range.why,
        }
    }
}

impl<R: Rows> Backend<'_, R> {
    pub(super) fn schedule_by_id(&self, id: &ScheduleId) -> Result<ScheduleRow, CallError> {
        load(self.rows, &key::schedule(id))?.ok_or_else(|| CallError::not_found("schedule"))
    }

    pub(super) fn run_by_id(&self, id: &RunId) -> Result<RunRow, CallError> {
        load(self.rows, &key::run(id))?.ok_or_else(|| CallError::not_found("run"))
    }

    /// The run whose latest try this turn is or was.
    pub(super) fn run_of_turn(&self, turn: &TurnId) -> Result<Option<RunRow>, CallError> {
        let id: Option<RunId> = load(self.rows, &key::run_by_turn(turn))?;
        let run = id.map(|id| self.run_by_id(&id)).transpose()?;
        Ok(run.filter(|run| run.turn.as_ref() == Some(turn)))
    }

    pub(super) fn save_schedule(&mut self, row: &ScheduleRow) -> Result<(), CallError> {
        save(self.rows, &key::schedule(&row.id), row)?;
        self.changed(Topic::Schedule(row.id.clone()));
        self.changed(Topic::Schedules(row.owner.clone()));
        Ok(())
    }

    pub(super) fn save_run(&mut self, row: &RunRow) -> Result<(), CallError> {
        save(self.rows, &key::run(&row.id), row)?;
        self.changed(Topic::Schedule(row.schedule.clone()));
        self.changed(Topic::Schedules(row.owner.clone()));
        Ok(())
    }

    /// A row for one more run, which is open until it ends.
    pub(super) fn new_run(
        &mut self,
        schedule: &ScheduleId,
        due_at: Timestamp,
        is_manual: bool,
    ) -> Result<RunRow, CallError> {
        let mut schedule = self.schedule_by_id(schedule)?;
        schedule.runs_made += 1;
        self.save_schedule(&schedule)?;
        let run = RunRow {
            id: RunId::generate(self.now, self.next_id_entropy()),
            schedule: schedule.id,
            owner: schedule.owner,
            place: schedule.runs_made,
            due_at,
            is_manual,
            until: None,
            count: 1,
            state: RunState::Due,
            reason: None,
            skipped: None,
            missed: None,
            failure: None,
            tries: 0,
            starts_at: None,
            started_at: None,
            ended_at: None,
            chat: None,
            turn: None,
            usage: None,
            denied: Vec::new(),
            is_asking: false,
            revision: schedule.revision,
            terms: None,
            stop: None,
        };
        if !is_manual {
            save(self.rows, &key::run_at(&run.schedule, due_at), &run.id)?;
        }
        for ledger in [key::runs_of(&run.schedule), key::runs_by_owner(&run.owner)] {
            save(
                self.rows,
                &key::ledger_place(&ledger, due_at, &run.id),
                &Entry,
            )?;
        }
        save(
            self.rows,
            &key::open_run_of(&run.schedule, run.place),
            &run.id,
        )?;
        self.save_run(&run)?;
        Ok(run)
    }

    /// Whether the firing at that instant has its row.
    pub(super) fn is_fired(
        &self,
        schedule: &ScheduleId,
        instant: Timestamp,
    ) -> Result<bool, CallError> {
        Ok(load::<RunId>(self.rows, &key::run_at(schedule, instant))?.is_some())
    }

    /// The runs that have not ended, in the order in which they came about.
    pub(super) fn open_runs(&self, schedule: &ScheduleId) -> Result<Vec<RunRow>, CallError> {
        let prefix = key::open_runs_of(schedule);
        let entries = crate::backend::rows::below::<RunId>(
            self.rows,
            &prefix,
            Order::Ascending,
            OPEN_RUNS_READ,
        )?;
        entries.iter().map(|(_, id)| self.run_by_id(id)).collect()
    }

    /// Works out when an enabled schedule fires next and sets its deadline; takes that of any other one away. Saves
    /// the row.
    pub(super) fn arm_schedule(
        &mut self,
        row: &mut ScheduleRow,
        timing: &Timing,
    ) -> Result<(), CallError> {
        if let Some(at) = row.next_at.take() {
            self.rows.delete(&key::deadline(at, row.id.as_str()))?;
        }
        if row.state == ScheduleState::Enabled && !row.is_deleted {
            row.next_at = timing.next_fire(row.handled);
        }
        if let Some(at) = row.next_at {
            let deadline = Deadline::ScheduleFires {
                schedule: row.id.clone(),
            };
            self.arm(at, row.id.as_str(), &deadline)?;
        }
        self.save_schedule(row)
    }

    /// The ids of an index of schedules after a place, and whether there are more.
    pub(super) fn schedule_page(
        &self,
        index: &str,
        from: &str,
        most: usize,
    ) -> Result<(Vec<ScheduleId>, bool), CallError> {
        let mut found = self
            .rows
            .scan(from, &after_all(index), Order::Ascending, most + 1)?;
        let has_more = found.len() > most;
        found.truncate(most);
        let ids = found
            .iter()
            .filter_map(|(path, _)| path.rsplit('/').next())
            .filter_map(|id| ScheduleId::parse(id).ok())
            .collect();
        Ok((ids, has_more))
    }

    /// All schedules of an index; no person has more than are read.
    pub(super) fn schedule_ids(&self, index: &str) -> Result<Vec<ScheduleId>, CallError> {
        Ok(self.schedule_page(index, index, SCHEDULES_MAX)?.0)
    }

    pub(super) fn schedule_summary(&self, row: &ScheduleRow) -> Result<ScheduleSummary, CallError> {
        let last_run = match &row.last_run {
            Some(id) => Some(self.run_by_id(id)?.summary(row)),
            None => None,
        };
        Ok(ScheduleSummary {
            id: row.id.clone(),
            worker_id: row.worker.clone(),
            machine_id: row.machine.clone(),
            name: row.spec.name.clone(),
            when: row.spec.when.clone(),
            state: row.state,
            reason: row.reason.clone(),
            next_at: row.next_at,
            last_run,
            open_run_count: self.open_runs(&row.id)?.len() as u32,
            failures_in_a_row: row.failures_in_a_row,
            revision: row.revision,
            created_at: row.created_at,
            changed_at: row.changed_at,
            is_deleted: row.is_deleted,
        })
    }

    pub(super) fn schedule_view_of(&self, id: &ScheduleId) -> Result<ScheduleView, CallError> {
        let row = self.schedule_by_id(id)?;
        let ledger = key::runs_of(id);
        let page = self.ledger_page(&ledger, &ledger, &after_all(&ledger), VIEW_MAX_RUNS)?;
        let secret = row
            .webhook_secret
            .as_ref()
            .filter(|_| row.spec.notify.webhook.is_some());
        Ok(ScheduleView {
            schedule: self.schedule_summary(&row)?,
            webhook_secret: secret.map(|secret| secret.expose().to_owned()),
            chat_session_id: row.chat,
            spec: row.spec,
            runs: page.runs,
            has_earlier: page.has_earlier,
        })
    }
}

impl RunRow {
    /// It has begun and has not ended: its machine works on it, or it waits to be tried again.
    pub(super) fn goes_on(&self) -> bool {
        match self.state {
            RunState::Running => true,
            RunState::Queued => self.tries > 0 && self.starts_at.is_some(),
            RunState::Due
            | RunState::Completed
            | RunState::Interrupted
            | RunState::Failed
            | RunState::Cancelled
            | RunState::Skipped
            | RunState::Missed
            | RunState::Unknown => false,
        }
    }

    /// It has neither begun nor ended.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, RunState::Due | RunState::Queued) && self.tries == 0
    }

    pub(super) fn summary(&self, schedule: &ScheduleRow) -> RunSummary {
        RunSummary {
            id: self.id.clone(),
            schedule_id: self.schedule.clone(),
            schedule_name: schedule.spec.name.clone(),
            worker_id: schedule.worker.clone(),
            machine_id: schedule.machine.clone(),
            due_at: self.due_at,
            is_manual: self.is_manual,
            until: self.until,
            count: self.count,
            state: self.state,
            reason: self.reason.clone(),
            skipped: self.skipped,
            missed: self.missed,
            failure: self.failure,
            tries: self.tries,
            starts_at: self.starts_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            chat_session_id: self.chat.clone(),
            turn_id: self.turn.clone(),
            usage: self.usage.clone(),
            denied: self.denied.clone(),
            is_asking: self.is_asking,
            revision: self.revision,
        }
    }
}
