//! What a repository has checked out, read from its `HEAD` file without running git.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use protocol::wire::GitHead;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::errors::errno;
use super::names::escape;
use super::root::Root;

/// How much of a `HEAD` or `.git` file is looked at, in bytes.
const HEAD_MAX_BYTES: u64 = 8 * 1024;

/// What a directory has checked out, if it is a repository. `directory` is the one that `parent` holds open.
pub(super) fn of_child(
    root: &Root,
    directory: &Path,
    parent: &Dir,
    name: &OsStr,
) -> Option<GitHead> {
    let git = Path::new(name).join(".git");
    match read_start(parent, &git.join("HEAD")) {
        Ok(head) => parse(&head),
        Err(error) if errno(&error) == Some(Errno::NOTDIR) => {
            let pointer = read_start(parent, &git).ok()?;
            elsewhere(root, &directory.join(name), &pointer)
        }
        Err(_) => None,
    }
}

/// What an open repository has checked out.
pub(super) fn of(repository: &Dir) -> Option<GitHead> {
    parse(&read_start(repository, Path::new(".git/HEAD")).ok()?)
}

/// A worktree or submodule: `.git` is a file that says where its own directory is. When that is not below the
/// root, only that it is a repository is known.
fn elsewhere(root: &Root, work_tree: &Path, pointer: &[u8]) -> Option<GitHead> {
    let pointer = pointer.strip_prefix(b"gitdir: ")?.trim_ascii_end();
    let target = Path::new(OsStr::from_bytes(pointer));
    let below: Option<PathBuf> = if target.is_absolute() {
        root.strip(target).map(Path::to_owned)
    } else {
        Some(work_tree.join(target))
    };
    let head = below.and_then(|git| read_start(root.handle(), &git.join("HEAD")).ok());
    match head {
        Some(head) => parse(&head),
        None => Some(GitHead::default()),
    }
}

fn parse(head: &[u8]) -> Option<GitHead> {
    let head = head.trim_ascii_end();
    if let Some(reference) = head.strip_prefix(b"ref: ") {
        let name = reference.strip_prefix(b"refs/heads/").unwrap_or(reference);
        return Some(GitHead {
            branch: Some(escape(OsStr::from_bytes(name))),
        });
    }
    let is_commit = matches!(head.len(), 40 | 64) && head.iter().all(u8::is_ascii_hexdigit);
    is_commit.then(GitHead::default)
}

/// The beginning of a regular file. Anything else is no file, and is not waited for.
fn read_start(directory: &Dir, path: &Path) -> std::io::Result<Vec<u8>> {
    let file = open_regular(directory, path)?;
    let mut start = Vec::new();
    file.take(HEAD_MAX_BYTES).read_to_end(&mut start)?;
    Ok(start)
}

/// Opens a regular file for reading; a pipe or device is not waited for, and refused.
pub(super) fn open_regular(directory: &Dir, path: &Path) -> std::io::Result<std::fs::File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    let file = directory.open_with(path, &options)?.into_std();
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(std::io::Error::from(std::io::ErrorKind::InvalidInput))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_git_writes_them() {
        let branch = |head: &[u8]| parse(head).map(|head| head.branch);
        assert_eq!(
            branch(b"ref: refs/heads/a/b\n"),
            Some(Some("a/b".to_owned()))
        );
        assert_eq!(branch(&[b'a'; 40]), Some(None));
        assert_eq!(branch(b"hello"), None);
        assert_eq!(branch(b""), None);
        assert_eq!(
            branch(b"ref: refs/heads/a\x1b[31m"),
            Some(Some(r"a\x1b[31m".to_owned()))
        );
    }
}
