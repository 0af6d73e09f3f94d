//! Asks git what has changed in repositories.

use std::time::Duration;

use cap_std::fs::Dir;
use futures::{StreamExt as _, stream};
use protocol::limits::INSPECTED_MAX;
use protocol::wire::{CommandError, CommandErrorCode, CommandResult, Repository};
use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStdout;

use super::git::{Launch, Started, only_looks, start};
use super::names::Below;
use super::root::{kind_of, path_of};
use super::{Directories, head};

/// Repositories that are looked at at once.
const AT_ONCE: usize = 4;
/// How much of git's answer is read at once, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// Looks at directories; those that are no repositories are left out.
pub(super) async fn inspect(
    directories: &Directories,
    asked: Vec<String>,
) -> Result<CommandResult, CommandError> {
    if asked.len() > INSPECTED_MAX {
        return Err(CommandError::new(
            CommandErrorCode::TooLarge,
            format!("At most {INSPECTED_MAX} folders can be inspected at once."),
        ));
    }
    let found: Vec<Option<Repository>> = stream::iter(asked)
        .map(|directory| look_at(directories, directory))
        .buffered(AT_ONCE)
        .collect()
        .await;
    Ok(CommandResult::Repositories {
        repositories: found.into_iter().flatten().collect(),
    })
}

async fn look_at(directories: &Directories, directory: String) -> Option<Repository> {
    let asked = directory.clone();
    let opened = directories.on_thread(move |root| {
        let below = Below::read(&asked)?;
        let opened = root.handle().open_dir(below.path()).ok();
        Ok(opened.filter(|opened| kind_of(opened, ".git").is_ok_and(|kind| kind.is_some())))
    });
    let opened = opened.await.ok().flatten()?;
    let limit = directories.settings.inspect_limit;
    let status = match ask(directories, &opened, limit).await {
        Ok(status) => Some(status),
        Err(error) => {
            tracing::debug!(directory, %error, "git says nothing of a repository");
            None
        }
    };
    let branch = match &status {
        Some(status) => status.branch.clone(),
        None => head::of(&opened).unwrap_or_default().branch,
    };
    Some(Repository {
        directory,
        branch,
        changed_files: status.map(|status| status.changed),
    })
}

async fn ask(
    directories: &Directories,
    repository: &Dir,
    limit: Duration,
) -> Result<Status, CommandError> {
    let failed = |why: &str| CommandError::new(CommandErrorCode::Other, why);
    // Only this directory is looked at, not a repository that it may be in.
    let ceiling = path_of(repository)
        .ok()
        .and_then(|path| Some(path.parent()?.as_os_str().to_owned()))
        .unwrap_or_default();
    let arguments = [
        "status",
        "--porcelain=v2",
        "-z",
        "--branch",
        "--untracked-files=normal",
        "--ignore-submodules=all",
        "--no-ahead-behind",
        "--no-renames",
    ];
    let Started {
        mut running,
        stdout,
        mut stderr,
    } = start(Launch {
        settings: &directories.settings,
        directory: repository,
        sandbox: only_looks(),
        arguments: arguments.map(Into::into).to_vec(),
        environment: vec![("GIT_CEILING_DIRECTORIES", ceiling)],
    })?;
    let answered = tokio::time::timeout(limit, async {
        let mut unheard = tokio::io::sink();
        let (status, _) = tokio::join!(read(stdout), tokio::io::copy(&mut stderr, &mut unheard));
        running
            .wait()
            .await
            .is_ok_and(|ended| ended.success())
            .then_some(status)
    })
    .await;
    match answered {
        Ok(status) => status.ok_or_else(|| failed("git failed")),
        Err(_) => {
            running.end().await;
            Err(failed("git took too long"))
        }
    }
}

/// What `git status --porcelain=v2 -z --branch` says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    branch: Option<String>,
    changed: u32,
    record: Vec<u8>,
}

impl Status {
    /// Takes a piece of it; only the beginning of a record is of interest.
    fn take(&mut self, piece: &[u8]) {
        const RECORD_KEPT_BYTES: usize = 1_024;
        for byte in piece {
            if *byte == 0 {
                self.end_record();
            } else if self.record.len() < RECORD_KEPT_BYTES {
                self.record.push(*byte);
            }
        }
    }

    fn end_record(&mut self) {
        if let Some(branch) = self.record.strip_prefix(b"# branch.head ") {
            let branch = String::from_utf8_lossy(branch).into_owned();
            self.branch = Some(branch).filter(|branch| branch != "(detached)");
        } else if matches!(
            self.record.as_slice(),
            [b'1' | b'2' | b'u' | b'?', b' ', ..]
        ) {
            self.changed = self.changed.saturating_add(1);
        }
        self.record.clear();
    }
}

async fn read(mut stdout: ChildStdout) -> Status {
    let mut status = Status::default();
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(read @ 1..) = stdout.read(&mut piece).await {
        status.take(&piece[..read]);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted_by_record_wherever_the_pieces_are_cut() {
        let said =
            b"# branch.oid abc\0# branch.head main\x001 .M N... 1 2 3 4 5 a b\0? 1 odd\0u UU x\0";
        for size in 1..said.len() {
            let mut status = Status::default();
            said.chunks(size).for_each(|piece| status.take(piece));
            assert_eq!(
                (status.branch.as_deref(), status.changed),
                (Some("main"), 3)
            );
        }
        let mut status = Status::default();
        status.take(b"# branch.head (detached)\0");
        assert_eq!((status.branch, status.changed), (None, 0));
    }
}
