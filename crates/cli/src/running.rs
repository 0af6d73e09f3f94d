//! The note that a running hub, or page for a deployment, leaves in its directory, so that commands on the same
//! computer find it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::places;

/// A hub that runs, or ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Where programs on this computer reach it.
    pub(crate) url: String,
    /// Its process.
    pub(crate) pid: u32,
    /// Its version.
    pub(crate) version: String,
    /// Where people on this computer reach its page, where that is not the backend itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) page: Option<String>,
}

impl Running {
    /// The hub that runs with this data directory, if its process still lives.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path(data_dir)).ok()?;
        let running: Self = serde_json::from_str(&text).ok()?;
        is_alive(running.pid).then_some(running)
    }

    /// The hub in this process.
    pub(crate) fn hub(url: String) -> Self {
        Self {
            url,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            page: None,
        }
    }

    /// The page in this process, for a deployment.
    pub(crate) fn of_deployment(address: &str, page: String) -> Self {
        Self {
            page: Some(page),
            ..Self::hub(address.to_owned())
        }
    }

    /// The machine in this process.
    pub(crate) fn machine(backend: &str) -> Self {
        Self::hub(backend.to_owned())
    }

    /// Leaves the note. Takes it away again when it is dropped.
    pub(crate) fn announce(&self, data_dir: &Path) -> std::io::Result<Announced> {
        let path = path(data_dir);
        places::write_private(&path, &serde_json::to_string(self)?)?;
        Ok(Announced(path, self.pid))
    }
}

/// Takes the note away when it is dropped.
#[derive(Debug)]
pub(crate) struct Announced(PathBuf, u32);

impl Drop for Announced {
    fn drop(&mut self) {
        // A newer process may have left its own.
        let is_own = std::fs::read_to_string(&self.0)
            .ok()
            .and_then(|text| serde_json::from_str::<Running>(&text).ok())
            .is_some_and(|running| running.pid == self.1);
        if is_own {
            // A note of a process that has ended is not believed anyway.
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("running.json")
}

#[cfg(unix)]
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    // A process of somebody else may not be signalled, but it is there.
    pid.is_some_and(|pid| {
        !matches!(
            rustix::process::test_kill_process(pid),
            Err(rustix::io::Errno::SRCH)
        )
    })
}

#[cfg(not(unix))]
fn is_alive(_pid: u32) -> bool {
    true
}
