//! Reads the beginning of a text file.

use std::io::Read as _;

use protocol::limits::{COMMAND_MAX_BYTES, FILE_TEXT_MAX_BYTES};
use protocol::wire::{CommandError, CommandErrorCode, CommandResult, FileText};

use super::errors::failed_at;
use super::head::open_regular;
use super::names::{Below, shown};
use super::root::Root;

/// What the text may take as JSON: the result's limit, but for what is around it.
const JSON_MAX_BYTES: usize = COMMAND_MAX_BYTES - 4 * 1024;

pub(super) fn read(root: &Root, path: &str) -> Result<CommandResult, CommandError> {
    let below = Below::read(path)?;
    let failed = |error: &std::io::Error| failed_at("file", path, "could not be read", error);
    let wrong = |what: &str| {
        let text = format!("{} is {what}. Choose a regular file.", shown(path));
        CommandError::new(CommandErrorCode::WrongKind, text)
    };
    // Opening some devices does something, so a look comes first; what counts is the look at what was opened.
    let kind = root
        .handle()
        .metadata(below.path())
        .map_err(|error| failed(&error))?;
    if kind.is_dir() {
        return Err(wrong("a folder"));
    }
    if !kind.is_file() {
        return Err(wrong("a device, a pipe or a socket"));
    }
    let file = open_regular(root.handle(), below.path()).map_err(|error| {
        if error.kind() == std::io::ErrorKind::InvalidInput {
            wrong("a device, a pipe or a socket")
        } else {
            failed(&error)
        }
    })?;
    let size = file.metadata().map_err(|error| failed(&error))?.len();
    let mut start = Vec::new();
    file.take(FILE_TEXT_MAX_BYTES as u64 + 1)
        .read_to_end(&mut start)
        .map_err(|error| failed(&error))?;
    Ok(CommandResult::File(describe(&start, size)))
}

/// Makes text of a file's beginning, which is a byte longer than the limit when the file goes on.
fn describe(start: &[u8], size: u64) -> FileText {
    // Files of /proc say that they are empty.
    let size = size.max(start.len() as u64);
    let kept = &start[..start.len().min(FILE_TEXT_MAX_BYTES)];
    let is_longer = kept.len() < start.len();
    if is_binary(kept) {
        return FileText {
            text: String::new(),
            size,
            truncated: !start.is_empty(),
            is_binary: true,
        };
    }
    let (text, is_whole) = cut(&decoded(kept, is_longer));
    FileText {
        text,
        size,
        truncated: is_longer || !is_whole,
        is_binary: false,
    }
}

/// Text; what is not UTF-8 is replaced, but a character that was cut in two is left out.
fn decoded(bytes: &[u8], is_cut: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        let is_half = is_cut
            && chunks.peek().is_none()
            && std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
        if !chunk.invalid().is_empty() && !is_half {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// As much of the text as may be sent.
fn cut(text: &str) -> (String, bool) {
    let mut json_bytes = 0;
    for (at, character) in text.char_indices() {
        json_bytes += match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            _ => character.len_utf8(),
        };
        if json_bytes > JSON_MAX_BYTES {
            return (text[..at].to_owned(), false);
        }
    }
    (text.to_owned(), true)
}

/// A zero byte, or a tenth of bytes that no text has.
fn is_binary(bytes: &[u8]) -> bool {
    if bytes.contains(&0) {
        return true;
    }
    let invalid: usize = bytes.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    let control = bytes
        .iter()
        .filter(|byte| byte.is_ascii_control() && !matches!(byte, 8..=13 | 27))
        .count();
    (invalid / 3 + control) * 10 > bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_character_that_the_limit_cuts_in_two_is_left_out() {
        let mut start = vec![b'a'; FILE_TEXT_MAX_BYTES - 1];
        start.extend("é!".as_bytes());
        let text = describe(&start, 1 << 20);
        assert_eq!(text.text.len(), FILE_TEXT_MAX_BYTES - 1);
        assert!(text.truncated && !text.is_binary);
        assert_eq!(describe(b"n\xc3", 2).text, "n\u{fffd}");
    }

    #[test]
    fn binary_files_are_told_from_old_text() {
        assert!(describe(b"\x7fELF\0\0", 6).is_binary);
        assert!(describe(&[1; 100], 100).is_binary);
        assert!(!describe(b"", 0).is_binary);
        let latin = describe(b"Gr\xfc\xdfe aus K\xf6ln\n", 16);
        assert_eq!(
            latin.text,
            "Gr\u{fffd}\u{fffd}e aus K\u{f6ff}ln\n".replace('\u{f6ff}', "\u{fffd}")
        );
        assert!(!latin.is_binary && !latin.truncated);
    }

    proptest! {
        #[test]
        fn the_result_never_exceeds_its_limit(pattern: Vec<u8>) {
            prop_assume!(!pattern.is_empty());
            let start: Vec<u8> = pattern.iter().copied().cycle().take(FILE_TEXT_MAX_BYTES + 1).collect();
            let result = CommandResult::File(describe(&start, u64::MAX));
            prop_assert!(serde_json::to_vec(&result).unwrap().len() <= COMMAND_MAX_BYTES);
        }
    }
}
