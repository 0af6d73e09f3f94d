//! The root directory, which everything the machine does for others stays below.

use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// Why a directory can't be the root.
#[derive(Debug, Error)]
pub enum RootError {
    /// Nothing is there.
    #[error("The root directory {0} does not exist. Create it, or choose another one with --root.")]
    Missing(PathBuf),
    /// It is a file.
    #[error("The root {0} is not a directory. Choose a directory with --root.")]
    NotADirectory(PathBuf),
    /// It can't be read.
    #[error("The root directory {0} can't be used: {1}.")]
    Unusable(PathBuf, std::io::Error),
}

/// The root directory, held by its real path.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// Opens the root directory.
    ///
    /// # Errors
    /// [`RootError`] when it is not a directory that can be used.
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let real = path.canonicalize().map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                RootError::Missing(path.to_owned())
            } else {
                RootError::Unusable(path.to_owned(), error)
            }
        })?;
        if !real.is_dir() {
            return Err(RootError::NotADirectory(path.to_owned()));
        }
        std::fs::read_dir(&real).map_err(|error| RootError::Unusable(path.to_owned(), error))?;
        Ok(Self { path: real })
    }

    /// The real path of a directory below the root.
    ///
    /// # Errors
    /// For a person: why the directory can't be used.
    pub fn directory(&self, relative: &str) -> Result<PathBuf, String> {
        let below = Path::new(relative);
        if below
            .components()
            .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err(format!(
                "{relative:?} does not stay below the root directory."
            ));
        }
        let path = self.path.join(below);
        let real = path.canonicalize().map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                format!("The directory {relative:?} does not exist on this machine.")
            } else {
                format!("The directory {relative:?} can't be used: {error}.")
            }
        })?;
        if !real.starts_with(&self.path) {
            return Err(format!(
                "{relative:?} leads out of the root directory through a link."
            ));
        }
        if !real.is_dir() {
            return Err(format!("{relative:?} is not a directory."));
        }
        Ok(real)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_below_the_root_are_given() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("repo")).unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
        let root = Root::open(folder.path()).unwrap();

        assert!(root.directory("repo").is_ok());
        assert!(root.directory("").is_ok());
        for (path, expected) in [
            ("missing", "does not exist"),
            ("file", "is not a directory"),
            ("link", "leads out of the root"),
            ("../x", "does not stay below"),
            ("/etc", "does not stay below"),
        ] {
            let error = root.directory(path).unwrap_err();
            assert!(error.contains(expected), "{path}: {error}");
        }
    }

    #[test]
    fn a_root_that_is_missing_or_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(
            Root::open(&file),
            Err(RootError::NotADirectory(_))
        ));
        assert!(matches!(
            Root::open(&folder.path().join("missing")),
            Err(RootError::Missing(_))
        ));
    }
}
