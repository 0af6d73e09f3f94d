//! The writer thread and its group commit.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};

use rusqlite::{Connection, Statement};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use super::{
    Transaction,
    error::{NotCommitted, OpenError, WriteError, panic_text},
    memory::Memory,
};

/// Jobs that may wait for the writer; callers beyond that wait to be queued.
const QUEUE_JOBS: usize = 1_024;
/// Jobs of one group. Bounds what one failed commit can take with it, and how long a caller waits.
const GROUP_JOBS: usize = 256;
/// How long a caller waits to be queued before it is refused.
const QUEUE_WAIT: Duration = Duration::from_secs(10);

/// Why a group fell with a job that cannot be undone alone.
const BROKEN_OFF: &str = "a write of the same group broke off midway";
/// SQLite does not tell the writer why it undid everything, only the job whose statement failed.
const UNDONE: &str = "the disk is full or failing, and the whole group was undone";

#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the thread. It ends, and with it the lock, when it is closed or every sender is gone.
    pub(super) fn start(connection: Connection, lock: File) -> Result<Self, OpenError> {
        let (queue, messages) = mpsc::channel(QUEUE_JOBS);
        thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                let closing = run(&connection, messages);
                // In this order: the last connection folds the log into the file, under the lock.
                drop(connection);
                drop(lock);
                drop(closing);
            })
            .map_err(|source| OpenError::Io {
                path: "store-writer".into(),
                source,
            })?;
        Ok(Self { queue })
    }

    pub(super) async fn write<T, E, F>(&self, undoable: bool, job: F) -> Result<T, WriteError<E>>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let message = Message::Job(Box::new(TypedJob {
            undoable,
            job,
            reply,
        }));
        match self.queue.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Err(WriteError::Closed),
            Err(TrySendError::Full(message)) => {
                match tokio::time::timeout(QUEUE_WAIT, self.queue.send(message)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(WriteError::Closed),
                    Err(_) => return Err(WriteError::Busy),
                }
            }
        }
        answer.await.unwrap_or(Err(WriteError::Closed))
    }

    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        // An error either way means that the thread has ended: `reply` is dropped, never sent.
        if self.queue.send(Message::Close(reply)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

/// A job with its types erased.
trait Job: Send {
    /// Whether it may fail after it has written, so that it needs a savepoint.
    fn undoable(&self) -> bool;
    fn run(self: Box<Self>, transaction: &Transaction<'_>) -> Ran;
    fn refuse(self: Box<Self>, why: NotCommitted);
}

/// A job that has run and waits for the group's commit.
struct Ran {
    succeeded: bool,
    answer: Box<dyn FnOnce(Result<(), NotCommitted>) + Send>,
}

struct TypedJob<F, T, E> {
    undoable: bool,
    job: F,
    reply: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<F, T, E> Job for TypedJob<F, T, E>
where
    F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn undoable(&self) -> bool {
        self.undoable
    }

    fn run(self: Box<Self>, transaction: &Transaction<'_>) -> Ran {
        let Self { job, reply, .. } = *self;
        let outcome = match catch_unwind(AssertUnwindSafe(|| job(transaction))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(WriteError::Job(error)),
            Err(panic) => Err(WriteError::Panicked {
                message: panic_text(&*panic),
            }),
        };
        Ran {
            succeeded: outcome.is_ok(),
            answer: Box::new(move |committed| {
                // A refusal too may rest on what earlier jobs of the group wrote, so it falls with them.
                let answer = match (outcome, committed) {
                    (outcome, Ok(())) => outcome,
                    // A defect is not cured by trying again.
                    (Err(WriteError::Panicked { message }), Err(_)) => {
                        Err(WriteError::Panicked { message })
                    }
                    (_, Err(why)) => Err(WriteError::NotCommitted(why)),
                };
                // A caller that has gone does not want it.
                let _ = reply.send(answer);
            }),
        }
    }

    fn refuse(self: Box<Self>, why: NotCommitted) {
        let _ = self.reply.send(Err(WriteError::NotCommitted(why)));
    }
}

/// Commits groups until closed; what it returns is dropped once the file is closed, which tells the closers.
fn run(connection: &Connection, mut messages: mpsc::Receiver<Message>) -> Vec<oneshot::Sender<()>> {
    let mut closing = Vec::new();
    let memory = Memory::default();
    let mut control = match Control::prepare(connection, &memory) {
        Ok(control) => control,
        Err(error) => {
            tracing::error!(%error, "the database takes no writes");
            return closing;
        }
    };
    let mut group = Vec::with_capacity(GROUP_JOBS);
    while let Some(message) = messages.blocking_recv() {
        let mut next = Some(message);
        while let Some(message) = next {
            match message {
                Message::Job(job) => group.push(job),
                Message::Close(reply) => {
                    // Refuses new jobs; those already queued are still received and committed.
                    messages.close();
                    closing.push(reply);
                }
            }
            next = if group.len() < GROUP_JOBS {
                messages.try_recv().ok()
            } else {
                None
            };
        }
        control.commit(group.drain(..));
    }
    closing
}

/// The statements around the jobs, prepared once.
struct Control<'c> {
    connection: &'c Connection,
    memory: &'c Memory,
    /// Tells whether another process has committed to the file since the last group.
    data_version: Statement<'c>,
    seen_version: i64,
    begin: Statement<'c>,
    commit: Statement<'c>,
    savepoint: Statement<'c>,
    release: Statement<'c>,
    undo: Statement<'c>,
}

impl<'c> Control<'c> {
    fn prepare(connection: &'c Connection, memory: &'c Memory) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            memory,
            data_version: connection.prepare("PRAGMA data_version")?,
            seen_version: 0,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            savepoint: connection.prepare("SAVEPOINT job")?,
            release: connection.prepare("RELEASE job")?,
            undo: connection.prepare("ROLLBACK TO job")?,
        })
    }

    fn begin(&mut self) -> rusqlite::Result<()> {
        self.begin.execute([])?;
        let version = self.data_version.query_row([], |row| row.get(0))?;
        if self.seen_version != version {
            self.seen_version = version;
            self.memory.forget();
        }
        Ok(())
    }

    /// Runs the jobs in one transaction, or in several where SQLite gave one up midway.
    fn commit(&mut self, jobs: impl Iterator<Item = Box<dyn Job>>) {
        let mut jobs = jobs.peekable();
        while jobs.peek().is_some() {
            if let Err(error) = self.begin() {
                let why = NotCommitted::from_sqlite(&error);
                tracing::error!(%error, "the database refuses to begin a write");
                self.roll_back();
                jobs.for_each(|job| job.refuse(why.clone()));
                return;
            }
            let transaction = Transaction::new(self.connection, self.memory);
            let mut ran = Vec::with_capacity(GROUP_JOBS);
            let mut failure = None;
            for job in jobs.by_ref() {
                let (job, settled) = self.run_job(&transaction, job);
                ran.push(job);
                if let Err(why) = settled {
                    failure = Some(why);
                    break;
                }
            }
            let committed = match failure {
                None => self
                    .commit
                    .execute([])
                    .map(drop)
                    .map_err(|error| NotCommitted::from_sqlite(&error)),
                Some(why) => Err(why),
            };
            if let Err(why) = &committed {
                tracing::error!(jobs = ran.len(), %why, "a group of writes was not committed");
                self.roll_back();
            } else {
                transaction.into_hooks().into_iter().for_each(run_hook);
            }
            for job in ran {
                (job.answer)(committed.clone());
            }
        }
    }

    fn roll_back(&self) {
        self.memory.forget();
        if !self.connection.is_autocommit() {
            // If even this fails, the next BEGIN does, and says so.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// The error says why the transaction can't go on.
    fn run_job(
        &mut self,
        transaction: &Transaction<'_>,
        job: Box<dyn Job>,
    ) -> (Ran, Result<(), NotCommitted>) {
        let hooks = transaction.hooks_so_far();
        let changes = transaction.total_changes();
        let undoable = job.undoable();
        if undoable && let Err(error) = self.savepoint.execute([]) {
            return (job.run(transaction), Err(NotCommitted::from_sqlite(&error)));
        }
        let ran = job.run(transaction);
        if transaction.is_autocommit() {
            // SQLite rolls all back by itself when the disk is full or fails.
            return (
                ran,
                Err(NotCommitted::Storage {
                    reason: UNDONE.to_owned(),
                }),
            );
        }
        if !ran.succeeded {
            transaction.forget_hooks_after(hooks);
            let changed = transaction.total_changes() != changes;
            if changed {
                transaction.forget_memory();
            }
            if !undoable && changed {
                return (
                    ran,
                    Err(NotCommitted::Storage {
                        reason: BROKEN_OFF.to_owned(),
                    }),
                );
            }
        }
        let settled = match (undoable, ran.succeeded) {
            (false, _) => Ok(()),
            (true, true) => self.release.execute([]).map(drop),
            (true, false) => self
                .undo
                .execute([])
                .and_then(|_| self.release.execute([]))
                .map(drop),
        };
        (
            ran,
            settled.map_err(|error| NotCommitted::from_sqlite(&error)),
        )
    }
}

fn run_hook(hook: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(hook)) {
        tracing::error!(
            panic = panic_text(&*panic),
            "a defect: what follows a commit panicked"
        );
    }
}
