//! A run from its beginning to its end: the turn it has, its tries, and what its end means for its schedule.

use crate::backend::rows::{Rows, load, save};
use crate::backend::tables::{
    ChatRow, Deadline, RunRow, RunStop, RunTerms, ScheduleRow, TurnRow, key,
};
use crate::backend::turn::{EndedTurn, check_message};
use crate::backend::{Actor, Backend};
use crate::error::{CallError, ErrorCode};
use crate::ids::{ChatSessionId, RunId, ScheduleId, TurnId};
use crate::limits::NAME_MAX_BYTES;
use crate::schedule::{FailureKind, Timing, Variables, after_run, expand, retry_wait_ms};
use crate::state::{ChatState, RunState, ScheduleState, TurnState};
use crate::wire::{RunSession, StartSessionArgs, Unattended, Usage};

const MINUTE_MS: u64 = 60_000;

impl<R: Rows> Backend<'_, R> {
    /// Begins a run with what its schedule is now.
    pub(super) fn begin_run(&mut self, mut run: RunRow) -> Result<(), CallError> {
        let schedule = self.schedule_by_id(&run.schedule)?;
        let message = self.message_of(&schedule, &run)?;
        let spec = schedule.spec;
        run.revision = schedule.revision;
        run.terms = Some(RunTerms {
            session: spec.session,
            model: spec.model,
            agent: spec.agent,
            time_limit_ms: spec.time_limit_ms,
            retries: spec.retries,
            unattended: spec.unattended,
        });
        self.try_run(run, &message)
    }

    /// Sends the same message again.
    pub(super) fn try_again(&mut self, run: RunRow) -> Result<(), CallError> {
        let message: Option<String> = match &run.turn {
            Some(turn) => load(self.rows, &key::turn_message(turn))?,
            None => None,
        };
        self.try_run(run, &message.unwrap_or_default())
    }

    fn try_run(&mut self, mut run: RunRow, message: &str) -> Result<(), CallError> {
        run.tries += 1;
        run.starts_at = None;
        run.reason = None;
        if run.state == RunState::Due {
            run.state = run.state.to(RunState::Queued)?;
        }
        match self.send_run(&run, message) {
            Ok((chat, turn)) => {
                save(self.rows, &key::run_by_turn(&turn), &run.id)?;
                run.chat = Some(chat);
                run.turn = Some(turn);
                self.save_run(&run)
            }
            Err(error) if is_refusal(error.code) => {
                run.failure = Some(FailureKind::Setup);
                self.finish_run(run, RunState::Failed, Some(error.message))
            }
            Err(error) => Err(error),
        }
    }

    fn message_of(&self, schedule: &ScheduleRow, run: &RunRow) -> Result<String, CallError> {
        let timing = Timing::new(&schedule.spec.when)?;
        let last = match &schedule.last_ended {
            Some(id) => Some(self.run_by_id(id)?),
            None => None,
        };
        let variables = Variables {
            timing: &timing,
            due: run.due_at,
            schedule: &schedule.spec.name,
            last: last
                .as_ref()
                .map(|last| (last.state, last.reason.as_deref(), last.due_at)),
        };
        Ok(expand(&schedule.spec.prompt, &variables))
    }

    /// Sends a run's message, in its chat session.
    fn send_run(
        &mut self,
        run: &RunRow,
        message: &str,
    ) -> Result<(ChatSessionId, TurnId), CallError> {
        check_message(message)?;
        let chat = self.chat_for(run)?;
        let id = chat.id.clone();
        let turn = self.queue_turn(chat, message)?.turn.id;
        Ok((id, turn))
    }

    fn chat_for(&mut self, run: &RunRow) -> Result<ChatRow, CallError> {
        let mut schedule = self.schedule_by_id(&run.schedule)?;
        let terms = run
            .terms
            .as_ref()
            .ok_or_else(|| CallError::not_found("run that has begun"))?;
        let ask_first = match terms.unattended {
            Unattended::Ask => false,
            Unattended::Only { .. } | Unattended::Unknown => true,
        };
        let (goes_on, own_worktree) = match terms.session {
            RunSession::New { own_worktree } => (false, own_worktree),
            RunSession::Continue => (true, false),
            RunSession::Unknown => (false, false),
        };
        if goes_on && let Some(id) = &schedule.chat {
            let chat = self.chat_by_id(id)?;
            // A process that asks for nothing can not be made to while it runs.
            if chat.state != ChatState::Closed && (chat.ask_first || !ask_first) {
                return Ok(chat);
            }
        }
        let timing = Timing::new(&schedule.spec.when)?;
        let args = StartSessionArgs {
            worker_id: schedule.worker.clone(),
            title: Some(title(&schedule.spec.name, &timing, run)),
            model: terms.model.clone(),
            agent: terms.agent.clone(),
            own_worktree,
            continues: None,
        };
        let owner = Actor::Person(schedule.owner.clone());
        let id = self.start_session(&owner, args, ask_first)?;
        if goes_on {
            schedule.chat = Some(id.clone());
            self.save_schedule(&schedule)?;
        }
        self.chat_by_id(&id)
    }

    /// Its machine has taken a turn: if it is a run's, the run goes on from now, and its time counts.
    pub(in crate::backend) fn run_taken(&mut self, turn: &TurnId) -> Result<(), CallError> {
        let Some(mut run) = self.run_of_turn(turn)? else {
            return Ok(());
        };
        if run.state != RunState::Queued {
            return Ok(());
        }
        run.state = run.state.to(RunState::Running)?;
        run.started_at.get_or_insert(self.now);
        if let Some(limit_ms) = run.terms.as_ref().and_then(|terms| terms.time_limit_ms) {
            let deadline = Deadline::RunTimesUp {
                run: run.id.clone(),
                tries: run.tries,
            };
            self.arm(
                self.now.plus_ms(limit_ms),
                &format!("{}.limit", run.id),
                &deadline,
            )?;
        }
        self.run_shows(&run)?;
        self.save_run(&run)
    }

    /// The deadline of a try that has a time limit.
    pub(in crate::backend) fn run_times_up(
        &mut self,
        id: &RunId,
        tries: u32,
    ) -> Result<(), CallError> {
        let run = self.run_by_id(id)?;
        if run.state == RunState::Running && run.tries == tries {
            self.stop_run(run, Some(RunStop::TimeLimit))?;
        }
        Ok(())
    }

    /// Stops a run: at once if its machine has not taken it, else with its turn.
    pub(super) fn stop_run(
        &mut self,
        mut run: RunRow,
        stop: Option<RunStop>,
    ) -> Result<(), CallError> {
        run.stop = run.stop.or(stop);
        if run.state != RunState::Running {
            let reason = run.stop.and_then(stopped_because);
            return self.finish_run(run, RunState::Cancelled, reason);
        }
        self.save_run(&run)?;
        if let Some(turn) = self.live_turn(&run)? {
            self.cancel_turn(turn)?;
        }
        Ok(())
    }

    /// The turn of a run that has not ended.
    pub(super) fn live_turn(&self, run: &RunRow) -> Result<Option<TurnRow>, CallError> {
        let turn = run
            .turn
            .as_ref()
            .map(|id| self.turn_by_id(id))
            .transpose()?;
        Ok(turn.filter(|turn| !turn.state.is_terminal()))
    }

    /// What follows for runs from what has been done in this transaction: turns have ended, and with them the runs
    /// that they were of; runs have ended, and others begin.
    pub(in crate::backend) fn settle_runs(&mut self) -> Result<(), CallError> {
        loop {
            if let Some(ended) = self.ended.pop_front() {
                self.turn_ended(&ended)?;
            } else if let Some(schedule) = self.unblocked.pop_first() {
                self.begin_next(&schedule)?;
            } else {
                return Ok(());
            }
        }
    }

    fn turn_ended(&mut self, ended: &EndedTurn) -> Result<(), CallError> {
        let Some(mut run) = self.run_of_turn(&ended.turn)? else {
            return Ok(());
        };
        let turn = self.turn_by_id(&ended.turn)?;
        if run.state.is_terminal() || !turn.state.is_terminal() {
            return Ok(());
        }
        let usage = self.answer_of(&turn.id)?.and_then(|answer| answer.usage);
        add_usage(&mut run.usage, usage);
        if turn.state == TurnState::Completed {
            return self.finish_run(run, RunState::Completed, None);
        }
        if run.stop == Some(RunStop::TimeLimit) {
            run.failure = Some(FailureKind::TimeLimit);
            let reason = over_time(&run);
            return self.finish_run(run, RunState::Failed, Some(reason));
        }
        if ended.was_stopped || run.stop.is_some() {
            let reason = run.stop.and_then(stopped_because).or(turn.reason);
            return self.finish_run(run, RunState::Cancelled, reason);
        }
        let failure = if run.denied.is_empty() {
            ended.failure.unwrap_or(FailureKind::Other)
        } else {
            FailureKind::Denied
        };
        let retries = run.terms.as_ref().map(|terms| terms.retries);
        let wait_ms = retry_wait_ms(retries.unwrap_or_default(), run.tries, failure);
        if let Some(wait_ms) = wait_ms
            && !self.schedule_by_id(&run.schedule)?.is_deleted
        {
            return self.wait_for_another_try(run, turn.reason, wait_ms);
        }
        run.failure = Some(failure);
        let end = if turn.state == TurnState::Interrupted {
            RunState::Interrupted
        } else {
            RunState::Failed
        };
        self.finish_run(run, end, turn.reason)
    }

    fn wait_for_another_try(
        &mut self,
        mut run: RunRow,
        reason: Option<String>,
        wait_ms: u64,
    ) -> Result<(), CallError> {
        if run.state == RunState::Running {
            run.state = run.state.to(RunState::Queued)?;
        }
        let at = self.now.plus_ms(wait_ms);
        run.starts_at = Some(at);
        run.reason = reason;
        run.is_asking = false;
        self.run_shows(&run)?;
        self.save_run(&run)?;
        self.arm_start(&run.id, at)?;
        self.leave_chat(&run)
    }

    /// Ends a run for good. What waited for that begins when this transaction's own work is done.
    pub(super) fn finish_run(
        &mut self,
        mut run: RunRow,
        end: RunState,
        reason: Option<String>,
    ) -> Result<(), CallError> {
        if run.state == RunState::Queued
            && matches!(end, RunState::Completed | RunState::Interrupted)
        {
            run.state = run.state.to(RunState::Running)?;
        }
        run.state = run.state.to(end)?;
        run.reason = reason;
        run.starts_at = None;
        run.is_asking = false;
        run.ended_at = Some(self.now);
        self.rows
            .delete(&key::open_run_of(&run.schedule, run.place))?;
        self.run_shows(&run)?;
        self.save_run(&run)?;
        self.unblocked.insert(run.schedule.clone());
        if let Some(turn) = self.live_turn(&run)? {
            self.cancel_turn(turn)?;
        }
        self.leave_chat(&run)?;
        self.count_run(&run)
    }

    /// A chat session of its own ends with the try that it was for.
    fn leave_chat(&mut self, run: &RunRow) -> Result<(), CallError> {
        let is_own = match run.terms.as_ref().map(|terms| terms.session) {
            Some(RunSession::New { .. } | RunSession::Unknown) => true,
            Some(RunSession::Continue) | None => false,
        };
        if is_own && let Some(id) = &run.chat {
            let chat = self.chat_by_id(id)?;
            if chat.state != ChatState::Closed {
                let owner = Actor::Person(run.owner.clone());
                self.close_chat(&owner, chat, false)?;
            }
        }
        Ok(())
    }

    /// A run that has begun or ended is what its schedule shows, if it is the latest by the instant it was due.
    fn run_shows(&mut self, run: &RunRow) -> Result<(), CallError> {
        let mut schedule = self.schedule_by_id(&run.schedule)?;
        let is_latest = match &schedule.last_run {
            Some(id) => {
                let last = self.run_by_id(id)?;
                (last.due_at, &last.id) <= (run.due_at, &run.id)
            }
            None => true,
        };
        if is_latest {
            schedule.last_run = Some(run.id.clone());
            self.save_schedule(&schedule)?;
        }
        Ok(())
    }

    /// Counts the failures in a row, and pauses a schedule that has failed too often.
    fn count_run(&mut self, run: &RunRow) -> Result<(), CallError> {
        if matches!(run.state, RunState::Skipped | RunState::Missed) {
            return Ok(());
        }
        let mut schedule = self.schedule_by_id(&run.schedule)?;
        schedule.last_ended = Some(run.id.clone());
        let after = after_run(
            schedule.spec.pause_after,
            schedule.failures_in_a_row,
            run.state,
        );
        schedule.failures_in_a_row = after.failures_in_a_row;
        self.save_schedule(&schedule)?;
        if after.pauses {
            self.pause_after_failures(&run.schedule)?;
        }
        Ok(())
    }

    fn pause_after_failures(&mut self, id: &ScheduleId) -> Result<(), CallError> {
        let mut schedule = self.fire_due(id)?;
        if schedule.state != ScheduleState::Enabled || schedule.is_deleted {
            return Ok(());
        }
        let reason = match schedule.failures_in_a_row {
            1 => "Paused after 1 failure in a row.".to_owned(),
            count => format!("Paused after {count} failures in a row."),
        };
        self.pause(&mut schedule, &reason)
    }
}

