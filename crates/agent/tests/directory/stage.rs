//! A root in a folder of its own, git repositories, and operations on them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use agent::directory::{Directories, DirectorySettings, Ended, Root};
use protocol::git_url::GitProtocol;
use protocol::ids::CommandId;
use protocol::time::Timestamp;
use protocol::wire::{CommandError, CommandErrorCode, CommandResult, Listing, Operation};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Progress that a test keeps.
const PROGRESS_KEPT: usize = 10_000;

pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    pub(crate) directories: Directories,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A stage on which `file` and `http` are allowed, too, and with other settings changed.
    pub(crate) fn with(change: impl FnOnce(&mut DirectorySettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        let directories = directories(&folder.path().join("root"), change);
        Self {
            folder,
            directories,
        }
    }

    /// A path below the root.
    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join("root").join(below)
    }

    /// A path beside the root.
    pub(crate) fn outside(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) async fn perform(
        &self,
        operation: Operation,
    ) -> Result<CommandResult, CommandError> {
        self.perform_as(&command(), operation).await
    }

    pub(crate) async fn perform_as(
        &self,
        id: &CommandId,
        operation: Operation,
    ) -> Result<CommandResult, CommandError> {
        let (progress, _told) = mpsc::channel(PROGRESS_KEPT);
        let ended = self
            .directories
            .perform(id, operation, progress, CancellationToken::new())
            .await;
        ended.map_err(|ended| match ended {
            Ended::Failed(error) => error,
            Ended::Cancelled => panic!("nobody cancelled it"),
        })
    }

    pub(crate) async fn refusal(&self, operation: Operation) -> CommandErrorCode {
        match self.perform(operation.clone()).await {
            Ok(result) => panic!("{operation:?} was done: {result:?}"),
            Err(error) => {
                assert!(
                    error.message.ends_with(['.', '\'', ')']) || error.message.contains("git said"),
                    "{}",
                    error.message
                );
                error.code
            }
        }
    }

    pub(crate) async fn list(&self, directory: &str) -> Listing {
        match self.perform(list(directory)).await.unwrap() {
            CommandResult::Listing(listing) => listing,
            other => panic!("{other:?}"),
        }
    }

    /// The names in the root's own directory on disk, sorted, hidden ones too.
    pub(crate) fn names(&self) -> Vec<OsString> {
        let mut names: Vec<_> = std::fs::read_dir(self.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    }

    /// Makes a repository beside the root with one commit of these files; gives its address.
    pub(crate) fn repository(&self, name: &str, files: &[(&str, &[u8])]) -> String {
        let path = self.outside(name);
        git(self.folder.path(), &["init", "-q", "-b", "main", name]);
        for (file, bytes) in files {
            let file = path.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
        }
        git(&path, &["add", "-A"]);
        commit(&path);
        format!("file://{}", path.display())
    }
}

pub(crate) fn directories(root: &Path, change: impl FnOnce(&mut DirectorySettings)) -> Directories {
    let supervisor = env!("CARGO_BIN_EXE_agent-supervise");
    let mut settings = DirectorySettings::new(vec![supervisor.into()]);
    settings
        .protocols
        .extend([GitProtocol::File, GitProtocol::Http]);
    change(&mut settings);
    Directories::new(Root::open(root).unwrap(), settings)
}

/// An id of its own for each command.
pub(crate) fn command() -> CommandId {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    CommandId::generate(
        Timestamp::from_ms(1_000),
        [NEXT.fetch_add(1, Ordering::Relaxed); 10],
    )
}

pub(crate) fn list(directory: &str) -> Operation {
    Operation::List {
        directory: directory.to_owned(),
        hidden: false,
        filter: None,
        after: None,
    }
}

pub(crate) fn read(path: &str) -> Operation {
    Operation::ReadFile {
        path: path.to_owned(),
    }
}

pub(crate) fn make(path: &str) -> Operation {
    Operation::MakeDirectory {
        path: path.to_owned(),
    }
}

pub(crate) fn rename(from: &str, to: &str) -> Operation {
    Operation::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

pub(crate) fn trash(path: &str) -> Operation {
    Operation::Trash {
        path: path.to_owned(),
    }
}

pub(crate) fn restore(trashed: &CommandId, path: &str) -> Operation {
    Operation::Restore {
        trashed: trashed.clone(),
        path: path.to_owned(),
    }
}

pub(crate) fn clone(url: &str, path: &str) -> Operation {
    Operation::Clone {
        url: url.to_owned(),
        branch: None,
        path: path.to_owned(),
    }
}

pub(crate) fn commit(repository: &Path) {
    let who = [
        "-c",
        "user.name=T",
        "-c",
        "user.email=t@example.org",
        "-c",
        "commit.gpgsign=false",
    ];
    git(
        repository,
        &[&who[..], &["commit", "-q", "--allow-empty", "-m", "one"]].concat(),
    );
}

pub(crate) fn git(directory: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "git {arguments:?}");
}
