//! Time as data: the cores are told the time, they never ask for it.

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the Unix epoch, UTC.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    ts_rs::TS,
)]
#[serde(transparent)]
#[ts(export_to = "wire.ts", type = "number")]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment that many milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// The moment `ms` milliseconds later; stops at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; zero when `earlier` is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A clock that never goes back, made of one that may: what it shows runs on through a jump backwards, so that
/// nothing waits for the time that was set back to pass again. A jump forward (a machine that was suspended) is
/// followed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Steady {
    latest: Timestamp,
    /// How far the clock was set back, in all.
    set_back_ms: u64,
}

impl Steady {
    /// The steady time, when the clock shows that.
    pub fn at(&mut self, shown: Timestamp) -> Timestamp {
        let steady = shown.plus_ms(self.set_back_ms);
        self.set_back_ms += self.latest.ms_since(steady);
        self.latest = self.latest.max(steady);
        self.latest
    }

    /// What the clock will show at that steady time, if it is not set again.
    #[must_use]
    pub const fn shown_at(&self, steady: Timestamp) -> Timestamp {
        Timestamp(steady.0.saturating_sub(self.set_back_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_runs_on() {
        let ms = Timestamp::from_ms;
        let mut clock = Steady::default();
        assert_eq!(clock.at(ms(1_000)), ms(1_000));
        assert_eq!(clock.at(ms(400)), ms(1_000));
        assert_eq!(clock.at(ms(500)), ms(1_100));
        assert_eq!(clock.shown_at(ms(1_100)), ms(500));
        assert_eq!(clock.at(ms(9_000)), ms(9_600), "forward it is followed");
    }
}
