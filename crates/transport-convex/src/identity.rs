//! Who calls: a machine's connection token goes with the arguments, a person's signed token with the connection.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use protocol::secret::Secret;
use protocol::{CallError, ErrorCode, Timestamp};
use serde::Deserialize;

/// What a machine's connection token begins with.
const MACHINE_PREFIX: &str = "omc_";

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    Nobody,
    Machine(Secret),
    Person(Secret),
}

impl Identity {
    /// Tells by the credential. A token that is past its time is refused here: the deployment would only close the
    /// connection, again and again.
    pub(crate) fn of(credential: Option<&Secret>) -> Result<Self, CallError> {
        let Some(secret) = credential else {
            return Ok(Self::Nobody);
        };
        if secret.expose().starts_with(MACHINE_PREFIX) {
            return Ok(Self::Machine(secret.clone()));
        }
        let Some(claims) = Claims::of(secret) else {
            return Err(unauthenticated(
                "This is not a sign-in token of a Convex deployment: it has to be a signed one (a JWT). `orchestrator convex token` mints one.",
            ));
        };
        if claims.expires_at().is_some_and(|at| at <= transport::now()) {
            return Err(unauthenticated(
                "The sign-in token is past its time. `orchestrator convex token` mints another one, `orchestrator link` a new link for the page.",
            ));
        }
        Ok(Self::Person(secret.clone()))
    }
}

/// When a signed token ends, where it says so.
#[must_use]
pub fn expires_at(token: &Secret) -> Option<Timestamp> {
    Claims::of(token)?.expires_at()
}

pub(crate) fn unauthenticated(why: &str) -> CallError {
    CallError::new(ErrorCode::Unauthenticated, why)
}

/// What is read of a token. Whether its signature holds is for the deployment to say.
#[derive(Debug, Deserialize)]
struct Claims {
    exp: Option<f64>,
}

impl Claims {
    fn of(token: &Secret) -> Option<Self> {
        let mut parts = token.expose().split('.');
        let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next())
        else {
            return None;
        };
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
        serde_json::from_slice(&claims).ok()
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest number of milliseconds there is"
    )]
    fn expires_at(&self) -> Option<Timestamp> {
        Some(Timestamp::from_ms((self.exp? * 1_000.0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> Secret {
        Secret::new(format!(
            "e30.{}.c2ln",
            BASE64_URL_SAFE_NO_PAD.encode(claims)
        ))
    }

    #[test]
    fn a_credential_says_who_calls() {
        assert_eq!(Identity::of(None), Ok(Identity::Nobody));
        let machine = Secret::new("omc_1");
        assert_eq!(
            Identity::of(Some(&machine)),
            Ok(Identity::Machine(machine.clone()))
        );
        for person in [token("{}"), token(r#"{"exp":99999999999}"#)] {
            assert_eq!(
                Identity::of(Some(&person)),
                Ok(Identity::Person(person.clone()))
            );
        }
    }

    #[test]
    fn what_no_deployment_would_take_is_refused_at_once() {
        let past = Identity::of(Some(&token(r#"{"exp":1700000000}"#))).unwrap_err();
        assert!(past.message.contains("past its time"), "{past}");
        for none in ["opt_1", "a.b", "a.b.c.d", "a.!.c", "e30.e30", ""] {
            let error = Identity::of(Some(&Secret::new(none))).unwrap_err();
            assert_eq!(error.code, ErrorCode::Unauthenticated, "{none}");
            assert!(
                error.message.contains("orchestrator convex token"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_end_of_a_token_is_told() {
        assert_eq!(
            expires_at(&token(r#"{"exp":1700000000}"#)),
            Some(Timestamp::from_ms(1_700_000_000_000))
        );
        assert_eq!(expires_at(&token("{}")), None);
        assert_eq!(expires_at(&Secret::new("omc_1")), None);
    }
}
