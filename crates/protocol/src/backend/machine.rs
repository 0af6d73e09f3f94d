//! Machines: from a name and a key to a fenced connection.

use super::access::{CONNECTION_PREFIX, revoked};
use super::rows::{Order, Rows, after, after_all, load, save};
use super::tables::{CredentialsRow, Deadline, Entry, KeyRow, Link, MachineRow, PresenceRow, key};
use super::{Actor, Backend, Effect, Entropy, Outcome, Topic};
use crate::error::{CallError, ErrorCode};
use crate::ids::{MachineId, PersonId};
use crate::limits::{
    CHUNK_BATCH_MAX_BYTES, DEADLINES_PER_TICK, HEARTBEAT_MS, LEASE_MS, MACHINES_MAX,
    NAME_MAX_BYTES, REASON_MAX_BYTES, REGISTRATION_KEY_LIFE_MS,
};
use crate::secret::Secret;
use crate::state::{MachineState, RegistrationKeyState};
use crate::wire::{
    ConnectArgs, ConnectReply, CreateMachineArgs, DisconnectArgs, Done, HeartbeatArgs, MachineArgs,
    MachineCredentials, MachineInfo, RegisterMachineArgs, RegistrationKeyReply, RenameMachineArgs,
    WIRE_VERSION, WIRE_VERSION_MIN,
};

const KEY_PREFIX: &str = "ork";
const SECRET_PREFIX: &str = "oms";
const NONCE_MAX_BYTES: usize = 256;
/// How many connections back a late request is still known.
const NONCES_KEPT: usize = 16;

