//! One program at a time for what can't be shared: a conversation's storage. A killed agent is started again at
//! once, while what it left may take seconds to end; whoever begins before that would be told something else
//! about the conversation than what becomes of it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::tree;

/// The option, before all others; a file follows.
pub(crate) const ALONE: &str = "--alone";
/// How long the one before may take to end: more than its supervisor gives it.
const BEFORE_LIMIT: Duration = Duration::from_secs(20);
/// The pause between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(10);
/// The longest marker that is believed, in bytes.
const MARKER_MAX_BYTES: u64 = 100;

/// Takes the option off the front of a command line.
pub(super) fn take_option(
    args: &mut Peekable<impl Iterator<Item = OsString>>,
) -> Result<Option<PathBuf>, String> {
    if args.next_if(|arg| arg == ALONE).is_none() {
        return Ok(None);
    }
    let file = args.next().ok_or("--alone needs a file")?;
    Ok(Some(file.into()))
}

/// Waits until no other supervisor has the file, and ends what one that was killed itself has left. It is had
/// until the answer is dropped.
pub(super) fn wait(path: &Path, marker: &str, sweep_limit: Duration) -> Result<File, String> {
    let unusable = |error: std::io::Error| format!("{} can't be used: {error}", path.display());
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(unusable)?;
    let deadline = Instant::now() + BEFORE_LIMIT;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
            Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                return Err(format!(
                    "an earlier opencode still works on this conversation, and does not end within {} s; end it, then send the message again",
                    BEFORE_LIMIT.as_secs()
                ));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(TRY_AGAIN),
        }
    }
    let mut before = String::new();
    // What can't be read is no marker.
    let _ = (&file).take(MARKER_MAX_BYTES).read_to_string(&mut before);
    if is_marker(&before) && !tree::sweep(&before, sweep_limit) {
        return Err("what an earlier opencode started for this conversation can't be ended".into());
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(marker.as_bytes())
    };
    write(&mut file).map_err(unusable)?;
    Ok(file)
}

fn is_marker(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-')
        .is_some_and(|(process, started)| is_number(process) && is_number(started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_supervisor_wrote_is_a_marker() {
        assert!(is_marker("12-345"));
        for text in ["", "-", "12", "12-", "-3", "a-1", "1-2\n", "1-2-3"] {
            assert!(!is_marker(text), "{text:?}");
        }
    }
}
