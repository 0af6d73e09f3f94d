//! The watch that an agent has of its inbox, at both ends: what the backend has open, and what its client has heard.

use protocol::Timestamp;
use protocol::agent::WatchId;
use protocol::secret::Secret;
use serde_json::Value;

use crate::machine::{Machine, ProcessId};

#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) id: WatchId,
    pub(crate) token: Secret,
    pub(crate) epoch: u64,
    /// The backend has it open. Its client may not know that it is gone, nor the backend.
    pub(crate) is_open: bool,
    pub(crate) is_stale: bool,
    pub(crate) shown: Option<Value>,
    pub(crate) heard_at: Timestamp,
    pub(crate) latest_value_at: Timestamp,
    /// Nothing comes through any more, and nobody knows.
    pub(crate) is_silent: bool,
}

impl Watch {
    /// One that its client has just asked for.
    pub(crate) fn new(id: WatchId, token: Secret, now: Timestamp) -> Self {
        Self {
            id,
            token,
            epoch: 0,
            is_open: false,
            is_stale: false,
            shown: None,
            heard_at: now,
            latest_value_at: now,
            is_silent: false,
        }
    }
}

impl Machine {
    fn watch(&mut self, process: ProcessId, watch: WatchId) -> Option<&mut Watch> {
        let watched = self.processes.get_mut(&process)?.watch.as_mut()?;
        Some(watched).filter(|watched| watched.id == watch)
    }

    pub(crate) fn open_watch(
        &mut self,
        process: ProcessId,
        id: WatchId,
        token: Secret,
        epoch: u64,
        now: Timestamp,
    ) {
        if let Some(watch) = self.watch(process, id) {
            watch.token = token;
            watch.epoch = epoch;
            watch.is_open = true;
            watch.is_stale = true;
            watch.heard_at = now;
        }
    }

    /// Gives its epoch, and whether there is another one of that epoch.
    pub(crate) fn close_watch(&mut self, process: ProcessId, id: WatchId) -> Option<(u64, bool)> {
        let watch = self.watch(process, id).filter(|watch| watch.is_open)?;
        watch.is_open = false;
        Some((watch.epoch, false))
    }

    /// The token of a watch that has something to look at.
    pub(crate) fn take_push(&mut self, process: ProcessId, id: WatchId) -> Option<Secret> {
        let watch = self.watch(process, id)?;
        let looks = watch.is_open && std::mem::take(&mut watch.is_stale);
        looks.then(|| watch.token.clone())
    }

    /// It can't be sent now.
    pub(crate) fn keep_push(&mut self, process: ProcessId, id: WatchId) {
        if let Some(watch) = self.watch(process, id) {
            watch.is_stale = true;
        }
    }

    pub(crate) fn shows_news(&mut self, process: ProcessId, value: &Value) -> bool {
        let watch = self
            .processes
            .get_mut(&process)
            .and_then(|process| process.watch.as_mut());
        let Some(watch) = watch.filter(|watch| watch.shown.as_ref() != Some(value)) else {
            return false;
        };
        watch.shown = Some(value.clone());
        true
    }

    /// When the next value of a watch arrives, if the one before it is still on its way.
    pub(crate) fn in_order(&mut self, process: ProcessId, at: Timestamp) -> Timestamp {
        let watch = self
            .processes
            .get_mut(&process)
            .and_then(|process| process.watch.as_mut());
        let Some(watch) = watch else { return at };
        watch.latest_value_at = watch.latest_value_at.max(at);
        watch.latest_value_at
    }

    /// Marks every open watch as one that has something to look at, and names those that had not.
    pub(crate) fn stale_watches(&mut self) -> Vec<(ProcessId, WatchId)> {
        let mut stale = Vec::new();
        for (id, process) in &mut self.processes {
            if let Some(watch) = process.watch.as_mut().filter(|watch| watch.is_open)
                && !std::mem::replace(&mut watch.is_stale, true)
            {
                stale.push((*id, watch.id));
            }
        }
        stale
    }
}
