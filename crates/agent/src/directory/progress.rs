//! What git says of its progress on its standard error, as progress that a person is shown.

use std::collections::VecDeque;

use protocol::wire::Progress;

/// The longest line that is looked at, in bytes; the rest of a longer one is left out.
const LINE_MAX_BYTES: usize = 4 * 1024;
/// How much of what git said last is kept to explain a failure, in bytes.
const KEPT_BYTES: usize = 16 * 1024;
/// Ends of phases that wait to be told; git has fewer phases.
const ENDS_MAX: usize = 16;

/// The phases that git names, and what a person reads. Others are a server's own words and are not shown.
const PHASES: [(&str, &str); 8] = [
    ("Enumerating objects", "Counting objects"),
    ("Counting objects", "Counting objects"),
    ("Compressing objects", "Compressing objects"),
    ("Receiving objects", "Receiving objects"),
    // What git does with few objects instead of receiving them into a pack.
    ("Unpacking objects", "Receiving objects"),
    ("Resolving deltas", "Resolving deltas"),
    ("Updating files", "Writing files"),
    ("Filtering content", "Fetching large files"),
];

/// Reads git's standard error piece by piece.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    /// The last lines that were no progress.
    kept: VecDeque<u8>,
    /// The ends of phases that have not been told yet.
    ends: VecDeque<Progress>,
    latest: Option<Progress>,
    bytes: Option<u64>,
}

impl Reader {
    /// Takes what git has written.
    pub(super) fn read(&mut self, piece: &[u8]) {
        for byte in piece {
            if matches!(byte, b'\r' | b'\n') {
                let line = std::mem::take(&mut self.line);
                self.take_line(&String::from_utf8_lossy(&line));
            } else if self.line.len() < LINE_MAX_BYTES {
                self.line.push(*byte);
            }
        }
    }

    /// The next progress to tell: ends of phases in their order, then only the latest.
    pub(super) fn next(&mut self) -> Option<Progress> {
        self.ends.pop_front().or_else(|| self.latest.take())
    }

    /// The progress to tell when nothing more comes.
    pub(super) fn last(&mut self) -> Option<Progress> {
        let end = self.ends.drain(..).next_back();
        self.latest.take().or(end)
    }

    /// What git said last besides progress.
    pub(super) fn last_words(&self) -> String {
        let kept: Vec<u8> = self
            .kept
            .iter()
            .copied()
            .chain(self.line.iter().copied())
            .collect();
        String::from_utf8_lossy(&kept).into_owned()
    }

    fn take_line(&mut self, line: &str) {
        let Some((mut progress, is_end)) = parse(line) else {
            self.kept.extend(line.bytes().chain([b'\n']));
            let surplus = self.kept.len().saturating_sub(KEPT_BYTES);
            self.kept.drain(..surplus);
            return;
        };
        // What was received stays said in the phases after it.
        self.bytes = progress.bytes.or(self.bytes);
        progress.bytes = self.bytes;
        if is_end {
            self.latest = None;
            if self.ends.len() < ENDS_MAX {
                self.ends.push_back(progress);
            }
        } else {
            self.latest = Some(progress);
        }
    }
}

/// `Receiving objects:  12% (12/100), 1.50 MiB | 3.00 MiB/s`, and whether it ends with `done.`
fn parse(line: &str) -> Option<(Progress, bool)> {
    let line = line.trim();
    let line = line.strip_prefix("remote: ").unwrap_or(line);
    let (name, rest) = line.split_once(':')?;
    let (_, phase) = PHASES.iter().find(|(git, _)| *git == name)?;
    let mut progress = Progress {
        phase: (*phase).to_owned(),
        ..Progress::default()
    };
    let mut is_end = false;
    for (place, part) in rest.split(',').map(str::trim).enumerate() {
        if place == 0 {
            read_count(part, &mut progress);
        } else if part.starts_with("done") {
            is_end = true;
        } else {
            let (bytes, speed) = part
                .split_once('|')
                .map_or((part, None), |(b, s)| (b, Some(s)));
            progress.bytes = read_bytes(bytes).or(progress.bytes);
            progress.bytes_per_second = speed
                .and_then(|speed| read_bytes(speed.trim().strip_suffix("/s")?))
                .or(progress.bytes_per_second);
        }
    }
    Some((progress, is_end))
}

