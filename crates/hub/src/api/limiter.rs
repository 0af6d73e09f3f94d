//! How often one address may try what anybody may try.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use protocol::{CallError, ErrorCode};

use crate::clock::Clock;

/// Tries that an address may make at once: more than five hundred machines behind one address that come
/// back together, with a repetition each.
const BURST: f64 = 2_000.0;
/// Tries that it gets back each second.
const PER_SECOND: f64 = 50.0;
/// Addresses remembered.
const ADDRESSES: usize = 10_000;

/// A bucket of tries for each address.
#[derive(Debug)]
pub(crate) struct Limiter {
    clock: Clock,
    buckets: Mutex<Keyed<Option<Bucket>>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    filled_ms: u64,
}

impl Limiter {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            buckets: Mutex::new(Keyed::new(ADDRESSES)),
        }
    }

    /// Takes a try.
    ///
    /// # Errors
    /// When none is left.
    pub(crate) fn take(&self, address: IpAddr) -> Result<(), CallError> {
        let now_ms = self.clock.now_ms();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(address, now_ms).get_or_insert(Bucket {
            left: BURST,
            filled_ms: now_ms,
        });
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds since the last try"
        )]
        let passed_s = now_ms.saturating_sub(bucket.filled_ms) as f64 / 1_000.0;
        bucket.left = (bucket.left + passed_s * PER_SECOND).min(BURST);
        bucket.filled_ms = now_ms;
        if bucket.left < 1.0 {
            return Err(CallError {
                retry_after_ms: Some(1_000),
                ..CallError::new(
                    ErrorCode::RateLimited,
                    "Too many tries to sign in, register or connect from this address. Try again in a second.",
                )
            });
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

/// Something for each address, for so many addresses; the one touched longest ago goes first.
#[derive(Debug)]
pub(crate) struct Keyed<T> {
    limit: usize,
    entries: HashMap<IpAddr, (u64, T)>,
    by_age: BTreeSet<(u64, IpAddr)>,
}

impl<T: Default> Keyed<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            entries: HashMap::new(),
            by_age: BTreeSet::new(),
        }
    }

    pub(crate) fn entry(&mut self, address: IpAddr, now_ms: u64) -> &mut T {
        let key = network(address);
        if let Some((touched_ms, _)) = self.entries.get(&key) {
            self.by_age.remove(&(*touched_ms, key));
        } else if self.entries.len() >= self.limit
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.by_age.insert((now_ms, key));
        let entry = self.entries.entry(key).or_default();
        entry.0 = now_ms;
        &mut entry.1
    }
}

/// One subscriber has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn tries_run_out_and_come_back() {
        let hand = ManualClock::new(1_000);
        let limiter = Limiter::new(hand.clock());
        let address = IpAddr::from([10, 0, 0, 1]);
        let taken = (0..10_000)
            .take_while(|_| limiter.take(address).is_ok())
            .count();
        assert_eq!(taken, 2_000);
        assert_eq!(
            limiter.take(address).unwrap_err().retry_after_ms,
            Some(1_000)
        );
        assert!(limiter.take(IpAddr::from([10, 0, 0, 2])).is_ok());
        hand.advance(Duration::from_secs(1));
        let taken = (0..10_000)
            .take_while(|_| limiter.take(address).is_ok())
            .count();
        assert_eq!(taken, 50);
    }

    #[test]
    fn only_so_many_addresses_are_remembered() {
        let mut keyed = Keyed::<u32>::new(2);
        let address = |last| IpAddr::from([10, 0, 0, last]);
        *keyed.entry(address(1), 1) = 1;
        *keyed.entry(address(2), 2) = 2;
        assert_eq!(*keyed.entry(address(1), 3), 1);
        assert_eq!(*keyed.entry(address(3), 4), 0);
        assert_eq!(*keyed.entry(address(1), 5), 1, "touched lately");
        assert_eq!(*keyed.entry(address(2), 6), 0, "forgotten");
        assert_eq!((keyed.entries.len(), keyed.by_age.len()), (2, 2));
    }
}
