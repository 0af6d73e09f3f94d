//! Spreading the starts of runs that are due at the same minute.

use crate::limits::JITTER_MAX_MS;
use crate::time::Timestamp;

/// When the run of a firing starts: up to `jitter_ms` after its instant, and always before the next firing.
/// The same schedule and instant give the same start everywhere, so nothing need be kept. The instant stays
/// what names the firing.
#[must_use]
pub fn start_of(
    schedule: &str,
    due: Timestamp,
    next_due: Option<Timestamp>,
    jitter_ms: u64,
) -> Timestamp {
    let room = next_due.map_or(JITTER_MAX_MS, |next| next.ms_since(due).saturating_sub(1));
    let widest = jitter_ms.min(JITTER_MAX_MS).min(room);
    let spread = u64::from(hash(&format!("{schedule}@{}", due.as_ms())));
    due.plus_ms(spread % (widest + 1))
}

/// FNV-1a, with the finisher of MurmurHash3: both public domain, and short enough to be the same in
/// TypeScript. It spreads; it keeps no secrets.
fn hash(text: &str) -> u32 {
    let mut hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_ms(1_767_268_800_000);

    #[test]
    fn starts_are_spread_and_always_the_same() {
        let starts: Vec<u64> = (0..5_000)
            .map(|number| start_of(&format!("sch_{number}"), NOON, None, 59_999).ms_since(NOON))
            .collect();
        for tenth in 0..10 {
            let count = starts
                .iter()
                .filter(|start| **start / 6_000 == tenth)
                .count();
            assert!((400..600).contains(&count), "{count} of 5,000 in a tenth");
        }
        assert_eq!(
            start_of("sch_7", NOON, None, 59_999),
            start_of("sch_7", NOON, None, 59_999)
        );
    }

    #[test]
    fn a_start_never_reaches_the_next_firing() {
        let next = NOON.plus_ms(60_000);
        for number in 0..500 {
            let start = start_of(&format!("sch_{number}"), NOON, Some(next), u64::MAX);
            assert!(NOON <= start && start < next);
        }
        assert_eq!(start_of("sch_1", NOON, Some(next), 0), NOON);
    }
}
