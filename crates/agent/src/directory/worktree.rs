//! A git worktree for a chat session of its own, and its end.
//!
//! It is made before the session's process starts, and found again when one starts anew. It is removed when
//! nothing would be lost with it, or when a person says so all the same.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cap_std::fs::Dir;
use opencode_driver::supervisor::Sandbox;
use protocol::wire::{CommandError, CommandErrorCode, CommandResult, Worktree};
use rustix::fs::Mode;
use rustix::io::Errno;
use tokio::io::AsyncReadExt as _;

use super::errors::failed_at;
use super::git::{Launch, Started, only_looks, start};
use super::names::{Below, shown};
use super::root::path_of;
use super::{Directories, Root};

/// How long git may take for one step; checking out a large repository takes minutes.
const STEP_LIMIT: Duration = Duration::from_secs(10 * 60);
/// How much of what git says is read, in bytes.
const SAID_MAX_BYTES: u64 = 256 * 1024;
/// Why git says that a worktree is locked while it makes it.
const LOCKED_WHILE_MADE: &str = "initializing";

/// What is to be removed.
#[derive(Debug)]
pub(super) struct Removal {
    pub(super) repository: String,
    pub(super) directory: String,
    pub(super) branch: String,
    pub(super) force: bool,
}

/// Where a chat session with a worktree works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workplace {
    /// The directory below the root: the same one within the worktree as the worker's within its repository.
    pub directory: String,
    /// The repository's data, which a commit in the worktree is written to.
    pub repository: PathBuf,
}

impl Directories {
    /// Makes a chat session's worktree of the repository that a worker's directory is in, if it is not there
    /// already.
    ///
    /// # Errors
    /// For a person: why there is none.
    pub async fn worktree(&self, worker: &str, worktree: &Worktree) -> Result<Workplace, String> {
        self.make_worktree(worker, worktree)
            .await
            .map_err(|error| error.message)
    }

    async fn make_worktree(
        &self,
        worker: &str,
        worktree: &Worktree,
    ) -> Result<Workplace, CommandError> {
        let repository = self.repository(worker).await?;
        let place = self.place(&worktree.directory).await?;
        let workplace = Workplace {
            directory: inside(&worktree.directory, &repository.prefix),
            repository: repository.common.clone(),
        };
        match repository.find(self, &place).await? {
            Found::Whole => return Ok(workplace),
            Found::Broken => {
                let arguments = ["worktree", "remove", "--force", "--force", "--"];
                repository
                    .change(self, &place, &arguments, &[&place])
                    .await?;
            }
            Found::Nothing => {}
        }
        let branch = format!("refs/heads/{}", worktree.branch);
        let known = ["rev-parse", "--verify", "--quiet", &branch];
        let added = if repository.look(self, &known).await?.is_success {
            let arguments = ["worktree", "add", "--quiet", "--"];
            let branch = Path::new(&worktree.branch);
            repository
                .change(self, &place, &arguments, &[&place, branch])
                .await
        } else {
            let arguments = ["worktree", "add", "--quiet", "-b", &worktree.branch, "--"];
            repository.change(self, &place, &arguments, &[&place]).await
        };
        added.map(|()| workplace)
    }

    /// Removes a worktree and its branch.
    pub(super) async fn remove_worktree(
        &self,
        removal: &Removal,
    ) -> Result<CommandResult, CommandError> {
        let repository = match self.repository(&removal.repository).await {
            Ok(repository) => repository,
            // Without its repository there is nothing that could be lost with the branch.
            Err(error) if error.code == CommandErrorCode::NotFound => {
                return Ok(CommandResult::Done);
            }
            Err(error) => return Err(error),
        };
        let place = self.place(&removal.directory).await?;
        let found = repository.find(self, &place).await?;
        if !removal.force {
            self.check_saved(&repository, removal, &found).await?;
        }
        if !matches!(found, Found::Nothing) {
            let arguments: &[&str] = if removal.force {
                &["worktree", "remove", "--force", "--force", "--"]
            } else {
                &["worktree", "remove", "--"]
            };
            repository
                .change(self, &place, arguments, &[&place])
                .await?;
        }
        repository
            .change(self, &place, &["worktree", "prune"], &[])
            .await?;
        let branch = format!("refs/heads/{}", removal.branch);
        let known = ["rev-parse", "--verify", "--quiet", &branch];
        if repository.look(self, &known).await?.is_success {
            let arguments = ["branch", "--quiet", "-D", "--", &removal.branch];
            repository.change(self, &place, &arguments, &[]).await?;
        }
        Ok(CommandResult::Done)
    }

