//! Identifiers. Every id is a short prefix and 26 lower-case base-32 characters that order by time of
//! creation (the 128 bits of a UUIDv7), so that a listing by id is a listing by age.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::time::Timestamp;

/// Ten random bytes: what an id needs besides the time. The core has no source of randomness of its own.
pub type IdEntropy = [u8; 10];

/// A text that is not an id of the kind that was expected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a {kind} id (expected {prefix}_ and {length} of 0-9 a-z)", length = ID_CHARS)]
pub struct InvalidId {
    kind: &'static str,
    prefix: &'static str,
    text: String,
}

const ID_CHARS: usize = 26;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema, ts_rs::TS)]
        #[serde(transparent)]
        #[ts(export_to = "wire.ts")]
        pub struct $name(String);

        impl $name {
            /// The prefix that every id of this kind begins with, without its underscore.
            pub const PREFIX: &str = $prefix;

            /// Makes an id from the time and ten random bytes.
            #[must_use]
            pub fn generate(now: Timestamp, entropy: IdEntropy) -> Self {
                Self(format!("{}_{}", $prefix, encode(uuid_v7(now, entropy))))
            }

            /// Reads an id; anything but this kind's own form is refused.
            ///
            /// # Errors
            /// [`InvalidId`] names the kind and the form that was expected.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if is_id(text, $prefix) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { kind: $kind, prefix: $prefix, text: text.chars().take(64).collect() })
                }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A person who owns rows.
    PersonId, "per", "person";
    /// A machine: one computer's registration.
    MachineId, "mch", "machine";
    /// A worker: one directory of one machine.
    WorkerId, "wrk", "worker";
    /// A chat session: one conversation, one agent process.
    ChatSessionId, "cht", "chat session";
    /// A turn: one person's message and all that answers it.
    TurnId, "trn", "turn";
    /// An ask: a permission request or a question that waits for a person.
    AskId, "ask", "ask";
    /// A command: something a person asks of a machine.
    CommandId, "cmd", "command";
    /// A schedule: a standing order to send a message at set times.
    ScheduleId, "sch", "schedule";
    /// A run: one firing of a schedule, or one that a person started.
    RunId, "run", "run";
    /// An idempotency key, made by the caller of a changing call.
    IdempotencyKey, "idk", "idempotency key";
}

fn uuid_v7(now: Timestamp, entropy: IdEntropy) -> u128 {
    let mut bytes = [0_u8; 16];
    bytes[..6].copy_from_slice(&now.as_ms().to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&entropy);
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    u128::from_be_bytes(bytes)
}

fn encode(value: u128) -> String {
    (0..ID_CHARS)
        .rev()
        .map(|place| char::from(ALPHABET[((value >> (5 * place)) & 31) as usize]))
        .collect()
}

fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|rest| {
            rest.len() == ID_CHARS && rest.bytes().all(|byte| ALPHABET.contains(&byte))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_order_by_time_and_read_back() {
        let early = TurnId::generate(Timestamp::from_ms(1_000), [255; 10]);
        let late = TurnId::generate(Timestamp::from_ms(1_001), [0; 10]);
        assert!(early < late);
        assert_eq!(TurnId::parse(early.as_str()), Ok(early));
    }

    #[test]
    fn another_kinds_id_is_refused() {
        let worker = WorkerId::generate(Timestamp::from_ms(7), [1; 10]);
        let error = TurnId::parse(worker.as_str()).unwrap_err();
        assert!(error.to_string().contains("is not a turn id"), "{error}");
        for hostile in [
            "",
            "trn_",
            "trn_../../etc/passwd0000000000",
            "trn_ILOU0000000000000000000000",
        ] {
            assert!(TurnId::parse(hostile).is_err(), "{hostile}");
        }
    }
}
