//! Names and paths as they travel: text that stands for any bytes, and back.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use protocol::limits::PATH_MAX_BYTES;
use protocol::wire::{CommandError, CommandErrorCode};

/// What the product's own files and folders below a root begin with. They are never listed or changed.
pub(super) const OWN_PREFIX: &str = ".orchestrator-";

/// Writes a name or path as text: `\\` for a backslash, `\xHH` for each byte that is not UTF-8, or of a control
/// character or one that changes the direction of text.
#[must_use]
pub fn escape(name: &OsStr) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                _ if is_shown(character) => text.push(character),
                _ => push_bytes(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        push_bytes(&mut text, chunk.invalid());
    }
    text
}

/// The name or path that [`escape`] has written; none when it can't have.
#[must_use]
pub fn unescape(text: &str) -> Option<OsString> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escaped = &rest[at + 1..];
        rest = if let Some(after) = escaped.strip_prefix('\\') {
            bytes.push(b'\\');
            after
        } else {
            let digits = escaped.strip_prefix('x')?.get(..2)?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            &escaped[3..]
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(OsString::from_vec(bytes))
}

fn is_shown(character: char) -> bool {
    let turns_text = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !character.is_control() && !turns_text
}

fn push_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push_str(&format!("\\x{byte:02x}"));
    }
}

/// A path below the root that has been read: no part of it is empty, `.`, `..`, or has a slash or a zero byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Below {
    path: PathBuf,
    depth: usize,
}

impl Below {
    /// Reads a path as it travels; empty is the root itself.
    pub(super) fn read(text: &str) -> Result<Self, CommandError> {
        let shown = shown(text);
        let refused = |code, why: &str| CommandError::new(code, format!("The path {shown} {why}"));
        if text.len() > PATH_MAX_BYTES {
            let why = format!("is longer than {PATH_MAX_BYTES} bytes.");
            return Err(refused(CommandErrorCode::TooLarge, &why));
        }
        if text.starts_with('/') {
            return Err(refused(
                CommandErrorCode::OutsideRoot,
                "does not stay below the root directory: it is absolute. Give it without the slash in front.",
            ));
        }
        let path = unescape(text).ok_or_else(|| {
            refused(
                CommandErrorCode::Invalid,
                r"has a backslash that is not \\ or \xHH.",
            )
        })?;
        let mut depth = 0;
        for part in path.as_bytes().split(|byte| *byte == b'/') {
            match part {
                b"" if path.is_empty() => continue,
                b".." => {
                    return Err(refused(
                        CommandErrorCode::OutsideRoot,
                        "does not stay below the root directory: it has .. in it.",
                    ));
                }
                b"" | b"." => {
                    return Err(refused(
                        CommandErrorCode::Invalid,
                        "has a part without a name.",
                    ));
                }
                _ if part.contains(&0) => {
                    return Err(refused(CommandErrorCode::Invalid, "has a zero byte in it."));
                }
                _ => depth += 1,
            }
        }
        Ok(Self {
            path: path.into(),
            depth,
        })
    }

    /// Reads a path that may be changed: neither the root itself nor the product's own.
    pub(super) fn read_changeable(text: &str) -> Result<Self, CommandError> {
        let below = Self::read(text)?;
        if below.depth == 0 {
            return Err(CommandError::new(
                CommandErrorCode::Invalid,
                "That is the root directory itself, which can't be changed from here. Name something below it.",
            ));
        }
        let is_own = |part: std::path::Component<'_>| {
            part.as_os_str()
                .as_bytes()
                .starts_with(OWN_PREFIX.as_bytes())
        };
        if below.path.components().any(is_own) {
            return Err(CommandError::new(
                CommandErrorCode::Invalid,
                format!(
                    "Names that begin with {OWN_PREFIX} are the product's own. Choose another one."
                ),
            ));
        }
        Ok(below)
    }

    /// The path, for calls that take one relative to the root's handle.
    pub(super) fn path(&self) -> &Path {
        if self.depth == 0 {
            Path::new(".")
        } else {
            &self.path
        }
    }

    /// The directory that it is in, and its name there; none for the root.
    pub(super) fn split(&self) -> Option<(Self, &OsStr)> {
        let parent = self.path.parent()?;
        let below = Self {
            path: parent.to_owned(),
            depth: self.depth - 1,
        };
        Some((below, self.path.file_name()?))
    }

    /// The directories that it is in and itself, from the root down.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Path> {
        let mut steps: Vec<_> = self.path.ancestors().take(self.depth).collect();
        steps.reverse();
        steps.into_iter()
    }

    /// Whether the other is something in this directory, however deep.
    pub(super) fn contains(&self, other: &Self) -> bool {
        other.path != self.path && other.path.starts_with(&self.path)
    }
}

