//! Clones a repository: into a directory of its own beside the destination, then one rename that refuses to
//! replace.
//!
//! The directory has the command's id in its name, and the repository in it is marked with that id before the
//! rename. So a command that runs again removes what it had begun, or sees that it was done.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cap_std::fs::{Dir, MetadataExt as _};
use protocol::git_url;
use protocol::ids::CommandId;
use protocol::limits::PROGRESS_EVERY_MS;
use protocol::wire::{CommandError, CommandErrorCode, CommandResult, GitHead, Progress};
use rustix::fs::{Mode, RenameFlags};
use rustix::io::Errno;
use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStderr;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::errors::failed_at;
use super::git::{self, Launch, Running, Started};
use super::names::{Below, shown};
use super::progress::Reader;
use super::root::{Root, kind_of, open_child};
use super::{Directories, Ended, git_errors, head, leftovers, tree};

/// The file in a repository's `.git` that names the command that cloned it.
const MARK: &str = "orchestrator-clone";
/// A branch's or tag's longest name, in bytes.
const BRANCH_MAX_BYTES: usize = 255;
/// The shortest time between two looks at how much disk a clone uses.
const WEIGH_EVERY: Duration = Duration::from_secs(1);
/// Of the time, this part at most goes into looking: one in so many.
const WEIGH_SHARE: u32 = 20;
/// How much of git's standard error is read at once, in bytes.
const PIECE_BYTES: usize = 4 * 1024;

/// What is to be cloned.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) id: CommandId,
    pub(super) url: String,
    pub(super) branch: Option<String>,
    pub(super) path: String,
}

pub(super) async fn clone(
    directories: &Directories,
    order: Order,
    progress: mpsc::Sender<Progress>,
    cancel: CancellationToken,
) -> Result<CommandResult, Ended> {
    check(directories, &order)?;
    let asked = order.clone();
    let prepared = directories
        .on_thread(move |root| prepare(root, &asked))
        .await?;
    let site = match prepared {
        Prepared::Done(head) => return Ok(cloned(head)),
        Prepared::Ready(site) => site,
    };
    let site = Arc::new(site);
    // Also one that is cancelled before it begins has had to remove what an earlier run left.
    let fetched = if cancel.is_cancelled() {
        Err(Ended::Cancelled)
    } else {
        fetch(directories, &order, &site, progress, &cancel).await
    };
    let fetched = match fetched {
        Ok(_) if cancel.is_cancelled() => Err(Ended::Cancelled),
        fetched => fetched,
    };
    let ended = match fetched {
        Ok(is_empty) => {
            let (order, site) = (order.clone(), Arc::clone(&site));
            directories
                .on_thread(move |root| publish(root, &order, &site, is_empty))
                .await
                .map_err(Ended::from)
        }
        Err(ended) => Err(ended),
    };
    // Through the handle that is held: the path may lead elsewhere by now.
    let cleaned = directories.on_thread(move |root| {
        tree::remove(&site.folder, &*site.growing_name).map_err(|error| {
            failed_at("folder", &order.path, "could not be removed again", &error)
        })?;
        leftovers::forget(root, &order.id);
        Ok(())
    });
    if let Err(error) = cleaned.await {
        tracing::warn!(%error, "what a clone left behind could not be removed");
    }
    Ok(cloned(ended?))
}

fn cloned(head: GitHead) -> CommandResult {
    CommandResult::Cloned {
        branch: head.branch,
    }
}

fn check(directories: &Directories, order: &Order) -> Result<(), CommandError> {
    let invalid = |why: String| CommandError::new(CommandErrorCode::Invalid, why);
    git_url::check(&order.url, &directories.settings.protocols)
        .map_err(|error| invalid(error.to_string()))?;
    if let Some(branch) = &order.branch {
        let is_fine = !branch.is_empty()
            && branch.len() <= BRANCH_MAX_BYTES
            && !branch.starts_with('-')
            && !branch.chars().any(|c| c.is_control() || c.is_whitespace());
        if !is_fine {
            return Err(invalid(format!(
                "{} can't be the name of a branch or tag.",
                shown(branch)
            )));
        }
    }
    Ok(())
}

/// Where a clone grows.
struct Site {
    /// The folder of the destination.
    folder: Dir,
    /// The destination's name there.
    name: OsString,
    /// The name of the directory that grows.
    growing_name: String,
    growing: Dir,
}

enum Prepared {
    /// An earlier run of this command has finished.
    Done(GitHead),
    Ready(Site),
}

