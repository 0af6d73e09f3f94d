//! What `/proc` knows of the product's processes, and signals to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal,
    set_child_subreaper, waitpid,
};
use tokio::task::JoinHandle;

/// How often orphans are looked for.
const REAP_PAUSE: Duration = Duration::from_secs(2);

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) is_zombie: bool,
    pub(crate) command: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zombie = if self.is_zombie { " (zombie)" } else { "" };
        write!(
            f,
            "{} below {}{zombie}: {}",
            self.pid, self.parent, self.command
        )
    }
}

impl Process {
    pub(crate) fn is_supervisor(&self) -> bool {
        self.command.contains(" supervise ")
    }

    pub(crate) fn is_opencode(&self) -> bool {
        let hostings = [" acp ", " serve "];
        !self.is_supervisor() && hostings.iter().any(|how| self.command.contains(how))
    }
}

/// All processes that were started in a home, or by one of those: its path is in their environment. A zombie
/// has no environment any more; it belongs to its parent's home.
pub(crate) fn of_home(home: &Path) -> BTreeMap<u32, Process> {
    let mark = home.display().to_string().into_bytes();
    let all: Vec<Process> = all().collect();
    let is_marked = |process: &&Process| {
        fs::read(format!("/proc/{}/environ", process.pid)).is_ok_and(|environment| {
            environment
                .windows(mark.len())
                .any(|window| window == mark.as_slice())
        })
    };
    let marked: BTreeMap<u32, Process> = all
        .iter()
        .filter(is_marked)
        .map(|process| (process.pid, process.clone()))
        .collect();
    let zombies = all
        .iter()
        .filter(|process| process.is_zombie && marked.contains_key(&process.parent))
        .map(|process| (process.pid, process.clone()));
    zombies.chain(marked.clone()).collect()
}

/// The process and all below it.
pub(crate) fn tree(processes: &BTreeMap<u32, Process>, top: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([top]);
    loop {
        let before = found.len();
        let below = processes
            .values()
            .filter(|process| found.contains(&process.parent))
            .map(|process| process.pid);
        let below: Vec<u32> = below.collect();
        found.extend(below);
        if found.len() == before {
            return found;
        }
    }
}

fn all() -> impl Iterator<Item = Process> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| look(entry.file_name().to_str()?.parse().ok()?))
}

fn look(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command is in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let is_zombie = fields.next()? == "Z";
    let parent = fields.next()?.parse().ok()?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(Process {
        pid,
        parent,
        is_zombie,
        command: String::from_utf8_lossy(&command)
            .replace('\0', " ")
            .trim()
            .to_owned(),
    })
}

/// Something to signal that can't become another process meanwhile.
#[derive(Debug)]
pub(crate) struct Handle(std::os::fd::OwnedFd);

impl Handle {
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        pidfd_open(pid, PidfdFlags::empty()).ok().map(Self)
    }

    /// Whether there was something to signal.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        pidfd_send_signal(&self.0, signal).is_ok()
    }
}

/// The processes that this program started and waits for by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own(Arc<Mutex<BTreeSet<u32>>>);

impl Own {
    /// Starts a process without the reaper taking its end away.
    pub(crate) fn spawn<T>(
        &self,
        spawn: impl FnOnce() -> std::io::Result<T>,
        pid: impl FnOnce(&T) -> Option<u32>,
    ) -> std::io::Result<T> {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spawned = spawn()?;
        own.extend(pid(&spawned));
        Ok(spawned)
    }

    pub(crate) fn forget(&self, pid: u32) {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        own.remove(&pid);
    }
}

/// Takes the place of the computer's first process: whoever loses its parent becomes a child of this program,
/// and is waited for when it has ended. So a zombie is one that the product left.
pub(crate) fn adopt_orphans(own: Own) -> JoinHandle<()> {
    // Without it the computer's own first process does it.
    let _ = set_child_subreaper(Some(getpid()));
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(REAP_PAUSE).await;
            let me = std::process::id();
            let own = own.0.lock().unwrap_or_else(PoisonError::into_inner);
            for orphan in all().filter(|process| process.parent == me && process.is_zombie) {
                let pid = i32::try_from(orphan.pid).ok().and_then(Pid::from_raw);
                if !own.contains(&orphan.pid) {
                    let _ = waitpid(pid, WaitOptions::NOHANG);
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_found_whatever_the_order() {
        let process = |pid, parent| {
            let process = Process {
                pid,
                parent,
                is_zombie: false,
                command: String::new(),
            };
            (pid, process)
        };
        let processes =
            BTreeMap::from([process(1, 9), process(5, 7), process(7, 9), process(9, 0)]);
        assert_eq!(tree(&processes, 7), BTreeSet::from([5, 7]));
        assert_eq!(tree(&processes, 9), BTreeSet::from([1, 5, 7, 9]));
    }
}
