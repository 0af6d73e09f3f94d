//! Schedules: in some worlds a person has a few that fire each minute. Whatever happens to the backend, its clock and
//! the machine, each instant has one row, each run an end, and no two of a schedule go on at once unless they may.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ids::ScheduleId;
use protocol::schedule::Overlap;
use protocol::state::{RunState, TurnState};
use protocol::wire::{Ledger, RunSummary, ScheduleView, TranscriptPage};
use serde_json::{Value, json};

use crate::person::Act;
use crate::random::Random;
use crate::world::{Event, World};

/// In so many of a thousand worlds there are some.
const SCHEDULED_PER_MILLE: u64 = 300;
const MINUTE_MS: u64 = 60_000;
/// The beginning of what runs send, and of the titles of their chat sessions.
pub(crate) const SCHEDULED: &str = "scheduled";

/// Something a person does with a schedule.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OnSchedule {
    Create,
    Edit,
    Pause,
    Resume,
    RunNow,
    CancelRun,
}

const ACTS: &[OnSchedule] = &[
    OnSchedule::Edit,
    OnSchedule::Pause,
    OnSchedule::Resume,
    OnSchedule::RunNow,
    OnSchedule::RunNow,
    OnSchedule::CancelRun,
];

/// What is known of the schedules of a world.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    /// A source of its own: worlds without schedules stay as they are.
    random: Option<Random>,
    known: BTreeMap<ScheduleId, Known>,
}

#[derive(Debug)]
struct Known {
    overlap: Overlap,
    /// A person has asked for a pause: what came while it lasted has no rows.
    was_paused: bool,
}

impl World {
    pub(crate) fn set_schedules(&mut self, seed: u64, acts_until: u64) {
        let mut random = Random::of(seed, 4, u64::MAX);
        if !random.per_mille(SCHEDULED_PER_MILLE) {
            return;
        }
        for _ in 0..random.between(1, 3) {
            let wait = random.below(acts_until / 4);
            self.after(wait, Event::Act(Act::Schedule(OnSchedule::Create)));
        }
        for _ in 0..random.below(8) {
            let wait = random.below(acts_until);
            if let Some(act) = random.pick(ACTS) {
                self.after(wait, Event::Act(Act::Schedule(*act)));
            }
        }
        self.schedules.random = Some(random);
    }

    pub(crate) fn act_on_schedule(&mut self, act: OnSchedule) {
        // Once it is calm they are deleted.
        if self.is_calm {
            return;
        }
        let Some(mut random) = self.schedules.random.take() else {
            return;
        };
        let known: Vec<ScheduleId> = self.schedules.known.keys().cloned().collect();
        match (act, random.pick(&known).cloned()) {
            (OnSchedule::Create, _) => {
                if let Some(worker) = random.pick(&self.person.workers).cloned() {
                    let spec = some_spec(&mut random);
                    let args = json!({ "workerId": worker, "spec": spec });
                    self.make_call("schedule.create", args);
                }
            }
            (OnSchedule::Edit, Some(id)) => self.edit_schedule(&id),
            (OnSchedule::Pause, Some(id)) => {
                if let Some(known) = self.schedules.known.get_mut(&id) {
                    known.was_paused = true;
                }
                self.make_call("schedule.pause", json!({ "scheduleId": id }));
            }
            (OnSchedule::Resume, Some(id)) => {
                self.make_call("schedule.resume", json!({ "scheduleId": id }));
            }
            (OnSchedule::RunNow, Some(id)) => {
                self.make_call("schedule.runNow", json!({ "scheduleId": id }));
            }
            (OnSchedule::CancelRun, Some(id)) => {
                let args = json!({ "scheduleId": id });
                if let Some(Ok(ledger)) = self.look_up::<Ledger>("schedule.ledger", args)
                    && let Some(run) = random.pick(&ledger.runs)
                {
                    self.make_call("schedule.cancelRun", json!({ "runId": run.id }));
                }
            }
            (_, None) => {}
        }
        self.schedules.random = Some(random);
    }

    /// The times stay as they are, so that every instant is still one.
    fn edit_schedule(&mut self, id: &ScheduleId) {
        let args = json!({ "scheduleId": id });
        if let Some(Ok(view)) = self.look_up::<ScheduleView>("schedule.view", args) {
            let mut spec = view.spec;
            spec.prompt.push_str(" edited");
            let revision = view.schedule.revision;
            let args = json!({ "scheduleId": id, "revision": revision, "spec": spec });
            self.make_call("schedule.edit", args);
        }
    }

    pub(crate) fn schedule_made(&mut self, reply: Value) {
        let view: ScheduleView = serde_json::from_value(reply).expect("a reply");
        let known = Known {
            overlap: view.spec.overlap,
            was_paused: false,
        };
        let id = view.schedule.id;
        if self.is_calm {
            self.make_call("schedule.delete", json!({ "scheduleId": id }));
        }
        self.schedules.known.insert(id, known);
    }

    /// Nothing goes wrong any more: what fires for ever would never come to rest.
    pub(crate) fn delete_schedules(&mut self) {
        for id in self.schedules.known.keys().cloned().collect::<Vec<_>>() {
            self.make_call("schedule.delete", json!({ "scheduleId": id }));
        }
    }

    /// The page shows the chat sessions that runs have begun, like all others.
    pub(crate) fn find_scheduled_chats(&mut self) {
        if self.schedules.random.is_none() {
            return;
        }
        let chats = self.page.machine().map(|view| view.chats.clone());
        for chat in chats.into_iter().flatten() {
            if chat.title.starts_with(SCHEDULED) && !self.person.chats.contains(&chat.id) {
                self.knows_chat(chat.id);
            }
        }
        self.look_at_schedules();
    }