fn prepare(root: &Root, order: &Order) -> Result<Prepared, CommandError> {
    let (parent, name) = destination(&order.path)?;
    let failed =
        |error: std::io::Error| failed_at("folder", &order.path, "could not be made", &error);
    let folder = root.handle().open_dir(parent.path()).map_err(failed)?;
    leftovers::remove(&folder, &order.id).map_err(failed)?;
    if kind_of(&folder, &*name).map_err(failed)?.is_some() {
        let existing = open_child(&folder, &*name).ok();
        let ours =
            existing.filter(|existing| marked_by(existing).as_deref() == Some(order.id.as_str()));
        leftovers::forget(root, &order.id);
        return match ours {
            Some(repository) => Ok(Prepared::Done(head::of(&repository).unwrap_or_default())),
            None => Err(is_taken(&order.path)),
        };
    }
    leftovers::note(root, &order.id, parent_text(&order.path)).map_err(failed)?;
    let growing_name = format!("{}{}", leftovers::prefix(&order.id), attempt());
    // The user's own mask applies, as it would to a directory that git makes.
    let mode = Mode::RWXU | Mode::RWXG | Mode::RWXO;
    rustix::fs::mkdirat(&folder, &growing_name, mode).map_err(|error| failed(error.into()))?;
    let growing = open_child(&folder, &growing_name).map_err(failed)?;
    if let Err(error) = leftovers::hold(&growing) {
        tracing::debug!(%error, "a file system has no locks; what a clone leaves there stays");
    }
    Ok(Prepared::Ready(Site {
        folder,
        name,
        growing_name,
        growing,
    }))
}

/// Names this attempt apart from all others: a git of an earlier one may still be about to end.
fn attempt() -> String {
    static ATTEMPTS: AtomicU64 = AtomicU64::new(0);
    let number = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
    let started = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{:x}-{:x}-{number:x}",
        std::process::id(),
        started.as_nanos()
    )
}

fn destination(path: &str) -> Result<(Below, OsString), CommandError> {
    let below = Below::read_changeable(path)?;
    let (parent, name) = below.split().ok_or_else(|| {
        CommandError::new(
            CommandErrorCode::Invalid,
            "Name a folder below the root directory.",
        )
    })?;
    Ok((parent, name.to_owned()))
}

/// The path of the folder that a path is in, as it travels.
fn parent_text(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn is_taken(path: &str) -> CommandError {
    CommandError::new(
        CommandErrorCode::AlreadyExists,
        format!(
            "Something is there already at {}. Choose another name for the folder.",
            shown(path)
        ),
    )
}

/// Runs git until it has ended. Says whether the repository is empty.
async fn fetch(
    directories: &Directories,
    order: &Order,
    site: &Site,
    progress: mpsc::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<bool, Ended> {
    let mut arguments: Vec<OsString> = [
        "clone",
        "--progress",
        "--template=",
        "--no-recurse-submodules",
    ]
    .map(Into::into)
    .to_vec();
    if let Some(branch) = &order.branch {
        arguments.push(git::joined("--branch=", OsStr::new(branch)));
    }
    arguments.extend(["--".into(), OsString::from(&order.url), ".".into()]);
    let Started {
        mut running,
        mut stdout,
        stderr,
    } = git::start(Launch {
        settings: &directories.settings,
        directory: &site.growing,
        sandbox: git::writes_here(),
        arguments,
        environment: Vec::new(),
    })?;
    // git says nothing there, but what it starts may.
    tokio::spawn(async move { tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await });
    let watched = Watch {
        directories,
        growing: &site.growing,
        reader: Reader::default(),
        progress,
    };
    watched
        .until_end(&mut running, stderr, cancel, &order.url)
        .await
}

/// Looks after a git that clones.
struct Watch<'a> {
    directories: &'a Directories,
    growing: &'a Dir,
    reader: Reader,
    progress: mpsc::Sender<Progress>,
}

impl Watch<'_> {
    async fn until_end(
        mut self,
        running: &mut Running,
        stderr: ChildStderr,
        cancel: &CancellationToken,
        url: &str,
    ) -> Result<bool, Ended> {
        let ended = tokio::select! {
            () = cancel.cancelled() => Err(Ended::Cancelled),
            error = self.listen(stderr) => match error {
                // It said all that it has to say.
                None => Ok(()),
                Some(error) => Err(Ended::Failed(error)),
            },
        };
        if let Err(ended) = ended {
            running.end().await;
            return Err(ended);
        }
        let status = tokio::select! {
            status = running.wait() => status,
            () = cancel.cancelled() => {
                running.end().await;
                return Err(Ended::Cancelled);
            }
        };
        if let Some(last) = self.reader.last() {
            let _ = self.progress.try_send(last);
        }
        let said = self.reader.last_words();
        match status {
            Ok(status) if status.success() => Ok(said.contains("cloned an empty repository")),
            Ok(status) => Err(git_errors::explain(&said, status.code(), url).into()),
            Err(error) => Err(git_errors::explain(&error.to_string(), None, url).into()),
        }
    }

    /// Reads what git says until it says no more, passes progress on, and watches the limits.
    async fn listen(&mut self, mut stderr: ChildStderr) -> Option<CommandError> {
        let settings = &self.directories.settings;
        let started = Instant::now();
        let mut alive = started;
        let mut weighed = 0;
        let mut weigh_at = started + WEIGH_EVERY;
        let mut tell = interval(Duration::from_millis(PROGRESS_EVERY_MS));
        tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            tokio::select! {
                read = stderr.read(&mut piece) => match read {
                    Ok(read @ 1..) => {
                        alive = Instant::now();
                        self.reader.read(&piece[..read]);
                    }
                    Ok(0) | Err(_) => return None,
                },
                _ = tell.tick() => {
                    if let Some(progress) = self.reader.next() {
                        // Who can't keep up hears the next one.
                        let _ = self.progress.try_send(progress);
                    }
                }
                () = sleep_until(weigh_at) => {
                    let began = Instant::now();
                    let bytes = self.weigh().await;
                    if bytes > settings.clone_disk_limit_bytes {
                        return Some(too_large(settings.clone_disk_limit_bytes));
                    }
                    if bytes != weighed {
                        alive = Instant::now();
                    }
                    weighed = bytes;
                    weigh_at = Instant::now() + WEIGH_EVERY.max(began.elapsed() * WEIGH_SHARE);
                }
                () = sleep_until(alive + settings.clone_idle_limit) => {
                    return Some(too_slow("Nothing has come from the repository's host", settings.clone_idle_limit));
                }
                () = sleep_until(started + settings.clone_time_limit) => {
                    return Some(too_slow("The repository is not whole", settings.clone_time_limit));
                }
            }
        }
    }

    async fn weigh(&self) -> u64 {
        let limit = self.directories.settings.clone_disk_limit_bytes;
        let Ok(growing) = self.growing.try_clone() else {
            return 0;
        };
        self.directories
            .on_thread(move |_| Ok(tree::weigh(&growing, limit)))
            .await
            .unwrap_or_default()
    }
}

