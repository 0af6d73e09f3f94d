//! How much memory there is, and how much of it this program's children use.

use std::fs;

/// The memory of this computer in bytes, or the part of it that this process is confined to; `None` where that is
/// not known.
#[must_use]
pub fn of_computer() -> Option<u64> {
    let all = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| kib_of(&text, "MemTotal:"))?;
    let confined = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    Some(confined.map_or(all, |most: u64| most.min(all)))
}

/// The memory of all processes below this one, in bytes: what is resident of each and its own, without the files
/// and libraries that it shares with others. `None` where that can't be measured.
#[must_use]
pub fn of_children() -> Option<u64> {
    platform::of_children()
}

/// A line of a file below /proc that tells KiB, in bytes.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs;

    use crate::supervisor::below;

    pub(super) fn of_children() -> Option<u64> {
        // One that has ended meanwhile has no memory any more.
        let all = below(std::process::id()).into_iter().filter_map(|process| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            super::kib_of(&status, "RssAnon:")
        });
        Some(all.sum())
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    pub(super) fn of_children() -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_in_kib() {
        let text = "MemTotal:       24600000 kB\nMemFree: 1 kB\n";
        assert_eq!(kib_of(text, "MemTotal:"), Some(24_600_000 * 1024));
        assert_eq!(kib_of(text, "MemAvailable:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_has_memory_of_its_own() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("starts");
        let measured = of_children();
        child.kill().expect("ends");
        child.wait().expect("ends");
        assert!(measured.is_some_and(|bytes| bytes > 0), "{measured:?}");
    }
}
