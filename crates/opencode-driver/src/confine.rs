//! What a confined opencode may write: where it works, and what it keeps for itself.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::driver::SessionSpec;
use protocol::wire;

use crate::driver::DriverError;
use crate::supervisor::{Enforcement, Sandbox, enforcement};

/// opencode's own directories: the variable that moves them, and where they are below the home else.
const OWN: [(&str, &str); 3] = [
    ("XDG_DATA_HOME", ".local/share"),
    ("XDG_CACHE_HOME", ".cache"),
    ("XDG_STATE_HOME", ".local/state"),
];
/// Its configuration has to be there and is not written: a later process, not confined, would run what it says.
const CONFIGURATION: (&str, &str) = ("XDG_CONFIG_HOME", ".config");
const TEMPORARY: &str = "TMPDIR";

/// What a chat session's processes are held to. Where they are to be confined and the kernel can't, nothing
/// starts: a sandbox that is not there is worse than none.
pub(crate) fn wanted(spec: &SessionSpec) -> Result<Option<Confined<'_>>, DriverError> {
    let why = match spec.sandbox {
        wire::Sandbox::Off => return Ok(None),
        wire::Sandbox::Unknown => {
            "this version does not know the sandbox that the worker asks for".to_owned()
        }
        wire::Sandbox::Workspace => match enforcement() {
            Enforcement::Full | Enforcement::Partial => return Ok(Some(Confined { spec })),
            Enforcement::Off(why) => why,
        },
    };
    Err(DriverError::Machine {
        what: "opencode can't be confined on this machine, so it was not started; set the worker's sandbox to off to run it all the same"
            .to_owned(),
        reason: why,
    })
}

/// A chat session whose processes are confined.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Confined<'a> {
    spec: &'a SessionSpec,
}

impl Confined<'_> {
    /// Where opencode finds room for temporary files, in place of everybody's.
    pub(crate) fn give_temporary(
        self,
        temporary: &Path,
        environment: &mut Vec<(OsString, OsString)>,
    ) -> io::Result<()> {
        fs::create_dir_all(temporary)?;
        environment.retain(|(name, _)| name != TEMPORARY);
        environment.push((TEMPORARY.into(), temporary.into()));
        Ok(())
    }

    /// What it may write: directories that have to be there are made.
    pub(crate) fn sandbox(
        self,
        sessions: &Path,
        environment: &[(OsString, OsString)],
    ) -> io::Result<Sandbox> {
        let value = |name: &str| {
            let found = environment.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_os_str())
        };
        let home = value("HOME").map(PathBuf::from);
        let place = |(variable, usual): (&str, &str)| {
            let moved = value(variable)
                .filter(|moved| !moved.is_empty())
                .map(PathBuf::from);
            let base = moved.or_else(|| Some(home.as_ref()?.join(usual)))?;
            Some(base.join("opencode"))
        };
        if let Some(configuration) = place(CONFIGURATION) {
            fs::create_dir_all(configuration)?;
        }
        let mut write: Vec<PathBuf> = OWN.into_iter().filter_map(place).collect();
        write.extend(value(TEMPORARY).map(PathBuf::from));
        write.push(sessions.to_owned());
        for directory in &write {
            fs::create_dir_all(directory)?;
        }
        write.push(PathBuf::from(OsStr::new(&self.spec.directory)));
        write.extend(self.spec.also_writes.iter().map(PathBuf::from));
        Ok(Sandbox {
            write,
            no_network: false,
        })
    }
}
