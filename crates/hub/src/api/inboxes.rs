//! How many inbox watches each machine connection has open: while there is one, the machine is there.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use protocol::ids::MachineId;

#[derive(Debug, Default)]
pub(crate) struct Inboxes {
    open: Mutex<HashMap<(MachineId, u64), usize>>,
}

impl Inboxes {
    pub(crate) fn opened(&self, machine: &MachineId, epoch: u64) {
        *self.lock().entry((machine.clone(), epoch)).or_default() += 1;
    }

    /// True if it was the last one.
    pub(crate) fn closed(&self, machine: &MachineId, epoch: u64) -> bool {
        let mut open = self.lock();
        let key = (machine.clone(), epoch);
        let left = open.get_mut(&key).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            open.remove(&key);
        }
        left == 0
    }

    pub(crate) fn is_open(&self, machine: &MachineId, epoch: u64) -> bool {
        self.lock().contains_key(&(machine.clone(), epoch))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(MachineId, u64), usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