impl<R: Rows> Backend<'_, R> {
    pub(super) fn machine_create(
        &mut self,
        actor: &Actor,
        args: CreateMachineArgs,
    ) -> Result<RegistrationKeyReply, CallError> {
        let owner = person(actor)?;
        let name = checked_name(&args.name)?;
        let prefix = key::machines_of(owner);
        let owned = self
            .rows
            .scan(&prefix, &after_all(&prefix), Order::Ascending, MACHINES_MAX)?;
        if owned.len() >= MACHINES_MAX {
            return Err(CallError::new(
                ErrorCode::LimitReached,
                format!(
                    "You have {MACHINES_MAX} machines, which is the limit. Revoke one that you no longer need."
                ),
            ));
        }
        let id = MachineId::generate(self.now, self.entropy.id);
        save(self.rows, &key::machine_of(owner, &id), &Entry)?;
        let machine = MachineRow {
            id,
            owner: owner.clone(),
            name,
            state: MachineState::Created,
            info: None,
            key_hash: None,
            created_at: self.now,
        };
        self.issue_key(machine)
    }

    pub(super) fn machine_reissue_key(
        &mut self,
        actor: &Actor,
        args: MachineArgs,
    ) -> Result<RegistrationKeyReply, CallError> {
        let machine = self.machine_row(actor, &args.machine_id)?;
        match machine.state {
            MachineState::Created => self.issue_key(machine),
            // The answer to its registration may have been lost: until it connects, it may register again.
            MachineState::Registered if self.never_connected(&machine.id)? => {
                self.issue_key(machine)
            }
            MachineState::Registered => Err(CallError::new(
                ErrorCode::Conflict,
                "This machine has registered. To register another computer, add another machine.",
            )),
            MachineState::Revoked | MachineState::Unknown => Err(revoked()),
        }
    }

    fn never_connected(&self, id: &MachineId) -> Result<bool, CallError> {
        let credentials: Option<CredentialsRow> = load(self.rows, &key::credentials(id))?;
        Ok(credentials.is_some_and(|row| row.epoch == 0))
    }

    fn issue_key(&mut self, mut machine: MachineRow) -> Result<RegistrationKeyReply, CallError> {
        self.end_key(&mut machine, RegistrationKeyState::Revoked)?;
        let registration_key = Secret::generate(KEY_PREFIX, self.entropy.secret);
        let hash = registration_key.hash();
        let expires_at = self.now.plus_ms(REGISTRATION_KEY_LIFE_MS);
        let row = KeyRow {
            machine: machine.id.clone(),
            state: RegistrationKeyState::Issued,
            expires_at,
            nonce: None,
        };
        save(self.rows, &key::registration_key(hash.as_str()), &row)?;
        self.arm(
            expires_at,
            hash.as_str(),
            &Deadline::KeyExpires {
                key_hash: hash.as_str().to_owned(),
            },
        )?;
        machine.key_hash = Some(hash.as_str().to_owned());
        self.save_machine(&machine)?;
        Ok(RegistrationKeyReply {
            machine_id: machine.id,
            registration_key,
            expires_at,
        })
    }

    /// Takes the machine's open key, if it has one, to its last state.
    pub(super) fn end_key(
        &mut self,
        machine: &mut MachineRow,
        end: RegistrationKeyState,
    ) -> Result<(), CallError> {
        let Some(hash) = machine.key_hash.take() else {
            return Ok(());
        };
        let path = key::registration_key(&hash);
        if let Some(mut row) = load::<KeyRow>(self.rows, &path)? {
            row.state = row.state.to(end)?;
            save(self.rows, &path, &row)?;
        }
        Ok(())
    }

    pub(super) fn machine_rename(
        &mut self,
        actor: &Actor,
        args: RenameMachineArgs,
    ) -> Result<Done, CallError> {
        let mut machine = self.machine_row(actor, &args.machine_id)?;
        machine.name = checked_name(&args.name)?;
        self.save_machine(&machine)?;
        Ok(Done {})
    }

    pub(super) fn machine_revoke(
        &mut self,
        actor: &Actor,
        args: MachineArgs,
    ) -> Result<Done, CallError> {
        let mut machine = self.machine_row(actor, &args.machine_id)?;
        if machine.state == MachineState::Revoked {
            return Ok(Done {});
        }
        for worker in self.workers(&machine.id)? {
            self.pause_schedules_of(&worker.id, "Its machine was revoked.")?;
        }
        machine.state = machine.state.to(MachineState::Revoked)?;
        self.end_key(&mut machine, RegistrationKeyState::Revoked)?;
        self.close_all_chats(actor, &machine.id)?;
        self.cancel_all_commands(&machine.id)?;
        self.rows.delete(&key::credentials(&machine.id))?;
        self.rows.delete(&key::presence(&machine.id))?;
        self.forget_status(&machine.id)?;
        self.rows
            .delete(&key::machine_of(&machine.owner, &machine.id))?;
        self.save_machine(&machine)?;
        self.effects.insert(Effect::CutConnections {
            machine: machine.id.clone(),
            below_epoch: u64::MAX,
        });
        self.changed(Topic::Inbox(machine.id));
        Ok(Done {})
    }

    pub(super) fn machine_register(
        &mut self,
        _: &Actor,
        args: RegisterMachineArgs,
    ) -> Result<MachineCredentials, CallError> {
        if !args.registration_key.is_well_formed(KEY_PREFIX) {
            return Err(CallError::new(
                ErrorCode::Unauthenticated,
                "This is not a complete registration key. Copy the whole key from the page; it begins with ork_.",
            ));
        }
        let hash = args.registration_key.hash();
        let path = key::registration_key(hash.as_str());
        let mut row: KeyRow = load(self.rows, &path)?.ok_or_else(|| {
            CallError::new(
                ErrorCode::Unauthenticated,
                "This registration key is not known here. Check that the backend is the one that issued it.",
            )
        })?;
        let mut machine: MachineRow = load(self.rows, &key::machine(&row.machine))?
            .ok_or_else(|| CallError::not_found("machine"))?;
        let secret = machine_secret(&args.registration_key, args.nonce.as_ref(), self.entropy);
        if self.is_repeated(&row, args.nonce.as_ref(), &secret)? {
            return Ok(MachineCredentials {
                machine_id: machine.id,
                secret,
                name: machine.name,
            });
        }
        let gone = match row.state {
            RegistrationKeyState::Issued if row.expires_at <= self.now => Some("has expired"),
            RegistrationKeyState::Issued => None,
            RegistrationKeyState::Consumed => Some("has been used"),
            RegistrationKeyState::Expired => Some("has expired"),
            RegistrationKeyState::Revoked | RegistrationKeyState::Unknown => {
                Some("was replaced or taken back")
            }
        };
        if let Some(why) = gone {
            return Err(CallError::new(
                ErrorCode::Expired,
                format!(
                    "This registration key {why}. Get a new one on the page: add the machine, or open it and choose \"New key\"."
                ),
            ));
        }
        if args
            .nonce
            .as_ref()
            .is_some_and(|nonce| nonce.expose().len() > NONCE_MAX_BYTES)
        {
            return Err(nonce_too_long());
        }
        row.state = row.state.to(RegistrationKeyState::Consumed)?;
        row.nonce = args.nonce.as_ref().map(Secret::hash);
        save(self.rows, &path, &row)?;
        if machine.state != MachineState::Registered {
            machine.state = machine.state.to(MachineState::Registered)?;
        }
        machine.key_hash = None;
        machine.info = Some(bounded_info(args.info));
        let credentials = CredentialsRow {
            secret: secret.hash(),
            connection: None,
            epoch: 0,
            nonces: Vec::new(),
        };
        save(self.rows, &key::credentials(&machine.id), &credentials)?;
        self.save_machine(&machine)?;
        Ok(MachineCredentials {
            machine_id: machine.id,
            secret,
            name: machine.name,
        })
    }

    /// Whether the key was used by this very request, whose answer may have been lost, and what it got still holds.
    fn is_repeated(
        &self,
        key: &KeyRow,
        nonce: Option<&Secret>,
        secret: &Secret,
    ) -> Result<bool, CallError> {
        match (&key.nonce, nonce) {
            (Some(used), Some(nonce)) if used.matches(nonce) => {
                let credentials: Option<CredentialsRow> =
                    load(self.rows, &key::credentials(&key.machine))?;
                Ok(credentials.is_some_and(|row| row.epoch == 0 && row.secret.matches(secret)))
            }
            _ => Ok(false),
        }
    }

    pub(super) fn machine_connect(
        &mut self,
        _: &Actor,
        args: ConnectArgs,
    ) -> Result<ConnectReply, CallError> {
        if args.wire_version < WIRE_VERSION_MIN {
            return Err(CallError::new(
                ErrorCode::UpgradeRequired,
                format!(
                    "This machine speaks version {} of the protocol; the backend needs {WIRE_VERSION_MIN} or later. Update the orchestrator on the machine.",
                    args.wire_version
                ),
            ));
        }
        let wrong = || {
            CallError::new(
                ErrorCode::Unauthenticated,
                "MACHINE_ID and secret do not fit together. Register the machine again.",
            )
        };
        let mut machine: MachineRow =
            load(self.rows, &key::machine(&args.machine_id))?.ok_or_else(wrong)?;
        if machine.state == MachineState::Revoked {
            return Err(revoked());
        }
        let path = key::credentials(&machine.id);
        let mut credentials: CredentialsRow = load(self.rows, &path)?.ok_or_else(wrong)?;
        if !credentials.secret.matches(&args.secret) {
            return Err(wrong());
        }
        let nonce = args
            .nonce
            .unwrap_or_else(|| Secret::generate("t", self.entropy.secret));
        if nonce.expose().len() > NONCE_MAX_BYTES {
            return Err(nonce_too_long());
        }
        let token = |epoch: u64| {
            Secret::new(format!(
                "{CONNECTION_PREFIX}_{}_{epoch}_{}",
                machine.id,
                nonce.expose()
            ))
        };
        match credentials
            .nonces
            .iter()
            .rposition(|known| known.matches(&nonce))
        {
            Some(at) if at + 1 == credentials.nonces.len() => {
                self.set_link(&machine.id, Link::Up)?;
                return Ok(connected(credentials.epoch, token(credentials.epoch)));
            }
            Some(_) => return Err(super::access::superseded()),
            None => {}
        }
        let epoch = credentials.epoch + 1;
        let connection_token = token(epoch);
        credentials.epoch = epoch;
        credentials.connection = Some(connection_token.hash());
        credentials.nonces.push(nonce.hash());
        let forgotten = credentials.nonces.len().saturating_sub(NONCES_KEPT);
        credentials.nonces.drain(..forgotten);
        save(self.rows, &path, &credentials)?;
        machine.info = Some(bounded_info(args.info));
        self.save_machine(&machine)?;
        let lease_until = self.now.plus_ms(LEASE_MS);
        let presence = PresenceRow {
            epoch,
            link: Link::Up,
            since: self.now,
            seen_at: self.now,
            lease_until,
        };
        save(self.rows, &key::presence(&machine.id), &presence)?;
        self.forget_status(&machine.id)?;
        self.arm(
            lease_until,
            machine.id.as_str(),
            &Deadline::LeaseEnds {
                machine: machine.id.clone(),
            },
        )?;
        self.effects.insert(Effect::CutConnections {
            machine: machine.id.clone(),
            below_epoch: epoch,
        });
        self.changed(Topic::Inbox(machine.id));
        Ok(connected(epoch, connection_token))
    }

    pub(super) fn machine_heartbeat(
        &mut self,
        actor: &Actor,
        args: HeartbeatArgs,
    ) -> Result<Done, CallError> {
        let (machine, _) = machine(actor)?;
        let presence: Option<PresenceRow> = load(self.rows, &key::presence(machine))?;
        // One that the goodbye has overtaken is no sign of life.
        if presence.is_some_and(|row| row.link == Link::Left) {
            return Ok(Done {});
        }
        self.set_link(
            machine,
            if args.draining {
                Link::Draining
            } else {
                Link::Up
            },
        )?;
        if let Some(status) = args.status {
            self.keep_status(machine, status)?;
        }
        self.changed(Topic::Health(machine.clone()));
        Ok(Done {})
    }

    pub(super) fn machine_disconnect(
        &mut self,
        actor: &Actor,
        _: DisconnectArgs,
    ) -> Result<Done, CallError> {
        let (machine, _) = machine(actor)?;
        self.set_link(machine, Link::Left)?;
        Ok(Done {})
    }

    /// The backend itself saw the connection open or drop. Says nothing of a connection that is not the
    /// machine's current one.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn connection_seen(
        mut self,
        machine: &MachineId,
        epoch: u64,
        alive: bool,
    ) -> Result<Outcome, CallError> {
        let presence: Option<PresenceRow> = load(self.rows, &key::presence(machine))?;
        match presence {
            Some(row) if row.epoch == epoch && alive && matches!(row.link, Link::Lost) => {
                self.set_link(machine, Link::Up)?
            }
            Some(mut row)
                if row.epoch == epoch
                    && !alive
                    && matches!(row.link, Link::Up | Link::Draining) =>
            {
                // The connection was alive until this moment.
                row.seen_at = self.now;
                save(self.rows, &key::presence(machine), &row)?;
                self.set_link(machine, Link::Lost)?;
            }
            Some(_) | None => {}
        }
        Ok(self.into_outcome())
    }

    /// A backend whose connections ended with its process has begun anew: no machine counts as online until it gives
    /// a sign of life. What leases say may moreover be of before the clock was set back.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn begin(mut self) -> Result<Outcome, CallError> {
        let mut from = key::PRESENCES.to_owned();
        loop {
            let page = self.rows.scan(
                &from,
                &after_all(key::PRESENCES),
                Order::Ascending,
                DEADLINES_PER_TICK,
            )?;
            let Some((last, _)) = page.last() else {
                return Ok(self.into_outcome());
            };
            from = after(last);
            for (path, _) in &page {
                let Some(id) = path
                    .strip_prefix(key::PRESENCES)
                    .and_then(|id| id.parse().ok())
                else {
                    continue;
                };
                let presence: Option<PresenceRow> = load(self.rows, path)?;
                if presence.is_some_and(|row| matches!(row.link, Link::Up | Link::Draining)) {
                    self.set_link(&id, Link::Lost)?;
                }
            }
        }
    }

    /// Records a sign of life, or its end.
    pub(super) fn set_link(&mut self, machine: &MachineId, link: Link) -> Result<(), CallError> {
        let path = key::presence(machine);
        let Some(mut row) = load::<PresenceRow>(self.rows, &path)? else {
            return Ok(());
        };
        let was = row.link;
        // Whoever looked meanwhile has seen that, also where the deadline has not been met yet.
        let was_over = !row.lease_holds(self.now);
        row.link = link;
        match link {
            Link::Up | Link::Draining => {
                row.seen_at = self.now;
                row.lease_until = self.now.plus_ms(LEASE_MS);
                if matches!(was, Link::Lost | Link::Left) {
                    row.since = self.now;
                }
                if was_over || matches!(was, Link::Lost | Link::Left) {
                    self.arm(
                        row.lease_until,
                        machine.as_str(),
                        &Deadline::LeaseEnds {
                            machine: machine.clone(),
                        },
                    )?;
                }
            }
            Link::Left => row.seen_at = self.now,
            // It may be of before the clock was set back.
            Link::Lost => row.seen_at = row.seen_at.min(self.now),
        }
        if was != link && !matches!((was, link), (Link::Lost | Link::Left, Link::Up)) {
            row.since = if link == Link::Lost {
                row.seen_at
            } else {
                self.now
            };
        }
        if was != link || was_over {
            self.machine_changed(machine)?;
        }
        save(self.rows, &path, &row)
    }

    pub(super) fn save_machine(&mut self, machine: &MachineRow) -> Result<(), CallError> {
        save(self.rows, &key::machine(&machine.id), machine)?;
        self.changed(Topic::Machine(machine.id.clone()));
        self.changed(Topic::Machines(machine.owner.clone()));
        Ok(())
    }

    /// Something that the machine's summary shows has changed.
    pub(super) fn machine_changed(&mut self, id: &MachineId) -> Result<(), CallError> {
        if let Some(machine) = load::<MachineRow>(self.rows, &key::machine(id))? {
            self.changed(Topic::Machines(machine.owner));
        }
        self.changed(Topic::Machine(id.clone()));
        Ok(())
    }
}

