//! Connections: handed out to whoever has the machine's secret, in effect from their first use on. A request to
//! connect may lie in the network while its process ends and another one connects: it changes nothing when it
//! arrives, since nobody has its token.

use super::access::{CONNECTION_PREFIX, revoked, superseded};
use super::machine::{bounded_info, nonce_too_long};
use super::rows::{Order, Rows, below, load, save};
use super::tables::{CredentialsRow, Deadline, Link, MachineRow, PendingRow, PresenceRow, key};
use super::{Actor, Backend, Effect, Topic};
use crate::error::{CallError, ErrorCode};
use crate::ids::MachineId;
use crate::limits::{
    CHUNK_BATCH_MAX_BYTES, HEARTBEAT_MS, LEASE_MS, NONCE_MAX_BYTES, PENDING_CONNECTION_LIFE_MS,
    PENDING_CONNECTIONS_MAX,
};
use crate::secret::Secret;
use crate::state::MachineState;
use crate::wire::{ConnectArgs, ConnectReply, MachineInfo, WIRE_VERSION, WIRE_VERSION_MIN};

/// How many connections back a late request is still known.
const NONCES_KEPT: usize = 16;

impl<R: Rows> Backend<'_, R> {
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
        let in_effect = token(credentials.epoch);
        if credentials
            .connection
            .as_ref()
            .is_some_and(|hash| hash.matches(&in_effect))
        {
            if knows_its_agent(&args.info) {
                machine.info = Some(bounded_info(args.info));
                self.save_machine(&machine)?;
            }
            return Ok(connected(credentials.epoch, in_effect));
        }
        let pending = self.pending_of(&machine.id)?;
        let (expired, mut pending): (Vec<_>, Vec<_>) = pending
            .into_iter()
            .partition(|row| row.expires_at <= self.now);
        if let Some(row) = pending.iter_mut().find(|row| row.nonce.matches(&nonce)) {
            if knows_its_agent(&args.info) {
                row.info = bounded_info(args.info);
                save(self.rows, &key::pending(&machine.id, row.epoch), row)?;
            }
            return Ok(connected(row.epoch, token(row.epoch)));
        }
        let too_many = (pending.len() + 1).saturating_sub(PENDING_CONNECTIONS_MAX);
        for row in expired.into_iter().chain(pending.drain(..too_many)) {
            self.rows.delete(&key::pending(&machine.id, row.epoch))?;
            // Whoever has its token may connect again: nothing newer has taken its place.
            credentials
                .nonces
                .retain(|known| known.as_str() != row.nonce.as_str());
        }
        if credentials.nonces.iter().any(|known| known.matches(&nonce)) {
            return Err(superseded());
        }
        let epoch = credentials.newest_epoch() + 1;
        let handed_out = PendingRow {
            epoch,
            connection: token(epoch).hash(),
            nonce: nonce.hash(),
            info: bounded_info(args.info),
            expires_at: self.now.plus_ms(PENDING_CONNECTION_LIFE_MS),
        };
        save(self.rows, &key::pending(&machine.id, epoch), &handed_out)?;
        credentials.handed_out = epoch;
        credentials.nonces.push(handed_out.nonce);
        let forgotten = credentials.nonces.len().saturating_sub(NONCES_KEPT);
        credentials.nonces.drain(..forgotten);
        save(self.rows, &path, &credentials)?;
        Ok(connected(epoch, token(epoch)))
    }

    /// The first use of a connection: it takes the place of all before it, whether they were used or not.
    pub(super) fn take_effect(&mut self, actor: &Actor) -> Result<(), CallError> {
        let Actor::Machine {
            id,
            epoch,
            is_pending: true,
        } = actor
        else {
            return Ok(());
        };
        let (id, epoch) = (id.clone(), *epoch);
        let missing = || CallError::not_found("connection");
        let pending = self.pending(&id, epoch)?.ok_or_else(missing)?;
        self.forget_pending_up_to(&id, epoch)?;
        let path = key::credentials(&id);
        let mut credentials: CredentialsRow = load(self.rows, &path)?.ok_or_else(missing)?;
        credentials.epoch = epoch;
        credentials.connection = Some(pending.connection);
        save(self.rows, &path, &credentials)?;
        let mut machine: MachineRow = load(self.rows, &key::machine(&id))?.ok_or_else(missing)?;
        machine.info = Some(pending.info);
        self.save_machine(&machine)?;
        let lease_until = self.now.plus_ms(LEASE_MS);
        let presence = PresenceRow {
            epoch,
            link: Link::Up,
            since: self.now,
            seen_at: self.now,
            lease_until,
        };
        save(self.rows, &key::presence(&id), &presence)?;
        self.forget_status(&id)?;
        self.arm(
            lease_until,
            id.as_str(),
            &Deadline::LeaseEnds {
                machine: id.clone(),
            },
        )?;
        self.effects.insert(Effect::CutConnections {
            machine: id.clone(),
            below_epoch: epoch,
        });
        self.changed(Topic::Inbox(id));
        Ok(())
    }

    /// A connection that was handed out and not used so far, while it may still be.
    pub(super) fn pending(
        &self,
        machine: &MachineId,
        epoch: u64,
    ) -> Result<Option<PendingRow>, CallError> {
        let row: Option<PendingRow> = load(self.rows, &key::pending(machine, epoch))?;
        Ok(row.filter(|row| row.expires_at > self.now))
    }

    /// The machine's connections that were handed out and not used, the oldest first.
    fn pending_of(&self, machine: &MachineId) -> Result<Vec<PendingRow>, CallError> {
        let rows = below(
            self.rows,
            &key::pending_of(machine),
            Order::Ascending,
            PENDING_CONNECTIONS_MAX,
        )?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// A later connection has taken effect, or none ever will.
    pub(super) fn forget_pending_up_to(
        &mut self,
        machine: &MachineId,
        epoch: u64,
    ) -> Result<(), CallError> {
        for row in self.pending_of(machine)? {
            if row.epoch <= epoch {
                self.rows.delete(&key::pending(machine, row.epoch))?;
            }
        }
        Ok(())
    }
}

/// Whether it knows by now if opencode runs there: the first request, which may come late, does not.
fn knows_its_agent(info: &MachineInfo) -> bool {
    info.opencode_version.is_some() || info.problem.is_some()
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