/// The title of a run's chat session: its schedule's name and the time on its clock.
fn title(name: &str, timing: &Timing, run: &RunRow) -> String {
    let when = format!(
        " · {} {}",
        timing.local_day(run.due_at),
        timing.local_time(run.due_at)
    );
    let room = NAME_MAX_BYTES.saturating_sub(when.len());
    if name.len() <= room {
        return format!("{name}{when}");
    }
    let end = name.floor_char_boundary(room.saturating_sub('…'.len_utf8()));
    format!("{}…{when}", &name[..end])
}

fn stopped_because(stop: RunStop) -> Option<String> {
    match stop {
        RunStop::Replaced => Some("The next run took its place.".to_owned()),
        RunStop::TimeLimit => None,
    }
}

fn over_time(run: &RunRow) -> String {
    let limit_ms = run.terms.as_ref().and_then(|terms| terms.time_limit_ms);
    match limit_ms.unwrap_or_default() / MINUTE_MS {
        1 => "It went on for longer than 1 minute.".to_owned(),
        minutes => format!("It went on for longer than {minutes} minutes."),
    }
}

fn add_usage(sum: &mut Option<Usage>, usage: Option<Usage>) {
    if let Some(usage) = usage {
        let sum = sum.get_or_insert_default();
        sum.input_tokens = sum.input_tokens.saturating_add(usage.input_tokens);
        sum.output_tokens = sum.output_tokens.saturating_add(usage.output_tokens);
        sum.cost_micro_usd = sum.cost_micro_usd.saturating_add(usage.cost_micro_usd);
    }
}

/// Whether it is an answer that a person has to do something about, and not a fault of the backend.
fn is_refusal(code: ErrorCode) -> bool {
    match code {
        ErrorCode::Invalid
        | ErrorCode::TooLarge
        | ErrorCode::LimitReached
        | ErrorCode::NotFound
        | ErrorCode::Conflict
        | ErrorCode::Revoked => true,
        ErrorCode::Unauthenticated
        | ErrorCode::Forbidden
        | ErrorCode::StaleEpoch
        | ErrorCode::Expired
        | ErrorCode::UpgradeRequired
        | ErrorCode::RateLimited
        | ErrorCode::Unavailable
        | ErrorCode::Internal
        | ErrorCode::Unknown => false,
    }
}
