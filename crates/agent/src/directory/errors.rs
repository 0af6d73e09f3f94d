//! What the file system says, as what a person can act on.

use std::io::{Error, ErrorKind};

use protocol::wire::{CommandError, CommandErrorCode};
use rustix::io::Errno;

use super::names::shown;

/// A failure to do something with a path: "The folder … could not be made", with the path as it travels.
pub(super) fn failed_at(what: &str, path: &str, how: &str, error: &Error) -> CommandError {
    let path = if path.is_empty() {
        "of the root".to_owned()
    } else {
        shown(path)
    };
    failed(&format!("The {what} {path} {how}"), error)
}

/// A failure with the reason and what to do about it.
pub(super) fn failed(what: &str, error: &Error) -> CommandError {
    let code = code(error);
    let why = match errno(error) {
        Some(Errno::ROFS) => "that file system is read-only".to_owned(),
        Some(Errno::NAMETOOLONG) => "its name or path is too long for the file system".to_owned(),
        _ => REASONS
            .iter()
            .find(|(reason, _)| *reason == code)
            .map_or_else(|| error.to_string(), |(_, why)| (*why).to_owned()),
    };
    CommandError::new(code, format!("{what}: {why}."))
}

const REASONS: [(CommandErrorCode, &str); 6] = [
    (
        CommandErrorCode::NotFound,
        "it does not exist, or its folder does not",
    ),
    (
        CommandErrorCode::AlreadyExists,
        "something with that name is there already. Choose another name",
    ),
    (
        CommandErrorCode::WrongKind,
        "a part of the path is not a folder, or it is of another kind than needed",
    ),
    (
        CommandErrorCode::OutsideRoot,
        "it leads out of the root directory through a link",
    ),
    (
        CommandErrorCode::NoSpace,
        "the disk is full, or a quota is used up. Free some space on the machine, then try again",
    ),
    (
        CommandErrorCode::PermissionDenied,
        "the machine's user may not do that. Check who owns it and its permissions",
    ),
];

/// Which kind of failure it is.
pub(super) fn code(error: &Error) -> CommandErrorCode {
    if is_escape(error) {
        return CommandErrorCode::OutsideRoot;
    }
    match errno(error) {
        // More links than can be followed, or one of the system's own, like /proc/self/root.
        Some(Errno::LOOP) => CommandErrorCode::OutsideRoot,
        Some(Errno::NOENT) => CommandErrorCode::NotFound,
        Some(Errno::EXIST | Errno::NOTEMPTY) => CommandErrorCode::AlreadyExists,
        Some(Errno::NOTDIR | Errno::ISDIR) => CommandErrorCode::WrongKind,
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => CommandErrorCode::PermissionDenied,
        Some(Errno::NOSPC | Errno::DQUOT) => CommandErrorCode::NoSpace,
        Some(Errno::NAMETOOLONG) => CommandErrorCode::Invalid,
        _ => CommandErrorCode::Other,
    }
}

/// Whether a path was refused since it leads out of the directory whose handle was used.
pub(super) fn is_escape(error: &Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

pub(super) fn errno(error: &Error) -> Option<Errno> {
    Errno::from_io_error(error)
}
