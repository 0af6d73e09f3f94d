//! What changes of the clocks do to a firing, in words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::zone::civil;

/// Something about a firing that surprises whoever does not think of the clocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
#[ts(export_to = "wire.ts")]
pub enum Note {
    /// The time that is named does not exist on this day.
    Moved {
        /// The time that is named, or the first of several.
        wanted: String,
        /// The time at which it fires in its place.
        at: String,
    },
    /// The time comes twice on this day, and this is the first of the two: the second does not fire.
    Once {
        /// The time.
        time: String,
    },
    /// The time comes twice on this day, and this is the second of the two.
    Again {
        /// The time.
        time: String,
    },
    /// Between the firing before and this one times that do not exist were left out.
    LeftOut {
        /// The day on which they do not exist.
        day: String,
        /// The first time that does not exist.
        from: String,
        /// The first time that exists again.
        until: String,
    },
    /// An interval's firings move on the clock from here on.
    Shifted {
        /// How many minutes later they are; negative if earlier.
        minutes: i64,
    },
    /// The clocks change between the firing before and this one; the time on the clock stays what it is.
    Changed {
        /// How many minutes the clocks go forward; negative if back.
        minutes: i64,
    },
    /// A note that only a newer peer knows.
    #[serde(other)]
    Unknown,
}

impl Note {
    /// For a person to read.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Moved { wanted, at } => format!(
                "{wanted} does not exist on this day, because the clocks go forward: it fires at {at}."
            ),
            Self::Once { time } => format!(
                "{time} comes twice on this day, because the clocks go back: it fires the first time only."
            ),
            Self::Again { time } => format!(
                "{time} comes twice on this day, because the clocks go back: this is the second time."
            ),
            Self::LeftOut { day, from, until } => format!(
                "On {day} the clocks jump from {from} to {until}: what is between them is left out."
            ),
            Self::Shifted { minutes } => format!(
                "From here on {} on the clock, because the clocks change.",
                if *minutes < 0 {
                    format!("{} earlier", length(-minutes))
                } else {
                    format!("{} later", length(*minutes))
                }
            ),
            Self::Changed { minutes } => format!(
                "The clocks go {} before this one; the time on the clock stays the same.",
                if *minutes < 0 {
                    format!("back by {}", length(-minutes))
                } else {
                    format!("forward by {}", length(*minutes))
                }
            ),
            Self::Unknown => "The clocks change around this one.".to_owned(),
        }
    }
}

/// A number of minutes, in words.
pub(super) fn length(minutes: i64) -> String {
    let count = |number: i64, unit: &str| {
        if number == 1 {
            format!("1 {unit}")
        } else {
            format!("{number} {unit}s")
        }
    };
    match (minutes / 60, minutes % 60) {
        (0, minutes) => count(minutes, "minute"),
        (hours, 0) => count(hours, "hour"),
        (hours, minutes) => format!("{} {}", count(hours, "hour"), count(minutes, "minute")),
    }
}

/// A local time as `09:30`, with seconds only where there are any.
pub(super) fn clock_time(local: i64) -> String {
    let at = civil(local);
    if at.second() == 0 {
        format!("{:02}:{:02}", at.hour(), at.minute())
    } else {
        format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
    }
}

/// A local day as `2026-03-29`.
pub(super) fn day(local: i64) -> String {
    let at = civil(local);
    format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day())
}
