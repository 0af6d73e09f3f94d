//! What a machine does below its root directory: list, read, make, rename, trash, clone.
//!
//! Every path goes through the root's open handle, which the kernel does not let it leave; nothing is looked up
//! first and used later. Every operation can be given again, with the same command's id, after a crash at any
//! point. `docs/security.md` says what that protects from and what not.

mod change;
mod clone;
mod errors;
mod file;
mod git;
mod git_errors;
mod head;
mod inspect;
mod leftovers;
mod listing;
mod names;
mod progress;
mod root;
mod tree;
mod worktree;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::git_url::GitProtocol;
use protocol::ids::CommandId;
use protocol::limits::RUNNING_COMMANDS_MAX;
use protocol::wire::{CommandError, CommandErrorCode, CommandResult, Operation, Progress};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

pub use names::{escape, unescape};
pub use root::{Root, RootError};
pub use worktree::Workplace;

/// How long a file system may take to answer.
const FILES_LIMIT: Duration = Duration::from_secs(60);
/// How long a clone may go on without a sign of life.
const CLONE_IDLE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long a clone may take.
const CLONE_TIME_LIMIT: Duration = Duration::from_secs(6 * 60 * 60);
/// How much disk a clone may use, in bytes.
const CLONE_DISK_LIMIT_BYTES: u64 = 50 * 1024 * 1024 * 1024;
/// How long git may look at one repository.
const INSPECT_LIMIT: Duration = Duration::from_secs(10);

/// How directories are worked on.
#[derive(Debug, Clone)]
pub struct DirectorySettings {
    /// The git that is run; a name is looked up in `PATH`.
    pub git: PathBuf,
    /// How repositories may be fetched.
    pub protocols: Vec<GitProtocol>,
    /// The command that supervises, up to and without its options: see [`opencode_driver::supervisor`]. Usually
    /// the product's own binary and `supervise`.
    pub supervisor: Vec<OsString>,
    /// Whether git is confined where the kernel can.
    pub is_confined: bool,
    /// What git's environment has besides what it always has.
    pub environment: Vec<(OsString, OsString)>,
    /// How long a clone may go on without a sign of life.
    pub clone_idle_limit: Duration,
    /// How long a clone may take.
    pub clone_time_limit: Duration,
    /// How much disk a clone may use, in bytes.
    pub clone_disk_limit_bytes: u64,
    /// How long git may look at one repository.
    pub inspect_limit: Duration,
}

impl DirectorySettings {
    /// The usual settings with this supervisor.
    #[must_use]
    pub fn new(supervisor: Vec<OsString>) -> Self {
        Self {
            git: PathBuf::from("git"),
            protocols: GitProtocol::DEFAULT.to_vec(),
            supervisor,
            is_confined: true,
            environment: Vec::new(),
            clone_idle_limit: CLONE_IDLE_LIMIT,
            clone_time_limit: CLONE_TIME_LIMIT,
            clone_disk_limit_bytes: CLONE_DISK_LIMIT_BYTES,
            inspect_limit: INSPECT_LIMIT,
        }
    }
}

/// Why an operation has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It failed, and changed nothing that a person would see.
    Failed(CommandError),
    /// It was cancelled before it was done.
    Cancelled,
}

impl From<CommandError> for Ended {
    fn from(error: CommandError) -> Self {
        Self::Failed(error)
    }
}

/// The directories below one root.
#[derive(Debug, Clone)]
pub struct Directories {
    root: Root,
    settings: Arc<DirectorySettings>,
    /// Threads that a file system may keep busy at once.
    threads: Arc<Semaphore>,
}

impl Directories {
    /// The directories below this root.
    #[must_use]
    pub fn new(root: Root, settings: DirectorySettings) -> Self {
        Self {
            root,
            settings: Arc::new(settings),
            threads: Arc::new(Semaphore::new(RUNNING_COMMANDS_MAX)),
        }
    }

