//! The only source of chance: a seed and a round give one plan, on every machine.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed, a round of it, or something else that is counted.
    pub fn new(seed: u64, index: u64) -> Self {
        let mut random = Self(seed);
        random.0 = random.bits() ^ index;
        random
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end.max(1)
    }

    /// A number from `first` to `last`.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// A time of so many milliseconds.
    pub fn time(&mut self, first_ms: u64, last_ms: u64) -> Duration {
        Duration::from_millis(self.between(first_ms, last_ms))
    }

    /// True so many times in a hundred.
    pub fn per_cent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of several, each as often as its weight says.
    pub fn choose<T: Copy>(&mut self, weighted: &[(u64, T)]) -> Option<T> {
        let mut at = self.below(weighted.iter().map(|(weight, _)| weight).sum());
        weighted.iter().find_map(|(weight, what)| {
            let is_it = at < *weight;
            at = at.saturating_sub(*weight);
            is_it.then_some(*what)
        })
    }
}
