//! Time zones, from the database that is built in: never the machine's own, which may be another version.

use jiff::Timestamp as Instant;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use super::when::{WhenError, WhenErrorCode};

/// A time zone's rules.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    rules: TimeZone,
}

/// A stretch of time in which the clocks are not touched. Everything is in seconds: instants since the Unix
/// epoch, offsets ahead of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Its first instant; `None` if it has always been so.
    pub(super) start: Option<i64>,
    /// The first instant after it; `None` if it stays so.
    pub(super) end: Option<i64>,
    /// The offset in it.
    pub(super) offset: i64,
    /// The offset before it.
    pub(super) before: i64,
}

/// What a local time stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// One instant.
    Once,
    /// No instant: the clocks jump over it.
    Never {
        /// The instant of the jump.
        at: i64,
        /// The local time before it.
        from: i64,
        /// The local time after it.
        until: i64,
    },
    /// Two instants.
    Twice {
        /// The first one.
        first: i64,
    },
}

/// Every zone that a schedule may be in, in the order of the alphabet.
#[must_use]
pub fn zone_names() -> Vec<String> {
    let mut names: Vec<String> = TimeZoneDatabase::bundled()
        .available()
        .map(|name| name.to_string())
        .filter(|name| name != NO_ZONE)
        .collect();
    names.sort();
    names
}

impl Zone {
    pub(super) fn find(name: &str) -> Result<Self, WhenError> {
        let zones = TimeZoneDatabase::bundled();
        // The database itself would take any spelling, and so would not every browser's.
        let is_listed = name != NO_ZONE && zones.available().any(|known| known.as_str() == name);
        if is_listed && let Ok(rules) = zones.get(name) {
            return Ok(Self { rules });
        }
        if name.trim().is_empty() {
            return Err(WhenError::new(
                WhenErrorCode::Empty,
                "A schedule needs a time zone, such as Europe/Berlin.",
            ));
        }
        let shown: String = name.chars().take(SHOWN_CHARS).collect();
        let hint = suggest(name, &zone_names()).map_or_else(
            || "Zones are named like Europe/Berlin or America/New_York.".to_owned(),
            |near| format!("Did you mean {near}?"),
        );
        Err(WhenError::new(
            WhenErrorCode::Zone,
            format!("There is no time zone \"{shown}\". {hint}"),
        ))
    }

    pub(super) fn offset_at(&self, instant: i64) -> i64 {
        i64::from(self.rules.to_offset(moment(instant)).seconds())
    }

    pub(super) fn stretch_at(&self, instant: i64) -> Stretch {
        let offset = self.offset_at(instant);
        // Some changes are of the zone's abbreviation only.
        let mut before = offset;
        let mut start = None;
        for change in self.rules.preceding(moment(instant + 1)) {
            let second = change.timestamp().as_second();
            let earlier = self.offset_at(second - 1);
            if earlier != offset {
                (before, start) = (earlier, Some(second));
                break;
            }
        }
        let end = self
            .rules
            .following(moment(instant))
            .take_while(|change| change.timestamp().as_second() <= super::firing::LAST_SECOND)
            .find(|change| i64::from(change.offset().seconds()) != offset)
            .map(|change| change.timestamp().as_second());
        Stretch {
            start,
            end,
            offset,
            before,
        }
    }

    pub(super) fn standing(&self, local: i64) -> Standing {
        match self.rules.to_ambiguous_timestamp(civil(local)).offset() {
            AmbiguousOffset::Unambiguous { .. } => Standing::Once,
            AmbiguousOffset::Gap { before, after } => {
                let at = self
                    .stretch_at(local - i64::from(before.seconds()))
                    .start
                    .unwrap_or_default();
                Standing::Never {
                    at,
                    from: at + i64::from(before.seconds()),
                    until: at + i64::from(after.seconds()),
                }
            }
            AmbiguousOffset::Fold { before, .. } => Standing::Twice {
                first: local - i64::from(before.seconds()),
            },
        }
    }

    /// The instant of a local time: the first of two; the instant of the jump if there is none.
    pub(super) fn instant_of(&self, local: i64) -> i64 {
        match self.standing(local) {
            Standing::Never { at, .. } => at,
            Standing::Twice { first } => first,
            Standing::Once => {
                let guess = local - self.offset_at(local);
                local - self.offset_at(guess)
            }
        }
    }
}

/// The database has this for machines that were not set up.
const NO_ZONE: &str = "Factory";
const SHOWN_CHARS: usize = 64;

/// The zone that was probably meant: another spelling, the same place elsewhere, or a few letters off.
fn suggest(name: &str, names: &[String]) -> Option<String> {
    let wanted: String = name
        .trim()
        .chars()
        .take(SHOWN_CHARS)
        .map(|letter| {
            if letter == ' ' {
                '_'
            } else {
                letter.to_ascii_lowercase()
            }
        })
        .collect();
    let place = place(&wanted);
    let known = || names.iter().map(|name| (name, name.to_ascii_lowercase()));
    if let Some((name, _)) = known().find(|(_, lower)| *lower == wanted) {
        return Some(name.clone());
    }
    if let Some((name, _)) = known().find(|(_, lower)| self::place(lower) == place) {
        return Some(name.clone());
    }
    let allowed = (place.chars().count() / LETTERS_PER_TYPO).min(TYPOS_MAX);
    known()
        .map(|(name, lower)| {
            let whole = strsim::levenshtein(&lower, &wanted);
            (
                whole.min(strsim::levenshtein(self::place(&lower), place)),
                whole,
                name,
            )
        })
        .filter(|(distance, ..)| *distance <= allowed)
        .min()
        .map(|(.., name)| name.clone())
}

const LETTERS_PER_TYPO: usize = 4;
const TYPOS_MAX: usize = 3;

fn place(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn moment(instant: i64) -> Instant {
    Instant::from_second(instant).unwrap_or(Instant::MAX)
}

/// The calendar's reading of a local time, given as seconds since 1970-01-01T00:00 local.
pub(super) fn civil(local: i64) -> DateTime {
    Offset::UTC.to_datetime(moment(local))
}