    /// Refuses when the worktree or its branch has work that is nowhere else.
    async fn check_saved(
        &self,
        repository: &Repository,
        removal: &Removal,
        found: &Found,
    ) -> Result<(), CommandError> {
        let unsaved = |what: String| {
            CommandError::new(
                CommandErrorCode::UnsavedWork,
                format!(
                    "The worktree was kept: {what}. Save that work, or remove the worktree all the same."
                ),
            )
        };
        if matches!(found, Found::Whole) {
            let tree = self.open_below(&removal.directory).await?;
            let arguments = ["status", "--porcelain", "-z", "--untracked-files=normal"];
            let said = self.say(&tree, only_looks(), &arguments, &[]).await?;
            let changed = said.stdout.split(|byte| *byte == 0).count() - 1;
            if changed > 0 {
                return Err(unsaved(match changed {
                    1 => "a changed file is not committed".to_owned(),
                    _ => format!("{changed} changed files are not committed"),
                }));
            }
        }
        let branch = format!("refs/heads/{}", removal.branch);
        let exclude = format!("--exclude={}", removal.branch);
        let arguments = [
            "rev-list",
            "--count",
            &branch,
            "--not",
            &exclude,
            "--branches",
            "--remotes",
            "--tags",
        ];
        let said = repository.look(self, &arguments).await?;
        let commits: u64 = said.line().parse().unwrap_or_default();
        if said.is_success && commits > 0 {
            let branch = &removal.branch;
            return Err(unsaved(match commits {
                1 => format!("a commit is only on its branch {branch}"),
                _ => format!("{commits} commits are only on its branch {branch}"),
            }));
        }
        Ok(())
    }

    /// The repository that a directory below the root is in.
    async fn repository(&self, directory: &str) -> Result<Repository, CommandError> {
        let handle = self.open_below(directory).await?;
        let arguments = [
            "rev-parse",
            "--path-format=absolute",
            "--git-common-dir",
            "--show-prefix",
        ];
        let said = self.say(&handle, only_looks(), &arguments, &[]).await?;
        let mut lines = said.stdout.split(|byte| *byte == b'\n');
        let (Some(common), Some(prefix), true) = (lines.next(), lines.next(), said.is_success)
        else {
            return Err(CommandError::new(
                CommandErrorCode::WrongKind,
                format!(
                    "The folder {} is in no git repository, so it can have no worktree of its own. Start the \
                     chat without one.",
                    shown(directory)
                ),
            ));
        };
        let common = PathBuf::from(text(common)?);
        // git looks upwards, also beyond the root.
        if self.root.strip(&common).is_none() {
            return Err(CommandError::new(
                CommandErrorCode::OutsideRoot,
                format!(
                    "The git repository of {} is not below the machine's root, so it can have no worktree here.",
                    shown(directory)
                ),
            ));
        }
        Ok(Repository {
            handle,
            common,
            prefix: text(prefix)?.trim_end_matches('/').to_owned(),
        })
    }

    /// The real path of a place for a worktree, whose folder is made.
    async fn place(&self, directory: &str) -> Result<PathBuf, CommandError> {
        let asked = directory.to_owned();
        self.on_thread(move |root| place(root, &asked)).await
    }

    async fn open_below(&self, directory: &str) -> Result<Dir, CommandError> {
        let asked = directory.to_owned();
        self.on_thread(move |root| {
            let below = Below::read(&asked)?;
            root.handle()
                .open_dir(below.path())
                .map_err(|error| failed_at("folder", &asked, "can't be used", &error))
        })
        .await
    }

    /// Runs git and waits for what it says.
    async fn say(
        &self,
        directory: &Dir,
        sandbox: Sandbox,
        arguments: &[&str],
        paths: &[&Path],
    ) -> Result<Said, CommandError> {
        let mut all: Vec<OsString> = arguments.iter().map(Into::into).collect();
        all.extend(paths.iter().map(|path| path.as_os_str().to_owned()));
        let Started {
            mut running,
            stdout,
            stderr,
        } = start(Launch {
            settings: &self.settings,
            directory,
            sandbox,
            arguments: all,
            environment: Vec::new(),
        })?;
        let said = tokio::time::timeout(STEP_LIMIT, async {
            let (mut heard, mut complaint) = (Vec::new(), Vec::new());
            let (mut stdout, mut stderr) =
                (stdout.take(SAID_MAX_BYTES), stderr.take(SAID_MAX_BYTES));
            let (read, complained) = tokio::join!(
                stdout.read_to_end(&mut heard),
                stderr.read_to_end(&mut complaint)
            );
            read.and(complained)?;
            let status = running.wait().await?;
            Ok(Said {
                is_success: status.success(),
                stdout: heard,
                complaint: String::from_utf8_lossy(&complaint).trim().to_owned(),
            })
        })
        .await;
        match said {
            Ok(said) => said.map_err(|error: std::io::Error| {
                CommandError::new(
                    CommandErrorCode::Other,
                    format!("git could not be run: {error}."),
                )
            }),
            Err(_) => {
                running.end().await;
                Err(CommandError::new(
                    CommandErrorCode::TimedOut,
                    format!(
                        "git did not end within {} minutes and was stopped. Try again when the machine is less \
                         busy.",
                        STEP_LIMIT.as_secs() / 60
                    ),
                ))
            }
        }
    }
}

