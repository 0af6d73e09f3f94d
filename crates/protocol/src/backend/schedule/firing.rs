//! From an instant to the run that it becomes.

use super::rows::LeftOut;
use crate::backend::Backend;
use crate::backend::rows::Rows;
use crate::backend::tables::{Deadline, RunRow, RunStop, ScheduleRow, key};
use crate::error::CallError;
use crate::ids::{RunId, ScheduleId, WorkerId};
use crate::schedule::{
    Decision, Missed, Overlap, Situation, SkipWhy, Timing, decide, look_back, start_of,
};
use crate::state::{RunState, ScheduleState};
use crate::time::Timestamp;

impl<R: Rows> Backend<'_, R> {
    /// The deadline of a schedule: what is due gets its rows, and what is to run begins. When more is due than one
    /// look back goes through, its next deadline is in the past.
    pub(in crate::backend) fn schedule_fires(&mut self, id: &ScheduleId) -> Result<(), CallError> {
        let row = self.schedule_by_id(id)?;
        if self.is_due(&row) {
            self.fire_once(row)?;
        }
        Ok(())
    }

    /// What is due up to now gets its rows, before anything about the schedule changes.
    pub(super) fn fire_due(&mut self, id: &ScheduleId) -> Result<ScheduleRow, CallError> {
        loop {
            let row = self.schedule_by_id(id)?;
            if !self.is_due(&row) {
                return Ok(row);
            }
            self.fire_once(row)?;
        }
    }

    fn is_due(&self, row: &ScheduleRow) -> bool {
        row.state == ScheduleState::Enabled
            && !row.is_deleted
            && row.next_at.is_some_and(|at| at <= self.now)
    }

    fn fire_once(&mut self, mut row: ScheduleRow) -> Result<(), CallError> {
        let timing = Timing::new(&row.spec.when)?;
        let found = look_back(&timing, row.spec.catch_up, row.handled, self.now);
        if let Some(handled) = found.handled {
            row.handled = row.handled.max(handled);
        }
        self.arm_schedule(&mut row, &timing)?;
        let ranges = found.ranges.into_iter().map(LeftOut::from);
        let missed = found.missed.into_iter().map(LeftOut::from);
        for left_out in ranges.chain(missed) {
            self.miss(&row.id, left_out)?;
        }
        for at in found.run {
            if !self.is_fired(&row.id, at)? {
                self.fire(&row.id, at, &timing)?;
            }
        }
        Ok(())
    }

    fn miss(&mut self, schedule: &ScheduleId, left_out: LeftOut) -> Result<(), CallError> {
        if self.is_fired(schedule, left_out.due_at)? {
            return Ok(());
        }
        let mut run = self.new_run(schedule, left_out.due_at, false)?;
        run.until = left_out.until;
        run.count = left_out.count;
        run.missed = Some(left_out.why);
        self.finish_run(run, RunState::Missed, Some(left_out.why.text()))
    }

    /// One firing: the overlap policy decides what becomes of it.
    fn fire(&mut self, id: &ScheduleId, at: Timestamp, timing: &Timing) -> Result<(), CallError> {
        let schedule = self.schedule_by_id(id)?;
        let open = self.open_runs(id)?;
        let decision = decide(schedule.spec.overlap, situation(&open));
        let mut run = self.new_run(id, at, false)?;
        match decision {
            Decision::Skip(why) => return self.skip_run(run, why),
            Decision::Replace => self.make_way(open)?,
            Decision::Start | Decision::Queue => {}
        }
        let starts_at = start_of(
            id.as_str(),
            at,
            timing.next_fire(at),
            schedule.spec.jitter_ms,
        );
        if starts_at <= self.now {
            return self.begin_or_wait(run);
        }
        run.starts_at = Some(starts_at);
        self.save_run(&run)?;
        self.arm_start(&run.id, starts_at)
    }

    /// A run that a person asks for. It is no firing, but the overlap policy decides all the same.
    pub(super) fn fire_now(
        &mut self,
        schedule: &ScheduleRow,
    ) -> Result<Result<RunId, SkipWhy>, CallError> {
        let open = self.open_runs(&schedule.id)?;
        match decide(schedule.spec.overlap, situation(&open)) {
            Decision::Skip(why) => return Ok(Err(why)),
            Decision::Replace => self.make_way(open)?,
            Decision::Start | Decision::Queue => {}
        }
        let run = self.new_run(&schedule.id, self.now, true)?;
        let id = run.id.clone();
        self.begin_or_wait(run)?;
        Ok(Ok(id))
    }

    pub(super) fn arm_start(&mut self, run: &RunId, at: Timestamp) -> Result<(), CallError> {
        let deadline = Deadline::RunStarts { run: run.clone() };
        self.arm(at, &format!("{run}.starts"), &deadline)
    }

    /// The deadline of a run that waits for its jitter or for another try.
    pub(in crate::backend) fn run_starts(&mut self, id: &RunId) -> Result<(), CallError> {
        let run = self.run_by_id(id)?;
        let is_time = run.starts_at.is_some_and(|at| at <= self.now);
        if run.state.is_terminal() || !is_time {
            return Ok(());
        }
        if run.is_waiting() {
            self.begin_or_wait(run)
        } else {
            self.try_again(run)
        }
    }

    fn begin_or_wait(&mut self, mut run: RunRow) -> Result<(), CallError> {
        if self.may_begin(&run)? {
            return self.begin_run(run);
        }
        run.starts_at = None;
        run.state = run.state.to(RunState::Queued)?;
        run.reason = Some("It waits until the run before it has ended.".to_owned());
        self.save_run(&run)
    }

    /// A run of this schedule has ended: one that waited for that may begin.
    pub(super) fn begin_next(&mut self, schedule: &ScheduleId) -> Result<(), CallError> {
        for run in self.open_runs(schedule)? {
            if run.is_waiting() && run.starts_at.is_none() && self.may_begin(&run)? {
                self.begin_run(run)?;
            }
        }
        Ok(())
    }

    /// Whether nothing of its schedule goes on or waits before it, or does not matter.
    fn may_begin(&self, run: &RunRow) -> Result<bool, CallError> {
        if self.schedule_by_id(&run.schedule)?.spec.overlap == Overlap::Parallel {
            return Ok(true);
        }
        let open = self.open_runs(&run.schedule)?;
        Ok(open.iter().all(|other| other.place >= run.place))
    }

    /// What goes on is stopped, and what waits is left out, for a run that takes their place.
    fn make_way(&mut self, open: Vec<RunRow>) -> Result<(), CallError> {
        for run in open {
            if run.goes_on() {
                self.stop_run(run, Some(RunStop::Replaced))?;
            } else {
                self.skip_run(run, SkipWhy::Newer)?;
            }
        }
        Ok(())
    }

    fn skip_run(&mut self, mut run: RunRow, why: SkipWhy) -> Result<(), CallError> {
        run.skipped = Some(why);
        self.finish_run(run, RunState::Skipped, Some(why.text()))
    }

    /// The worker will do no more runs: its schedules are paused, and what has not begun there never will.
    pub(in crate::backend) fn pause_schedules_of(
        &mut self,
        worker: &WorkerId,
        reason: &str,
    ) -> Result<(), CallError> {
        for id in self.schedule_ids(&key::schedules_by_worker(worker))? {
            let mut row = self.fire_due(&id)?;
            if row.state == ScheduleState::Enabled {
                self.pause(&mut row, reason)?;
            }
            for run in self.open_runs(&id)? {
                // What has a turn ends with its chat session.
                if self.live_turn(&run)?.is_none() {
                    self.finish_run(run, RunState::Cancelled, Some(reason.to_owned()))?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn pause(&mut self, row: &mut ScheduleRow, reason: &str) -> Result<(), CallError> {
        row.state = row.state.to(ScheduleState::Paused)?;
        row.reason = Some(reason.to_owned());
        let timing = Timing::new(&row.spec.when)?;
        self.arm_schedule(row, &timing)
    }
}

impl From<Missed> for LeftOut {
    fn from(missed: Missed) -> Self {
        Self {
            due_at: missed.at,
            until: None,
            count: 1,
            why: missed.why,
        }
    }
}

fn situation(open: &[RunRow]) -> Situation {
    let running = open.iter().filter(|run| run.goes_on()).count();
    Situation {
        running,
        queued: open.len() - running,
    }
}
