//! What a clone leaves behind when the machine dies, and its removal.
//!
//! A clone grows in `.orchestrator-clone-<command>.<attempt>` beside its destination. Where that is stands in
//! `.orchestrator-clones/<command>` below the root for as long as the clone runs, so that it is found also when
//! the command never runs again.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use cap_std::fs::Dir;
use protocol::ids::CommandId;
use rustix::fs::{FlockOperation, Mode};
use rustix::io::Errno;

use super::names::Below;
use super::root::{Root, open_child};
use super::tree;

const NOTES: &str = ".orchestrator-clones";

/// What every attempt of one command's clone begins with.
pub(super) fn prefix(id: &CommandId) -> String {
    format!(".orchestrator-clone-{id}.")
}

/// Remembers in which folder a clone grows, before it does.
pub(super) fn note(root: &Root, id: &CommandId, folder: &str) -> std::io::Result<()> {
    match rustix::fs::mkdirat(root.handle(), NOTES, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    open_child(root.handle(), NOTES)?.write(id.as_str(), folder)
}

/// Forgets it, once nothing is left.
pub(super) fn forget(root: &Root, id: &CommandId) {
    if let Ok(notes) = open_child(root.handle(), NOTES) {
        let _ = notes.remove_file(id.as_str());
        drop(notes);
        // Other clones may still run.
        let _ = root.handle().remove_dir(NOTES);
    }
}

/// Says that a clone grows in this directory, for as long as the handle lives.
pub(super) fn hold(growing: &Dir) -> std::io::Result<()> {
    Ok(rustix::fs::flock(
        growing,
        FlockOperation::NonBlockingLockExclusive,
    )?)
}

/// Removes what earlier attempts of a command have left in a folder.
pub(super) fn remove(folder: &Dir, id: &CommandId) -> std::io::Result<()> {
    of_command(folder, id)?
        .iter()
        .try_for_each(|name| tree::remove(folder, &**name))
}

/// Removes what is left of clones whose process is gone.
pub(super) fn clear(root: &Root) {
    let Ok(notes) = open_child(root.handle(), NOTES) else {
        return;
    };
    let Ok(entries) = notes.entries() else {
        return;
    };
    let ids = entries
        .flatten()
        .filter_map(|entry| CommandId::parse(entry.file_name().to_str()?).ok());
    for id in ids.collect::<Vec<_>>() {
        let folder = notes.read_to_string(id.as_str()).unwrap_or_default();
        let removed = Below::read(&folder)
            .map_err(std::io::Error::other)
            .and_then(|below| root.handle().open_dir(below.path()))
            .and_then(|folder| remove_dead(&folder, &id));
        match removed {
            Ok(true) => forget(root, &id),
            Ok(false) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => forget(root, &id),
            Err(error) => {
                tracing::warn!(%id, %error, "what a clone left behind could not be removed");
            }
        }
    }
}

/// Says whether nothing is left.
fn remove_dead(folder: &Dir, id: &CommandId) -> std::io::Result<bool> {
    let mut is_clear = true;
    for name in of_command(folder, id)? {
        if hold(&open_child(folder, &*name)?).is_ok() {
            tree::remove(folder, &*name)?;
        } else {
            is_clear = false;
        }
    }
    Ok(is_clear)
}

fn of_command(folder: &Dir, id: &CommandId) -> std::io::Result<Vec<OsString>> {
    let prefix = prefix(id);
    let mut found = Vec::new();
    for entry in folder.entries()? {
        let name = entry?.file_name();
        if name.as_bytes().starts_with(prefix.as_bytes()) {
            found.push(name);
        }
    }
    Ok(found)
}