/// A machine's secret. With a nonce it follows from what only the process that registers has, so that a repeated
/// request gets the same one without anybody having kept it.
fn machine_secret(key: &Secret, nonce: Option<&Secret>, entropy: Entropy) -> Secret {
    match nonce {
        Some(nonce) => Secret::derive(SECRET_PREFIX, &[key, nonce]),
        None => Secret::generate(SECRET_PREFIX, entropy.secret),
    }
}

fn nonce_too_long() -> CallError {
    CallError::new(
        ErrorCode::TooLarge,
        format!("The nonce is over its limit of {NONCE_MAX_BYTES} bytes."),
    )
}

fn connected(epoch: u64, connection_token: Secret) -> ConnectReply {
    ConnectReply {
        epoch,
        connection_token,
        wire_version: WIRE_VERSION,
        lease_ms: LEASE_MS,
        heartbeat_ms: HEARTBEAT_MS,
        chunk_batch_max_bytes: CHUNK_BATCH_MAX_BYTES as u32,
    }
}

pub(super) fn person(actor: &Actor) -> Result<&PersonId, CallError> {
    match actor {
        Actor::Person(person) => Ok(person),
        Actor::Anyone | Actor::Machine { .. } => {
            Err(CallError::new(ErrorCode::Forbidden, "This is for people."))
        }
    }
}