fn too_large(limit_bytes: u64) -> CommandError {
    let text = format!(
        "The repository takes more than the {} MiB of disk that a clone may use, so it was given up. Clone it on the \
         machine itself if that is right.",
        limit_bytes >> 20
    );
    CommandError::new(CommandErrorCode::TooLarge, text)
}

fn too_slow(what: &str, limit: Duration) -> CommandError {
    let text = format!(
        "{what} after {} seconds, so the clone was given up. Try again, or clone it on the machine itself.",
        limit.as_secs()
    );
    CommandError::new(CommandErrorCode::TimedOut, text)
}

/// Puts the finished repository where it belongs.
fn publish(
    root: &Root,
    order: &Order,
    site: &Site,
    is_empty: bool,
) -> Result<GitHead, CommandError> {
    let failed =
        |error: std::io::Error| failed_at("folder", &order.path, "could not be made", &error);
    let git = open_child(&site.growing, ".git").map_err(failed)?;
    git.write(MARK, order.id.as_str()).map_err(failed)?;
    let head = head::of(&site.growing).unwrap_or_default();
    // The folder is held open, so it may have been moved away meanwhile, also out of the root.
    let (parent, _) = destination(&order.path)?;
    let now = root.handle().open_dir(parent.path()).map_err(failed)?;
    if !is_same(&now, &site.folder).map_err(failed)? {
        return Err(CommandError::new(
            CommandErrorCode::NotFound,
            format!(
                "The folder of {} was moved or replaced while the repository was cloned. Try again.",
                shown(&order.path)
            ),
        ));
    }
    let renamed = rustix::fs::renameat_with(
        &site.folder,
        &site.growing_name,
        &site.folder,
        &*site.name,
        RenameFlags::NOREPLACE,
    );
    match renamed {
        Ok(()) if is_empty => Ok(GitHead::default()),
        Ok(()) => Ok(head),
        Err(Errno::EXIST) => Err(is_taken(&order.path)),
        Err(error) => Err(failed(error.into())),
    }
}

fn is_same(one: &Dir, other: &Dir) -> std::io::Result<bool> {
    let (one, other) = (one.dir_metadata()?, other.dir_metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// The command that has cloned a repository.
fn marked_by(repository: &Dir) -> Option<String> {
    use std::io::Read as _;
    let path = std::path::Path::new(".git").join(MARK);
    let mut text = String::new();
    let file = head::open_regular(repository, &path).ok()?;
    file.take(64).read_to_string(&mut text).ok()?;
    Some(text)
}
