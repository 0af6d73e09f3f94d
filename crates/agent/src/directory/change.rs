//! Makes, renames, trashes and restores. Each may be repeated by the same command after a crash:
//!
//! - making a directory that is there is done;
//! - the trash has a folder for each command, so a repeated one finds what it has put there;
//! - a rename whose source is gone and whose target is there counts as done. That is what its repetition finds,
//!   but so does a person who asks for such a rename for the first time; nothing is lost by it.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;

use cap_std::fs::Dir;
use protocol::ids::CommandId;
use protocol::wire::{CommandError, CommandErrorCode};
use rustix::fs::{Mode, RenameFlags};
use rustix::io::Errno;

use super::errors::{errno, failed_at};
use super::names::{Below, shown};
use super::root::{Root, kind_of, open_child};

/// The folder below the root where everything goes that is trashed.
const TRASH: &str = ".orchestrator-trash";

/// Makes a directory, and those that it is in.
pub(super) fn make(root: &Root, path: &str) -> Result<(), CommandError> {
    let below = Below::read_changeable(path)?;
    let failed = |error: &std::io::Error| failed_at("folder", path, "could not be made", error);
    if root.handle().open_dir(below.path()).is_ok() {
        return Ok(());
    }
    for step in below.steps() {
        match root.handle().create_dir(step) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    // What was there already may be a file.
    match root.handle().open_dir(below.path()) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Err(CommandError::new(
            CommandErrorCode::AlreadyExists,
            format!(
                "A file is there already at {}. Choose another name.",
                shown(path)
            ),
        )),
        Err(error) => Err(failed(&error)),
    }
}

/// Gives something another name or place.
pub(super) fn rename(root: &Root, from: &str, to: &str) -> Result<(), CommandError> {
    let source = Spot::find(root, from)?;
    let target = Spot::find(root, to)?;
    if source.below.contains(&target.below) {
        return Err(CommandError::new(
            CommandErrorCode::Invalid,
            format!("{} can't be moved into itself.", shown(from)),
        ));
    }
    if source.below == target.below && source.is_taken(from)? {
        return Ok(());
    }
    match source.move_to(&target.folder, &target.name) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) if !source.is_taken(from)? && target.is_taken(to)? => Ok(()),
        Err(error) => Err(not_moved(from, "could not be renamed", error)),
    }
}

/// Puts something into the trash.
pub(super) fn trash(root: &Root, id: &CommandId, path: &str) -> Result<(), CommandError> {
    let spot = Spot::find(root, path)?;
    let how = "could not be put into the trash";
    let failed = |error: &std::io::Error| failed_at("entry", path, how, error);
    let trash = open_own(root.handle(), TRASH).map_err(|error| failed(&error))?;
    let place = open_own(&trash, id.as_str()).map_err(|error| failed(&error))?;
    let is_there = kind_of(&place, &*spot.name)
        .map_err(|error| failed(&error))?
        .is_some();
    if is_there {
        // An earlier run of this command has put it there; what has its name now is something new.
        return Ok(());
    }
    spot.move_to(&place, &spot.name).map_err(|error| {
        drop(place);
        remove_empty(&trash, id.as_str());
        not_moved(path, how, error)
    })
}

/// Puts something back from the trash.
pub(super) fn restore(root: &Root, trashed: &CommandId, path: &str) -> Result<(), CommandError> {
    let target = Spot::find(root, path)?;
    let how = "could not be restored";
    let failed = |error: &std::io::Error| failed_at("entry", path, how, error);
    let gone = || {
        CommandError::new(
            CommandErrorCode::NotFound,
            format!(
                "{} is not in the trash any more, so it can't be restored.",
                shown(path)
            ),
        )
    };
    let found = open_child(root.handle(), TRASH).and_then(|trash| {
        let place = open_child(&trash, trashed.as_str())?;
        let name = only_name(&place)?;
        Ok((trash, place, name))
    });
    match found {
        Ok((trash, place, Some(name))) => {
            rustix::fs::renameat_with(
                &place,
                &*name,
                &target.folder,
                &*target.name,
                RenameFlags::NOREPLACE,
            )
            .map_err(|error| not_moved(path, how, error))?;
            remove_empty(&trash, trashed.as_str());
            Ok(())
        }
        // An earlier run has put it back.
        Ok((trash, _, None)) => {
            remove_empty(&trash, trashed.as_str());
            if target.is_taken(path)? {
                Ok(())
            } else {
                Err(gone())
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if target.is_taken(path)? {
                Ok(())
            } else {
                Err(gone())
            }
        }
        Err(error) => Err(failed(&error)),
    }
}

/// A name in a folder that is held open.
struct Spot {
    below: Below,
    folder: Dir,
    name: OsString,
}

impl Spot {
    /// Finds the folder of a path that may be changed.
    fn find(root: &Root, path: &str) -> Result<Self, CommandError> {
        let below = Below::read_changeable(path)?;
        let (parent, name) = below.split().ok_or_else(|| {
            CommandError::new(
                CommandErrorCode::Invalid,
                "That is the root directory itself.",
            )
        })?;
        let folder = root
            .handle()
            .open_dir(parent.path())
            .map_err(|error| failed_at("folder of", path, "can't be used", &error))?;
        Ok(Self {
            name: name.to_owned(),
            below,
            folder,
        })
    }

    fn is_taken(&self, path: &str) -> Result<bool, CommandError> {
        kind_of(&self.folder, &*self.name)
            .map(|kind| kind.is_some())
            .map_err(|error| failed_at("entry", path, "can't be looked at", &error))
    }

    fn move_to(&self, folder: &Dir, name: &OsStr) -> rustix::io::Result<()> {
        rustix::fs::renameat_with(
            &self.folder,
            &*self.name,
            folder,
            name,
            RenameFlags::NOREPLACE,
        )
    }
}

fn not_moved(path: &str, how: &str, error: Errno) -> CommandError {
    let told = |why: &str| {
        CommandError::new(
            CommandErrorCode::Other,
            format!("The entry {} {how}: {why}", shown(path)),
        )
    };
    match error {
        Errno::XDEV => told(
            "that place is on another disk or file system. Copy it there on the machine itself.",
        ),
        Errno::INVAL => {
            told("the file system there can't move things without the risk of replacing others.")
        }
        Errno::BUSY => told("something is mounted there, or the system uses it."),
        error => failed_at("entry", path, how, &error.into()),
    }
}

/// Opens a folder of the product's own, which only the machine's user can read. A link in its place is refused.
fn open_own(parent: &Dir, name: &str) -> std::io::Result<Dir> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => open_child(parent, name),
        Err(error) => Err(error.into()),
    }
}

/// The name of the only thing in a folder.
fn only_name(folder: &Dir) -> std::io::Result<Option<OsString>> {
    folder
        .entries()?
        .next()
        .transpose()
        .map(|entry| entry.map(|entry| entry.file_name()))
}

fn remove_empty(parent: &Dir, name: &str) {
    // What is not empty has to stay; what stays empty harms nobody.
    if let Err(error) = parent.remove_dir(name)
        && errno(&error) != Some(Errno::NOENT)
    {
        tracing::debug!(%error, "a folder of the trash stays");
    }
}
