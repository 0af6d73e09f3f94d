//! The ids that we give to opencode: made from the turn's id, so that the same prompt is the same message.

use protocol::ids::TurnId;
use sha2::{Digest, Sha256};

/// What every message id of ours has after the time: tells a person's message from those that opencode makes.
const MARK: &str = "Turn";
/// Characters of the hash: 59 bits, besides the 48 bits of time.
const HASH_CHARS: usize = 10;
const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The id of the user message that begins a turn: `msg_`, 12 hexadecimal digits of time, 14 of base 62.
///
/// opencode orders messages by the time at which it took them and only then by id, so it does no harm that
/// the time in the id is the one at which the person sent the message, by another clock.
pub(crate) fn message_id(turn: &TurnId) -> String {
    format!("msg_{}", tail(turn))
}

/// The id of that message's only part.
pub(crate) fn part_id(turn: &TurnId) -> String {
    format!("prt_{}", tail(turn))
}

/// Whether a message is one that a turn began with.
pub(crate) fn is_turn_message(id: &str) -> bool {
    id.get("msg_".len() + 12..)
        .is_some_and(|rest| rest.starts_with(MARK))
}

fn tail(turn: &TurnId) -> String {
    let digest = Sha256::digest(turn.as_str().as_bytes());
    let hash: String = digest
        .iter()
        .take(HASH_CHARS)
        .map(|byte| char::from(BASE_62[usize::from(*byte) % BASE_62.len()]))
        .collect();
    format!(
        "{:012x}{MARK}{hash}",
        (sent_ms(turn) << 12) & 0xffff_ffff_ffff
    )
}

/// The time in a turn's id: the first 48 of its 128 bits, which are the first characters, 5 bits each after 3.
fn sent_ms(turn: &TurnId) -> u64 {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let digits = turn
        .as_str()
        .trim_start_matches(TurnId::PREFIX)
        .trim_start_matches('_')
        .bytes();
    let value = digits.fold(0_u128, |value, digit| {
        let digit = ALPHABET
            .iter()
            .position(|known| *known == digit)
            .unwrap_or_default();
        (value << 5) | digit as u128
    });
    (value >> 80) as u64
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;

    use super::*;

    #[test]
    fn a_turn_always_has_the_same_message_and_no_other_turn_has_it() {
        let turn = TurnId::generate(Timestamp::from_ms(1_795_450_854_123), [7; 10]);
        let other = TurnId::generate(Timestamp::from_ms(1_795_450_854_123), [8; 10]);
        assert_eq!(sent_ms(&turn), 1_795_450_854_123);
        assert_eq!(message_id(&turn), message_id(&turn.clone()));
        assert_ne!(message_id(&turn), message_id(&other));
        assert!(is_turn_message(&message_id(&turn)));
        assert!(!is_turn_message("msg_20935daeb001vQ9SCdkyPW84cq") && !is_turn_message("msg_é"));
        // The time part is the one that opencode itself makes of that millisecond.
        assert_eq!(&message_id(&turn)[..16], "msg_20935daeb000");
        assert_eq!(
            message_id(&turn).len(),
            "msg_20935daeb001vQ9SCdkyPW84cq".len()
        );
    }
}
