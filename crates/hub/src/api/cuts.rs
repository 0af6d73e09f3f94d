//! Ending live connections whose credential holds no longer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use protocol::ids::MachineId;
use tokio_util::sync::CancellationToken;

/// By what a live connection was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A person's sign-in, by its hash.
    SignIn(String),
    /// A machine's connection.
    Machine(MachineId, u64),
}

#[derive(Debug)]
pub(crate) struct Cuts {
    entries: Mutex<Entries>,
    /// Ends all of them when the hub stops.
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Entries {
    /// Counts the cuts.
    generation: u64,
    sign_ins: HashMap<String, CancellationToken>,
    machines: HashMap<MachineId, BTreeMap<u64, CancellationToken>>,
}

impl Cuts {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self {
            entries: Mutex::default(),
            stop,
        }
    }

    /// How many cuts there have been.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// What tells the holder's live connections to end; `None` if there has been a cut since `generation`,
    /// so that what was found out about the credential must be asked again.
    pub(crate) fn register(&self, holder: Holder, generation: u64) -> Option<CancellationToken> {
        let mut entries = self.lock();
        if entries.generation != generation {
            return None;
        }
        let parent = match holder {
            Holder::SignIn(hash) => entries.sign_ins.entry(hash),
            Holder::Machine(machine, epoch) => {
                return Some(
                    entries
                        .machines
                        .entry(machine)
                        .or_default()
                        .entry(epoch)
                        .or_insert_with(|| self.stop.child_token())
                        .child_token(),
                );
            }
        };
        Some(
            parent
                .or_insert_with(|| self.stop.child_token())
                .child_token(),
        )
    }

    pub(crate) fn cut_sign_in(&self, hash: &str) {
        let mut entries = self.lock();
        entries.generation += 1;
        if let Some(token) = entries.sign_ins.remove(hash) {
            token.cancel();
        }
    }

    /// Ends the machine's live connections of epochs before that one.
    pub(crate) fn cut_machine(&self, machine: &MachineId, below_epoch: u64) {
        let mut entries = self.lock();
        entries.generation += 1;
        let Some(mut earlier) = entries.machines.remove(machine) else {
            return;
        };
        let kept = earlier.split_off(&below_epoch);
        if !kept.is_empty() {
            entries.machines.insert(machine.clone(), kept);
        }
        earlier.into_values().for_each(|token| token.cancel());
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;

    use super::*;

    #[test]
    fn a_cut_ends_earlier_epochs_only_and_is_noticed() {
        let cuts = Cuts::new(CancellationToken::new());
        let machine = MachineId::generate(Timestamp::from_ms(1), [1; 10]);
        let register =
            |epoch| cuts.register(Holder::Machine(machine.clone(), epoch), cuts.generation());
        let (old, new) = (register(1).unwrap(), register(2).unwrap());
        let before = cuts.generation();
        cuts.cut_machine(&machine, 2);
        assert!(old.is_cancelled() && !new.is_cancelled());
        assert!(cuts.register(Holder::SignIn("a".into()), before).is_none());
        cuts.cut_machine(&machine, u64::MAX);
        assert!(new.is_cancelled());
    }
}
