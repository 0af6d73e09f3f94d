//! The root directory, which everything the machine does for others stays below.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use protocol::wire::CommandErrorCode;
use rustix::fs::{FileType, Mode, OFlags};
use thiserror::Error;

use super::errors::{code, failed, is_escape};
use super::names::Below;

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

/// The root directory, held open: what happens to its path later does not change which directory it is.
#[derive(Debug, Clone)]
pub struct Root {
    handle: Arc<Dir>,
    path: PathBuf,
}

impl Root {
    /// Opens the root directory.
    ///
    /// # Errors
    /// [`RootError`] when it is not a directory that can be used.
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let unusable = |error: std::io::Error| {
            let path = path.to_owned();
            if error.kind() == std::io::ErrorKind::NotFound {
                RootError::Missing(path)
            } else if error.kind() == std::io::ErrorKind::NotADirectory {
                RootError::NotADirectory(path)
            } else {
                RootError::Unusable(path, error)
            }
        };
        let handle = Dir::open_ambient_dir(path, ambient_authority()).map_err(unusable)?;
        handle.entries().map_err(unusable)?;
        let path = path_of(&handle).map_err(unusable)?;
        Ok(Self {
            handle: Arc::new(handle),
            path,
        })
    }

    /// The real path of a directory below the root; found by opening it, so that no link can lead elsewhere
    /// meanwhile. Links are followed as long as they stay below the root.
    ///
    /// # Errors
    /// For a person: why the directory can't be used.
    pub fn directory(&self, relative: &str) -> Result<PathBuf, String> {
        let outside = || format!("{relative:?} does not stay below the root directory.");
        if relative.starts_with('/') {
            return Err(outside());
        }
        let parts: Vec<_> = relative
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        let below = Below::read(&parts.join("/")).map_err(|error| {
            if error.code == CommandErrorCode::OutsideRoot {
                outside()
            } else {
                error.message
            }
        })?;
        let opened = self.handle.open_dir(below.path());
        let found = opened.and_then(|directory| {
            directory.entries()?;
            path_of(&directory)
        });
        found.map_err(|error| {
            let code = code(&error);
            if is_escape(&error) {
                format!("{relative:?} leads out of the root directory through a link.")
            } else if code == CommandErrorCode::NotFound {
                format!("The directory {relative:?} does not exist on this machine.")
            } else if code == CommandErrorCode::WrongKind {
                format!("{relative:?} is not a directory.")
            } else {
                failed(&format!("The directory {relative:?} can't be used"), &error).message
            }
        })
    }

    pub(super) fn handle(&self) -> &Dir {
        &self.handle
    }

    /// A path as one relative to the root, if it is one below.
    pub(super) fn strip<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.strip_prefix(&self.path).ok()
    }
}

/// Opens a directory by its name in another one; a link is not followed.
pub(super) fn open_child(parent: &Dir, name: impl rustix::path::Arg) -> std::io::Result<Dir> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let opened = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    Ok(Dir::from_std_file(std::fs::File::from(opened)))
}

/// What is in an open directory, from its beginning.
pub(super) fn entries_of(directory: &Dir) -> std::io::Result<rustix::fs::Dir> {
    // The handle itself may be one that only leads on.
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let opened = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    Ok(rustix::fs::Dir::new(opened)?)
}

/// What is there by that name; a link is not followed. None when nothing is.
pub(super) fn kind_of(
    parent: &Dir,
    name: impl rustix::path::Arg,
) -> std::io::Result<Option<FileType>> {
    match rustix::fs::statat(parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What an entry of an open directory is, also where the file system does not say while it is listed.
pub(super) fn kind_of_entry(
    parent: &Dir,
    entry: &rustix::fs::DirEntry,
) -> std::io::Result<FileType> {
    let kind = entry.file_type();
    if kind == FileType::Unknown {
        Ok(kind_of(parent, entry.file_name())?.unwrap_or(kind))
    } else {
        Ok(kind)
    }
}

/// The path that an open directory has now.
#[cfg(target_os = "linux")]
pub(super) fn path_of(directory: &Dir) -> std::io::Result<PathBuf> {
    std::fs::read_link(held_path(directory))
}

/// The path that an open directory has now.
#[cfg(not(target_os = "linux"))]
pub(super) fn path_of(directory: &Dir) -> std::io::Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let path = rustix::fs::getpath(directory)?;
    Ok(std::ffi::OsString::from_vec(path.into_bytes()).into())
}

/// A path by which a child process of this one reaches exactly this open directory, whatever its path becomes,
/// as long as the handle lives until the child has started.
#[cfg(target_os = "linux")]
pub(super) fn held_path(directory: &Dir) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

/// Without `/proc` there is only the path that it has now.
#[cfg(not(target_os = "linux"))]
pub(super) fn held_path(directory: &Dir) -> PathBuf {
    path_of(directory).unwrap_or_default()
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
        std::os::unix::fs::symlink("repo", folder.path().join("inside")).unwrap();
        let root = Root::open(folder.path()).unwrap();

        let repo = folder.path().canonicalize().unwrap().join("repo");
        for path in ["repo", "inside", "repo/", "./repo", "repo/."] {
            assert_eq!(root.directory(path).as_ref(), Ok(&repo), "{path}");
        }
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
    fn a_root_that_is_moved_stays_the_same_directory() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("root/repo")).unwrap();
        let root = Root::open(&folder.path().join("root")).unwrap();
        std::fs::rename(folder.path().join("root"), folder.path().join("moved")).unwrap();
        std::fs::create_dir_all(folder.path().join("root/other")).unwrap();
        let repo = folder.path().canonicalize().unwrap().join("moved/repo");
        assert_eq!(root.directory("repo"), Ok(repo));
        assert!(root.directory("other").is_err());
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
