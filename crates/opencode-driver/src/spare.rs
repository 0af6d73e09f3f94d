//! Warm spares: opencodes that are up before anybody asks for them. A chat session that starts in a directory
//! that is in use takes one and skips opencode's own start.
//!
//! Each spare is a task that owns its process. It hands the process over when asked, and ends it when its time
//! is over, when another directory needs its place, or when the driver is dropped. It lives below a supervisor
//! like every other opencode.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::debug;

use crate::driver::DriverError;
use crate::opencode::{Launched, Launcher};
use crate::storage::{Storage, delete_unused};
use crate::wire::{Fingerprint, fingerprint};

/// How long a spare waits for its chat session before it is ended.
const UNUSED_LIMIT: Duration = Duration::from_secs(15 * 60);
/// How long a directory's chat session is left alone before a spare starts: its first answer comes first.
const START_DELAY: Duration = Duration::from_secs(5);
/// How long a spare may take to show that it answers before it is given up.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// No spare is started where less memory than this is available, in KiB: it takes some 300 MiB.
const AVAILABLE_MIN_KIB: u64 = 1024 * 1024;

/// How many spares are kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpareConfig {
    /// The most spares at a time, each for another directory; 0 keeps none.
    pub limit: usize,
    /// How long after a chat session's start in its directory a spare starts.
    pub delay: Duration,
    /// How long it waits for its chat session.
    pub unused_limit: Duration,
}

impl SpareConfig {
    /// That many spares, with the usual times.
    #[must_use]
    pub const fn up_to(limit: usize) -> Self {
        Self {
            limit,
            delay: START_DELAY,
            unused_limit: UNUSED_LIMIT,
        }
    }
}

/// The spares of one driver.
#[derive(Debug)]
pub(crate) struct Spares {
    launcher: Arc<Launcher>,
    config: SpareConfig,
    /// How many there is room for besides the chat sessions' processes.
    room: AtomicUsize,
    /// The most recently used directory last.
    kept: Mutex<Vec<Kept>>,
}

/// One directory's spare, as the driver holds it. Dropping it ends the spare.
#[derive(Debug)]
struct Kept {
    directory: PathBuf,
    ask: oneshot::Sender<oneshot::Sender<Spare>>,
}

/// A process without a conversation.
#[derive(Debug)]
struct Spare {
    launched: Launched,
    /// The files that it has read, as they were before its start.
    read: Fingerprint,
}

impl Spares {
    pub(crate) fn new(launcher: Arc<Launcher>, config: SpareConfig) -> Self {
        Self {
            launcher,
            config,
            room: AtomicUsize::new(usize::MAX),
            kept: Mutex::new(Vec::new()),
        }
    }

    /// The directory's spare, if it has one that is alive. One that is still starting is waited for: it is
    /// ahead of a process that starts now.
    pub(crate) async fn take(&self, directory: &Path) -> Option<Launched> {
        let kept = {
            let mut all = self.kept();
            let place = all.iter().position(|kept| kept.directory == directory)?;
            all.remove(place)
        };
        let (give, given) = oneshot::channel();
        kept.ask.send(give).ok()?;
        let spare = given.await.ok()?;
        let launched = spare.launched;
        let mut why_not = self.why_not(directory, &launched, &spare.read).await;
        if why_not.is_none()
            && launched
                .storage
                .mark_used(&self.launcher.sessions())
                .is_err()
        {
            // What stays marked is deleted one day.
            why_not = Some("its storage can't be kept");
        }
        let Some(why_not) = why_not else {
            return Some(launched);
        };
        debug!(why_not, "a spare opencode is not used");
        let launcher = Arc::clone(&self.launcher);
        tokio::spawn(async move { end(&launcher, launched).await });
        None
    }

