//! What a clone leaves behind when the machine dies, and its removal.
//!
//! A clone grows in `.orchestrator-clone-<command>.<attempt>` beside its destination. Where that is stands in
//! `.orchestrator-clones/<command>` below the root for as long as the clone runs, so that it is found also when
//! the command never runs again.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use cap_std::fs::Dir;
use protocol::ids::CommandId;
use rustix::fs::Mode;
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

/// Removes what earlier attempts of a command have left in a folder.
pub(super) fn remove(folder: &Dir, id: &CommandId) -> std::io::Result<()> {
    let prefix = prefix(id);
    let mut left: Vec<OsString> = Vec::new();
    for entry in folder.entries()? {
        let name = entry?.file_name();
        if name.as_bytes().starts_with(prefix.as_bytes()) {
            left.push(name);
        }
    }
    left.iter()
        .try_for_each(|name| tree::remove(folder, &**name))
}

/// Removes what is left of clones whose commands will not run again.
pub(super) fn clear(root: &Root, is_open: &dyn Fn(&CommandId) -> bool) {
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
        if is_open(&id) {
            continue;
        }
        let folder = notes.read_to_string(id.as_str()).unwrap_or_default();
        let removed = Below::read(&folder)
            .map_err(std::io::Error::other)
            .and_then(|below| root.handle().open_dir(below.path()))
            .and_then(|folder| remove(&folder, &id));
        match removed {
            Ok(()) => forget(root, &id),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => forget(root, &id),
            Err(error) => {
                tracing::warn!(%id, %error, "what a clone left behind could not be removed")
            }
        }
    }
}
