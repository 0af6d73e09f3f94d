//! Paths below a machine's root, as they come from people.

use crate::error::{CallError, ErrorCode};
use crate::limits::PATH_MAX_BYTES;

/// A path below the root in its one form: no empty parts, no `.`; `..` and absolute paths are refused. The
/// machine, which has the root open, checks again what the path leads to.
pub(super) fn checked_path(path: &str) -> Result<String, CallError> {
    let refuse = |why: &str| {
        Err(CallError::new(
            ErrorCode::Invalid,
            format!("The path {why}. Give one below the machine's root."),
        ))
    };
    if path.len() > PATH_MAX_BYTES {
        return Err(CallError::new(
            ErrorCode::TooLarge,
            format!(
                "The path has {} bytes; {PATH_MAX_BYTES} is the limit.",
                path.len()
            ),
        ));
    }
    if path.starts_with('/') {
        return refuse("is an absolute one");
    }
    if path.chars().any(char::is_control) {
        return refuse("has control characters");
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return refuse("leads upwards with \"..\"");
    }
    Ok(parts.join("/"))
}

/// As [`checked_path`], for something that is made, moved or taken away: the root itself is refused.
pub(super) fn checked_target(path: &str) -> Result<String, CallError> {
    let path = checked_path(path)?;
    if path.is_empty() {
        return Err(CallError::new(
            ErrorCode::Invalid,
            "That is the machine's root itself. Give something below it.",
        ));
    }
    Ok(path)
}
