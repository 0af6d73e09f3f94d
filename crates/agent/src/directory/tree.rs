//! Whole trees of directories: removed, and weighed. Names come from strangers, so neither depth nor number is
//! trusted.

use std::path::PathBuf;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, RenameFlags};
use rustix::io::Errno;

use super::root::{entries_of, kind_of, kind_of_entry, open_child};

/// How deep directories are held open at once; what is deeper is brought up first.
const OPEN_MAX_DEPTH: usize = 32;
/// How often a tree is gone through, in which somebody may still be making files.
const REMOVE_ROUNDS: usize = 500;
/// What an entry costs besides its blocks, in bytes.
const ENTRY_BYTES: u64 = 512;

/// Removes something with all below it; links are removed, not followed. Nothing there is fine.
pub(super) fn remove(parent: &Dir, name: impl rustix::path::Arg + Copy) -> std::io::Result<()> {
    if !kind_of(parent, name)?.is_some_and(FileType::is_dir) {
        return gone_is_fine(rustix::fs::unlinkat(parent, name, AtFlags::empty()));
    }
    let mut last = Errno::NOTEMPTY;
    for _ in 0..REMOVE_ROUNDS {
        let top = open_child(parent, name)?;
        empty(&top, &top, 0)?;
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Err(error @ (Errno::NOTEMPTY | Errno::EXIST)) => last = error,
            removed => return gone_is_fine(removed),
        }
    }
    Err(last.into())
}

/// Empties a directory as far as one look goes. What lies too deep is moved up into `top` for the next round.
fn empty(top: &Dir, directory: &Dir, depth: usize) -> std::io::Result<()> {
    for entry in entries_of(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = kind_of_entry(directory, &entry)?;
        if !kind.is_dir() {
            gone_is_fine(rustix::fs::unlinkat(directory, name, AtFlags::empty()))?;
        } else if depth < OPEN_MAX_DEPTH {
            empty(top, &open_child(directory, name)?, depth + 1)?;
            match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                removed => gone_is_fine(removed)?,
            }
        } else {
            bring_up(top, directory, name)?;
        }
    }
    Ok(())
}

fn bring_up(top: &Dir, directory: &Dir, name: &std::ffi::CStr) -> std::io::Result<()> {
    for number in 0_u64.. {
        let free = format!(".deep-{number}");
        match rustix::fs::renameat_with(directory, name, top, &free, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            moved => return gone_is_fine(moved),
        }
    }
    Ok(())
}

fn gone_is_fine(done: rustix::io::Result<()>) -> std::io::Result<()> {
    match done {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// How much of the disk a tree uses, in bytes; counts no further once it is more than `limit_bytes`. What comes
/// and goes meanwhile is not missed.
pub(super) fn weigh(top: &Dir, limit_bytes: u64) -> u64 {
    let mut bytes = 0_u64;
    let mut waiting = vec![PathBuf::from(".")];
    while let Some(path) = waiting.pop() {
        let Ok(directory) = top.open_dir(&path) else {
            continue;
        };
        let Ok(entries) = entries_of(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let blocks = u64::try_from(stat.st_blocks).unwrap_or_default();
            bytes = bytes.saturating_add(blocks.saturating_mul(512) + ENTRY_BYTES);
            if bytes > limit_bytes {
                return bytes;
            }
            if FileType::from_raw_mode(stat.st_mode).is_dir() {
                use std::os::unix::ffi::OsStrExt as _;
                waiting.push(path.join(std::ffi::OsStr::from_bytes(name.to_bytes())));
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn a_tree_2000_deep_is_removed_with_few_open_files_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("kept"), "").unwrap();
        let parent = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        parent.create_dir("tree").unwrap();
        let mut at = parent.open_dir("tree").unwrap();
        for depth in 0..2_000 {
            if depth % 100 == 0 {
                rustix::fs::symlinkat(outside.path(), &at, "link").unwrap();
                at.write("file", "x").unwrap();
            }
            at.create_dir("d").unwrap();
            at = at.open_dir("d").unwrap();
        }
        drop(at);
        assert!(weigh(&parent, u64::MAX) > 1_000 * ENTRY_BYTES);
        remove(&parent, "tree").unwrap();
        assert!(!parent.exists("tree"));
        assert!(outside.path().join("kept").exists());
        remove(&parent, "tree").unwrap();
    }

    #[test]
    fn weighing_stops_at_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..20 {
            std::fs::write(folder.path().join(n.to_string()), vec![1; 8192]).unwrap();
        }
        let top = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let whole = weigh(&top, u64::MAX);
        assert!(whole >= 20 * 8192, "{whole}");
        assert!(weigh(&top, 10_000) < whole);
    }
}