/// `12% (12/100)`, or `12` where the whole is not known.
fn read_count(text: &str, progress: &mut Progress) {
    let Some((percent, count)) = text.split_once('%') else {
        progress.objects_done = text.parse().ok();
        return;
    };
    progress.percent = percent
        .trim()
        .parse()
        .ok()
        .filter(|percent| *percent <= 100);
    let count = count.trim().trim_start_matches('(').trim_end_matches(')');
    if let Some((done, total)) = count.split_once('/') {
        progress.objects_done = done.parse().ok();
        progress.objects_total = total.parse().ok();
    }
}

/// `1.50 MiB` or `700 bytes`.
fn read_bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let unit_bytes: u64 = match unit.trim() {
        "bytes" | "byte" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let (whole, hundredths) = number.split_once('.').unwrap_or((number, "0"));
    let (whole, hundredths): (u64, u64) = (whole.parse().ok()?, hundredths.parse().ok()?);
    let part = unit_bytes.checked_mul(hundredths.min(99))? / 100;
    whole.checked_mul(unit_bytes)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gits_progress_is_read() {
        let mut reader = Reader::default();
        reader.read(b"Cloning into '.'...\nremote: Enumerating objects: 42, done.\nRecei");
        reader.read(b"ving objects:  12% (12/100), 1.50 MiB | 700.00 KiB/s\rReceiving objects:  13% (13/100), 1.51 MiB | 1.00 MiB/s\r");
        assert_eq!(reader.next().unwrap().objects_done, Some(42));
        let latest = reader.next().unwrap();
        assert_eq!(
            latest,
            Progress {
                phase: "Receiving objects".to_owned(),
                percent: Some(13),
                objects_done: Some(13),
                objects_total: Some(100),
                bytes: Some((1 << 20) + (1 << 20) * 51 / 100),
                bytes_per_second: Some(1 << 20),
            }
        );
        assert_eq!(reader.next(), None);
        assert_eq!(reader.last_words(), "Cloning into '.'...\n");
    }

    #[test]
    fn the_end_of_a_phase_is_not_lost_behind_the_next() {
        let mut reader = Reader::default();
        reader.read(b"Receiving objects: 100% (9/9), 2 bytes | 2 bytes/s, done.\rResolving deltas:   0% (0/4)\r");
        reader.read(b"Resolving deltas:  50% (2/4)\r");
        let told: Vec<_> = std::iter::from_fn(|| reader.next())
            .map(|told| (told.phase, told.percent, told.bytes))
            .collect();
        assert_eq!(
            told,
            [
                ("Receiving objects".to_owned(), Some(100), Some(2)),
                ("Resolving deltas".to_owned(), Some(50), Some(2)),
            ]
        );
    }

    #[test]
    fn a_servers_own_words_are_no_progress_and_long_lines_stay_short() {
        let mut reader = Reader::default();
        reader.read(b"remote: You won: 100% (1/1)\n");
        assert_eq!(reader.next(), None);
        for _ in 0..100 {
            reader.read(&[b'x'; 5_000]);
        }
        assert!(reader.line.len() <= LINE_MAX_BYTES);
        for _ in 0..10_000 {
            reader.read(b"noise\n");
        }
        assert!(reader.kept.len() <= KEPT_BYTES);
        reader.read(b"Receiving objects: 999% (99999999999999999999/1), 99999999999 GiB | x\r");
        assert_eq!(reader.next().unwrap().percent, None);
    }
}
