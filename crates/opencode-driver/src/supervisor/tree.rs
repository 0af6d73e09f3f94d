//! The process tree below a supervisor.

#[cfg(target_os = "linux")]
pub(crate) use platform::below;
pub(super) use platform::*;

/// What a process group is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Terminate,
    Kill,
}

#[cfg(target_os = "linux")]
mod platform {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::fd::OwnedFd;
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::io::Errno;
    use rustix::process::{
        Pid, PidfdFlags, WaitOptions, getpid, kill_process_group, pidfd_open, pidfd_send_signal,
        set_child_subreaper, wait,
    };

    use super::super::MARKER_VARIABLE;
    use super::Signal;

    /// The pause between two looks for survivors.
    const SWEEP_PAUSE: Duration = Duration::from_millis(5);

    /// What waiting for a child came to.
    pub(in super::super) enum Waited {
        Ended { pid: u32, code: u8 },
        Interrupted,
        NoChildren,
    }

    /// From here on, descendants that lose their parent become children of this process.
    pub(in super::super) fn adopt_orphans() {
        // Kernels since 3.4 have it; without it the marker still finds the orphans.
        let _ = set_child_subreaper(Some(getpid()));
    }

    /// Waits for any child to end.
    pub(in super::super) fn wait_any() -> Waited {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => {
                let code = status
                    .exit_status()
                    .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                match code {
                    Some(code) => Waited::Ended {
                        pid: pid.as_raw_nonzero().get().unsigned_abs(),
                        code: u8::try_from(code).unwrap_or(1),
                    },
                    None => Waited::Interrupted,
                }
            }
            Ok(None) | Err(Errno::INTR) => Waited::Interrupted,
            Err(_) => Waited::NoChildren,
        }
    }

    /// Tells a process group to end; a group that is gone already is fine.
    pub(in super::super) fn signal_group(group: u32, signal: Signal) {
        let signal = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        if let Some(pid) = pid(group) {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Kills every descendant and every process with the marker until none is left. `false` when the limit
    /// was reached first.
    pub(in super::super) fn sweep(marker: &str, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let wanted = format!("{MARKER_VARIABLE}={marker}");
        let own = getpid().as_raw_nonzero().get().unsigned_abs();
        loop {
            let survivors = survivors(own, &wanted);
            if survivors.is_empty() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            kill_all(&survivors, || self::survivors(own, &wanted));
            thread::sleep(SWEEP_PAUSE);
        }
    }

    /// Kills processes by file descriptors, after another look: a number may be somebody else's by now.
    fn kill_all(processes: &BTreeSet<u32>, look_again: impl Fn() -> BTreeSet<u32>) {
        let handles: Vec<(u32, OwnedFd)> = processes
            .iter()
            .filter_map(|process| {
                Some((
                    *process,
                    pidfd_open(pid(*process)?, PidfdFlags::empty()).ok()?,
                ))
            })
            .collect();
        let still = look_again();
        for (_, handle) in handles
            .iter()
            .filter(|(process, _)| still.contains(process))
        {
            let _ = pidfd_send_signal(handle, rustix::process::Signal::KILL);
        }
    }

    /// Everything below this process, and everything with the marker, that is not a zombie.
    fn survivors(own: u32, wanted: &str) -> BTreeSet<u32> {
        let processes: Vec<Process> = processes();
        let below = descendants(own, &processes);
        processes
            .iter()
            .filter(|process| !process.is_dead && process.id != own)
            .filter(|process| below.contains(&process.id) || has_marker(process.id, wanted))
            .map(|process| process.id)
            .collect()
    }

    /// Everything below a process that is not a zombie.
    pub(crate) fn below(own: u32) -> BTreeSet<u32> {
        let processes: Vec<Process> = processes();
        let below = descendants(own, &processes);
        processes
            .iter()
            .filter(|process| !process.is_dead && process.id != own)
            .filter(|process| below.contains(&process.id))
            .map(|process| process.id)
            .collect()
    }

    /// A process and everything below it.
    fn descendants(own: u32, processes: &[Process]) -> BTreeSet<u32> {
        let mut below = BTreeSet::from([own]);
        // Parents may come after their children in the listing, so go on until nothing is found.
        loop {
            let before = below.len();
            below.extend(
                processes
                    .iter()
                    .filter(|process| below.contains(&process.parent))
                    .map(|process| process.id)
                    .collect::<Vec<_>>(),
            );
            if below.len() == before {
                return below;
            }
        }
    }

    struct Process {
        id: u32,
        parent: u32,
        is_dead: bool,
    }

    fn processes() -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|id: u32| {
                parse_stat(id, &fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
            })
            .collect()
    }

    /// The state and parent come after the command, which is in parentheses and may hold anything.
    fn parse_stat(id: u32, stat: &str) -> Option<Process> {
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Process {
            id,
            parent,
            is_dead: matches!(state, "Z" | "X" | "x"),
        })
    }

    fn has_marker(process: u32, wanted: &str) -> bool {
        fs::read(format!("/proc/{process}/environ")).is_ok_and(|environment| {
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == wanted.as_bytes())
        })
    }

    fn pid(process: u32) -> Option<Pid> {
        Pid::from_raw(i32::try_from(process).ok()?)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_command_with_parentheses_does_not_hide_the_parent() {
            let process = parse_stat(7, "7 (a) b (c) S 42 7 7 0").unwrap();
            assert_eq!((process.parent, process.is_dead), (42, false));
            assert!(parse_stat(7, "7 (x) Z 1 7").unwrap().is_dead);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::time::Duration;

    use super::Signal;

    pub(in super::super) fn adopt_orphans() {}

    #[cfg(unix)]
    pub(in super::super) fn signal_group(group: u32, signal: Signal) {
        let signal = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        if let Some(pid) = i32::try_from(group)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(pid, signal);
        }
    }

    #[cfg(not(unix))]
    pub(in super::super) fn signal_group(_group: u32, _signal: Signal) {}

    /// Without a sub-reaper only the group can be reached, and it has been.
    pub(in super::super) fn sweep(_marker: &str, _limit: Duration) -> bool {
        true
    }
}
