//! Which opencode this machine runs, and how.

use std::path::PathBuf;

use opencode_driver::{LocateConfig, OpencodeConfig, SpareConfig};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::settings::{Key, Settings};

/// Below the sources' top, where `./start` installs the pinned opencode.
const PINNED: &str = "tests/opencode";
/// Below the machine's directory, where opencode's conversations are.
const STATE: &str = "opencode";

/// How opencode is run.
pub(crate) fn config(settings: &Settings) -> Result<OpencodeConfig, Failure> {
    let mut config = OpencodeConfig::new(locate(settings)?, settings.machine_dir()?.join(STATE));
    config.lean = settings.is_on(Key::OpencodeLean);
    config.spares = SpareConfig::up_to(settings.spares()?);
    config.config = match settings.optional(Key::OpencodeConfig) {
        None => json!({}),
        Some(text) => serde_json::from_str(&text)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| {
                settings.wrong(
                    Key::OpencodeConfig,
                    "it is not a JSON object, as opencode.json is",
                )
            })?,
    };
    Ok(config)
}

/// Where opencode is looked for: the one that was named, else the pinned one, else the person's own.
pub(crate) fn locate(settings: &Settings) -> Result<LocateConfig, Failure> {
    let pinned = match settings.place(Key::OpencodeDir)? {
        Some(directory) => Some(directory),
        None => beside_this_program(),
    };
    Ok(LocateConfig {
        explicit: settings.place(Key::Opencode)?,
        pinned,
        search_path: true,
    })
}

/// The pinned opencode of the sources that this program was built in.
fn beside_this_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    program
        .ancestors()
        .map(|directory| directory.join(PINNED))
        .find(|directory| directory.join("package-lock.json").is_file())
}
