//! What a write job works on.

use std::{cell::RefCell, fmt, ops::Deref};

use rusqlite::Connection;

type Hook = Box<dyn FnOnce() + Send>;

/// The transaction of the group that a job is part of; derefs to the connection. A job must leave
/// transaction control (`BEGIN`, `COMMIT`, `ROLLBACK`) to the writer.
pub struct Transaction<'c> {
    connection: &'c Connection,
    after_commit: RefCell<Vec<Hook>>,
}

impl<'c> Transaction<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            after_commit: RefCell::default(),
        }
    }

    /// Runs `hook` once the group is on disk and before its callers are answered; never if the job or the
    /// commit fails. It runs on the writer's thread: wake somebody, don't work.
    pub fn after_commit(&self, hook: impl FnOnce() + Send + 'static) {
        self.after_commit.borrow_mut().push(Box::new(hook));
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
