//! What a running tool writes, as differences. opencode tells the last 30,000 characters each time; only what
//! is new leaves the machine.

use protocol::limits::TOOL_TEXT_MAX_BYTES;

/// How much stays when a running tool's output has grown beyond its limit, in bytes.
const KEPT_BYTES: usize = TOOL_TEXT_MAX_BYTES / 2;

/// What changed in the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Growth {
    Nothing,
    /// This came at the end.
    Append(String),
    /// There is too much of it: only its end is shown from here on.
    Restart(String),
}

/// A running tool's output.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunningOutput {
    window: String,
    shown_bytes: usize,
    is_cut: bool,
}

impl RunningOutput {
    /// Takes the latest window and says what to show.
    pub(crate) fn grow(&mut self, window: &str) -> Growth {
        let added = added(&self.window, window);
        let growth = if added.is_empty() {
            Growth::Nothing
        } else if self.shown_bytes + added.len() <= TOOL_TEXT_MAX_BYTES {
            self.shown_bytes += added.len();
            Growth::Append(added.to_owned())
        } else {
            let end = &window[window.ceil_char_boundary(window.len().saturating_sub(KEPT_BYTES))..];
            self.shown_bytes = end.len();
            self.is_cut = true;
            Growth::Restart(end.to_owned())
        };
        window.clone_into(&mut self.window);
        growth
    }

    /// Whether the beginning is not shown any more.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// What `next` has after what it shares with the end of `previous`.
fn added<'a>(previous: &str, next: &'a str) -> &'a str {
    next.strip_prefix(previous)
        .unwrap_or_else(|| &next[overlap(previous.as_bytes(), next.as_bytes())..])
}

/// The length of the longest end of `previous` that `next` begins with (Knuth, Morris and Pratt).
fn overlap(previous: &[u8], next: &[u8]) -> usize {
    let mut table = vec![0_usize; next.len()];
    for index in 1..next.len() {
        table[index] = step(next, &table, table[index - 1], next[index]);
    }
    previous.iter().fold(0, |matched, byte| {
        let matched = if matched == next.len() {
            table.last().copied().unwrap_or(0)
        } else {
            matched
        };
        step(next, &table, matched, *byte)
    })
}

/// How much of `pattern` is matched after one more byte.
fn step(pattern: &[u8], table: &[usize], mut matched: usize, byte: u8) -> usize {
    while matched > 0 && pattern[matched] != byte {
        matched = table[matched - 1];
    }
    if pattern.get(matched) == Some(&byte) {
        matched + 1
    } else {
        matched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sliding_window_gives_each_line_once() {
        let all: String = (0..2_000).map(|line| format!("line {line} é\n")).collect();
        let mut output = RunningOutput::default();
        let mut shown = String::new();
        let mut end = 0;
        while end < all.len() {
            end = all.ceil_char_boundary((end + 700).min(all.len()));
            let start = all.ceil_char_boundary(end.saturating_sub(5_000));
            match output.grow(&all[start..end]) {
                Growth::Nothing => {}
                Growth::Append(text) => shown.push_str(&text),
                Growth::Restart(text) => shown = text,
            }
            assert!(shown.len() <= TOOL_TEXT_MAX_BYTES);
            assert!(all[..end].ends_with(&shown));
            assert_eq!(output.is_cut(), shown.len() < end);
        }
    }

    #[test]
    fn the_overlap_is_the_longest_one() {
        assert_eq!(overlap(b"xxabab", b"ababc"), 4);
        assert_eq!(overlap(b"abc", b"abc"), 3);
        assert_eq!(overlap(b"aaaa", b"aa"), 2);
        assert_eq!(overlap(b"abc", b"xyz"), 0);
        assert_eq!(overlap(b"", b"x"), 0);
        assert_eq!(overlap(b"x", b""), 0);
        assert_eq!(added("", "né"), "né");
    }
}
