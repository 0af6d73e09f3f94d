//! The one choke point for who may reach what. Every row that a call touches by an id from its arguments is
//! loaded here, and another's row answers exactly as one that does not exist.

use super::rows::{Rows, load};
use super::tables::{
    AskRow, ChatRow, CommandRow, CredentialsRow, MachineRow, RunRow, ScheduleRow, TurnRow,
    WorkerRow, key,
};
use super::{Backend, Caller};
use crate::error::{CallError, ErrorCode};
use crate::functions::{Access, FunctionInfo};
use crate::ids::{
    AskId, ChatSessionId, CommandId, MachineId, PersonId, RunId, ScheduleId, TurnId, WorkerId,
};
use crate::secret::Secret;
use crate::state::MachineState;

/// Who calls, once it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Nobody in particular.
    Anyone,
    /// A person.
    Person(PersonId),
    /// A machine on its current connection.
    Machine {
        /// The machine.
        id: MachineId,
        /// The connection's epoch.
        epoch: u64,
    },
}

/// The prefix of connection tokens. A token is `omc_<machine id>_<epoch>_<secret>`: it says whose it is, so
/// that a token of an earlier connection can be told from a wrong one.
pub(super) const CONNECTION_PREFIX: &str = "omc";

impl<R: Rows> Backend<'_, R> {
    /// Checks the credential and whether this kind of caller may call the function at all.
    pub(super) fn authorise(
        &mut self,
        function: &FunctionInfo,
        caller: &Caller,
    ) -> Result<Actor, CallError> {
        let actor = self.recognise(caller)?;
        match (function.access, &actor) {
            (Access::Anyone, _)
            | (Access::Person, Actor::Person(_))
            | (Access::Machine, Actor::Machine { .. }) => Ok(actor),
            (Access::Person, Actor::Anyone) => Err(CallError::new(
                ErrorCode::Unauthenticated,
                "You are not signed in. Sign in and try again.",
            )),
            (Access::Machine, Actor::Anyone) => Err(CallError::new(
                ErrorCode::Unauthenticated,
                "This needs a machine's connection token. Connect first.",
            )),
            (Access::Person, Actor::Machine { .. }) => Err(CallError::new(
                ErrorCode::Forbidden,
                format!("{} is for people, not for machines.", function.name),
            )),
            (Access::Machine, Actor::Person(_)) => Err(CallError::new(
                ErrorCode::Forbidden,
                format!("{} is for machines, not for people.", function.name),
            )),
        }
    }

    /// Who the caller is, if what they brought holds.
    ///
    /// # Errors
    /// [`CallError`] says why it does not.
    pub fn recognise(&self, caller: &Caller) -> Result<Actor, CallError> {
        match caller {
            Caller::Anyone => Ok(Actor::Anyone),
            Caller::Person(person) => Ok(Actor::Person(person.clone())),
            Caller::Machine(token) => self.connection(token),
        }
    }

    /// The machine whose current connection token this is.
    pub(super) fn connection(&self, token: &Secret) -> Result<Actor, CallError> {
        let unknown = || {
            CallError::new(
                ErrorCode::Unauthenticated,
                "This connection token is not known. Connect again with the machine's secret.",
            )
        };
        let mut fields = token.expose().splitn(5, '_');
        let (Some(CONNECTION_PREFIX), Some(prefix), Some(id), Some(epoch)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(unknown());
        };
        let id = MachineId::parse(&format!("{prefix}_{id}")).map_err(|_| unknown())?;
        let epoch: u64 = epoch.parse().map_err(|_| unknown())?;
        let machine: MachineRow = load(self.rows, &key::machine(&id))?.ok_or_else(unknown)?;
        if machine.state == MachineState::Revoked {
            return Err(revoked());
        }
        let credentials: CredentialsRow =
            load(self.rows, &key::credentials(&id))?.ok_or_else(unknown)?;
        if epoch < credentials.epoch {
            return Err(stale_epoch(epoch, credentials.epoch));
        }
        match credentials.connection {
            Some(hash) if hash.matches(token) && epoch == credentials.epoch => {
                Ok(Actor::Machine { id, epoch })
            }
            _ => Err(unknown()),
        }
    }

    pub(super) fn machine_row(
        &self,
        actor: &Actor,
        id: &MachineId,
    ) -> Result<MachineRow, CallError> {
        let row: Option<MachineRow> = load(self.rows, &key::machine(id))?;
        row.filter(|row| match actor {
            Actor::Person(person) => &row.owner == person,
            Actor::Machine { id, .. } => &row.id == id,
            Actor::Anyone => false,
        })
        .ok_or_else(|| CallError::not_found("machine"))
    }

    pub(super) fn worker_row(&self, actor: &Actor, id: &WorkerId) -> Result<WorkerRow, CallError> {
        let missing = || CallError::not_found("worker");
        let row: WorkerRow = load(self.rows, &key::worker(id))?.ok_or_else(missing)?;
        self.machine_row(actor, &row.machine)
            .map_err(|_| missing())?;
        Ok(row)
    }

    pub(super) fn chat_row(&self, actor: &Actor, id: &ChatSessionId) -> Result<ChatRow, CallError> {
        let missing = || CallError::not_found("chat session");
        let row: ChatRow = load(self.rows, &key::chat(id))?.ok_or_else(missing)?;
        self.machine_row(actor, &row.machine)
            .map_err(|_| missing())?;
        Ok(row)
    }

    pub(super) fn turn_row(&self, actor: &Actor, id: &TurnId) -> Result<TurnRow, CallError> {
        let missing = || CallError::not_found("turn");
        let row: TurnRow = load(self.rows, &key::turn(id))?.ok_or_else(missing)?;
        self.machine_row(actor, &row.machine)
            .map_err(|_| missing())?;
        Ok(row)
    }

    pub(super) fn ask_row(&self, actor: &Actor, id: &AskId) -> Result<AskRow, CallError> {
        let missing = || CallError::not_found("ask");
        let row: AskRow = load(self.rows, &key::ask(id))?.ok_or_else(missing)?;
        self.machine_row(actor, &row.machine)
            .map_err(|_| missing())?;
        Ok(row)
    }

    pub(super) fn command_row(
        &self,
        actor: &Actor,
        id: &CommandId,
    ) -> Result<CommandRow, CallError> {
        let missing = || CallError::not_found("command");
        let row: CommandRow = load(self.rows, &key::command(id))?.ok_or_else(missing)?;
        self.machine_row(actor, &row.machine)
            .map_err(|_| missing())?;
        Ok(row)
    }

    pub(super) fn schedule_row(
        &self,
        actor: &Actor,
        id: &ScheduleId,
    ) -> Result<ScheduleRow, CallError> {
        let row: Option<ScheduleRow> = load(self.rows, &key::schedule(id))?;
        row.filter(|row| *actor == Actor::Person(row.owner.clone()))
            .ok_or_else(|| CallError::not_found("schedule"))
    }

    pub(super) fn run_row(&self, actor: &Actor, id: &RunId) -> Result<RunRow, CallError> {
        let row: Option<RunRow> = load(self.rows, &key::run(id))?;
        row.filter(|row| *actor == Actor::Person(row.owner.clone()))
            .ok_or_else(|| CallError::not_found("run"))
    }
}

pub(super) fn revoked() -> CallError {
    CallError::new(
        ErrorCode::Revoked,
        "This machine was revoked. Add it again on the page and register with the new key.",
    )
}

pub(super) fn superseded() -> CallError {
    CallError::new(
        ErrorCode::StaleEpoch,
        "Another process has connected with this MACHINE_ID since. The newer one goes on, this one stops.",
    )
}

pub(super) fn stale_epoch(epoch: u64, current: u64) -> CallError {
    CallError::new(
        ErrorCode::StaleEpoch,
        format!(
            "Another process has connected with this MACHINE_ID (epoch {current}; this one is {epoch}). The newer one goes on, this one stops."
        ),
    )
}
