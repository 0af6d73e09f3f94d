//! What became of each firing, by the instant it was due.

use std::collections::BTreeMap;

use crate::backend::machine::person;
use crate::backend::rows::{Order, Rows, after_all};
use crate::backend::tables::{ScheduleRow, key};
use crate::backend::{Actor, Backend};
use crate::error::CallError;
use crate::ids::{RunId, ScheduleId};
use crate::limits::LEDGER_PAGE_RUNS;
use crate::wire::{Ledger, LedgerArgs};

impl<R: Rows> Backend<'_, R> {
    pub(in crate::backend) fn schedule_ledger(
        &mut self,
        actor: &Actor,
        args: LedgerArgs,
    ) -> Result<Ledger, CallError> {
        let ledger = match &args.schedule_id {
            Some(id) => key::runs_of(&self.schedule_row(actor, id)?.id),
            None => key::runs_by_owner(person(actor)?),
        };
        let from = args
            .from
            .map_or_else(|| ledger.clone(), |from| key::ledger_before(&ledger, from));
        let mut to = args.until.map_or_else(
            || after_all(&ledger),
            |until| key::ledger_before(&ledger, until),
        );
        if let Some(before) = &args.before {
            let run = self.run_row(actor, before)?;
            to = to.min(key::ledger_place(&ledger, run.due_at, &run.id));
        }
        if from >= to {
            return Ok(Ledger::default());
        }
        self.ledger_page(&ledger, &from, &to, LEDGER_PAGE_RUNS)
    }

    /// The latest runs of a ledger between two places, latest first.
    pub(super) fn ledger_page(
        &self,
        ledger: &str,
        from: &str,
        to: &str,
        most: usize,
    ) -> Result<Ledger, CallError> {
        debug_assert!(from.starts_with(ledger), "the places are of this ledger");
        let mut found = self.rows.scan(from, to, Order::Descending, most + 1)?;
        let has_earlier = found.len() > most;
        found.truncate(most);
        let mut schedules: BTreeMap<ScheduleId, ScheduleRow> = BTreeMap::new();
        let mut runs = Vec::with_capacity(found.len());
        for id in found.iter().filter_map(|(path, _)| path.rsplit('/').next()) {
            let Ok(id) = RunId::parse(id) else { continue };
            let run = self.run_by_id(&id)?;
            if !schedules.contains_key(&run.schedule) {
                let schedule = self.schedule_by_id(&run.schedule)?;
                schedules.insert(run.schedule.clone(), schedule);
            }
            if let Some(schedule) = schedules.get(&run.schedule) {
                runs.push(run.summary(schedule));
            }
        }
        Ok(Ledger { runs, has_earlier })
    }
}