/// What git said.
#[derive(Debug)]
struct Said {
    is_success: bool,
    stdout: Vec<u8>,
    complaint: String,
}

impl Said {
    fn line(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }
}

/// How a worktree is.
#[derive(Debug)]
enum Found {
    Nothing,
    Whole,
    /// The process died while it was made, or somebody removed half of it.
    Broken,
}

/// A repository, by a directory that is in it.
#[derive(Debug)]
struct Repository {
    handle: Dir,
    /// What all of its worktrees share.
    common: PathBuf,
    /// The directory's path within it; empty at its top.
    prefix: String,
}

impl Repository {
    async fn look(
        &self,
        directories: &Directories,
        arguments: &[&str],
    ) -> Result<Said, CommandError> {
        directories
            .say(&self.handle, only_looks(), arguments, &[])
            .await
    }

    /// Runs a git that may write to the repository's own data and to where its worktrees are.
    async fn change(
        &self,
        directories: &Directories,
        place: &Path,
        arguments: &[&str],
        paths: &[&Path],
    ) -> Result<(), CommandError> {
        let mut write = vec![self.common.clone()];
        write.extend(place.parent().map(Path::to_owned));
        let sandbox = Sandbox {
            write,
            no_network: false,
        };
        let said = directories
            .say(&self.handle, sandbox, arguments, paths)
            .await?;
        if said.is_success {
            return Ok(());
        }
        Err(CommandError::new(
            CommandErrorCode::Other,
            format!("git could not do it: {}.", said.complaint),
        ))
    }

    /// How the worktree at a place is.
    async fn find(&self, directories: &Directories, place: &Path) -> Result<Found, CommandError> {
        let said = self
            .look(directories, &["worktree", "list", "--porcelain", "-z"])
            .await?;
        Ok(found(&said.stdout, place, place.join(".git").exists()))
    }
}

/// Reads what `git worktree list --porcelain -z` says of a place.
fn found(said: &[u8], place: &Path, is_there: bool) -> Found {
    use std::os::unix::ffi::OsStrExt as _;
    let mut lines = said
        .split(|byte| *byte == 0)
        .skip_while(|line| line.strip_prefix(b"worktree ") != Some(place.as_os_str().as_bytes()))
        .take_while(|line| !line.is_empty());
    if lines.next().is_none() {
        return Found::Nothing;
    }
    let is_half_made = lines.any(|line| {
        line.strip_prefix(b"locked ")
            .is_some_and(|why| why == LOCKED_WHILE_MADE.as_bytes())
    });
    if is_there && !is_half_made {
        Found::Whole
    } else {
        Found::Broken
    }
}

fn place(root: &Root, directory: &str) -> Result<PathBuf, CommandError> {
    let failed =
        |error: std::io::Error| failed_at("folder", directory, "could not be made", &error);
    let below = Below::read(directory)?;
    let (parent, name) = below.split().ok_or_else(|| {
        CommandError::new(
            CommandErrorCode::Invalid,
            "A worktree needs a folder of its own.",
        )
    })?;
    match rustix::fs::mkdirat(root.handle(), parent.path(), Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(failed(error.into())),
    }
    let folder = root.handle().open_dir(parent.path()).map_err(failed)?;
    Ok(path_of(&folder).map_err(failed)?.join(name))
}

fn inside(directory: &str, prefix: &str) -> String {
    if prefix.is_empty() {
        directory.to_owned()
    } else {
        format!("{directory}/{prefix}")
    }
}

fn text(bytes: &[u8]) -> Result<&str, CommandError> {
    std::str::from_utf8(bytes).map_err(|_| {
        CommandError::new(
            CommandErrorCode::Invalid,
            "The repository's path is not UTF-8, so it can have no worktree of its own.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worktree_is_whole_only_when_git_finished_it_and_it_is_there() {
        let said = b"worktree /r\0HEAD a\0branch refs/heads/main\0\0worktree /r/w\0HEAD b\0branch refs/heads/w\0\0worktree /r/x\0HEAD c\0locked initializing\0\0";
        let at = |place: &str, is_there| found(said, Path::new(place), is_there);
        assert!(matches!(at("/r/w", true), Found::Whole));
        assert!(matches!(at("/r/w", false), Found::Broken));
        assert!(matches!(at("/r/x", true), Found::Broken));
        assert!(matches!(at("/r/other", true), Found::Nothing));
    }
}