    /// Why a spare can't be used, if it can't.
    async fn why_not(
        &self,
        directory: &Path,
        launched: &Launched,
        read: &Fingerprint,
    ) -> Option<&'static str> {
        if launched.running.exit_status().is_some() {
            return Some("it has ended");
        }
        if self.launcher.fingerprint(directory) != *read {
            return Some("its configuration has changed since it started");
        }
        match tokio::time::timeout(ANSWER_LIMIT, launched.api.version()).await {
            Ok(Ok(_)) => None,
            Ok(Err(_)) | Err(_) => Some("it does not answer"),
        }
    }

    /// Keeps a spare for a directory in which a chat session has just started.
    pub(crate) fn keep(&self, directory: &Path) {
        let limit = self.limit();
        if limit == 0 {
            return;
        }
        let mut all = self.kept();
        // Those whose task has ended.
        all.retain(|kept| !kept.ask.is_closed());
        if let Some(place) = all.iter().position(|kept| kept.directory == directory) {
            let kept = all.remove(place);
            all.push(kept);
            return;
        }
        if all.len() >= limit {
            all.remove(0);
        }
        let (ask, asked) = oneshot::channel();
        all.push(Kept {
            directory: directory.to_owned(),
            ask,
        });
        tokio::spawn(wait(
            Arc::clone(&self.launcher),
            self.config,
            directory.to_owned(),
            asked,
        ));
    }

    /// Ends those for which there is no room any more, the least recently used directory's first.
    pub(crate) fn keep_at_most(&self, room: usize) {
        self.room.store(room, Ordering::Relaxed);
        let mut all = self.kept();
        all.retain(|kept| !kept.ask.is_closed());
        let surplus = all.len().saturating_sub(self.limit());
        all.drain(..surplus);
    }

    fn limit(&self) -> usize {
        self.config.limit.min(self.room.load(Ordering::Relaxed))
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What asks for a spare: where to send it.
type Asked = oneshot::Receiver<oneshot::Sender<Spare>>;

/// A spare's life.
async fn wait(launcher: Arc<Launcher>, config: SpareConfig, directory: PathBuf, mut asked: Asked) {
    tokio::select! {
        biased;
        () = tokio::time::sleep(config.delay) => {}
        // Too early to have one, or not wanted any more.
        _ = &mut asked => return,
    }
    let old = 2 * config.unused_limit.max(UNUSED_LIMIT);
    delete_unused(&launcher.sessions(), old);
    if !has_room() {
        debug!("no spare opencode: too little memory is available");
        return;
    }
    let read = launcher.fingerprint(&directory);
    let Some((launched, mut asker)) = start_unless_dropped(&launcher, &directory, &mut asked).await
    else {
        return;
    };
    if asker.is_none() {
        asker = tokio::select! {
            ask = &mut asked => ask.ok(),
            _ = launched.running.exited() => None,
            () = tokio::time::sleep(config.unused_limit) => None,
        };
    }
    let left = match asker {
        Some(asker) => asker.send(Spare { launched, read }).err(),
        None => Some(Spare { launched, read }),
    };
    // From here on nobody finds it.
    drop(asked);
    if let Some(spare) = left {
        end(&launcher, spare.launched).await;
    }
}

/// Starts a spare, and tells who has asked for it meanwhile. `None` when it did not start or is not wanted any
/// more.
async fn start_unless_dropped(
    launcher: &Launcher,
    directory: &Path,
    asked: &mut Asked,
) -> Option<(Launched, Option<oneshot::Sender<Spare>>)> {
    let storage = Storage::fresh().ok()?;
    let starting = start(launcher, directory, &storage);
    tokio::pin!(starting);
    let mut asker = None;
    loop {
        tokio::select! {
            launched = &mut starting => return match launched {
                Ok(launched) => Some((launched, asker)),
                Err(error) => {
                    debug!(%error, "a spare opencode did not start");
                    storage.delete(&launcher.sessions());
                    None
                }
            },
            // Dropping the start ends what has been started; its storage is still marked as unused.
            ask = &mut *asked, if asker.is_none() => asker = Some(ask.ok()?),
        }
    }
}

/// Starts a process and makes it do what it otherwise does when its first prompt comes.
async fn start(
    launcher: &Launcher,
    directory: &Path,
    storage: &Storage,
) -> Result<Launched, DriverError> {
    let launched = launcher.launch_unused(directory, storage).await?;
    if let Err(error) = launched.api.warm_up().await {
        // It has had its chance: whether it answers is looked at again when it is taken.
        debug!(%error, "a spare opencode did not warm up");
    }
    Ok(launched)
}

/// Ends a spare and deletes what it has stored.
async fn end(launcher: &Launcher, launched: Launched) {
    let Launched {
        running, storage, ..
    } = launched;
    running.end().await;
    storage.delete(&launcher.sessions());
}

/// Whether there is memory for one more process. Where that is not known, there is.
fn has_room() -> bool {
    let known = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = known.lines().find_map(|line| {
        line.strip_prefix("MemAvailable:")?
            .trim()
            .strip_suffix(" kB")
    });
    available
        .and_then(|kib| kib.parse::<u64>().ok())
        .is_none_or(|kib| kib >= AVAILABLE_MIN_KIB)
}

impl Launcher {
    /// The files that an opencode in this directory reads once, as they are now.
    fn fingerprint(&self, directory: &Path) -> Fingerprint {
        fingerprint(directory, self.lean_home().as_deref(), |name| {
            std::env::var_os(name)
        })
    }
}
