//! The files that it reads once, when it starts: a process that started before they changed goes on with the
//! old ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Settings, in a configuration directory or in a project.
const SETTINGS: &[&str] = &["config.json", "opencode.json", "opencode.jsonc"];
/// Directories of definitions, beside the settings.
const DEFINITIONS: &[&str] = &[
    "agent", "agents", "command", "commands", "mode", "modes", "plugin", "plugins", "skill",
    "skills", "tool", "tools",
];
/// Credentials, in the data directory.
const CREDENTIALS: &[&str] = &["auth.json", "mcp-auth.json"];
/// The configuration directory of a project.
const OF_PROJECT: &str = ".opencode";
/// How many entries of a directory are looked at.
const ENTRIES_MAX: usize = 500;

/// When each of those files was last written, and its size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

/// The fingerprint for a directory to work in. A lean process reads nothing of the person's.
pub(crate) fn fingerprint(
    directory: &Path,
    lean: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Fingerprint {
    let mut found = Fingerprint::default();
    if lean.is_some() {
        return found;
    }
    let place = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = place("HOME");
    let below = |name: &str, usual: &str| place(name).or_else(|| Some(home.as_ref()?.join(usual)));
    if let Some(config) = below("XDG_CONFIG_HOME", ".config") {
        found.note_directory(&config.join("opencode"));
    }
    if let Some(data) = below("XDG_DATA_HOME", ".local/share") {
        CREDENTIALS
            .iter()
            .for_each(|name| found.note(&data.join("opencode").join(name)));
    }
    if let Some(file) = place("OPENCODE_CONFIG") {
        found.note(&file);
    }
    if let Some(config) = place("OPENCODE_CONFIG_DIR") {
        found.note_directory(&config);
    }
    for above in directory.ancestors() {
        SETTINGS
            .iter()
            .for_each(|name| found.note(&above.join(name)));
        found.note_directory(&above.join(OF_PROJECT));
    }
    found
}

impl Fingerprint {
    fn note_directory(&mut self, directory: &Path) {
        SETTINGS
            .iter()
            .for_each(|name| self.note(&directory.join(name)));
        for name in DEFINITIONS {
            let entries = fs::read_dir(directory.join(name))
                .into_iter()
                .flatten()
                .flatten();
            entries
                .take(ENTRIES_MAX)
                .for_each(|entry| self.note(&entry.path()));
        }
    }

    fn note(&mut self, file: &Path) {
        if let Ok(known) = fs::metadata(file) {
            self.0
                .insert(file.to_owned(), (known.modified().ok(), known.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_reads_counts_and_nothing_else_does() {
        let home = tempfile::tempdir().unwrap();
        let project = home.path().join("work/project");
        fs::create_dir_all(project.join(".opencode/agent")).unwrap();
        fs::create_dir_all(home.path().join(".local/share/opencode")).unwrap();
        fs::create_dir_all(home.path().join(".config/opencode")).unwrap();
        let variable = |name: &str| (name == "HOME").then(|| home.path().as_os_str().to_owned());
        let now = |lean: Option<&Path>| fingerprint(&project, lean, variable);
        let mut before = now(None);
        for (path, counts) in [
            (".config/opencode/opencode.json", true),
            (".config/opencode/package.json", false),
            (".local/share/opencode/auth.json", true),
            (".local/share/opencode/opencode.db", false),
            ("work/opencode.jsonc", true),
            ("work/project/.opencode/agent/mine.md", true),
            ("work/project/main.rs", false),
        ] {
            fs::write(home.path().join(path), path).unwrap();
            assert_eq!(now(None) != before, counts, "{path}");
            before = now(None);
        }
        assert_eq!(now(Some(home.path())), Fingerprint::default());
    }
}