    /// Performs an operation. With the same `id` it can be performed again after a crash. Progress comes at most
    /// every [`protocol::limits::PROGRESS_EVERY_MS`]; what the channel has no place for is left out.
    ///
    /// An operation that changes something and is not a clone is not cut short by `cancel`: it is done in no
    /// time, and what it did is said. A cancelled clone leaves nothing behind.
    ///
    /// # Errors
    /// [`Ended`] when there is no result.
    pub async fn perform(
        &self,
        id: &CommandId,
        operation: Operation,
        progress: mpsc::Sender<Progress>,
        cancel: CancellationToken,
    ) -> Result<CommandResult, Ended> {
        let id = id.clone();
        match operation {
            Operation::List {
                directory,
                hidden,
                filter,
                after,
            } => {
                let query = listing::Query {
                    directory,
                    hidden,
                    filter,
                    after,
                };
                self.read(cancel, move |root, cancel| {
                    listing::list(root, &query, cancel)
                })
                .await
            }
            Operation::ReadFile { path } => {
                self.read(cancel, move |root, _| file::read(root, &path))
                    .await
            }
            Operation::InspectRepositories { directories } => {
                tokio::select! {
                    () = cancel.cancelled() => Err(Ended::Cancelled),
                    result = inspect::inspect(self, directories) => Ok(result?),
                }
            }
            Operation::MakeDirectory { path } => {
                self.change(cancel, move |root| change::make(root, &path))
                    .await
            }
            Operation::Rename { from, to } => {
                self.change(cancel, move |root| change::rename(root, &from, &to))
                    .await
            }
            Operation::Trash { path } => {
                self.change(cancel, move |root| change::trash(root, &id, &path))
                    .await
            }
            Operation::Restore { trashed, path } => {
                self.change(cancel, move |root| change::restore(root, &trashed, &path))
                    .await
            }
            Operation::Clone { url, branch, path } => {
                let order = clone::Order {
                    id,
                    url,
                    branch,
                    path,
                };
                clone::clone(self, order, progress, cancel).await
            }
            Operation::RemoveWorktree {
                force,
                repository,
                directory,
                branch,
                ..
            } => {
                let removal = worktree::Removal {
                    repository,
                    directory,
                    branch,
                    force,
                };
                Ok(self.remove_worktree(&removal).await?)
            }
            Operation::Unknown => Err(CommandError::new(
                CommandErrorCode::Invalid,
                "This machine does not know that operation. Upgrade the machine's software, then try again.",
            )
            .into()),
        }
    }

    /// Removes what clones have left behind that died with their process; those that run are left alone. To be called
    /// once before the first command; failures are only logged.
    pub async fn clear_leftovers(&self) {
        let cleared = self.on_thread(|root| {
            leftovers::clear(root);
            Ok(())
        });
        if let Err(error) = cleared.await {
            tracing::warn!(%error, "what earlier clones left behind could not be removed");
        }
    }

    /// Work that only reads is given up when it is cancelled.
    async fn read<T, Work>(&self, cancel: CancellationToken, work: Work) -> Result<T, Ended>
    where
        T: Send + 'static,
        Work: FnOnce(&Root, &CancellationToken) -> Result<T, CommandError> + Send + 'static,
    {
        let seen = cancel.clone();
        tokio::select! {
            () = cancel.cancelled() => Err(Ended::Cancelled),
            result = self.on_thread(move |root| work(root, &seen)) => Ok(result?),
        }
    }

    async fn change(
        &self,
        cancel: CancellationToken,
        work: impl FnOnce(&Root) -> Result<(), CommandError> + Send + 'static,
    ) -> Result<CommandResult, Ended> {
        if cancel.is_cancelled() {
            return Err(Ended::Cancelled);
        }
        self.on_thread(work).await?;
        Ok(CommandResult::Done)
    }

    /// Runs work that may wait for a disk on a thread of its own. A file system that does not answer keeps its
    /// thread, never the caller.
    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Root) -> Result<T, CommandError> + Send + 'static,
    ) -> Result<T, CommandError> {
        let (root, threads) = (self.root.clone(), Arc::clone(&self.threads));
        let work = async move {
            let thread = threads.acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let _thread = thread;
                work(&root)
            })
            .await
        };
        match tokio::time::timeout(FILES_LIMIT, work).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CommandError::new(
                CommandErrorCode::Other,
                "The machine failed at this in a way that it should not. Its log says more.",
            )),
            Err(_) => Err(CommandError::new(
                CommandErrorCode::TimedOut,
                format!(
                    "The machine's file system did not answer within {} seconds. Check its disk and network \
                     drives, then try again.",
                    FILES_LIMIT.as_secs()
                ),
            )),
        }
    }
}