pub(super) fn machine(actor: &Actor) -> Result<(&MachineId, u64), CallError> {
    match actor {
        Actor::Machine { id, epoch } => Ok((id, *epoch)),
        Actor::Anyone | Actor::Person(_) => Err(CallError::new(
            ErrorCode::Forbidden,
            "This is for machines.",
        )),
    }
}

/// A name without blanks around it, if it is one.
pub(super) fn checked_name(name: &str) -> Result<String, CallError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(CallError::new(
            ErrorCode::Invalid,
            "The name is empty. Give it at least one character.",
        ));
    }
    if name.len() > NAME_MAX_BYTES {
        return Err(CallError::new(
            ErrorCode::TooLarge,
            format!(
                "The name has {} bytes; {NAME_MAX_BYTES} is the limit. Choose a shorter one.",
                name.len()
            ),
        ));
    }
    if name.chars().any(char::is_control) {
        return Err(CallError::new(
            ErrorCode::Invalid,
            "The name has control characters. Leave them out.",
        ));
    }
    Ok(name.to_owned())
}

/// A text for a person, cut to its limit.
pub(super) fn bounded_reason(mut reason: String) -> String {
    if reason.len() > REASON_MAX_BYTES {
        let end = (0..=REASON_MAX_BYTES)
            .rev()
            .find(|at| reason.is_char_boundary(*at))
            .unwrap_or(0);
        reason.truncate(end);
        reason.push('…');
    }
    reason
}

fn bounded_info(info: MachineInfo) -> MachineInfo {
    MachineInfo {
        os: bounded_reason(info.os),
        arch: bounded_reason(info.arch),
        hostname: bounded_reason(info.hostname),
        root: bounded_reason(info.root),
        agent_version: bounded_reason(info.agent_version),
        opencode_version: info.opencode_version.map(bounded_reason),
        enforcement: info.enforcement.map(bounded_reason),
        problem: info.problem.map(bounded_reason),
    }
}