/// A path in a message to a person: quoted, and cut when it is very long.
pub(super) fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 200;
    let cut: String = text.chars().take(SHOWN_CHARS).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_are_not_utf_8_are_written_readably() {
        for (name, text) in [
            (&b"n\xc3\xa9"[..], "né"),
            (b"n\xe9", r"n\xe9"),
            (b"a\nb\\c", r"a\x0ab\\c"),
            (b"\xe2\x80\xaegpj.exe", r"\xe2\x80\xaegpj.exe"),
            (b"\xc2\x85", r"\xc2\x85"),
        ] {
            assert_eq!(escape(OsStr::from_bytes(name)), text);
            assert_eq!(unescape(text).unwrap().as_bytes(), name);
        }
        for text in [
            "\\", "a\\", "\\x", "\\xf", "\\xg0", "\\x+1", "\\n", "\\X41", "\\xé",
        ] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back_exactly(name: Vec<u8>) {
            let text = escape(OsStr::from_bytes(&name));
            prop_assert!(text.chars().all(is_shown));
            prop_assert_eq!(unescape(&text).unwrap().into_vec(), name);
        }

        #[test]
        fn no_path_that_is_read_names_a_parent(text in "[a./\\\\x02ef]{0,12}") {
            if let Ok(below) = Below::read(&text) {
                prop_assert!(!below.path().is_absolute());
                prop_assert!(below.path().components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir)));
            }
        }
    }

    #[test]
    fn paths_that_do_not_stay_below_are_refused() {
        for (text, code) in [
            ("../..", CommandErrorCode::OutsideRoot),
            ("a/../../b", CommandErrorCode::OutsideRoot),
            ("..", CommandErrorCode::OutsideRoot),
            (r"a/\x2e\x2e", CommandErrorCode::OutsideRoot),
            ("/etc/passwd", CommandErrorCode::OutsideRoot),
            (r"\x2fetc", CommandErrorCode::Invalid),
            ("a\0b", CommandErrorCode::Invalid),
            (r"a\x00b", CommandErrorCode::Invalid),
            ("a//b", CommandErrorCode::Invalid),
            ("a/", CommandErrorCode::Invalid),
            ("./a", CommandErrorCode::Invalid),
            ("\\", CommandErrorCode::Invalid),
        ] {
            assert_eq!(Below::read(text).unwrap_err().code, code, "{text:?}");
        }
        let long = "a/".repeat(PATH_MAX_BYTES);
        assert_eq!(
            Below::read(&long).unwrap_err().code,
            CommandErrorCode::TooLarge
        );
    }

    #[test]
    fn the_root_and_the_products_own_can_be_read_but_not_changed() {
        for text in ["", ".orchestrator-trash", "a/.orchestrator-clone-x/b"] {
            assert!(Below::read(text).is_ok(), "{text}");
            assert!(Below::read_changeable(text).is_err(), "{text}");
        }
        let below = Below::read_changeable("a/b/c").unwrap();
        assert_eq!(
            below.steps().collect::<Vec<_>>(),
            [Path::new("a"), Path::new("a/b"), Path::new("a/b/c")]
        );
        let (parent, name) = below.split().unwrap();
        assert_eq!((parent.path(), name), (Path::new("a/b"), OsStr::new("c")));
        assert!(parent.contains(&below) && !below.contains(&below));
    }
}