    fn look_at_schedules(&mut self) {
        for id in self.schedules.known.keys().cloned().collect::<Vec<_>>() {
            let args = json!({ "scheduleId": id });
            let Some(found) = self.look_up::<ScheduleView>("schedule.view", args) else {
                return;
            };
            let view = match found {
                Ok(view) => view,
                Err(error) => return self.fail(format!("schedule.view was refused: {error}")),
            };
            let running = |run: &&RunSummary| run.state == RunState::Running;
            let running = view.runs.iter().filter(running).count();
            let most = if view.spec.overlap == Overlap::Parallel {
                protocol::limits::PARALLEL_RUNS_MAX
            } else {
                1
            };
            if running > most {
                return self.fail(format!("{running} runs of {id} go on at once: {view:?}"));
            }
        }
    }

    pub(crate) fn check_schedules(&mut self) -> Result<(), String> {
        for id in self.schedules.known.keys().cloned().collect::<Vec<_>>() {
            let view: ScheduleView = self.must("schedule.view", json!({ "scheduleId": id }))?;
            if view.schedule.open_run_count != 0 || view.schedule.next_at.is_some() {
                return Err(format!("{id} has not come to rest: {:?}", view.schedule));
            }
            let runs = self.ledger(&id)?;
            for run in &runs {
                *self.report.runs.entry(run.state.as_str()).or_default() += 1;
                self.check_run(run)?;
            }
            let created = view.schedule.created_at.as_ms();
            self.check_instants(&id, created, &runs)?;
        }
        Ok(())
    }

    fn ledger(&mut self, id: &ScheduleId) -> Result<Vec<RunSummary>, String> {
        let mut runs: Vec<RunSummary> = Vec::new();
        loop {
            let before = runs.last().map(|run| run.id.clone());
            let args = json!({ "scheduleId": id, "before": before });
            let mut page: Ledger = self.must("schedule.ledger", args)?;
            runs.append(&mut page.runs);
            if !page.has_earlier {
                return Ok(runs);
            }
        }
    }

    /// It has an end, which is that of its turn.
    fn check_run(&mut self, run: &RunSummary) -> Result<(), String> {
        if !run.state.is_terminal() || run.ended_at.is_none() {
            return Err(format!("{} has no end: {run:?}", run.id));
        }
        let (Some(chat), Some(turn)) = (&run.chat_session_id, &run.turn_id) else {
            return Ok(());
        };
        let args = json!({ "chatSessionId": chat, "turnIds": [turn] });
        let page: TranscriptPage = self.must("worker.chat.transcript", args)?;
        let state = page.turns.first().map(|record| record.turn.state);
        let is_completed = run.state == RunState::Completed;
        if is_completed != (state == Some(TurnState::Completed)) {
            return Err(format!(
                "{} is {:?}, and its turn {state:?}",
                run.id, run.state
            ));
        }
        Ok(())
    }

    /// Each instant has one row, and no row is for anything else.
    fn check_instants(
        &self,
        id: &ScheduleId,
        created: u64,
        runs: &[RunSummary],
    ) -> Result<(), String> {
        let mut covered = BTreeSet::new();
        for run in runs.iter().filter(|run| !run.is_manual) {
            let first = run.due_at.as_ms();
            let last = run.until.map_or(first, |until| until.as_ms());
            let mut count = 0;
            for at in (first..=last).step_by(MINUTE_MS as usize) {
                count += 1;
                if at % MINUTE_MS != 0 || at <= created || !covered.insert(at) {
                    return Err(format!(
                        "{id}: {at} has two rows, or is no instant: {run:?}"
                    ));
                }
            }
            if run.count != count {
                return Err(format!(
                    "{}: stands for {count}, says {}",
                    run.id, run.count
                ));
            }
        }
        let known = &self.schedules.known[id];
        let (Some(first), Some(last)) = (covered.first(), covered.last()) else {
            return Ok(());
        };
        let is_whole =
            (last - first) / MINUTE_MS + 1 == covered.len() as u64 && first - created <= MINUTE_MS;
        if !is_whole && !known.was_paused {
            return Err(format!(
                "{id} ({:?}), made at {created}: an instant has no row: {covered:?}",
                known.overlap
            ));
        }
        Ok(())
    }
}

fn some_spec(random: &mut Random) -> Value {
    let pick = |random: &mut Random, from: &[&'static str]| random.pick(from).copied();
    let catch_up = match random.below(3) {
        0 => json!({ "kind": "latest" }),
        1 => json!({ "kind": "skip" }),
        _ => json!({ "kind": "all", "withinMs": 5 * MINUTE_MS }),
    };
    let unattended = match random.below(3) {
        0 => json!({ "kind": "ask" }),
        1 => json!({ "kind": "only", "allow": [] }),
        _ => json!({ "kind": "only", "allow": ["bash:l*"] }),
    };
    json!({
        "name": SCHEDULED,
        "when": { "kind": "cron", "expression": "* * * * *", "zone": "UTC" },
        "prompt": SCHEDULED,
        "session": { "kind": pick(random, &["new", "continue"]) },
        "overlap": pick(random, &["skip", "queue", "cancel", "parallel"]),
        "catchUp": catch_up,
        "jitterMs": random.below(2) * 20_000,
        "timeLimitMs": if random.per_mille(300) { Value::from(MINUTE_MS) } else { Value::Null },
        "retries": { "most": random.below(3) },
        "unattended": unattended,
    })
}
