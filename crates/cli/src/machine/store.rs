//! `machine.toml`: what a machine keeps. Nothing else is needed to come back.

use std::io;
use std::path::{Path, PathBuf};

use protocol::ids::MachineId;
use protocol::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::places;

const HEADER: &str = "# This computer's MACHINE_ID and secret. Whoever has them is this machine: keep the file to yourself.\n";

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) machine_id: MachineId,
    pub(crate) secret: Secret,
    /// The name a person gave the machine.
    pub(crate) name: String,
    /// The backend that it belongs to.
    pub(crate) backend: String,
    /// Its root directory.
    pub(crate) root: PathBuf,
}

pub(crate) fn path(place: &Path) -> PathBuf {
    place.join("machine.toml")
}

impl Stored {
    /// What is stored there; `None` where no machine has registered yet.
    pub(crate) fn read(place: &Path) -> Result<Option<Self>, Failure> {
        let path = path(place);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, &error)),
        };
        keep_private(&path).map_err(|error| unusable(&path, &error))?;
        toml::from_str(&text).map(Some).map_err(|error: toml::de::Error| {
            let message = format!(
                "{} can't be understood ({}). Restore it, or run `orchestrator machine forget` and register anew.",
                path.display(),
                error.message()
            );
            Failure::new(Exit::Settings, message)
        })
    }

    pub(crate) fn write(&self, place: &Path) -> Result<(), Failure> {
        let path = path(place);
        let text =
            toml::to_string(self).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let written = places::create_private_dir(place)
            .and_then(|()| places::write_private(&path, &format!("{HEADER}{text}")));
        written.map_err(|error| unusable(&path, &error))
    }

    /// Takes away what is stored.
    pub(crate) fn forget(place: &Path) -> Result<(), Failure> {
        let path = path(place);
        std::fs::remove_file(&path).map_err(|error| unusable(&path, &error))
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::DataDir,
        format!(
            "{} can't be used: {error}. Check that it belongs to you.",
            path.display()
        ),
    )
}

#[cfg(unix)]
fn keep_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    const OWNER_ONLY: u32 = 0o600;
    // On a file system without modes the file may stay as it is.
    match std::fs::set_permissions(path, std::fs::Permissions::from_mode(OWNER_ONLY)) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        result => result,
    }
}

#[cfg(not(unix))]
fn keep_private(_path: &Path) -> io::Result<()> {
    Ok(())
}
