//! Secrets that never show in a log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// 32 random bytes: what a secret is made of.
pub type SecretEntropy = [u8; 32];

/// A text that gives power to whoever has it. Debug and Display show nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a text as a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Makes a secret with a prefix that says what it is, 256 random bits in hexadecimal, and four
    /// characters of checksum, with which a mistyped one is told from a wrong one.
    #[must_use]
    pub fn generate(prefix: &str, entropy: SecretEntropy) -> Self {
        let body = format!("{prefix}_{}", hex(&entropy));
        let check = checksum(&body);
        Self(format!("{body}{check}"))
    }

    /// Makes a secret that follows from others, as [`Secret::generate`] would from the SHA-256 of their texts,
    /// each with its length before it.
    #[must_use]
    pub fn derive(prefix: &str, from: &[&Self]) -> Self {
        let mut hasher = Sha256::new();
        for secret in from {
            hasher.update((secret.0.len() as u64).to_be_bytes());
            hasher.update(secret.0.as_bytes());
        }
        Self::generate(prefix, hasher.finalize().into())
    }

    /// Whether this text is a complete secret with that prefix: nothing is missing or mistyped.
    #[must_use]
    pub fn is_well_formed(&self, prefix: &str) -> bool {
        let Some((body, check)) = self
            .0
            .len()
            .checked_sub(4)
            .and_then(|at| self.0.split_at_checked(at))
        else {
            return false;
        };
        let digits = body
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('_'));
        digits.is_some_and(|digits| digits.len() == 64) && checksum(body) == check
    }

    /// The text itself: for sending and storing, never for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What a backend stores of it.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(hex(&Sha256::digest(self.0.as_bytes())))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The SHA-256 of a secret, in hexadecimal. A slow hash would add nothing: the secrets are 256 random bits.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHash(String);

impl SecretHash {
    /// Whether it is the hash of that secret; takes the same time for every wrong one.
    #[must_use]
    pub fn matches(&self, secret: &Secret) -> bool {
        self.0.as_bytes().ct_eq(secret.hash().0.as_bytes()).into()
    }

    /// The digits: a key to look a secret up by.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn checksum(body: &str) -> String {
    hex(&Sha256::digest(body.as_bytes())[..2])
}

/// Bytes as lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret::generate("ork", [7; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(secret.is_well_formed("ork") && !secret.is_well_formed("orm"));
    }

    #[test]
    fn a_mistyped_secret_is_not_well_formed() {
        let text = Secret::generate("ork", [7; 32])
            .expose()
            .replacen("07", "08", 1);
        assert!(!Secret::new(text).is_well_formed("ork"));
        assert!(!Secret::new("ork_").is_well_formed("ork"));
        assert!(!Secret::new("é").is_well_formed("ork"));
    }

    #[test]
    fn a_derived_secret_follows_from_all_of_its_sources() {
        let derive = |texts: [&str; 2]| {
            let [one, other] = texts.map(Secret::new);
            Secret::derive("oms", &[&one, &other])
        };
        let secret = derive(["key", "nonce"]);
        assert!(secret.is_well_formed("oms"));
        assert_eq!(secret, derive(["key", "nonce"]));
        assert_ne!(secret, derive(["keyn", "once"]));
        assert_eq!(
            secret.expose(),
            "oms_db60378e316af62ef1075dce42e4fc5a504e93333b5add38b2145d5b7f1943395be8"
        );
    }

    #[test]
    fn only_the_same_secret_matches() {
        let hash = Secret::generate("ors", [1; 32]).hash();
        assert!(hash.matches(&Secret::generate("ors", [1; 32])));
        assert!(!hash.matches(&Secret::generate("ors", [2; 32])));
    }
}
