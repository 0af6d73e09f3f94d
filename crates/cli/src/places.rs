//! Where files are: the directories of the XDG base directory specification, and writing a file as a whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure};

const PRODUCT: &str = "opencode-orchestrator";

/// The person's own directories.
#[derive(Debug, Clone, Default)]
pub(crate) struct Home {
    home: Option<PathBuf>,
    data: Option<PathBuf>,
    config: Option<PathBuf>,
}

impl Home {
    pub(crate) fn of(variable: &impl Fn(&str) -> Option<OsString>) -> Self {
        // The specification: a relative path is to be ignored.
        let absolute = |name: &str| {
            variable(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let home = absolute("HOME");
        let below = |place: &str| home.as_ref().map(|home| home.join(place));
        Self {
            data: absolute("XDG_DATA_HOME").or_else(|| below(".local/share")),
            config: absolute("XDG_CONFIG_HOME").or_else(|| below(".config")),
            home,
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// Where the hub's files are; the demo's are apart.
    pub(crate) fn data_dir(&self, is_demo: bool) -> Result<PathBuf, Failure> {
        let product = if is_demo {
            format!("{PRODUCT}-demo")
        } else {
            PRODUCT.to_owned()
        };
        let data = self.data.as_ref().map(|data| data.join(product));
        data.ok_or_else(|| homeless("--data-dir"))
    }

    pub(crate) fn config_dir(&self) -> Result<PathBuf, Failure> {
        self.config
            .as_ref()
            .map(|config| config.join(PRODUCT))
            .ok_or_else(|| homeless("--config"))
    }

    /// A path with `~` in its place.
    pub(crate) fn expand(&self, text: &str) -> PathBuf {
        match (text.strip_prefix('~'), &self.home) {
            (Some(""), Some(home)) => home.clone(),
            (Some(rest), Some(home)) if rest.starts_with('/') => {
                home.join(rest.trim_start_matches('/'))
            }
            _ => PathBuf::from(text),
        }
    }
}

fn homeless(flag: &str) -> Failure {
    Failure::new(
        Exit::Settings,
        format!("HOME is not set, so there is no place for files. Set HOME, or give {flag}."),
    )
}

/// Makes a directory for its owner only.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes a file for its owner only, as a whole or not at all.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_string_lossy();
    let unfinished = directory.join(format!(".{name}.{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Left by a process of the same id that was killed.
    let _ = fs::remove_file(&unfinished);
    let written = options.open(&unfinished).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written?;
    // The name lasts only once the directory is on the disk too; not every system lets a directory be opened.
    if let Ok(directory) = File::open(directory) {
        let _ = directory.sync_all();
    }
    Ok(())
}

/// This computer's own name.
pub(crate) fn hostname() -> String {
    let told = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok());
    #[cfg(unix)]
    let told = told.or_else(|| {
        Some(
            rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
        )
    });
    let name = told.unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "this computer".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(variables: &[(&str, &str)]) -> Home {
        Home::of(&|name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn places_follow_the_specification() {
        let plain = home(&[("HOME", "/home/me")]);
        assert_eq!(
            plain.data_dir(false),
            Ok(PathBuf::from("/home/me/.local/share/opencode-orchestrator"))
        );
        assert_eq!(
            plain.data_dir(true),
            Ok(PathBuf::from(
                "/home/me/.local/share/opencode-orchestrator-demo"
            ))
        );
        assert_eq!(plain.expand("~/x"), PathBuf::from("/home/me/x"));
        assert_eq!(plain.expand("~you"), PathBuf::from("~you"));
        let set = home(&[
            ("HOME", ""),
            ("XDG_CONFIG_HOME", "/etc/xdg"),
            ("XDG_DATA_HOME", "relative"),
        ]);
        assert_eq!(
            set.config_dir(),
            Ok(PathBuf::from("/etc/xdg/opencode-orchestrator"))
        );
        assert!(
            set.data_dir(false)
                .unwrap_err()
                .message
                .contains("--data-dir")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_replaces_the_old_one_and_is_the_owners() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("a/b");
        create_private_dir(&directory).unwrap();
        let path = directory.join("secret");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_private(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::metadata(&directory).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(
            fs::read_dir(&directory).unwrap().count(),
            1,
            "nothing unfinished is left"
        );
    }
}
