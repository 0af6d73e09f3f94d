//! What a write job works on.

use std::{cell::RefCell, fmt, ops::Deref};

use rusqlite::Connection;

use super::memory::Memory;

type Hook = Box<dyn FnOnce() + Send>;

/// The transaction of the group that a job is part of; derefs to the connection. A job must leave
/// transaction control (`BEGIN`, `COMMIT`, `ROLLBACK`) to the writer.
pub struct Transaction<'c> {
    connection: &'c Connection,
    memory: &'c Memory,
    after_commit: RefCell<Vec<Hook>>,
}

impl<'c> Transaction<'c> {
    pub(super) fn new(connection: &'c Connection, memory: &'c Memory) -> Self {
        Self {
            connection,
            memory,
            after_commit: RefCell::default(),
        }
    }

    /// Runs `hook` once the group is on disk and before its callers are answered; never if the job or the
    /// commit fails. It runs on the writer's thread: wake somebody, don't work.
    pub fn after_commit(&self, hook: impl FnOnce() + Send + 'static) {
        self.after_commit.borrow_mut().push(Box::new(hook));
    }

    /// Lets `act` use the `T` that earlier jobs have left, or an empty one. It is forgotten when a job or a
    /// group is undone, this one included; so a `T` that is changed together with the rows it was read from
    /// always agrees with them. It is for the caller to bound its size.
    pub fn memory<T: Default + 'static, R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        self.memory.with(act)
    }

    pub(super) fn forget_memory(&self) {
        self.memory.forget();
    }

    pub(super) fn hooks_so_far(&self) -> usize {
        self.after_commit.borrow().len()
    }

    pub(super) fn forget_hooks_after(&self, count: usize) {
        self.after_commit.borrow_mut().truncate(count);
    }

    pub(super) fn into_hooks(self) -> Vec<Hook> {
        self.after_commit.into_inner()
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("after_commit", &self.hooks_so_far())
            .finish_non_exhaustive()
    }
}
