//! What happens by itself when its time has come. Every deadline is a row, so a restart forgets none.

use serde_json::Value;

use super::rows::{Order, Rows, after_all, load, save};
use super::tables::{AskRow, Deadline, KeyRow, Link, MachineRow, PresenceRow, key};
use super::{Backend, Effect, Outcome, Topic};
use crate::error::CallError;
use crate::ids::MachineId;
use crate::limits::DEADLINES_PER_TICK;
use crate::state::{AskState, RegistrationKeyState};
use crate::time::Timestamp;
use crate::wire::AskAnswer;

const PREFIX: &str = "deadline/";

impl<R: Rows> Backend<'_, R> {
    /// Handles deadlines that have passed, up to [`DEADLINES_PER_TICK`] of them. When there are more, the
    /// next deadline is in the past: call again. The reply is an array with the errors of deadlines that could
    /// not be met: they are given up, so that the others are met.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn tick(mut self) -> Result<Outcome, CallError> {
        let until = key::deadline(self.now.plus_ms(1), "");
        let mut given_up = Vec::new();
        for (path, bytes) in self
            .rows
            .scan(PREFIX, &until, Order::Ascending, DEADLINES_PER_TICK)?
        {
            self.rows.delete(&path)?;
            // A deadline that does not read is from a newer version and of no use to this one.
            if let Ok(deadline) = serde_json::from_slice(&bytes) {
                match self.meet(deadline).and_then(|()| self.settle_runs()) {
                    Err(error) if error.is_retryable() => return Err(error),
                    Err(error) => given_up.push(Value::String(error.message)),
                    Ok(()) => {}
                }
            }
        }
        let mut outcome = self.into_outcome();
        outcome.reply = Value::Array(given_up);
        Ok(outcome)
    }

    /// The next moment at which [`Backend::tick`] has something to do.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn next_deadline(&self) -> Result<Option<Timestamp>, CallError> {
        let first = self
            .rows
            .scan(PREFIX, &after_all(PREFIX), Order::Ascending, 1)?;
        let at = first
            .first()
            .and_then(|(path, _)| path.split('/').nth(1))
            .and_then(|ms| ms.parse().ok());
        Ok(at.map(Timestamp::from_ms))
    }

    pub(super) fn arm(
        &mut self,
        at: Timestamp,
        what: &str,
        deadline: &Deadline,
    ) -> Result<(), CallError> {
        save(self.rows, &key::deadline(at, what), deadline)
    }

    fn meet(&mut self, deadline: Deadline) -> Result<(), CallError> {
        match deadline {
            Deadline::LeaseEnds { machine } => self.lease_ends(&machine),
            Deadline::KeyExpires { key_hash } => self.key_expires(&key_hash),
            Deadline::AskExpires { ask } => match load::<AskRow>(self.rows, &key::ask(&ask))? {
                Some(row) if row.state == AskState::Pending => {
                    let denied = AskAnswer::Reject {
                        message: Some("Nobody answered in time.".to_owned()),
                    };
                    self.end_ask(row, AskState::Expired, Some(denied))
                }
                Some(_) | None => Ok(()),
            },
            Deadline::ForgetReply { key } => Ok(self.rows.delete(&key)?),
            Deadline::CommandExpires { command } => self.command_expires(&command),
            Deadline::DropResult { command } => {
                self.changed(Topic::Command(command.clone()));
                Ok(self.rows.delete(&key::command_result(&command))?)
            }
            Deadline::ForgetCommand { command } => self.forget_command(&command),
            Deadline::DropChunks { turn } => {
                self.effects.insert(Effect::DeleteStream(turn));
                Ok(())
            }
            Deadline::ScheduleFires { schedule } => self.schedule_fires(&schedule),
            Deadline::RunStarts { run } => self.run_starts(&run),
            Deadline::RunTimesUp { run, tries } => self.run_times_up(&run, tries),
        }
    }

    fn lease_ends(&mut self, machine: &MachineId) -> Result<(), CallError> {
        let Some(presence) = load::<PresenceRow>(self.rows, &key::presence(machine))? else {
            return Ok(());
        };
        if !matches!(presence.link, Link::Up | Link::Draining) {
            return Ok(());
        }
        if presence.lease_holds(self.now) {
            return self.arm(
                presence.lease_until,
                machine.as_str(),
                &Deadline::LeaseEnds {
                    machine: machine.clone(),
                },
            );
        }
        self.set_link(machine, Link::Lost)
    }

    fn key_expires(&mut self, key_hash: &str) -> Result<(), CallError> {
        let Some(row) = load::<KeyRow>(self.rows, &key::registration_key(key_hash))? else {
            return Ok(());
        };
        if row.state != RegistrationKeyState::Issued {
            return Ok(());
        }
        let Some(mut machine) = load::<MachineRow>(self.rows, &key::machine(&row.machine))? else {
            return Ok(());
        };
        self.end_key(&mut machine, RegistrationKeyState::Expired)?;
        self.save_machine(&machine)
    }
}
