//! How long to wait between two tries to reach the backend: twice as long each time, with jitter, so that the
//! machines of a backend that was away do not come back in step ("Exponential Backoff And Jitter", AWS
//! Architecture Blog, 2015: equal jitter).

use crate::limits::{BACKOFF_FIRST_MS, BACKOFF_MAX_MS};

#[derive(Debug)]
pub(super) struct Backoff {
    /// The state of a SplitMix64 generator (Steele, Lea, Flood: "Fast splittable pseudorandom number
    /// generators", 2014).
    state: u64,
    /// Failed tries in a row.
    attempt: u32,
}

impl Backoff {
    /// The waits that belong to a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: seed,
            attempt: 0,
        }
    }

    /// A try has succeeded.
    pub(super) fn reset(&mut self) {
        self.attempt = 0;
    }

    /// A try has failed: how long to wait before the next one, in milliseconds. At least half of what it would be
    /// without jitter, at most all of it.
    pub(super) fn next_wait_ms(&mut self) -> u64 {
        let longest = longest_wait_ms(self.attempt);
        self.attempt = self.attempt.saturating_add(1);
        let shortest = longest / 2;
        shortest + self.random() % (longest - shortest + 1)
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

/// The wait without jitter.
fn longest_wait_ms(attempt: u32) -> u64 {
    BACKOFF_FIRST_MS
        .saturating_mul(1 << attempt.min(16))
        .min(BACKOFF_MAX_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(seed: u64, count: usize) -> Vec<u64> {
        let mut backoff = Backoff::new(seed);
        (0..count).map(|_| backoff.next_wait_ms()).collect()
    }

    #[test]
    fn waits_grow_and_have_both_bounds() {
        for seed in 0..1_000 {
            for (attempt, wait) in (0..).zip(waits(seed, 40)) {
                let longest = longest_wait_ms(attempt);
                assert!((longest / 2..=longest).contains(&wait), "{attempt}: {wait}");
            }
        }
        assert_eq!(longest_wait_ms(0), BACKOFF_FIRST_MS);
        assert_eq!(longest_wait_ms(u32::MAX), BACKOFF_MAX_MS);
    }

    #[test]
    fn a_seed_gives_the_same_waits_again() {
        assert_eq!(waits(7, 20), waits(7, 20));
        assert_ne!(waits(7, 20), waits(8, 20));
    }

    #[test]
    fn machines_that_fail_together_do_not_come_back_together() {
        let mut by_tenth = [0_u32; 10];
        let shortest = BACKOFF_FIRST_MS / 2;
        for seed in 0..500 {
            let later = waits(seed, 1)[0] - shortest;
            let tenth = later * 10 / (BACKOFF_FIRST_MS - shortest + 1);
            by_tenth[usize::try_from(tenth).unwrap()] += 1;
        }
        for machines in by_tenth {
            assert!((25..=75).contains(&machines), "{by_tenth:?}");
        }
    }

    #[test]
    fn success_begins_anew() {
        let mut backoff = Backoff::new(1);
        for _ in 0..10 {
            backoff.next_wait_ms();
        }
        backoff.reset();
        assert!(backoff.next_wait_ms() <= BACKOFF_FIRST_MS);
    }
}
