//! The cursor that keeps caches between reader and hub from answering a live read twice: the number of the
//! current 20-second interval, and always beyond the one the client sent (protocol, section 10.1).

/// 2024-10-09T00:00:00Z.
const EPOCH_S: u64 = 1_728_432_000;
const INTERVAL_S: u64 = 20;
/// At most this many seconds are added to a client's cursor.
const JITTER_MAX_S: u64 = 3_600;

/// The cursor to answer with. `random` is any number.
pub(super) fn cursor(now_ms: u64, client: Option<u64>, random: u64) -> u64 {
    let current = (now_ms / 1_000).saturating_sub(EPOCH_S) / INTERVAL_S;
    match client {
        Some(client) if client >= current => {
            let jitter_s = 1 + random % JITTER_MAX_S;
            client.saturating_add(jitter_s.div_ceil(INTERVAL_S))
        }
        _ => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_moves_on() {
        let now_ms = (EPOCH_S + 1_000 * INTERVAL_S) * 1_000;
        assert_eq!(cursor(now_ms, None, 0), 1_000);
        assert_eq!(cursor(now_ms, Some(999), 0), 1_000);
        assert_eq!(cursor(now_ms, Some(1_000), 0), 1_001);
        assert_eq!(cursor(now_ms, Some(1_000), 3_599), 1_180);
        assert_eq!(
            cursor(now_ms, Some(5_000), u64::MAX),
            5_000 + (1 + u64::MAX % 3_600).div_ceil(20)
        );
    }
}
