//! Offsets: opaque to clients, and ordered as text within a stream.

use std::{fmt, str::FromStr};

/// A position in one incarnation of a stream. Written with fixed widths, so that order as text is order in
/// the stream, and an offset of a deleted stream never fits the one created in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset {
    /// The stream's id in the store, never given twice.
    pub(super) stream: i64,
    /// Bytes before it.
    pub(super) position: u64,
}

impl Offset {
    /// Bytes of the stream before this offset.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.position
    }
}

const STREAM_DIGITS: usize = 12;
const POSITION_DIGITS: usize = 16;

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:0STREAM_DIGITS$}_{:0POSITION_DIGITS$}",
            self.stream, self.position
        )
    }
}

/// The text is not an offset of this backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnOffset;

impl FromStr for Offset {
    type Err = NotAnOffset;

    fn from_str(text: &str) -> Result<Self, NotAnOffset> {
        let (stream, position) = text.split_once('_').ok_or(NotAnOffset)?;
        let digits = |part: &str, count| {
            part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(stream, STREAM_DIGITS) || !digits(position, POSITION_DIGITS) {
            return Err(NotAnOffset);
        }
        Ok(Self {
            stream: stream.parse().map_err(|_| NotAnOffset)?,
            position: position.parse().map_err(|_| NotAnOffset)?,
        })
    }
}

/// Where a read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// The first byte (`-1`).
    Start,
    /// The current tail (`now`).
    Now,
    /// A position given out before.
    At(Offset),
}

impl FromStr for ReadFrom {
    type Err = NotAnOffset;

    fn from_str(text: &str) -> Result<Self, NotAnOffset> {
        match text {
            "-1" => Ok(Self::Start),
            "now" => Ok(Self::Now),
            offset => offset.parse().map(Self::At),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_and_order_survive(stream in 1_i64..=999_999_999_999, a in 0_u64..1 << 53, b in 0_u64..1 << 53) {
            let (a, b) = (Offset { stream, position: a }, Offset { stream, position: b });
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
            prop_assert!("-1" < a.to_string().as_str() && "now" > a.to_string().as_str());
        }
    }

    #[test]
    fn what_is_not_an_offset() {
        let good = Offset {
            stream: 1,
            position: 2,
        }
        .to_string();
        for bad in [
            "",
            "-2",
            "NOW",
            "1_2",
            "+00000000001_0000000000000002",
            &format!("{good} "),
            &good.replace('_', "-"),
        ] {
            assert_eq!(bad.parse::<ReadFrom>(), Err(NotAnOffset), "{bad}");
        }
    }
}
