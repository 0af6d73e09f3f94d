//! Who people are: links, cookies, tokens, a password. Machines' credentials are the backend core's.

mod http;
mod local;
mod password;
mod tables;

pub(crate) use http::{SIGN_IN_PATHS, link_url, routes};
pub use local::PrepareError;
pub(crate) use local::{local_token_path, prepare};
pub(crate) use password::Passwords;
pub(crate) use tables::{Kind, LinkLife, SignIn};

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use axum::http::{HeaderMap, header};
use protocol::{
    CallError, ErrorCode,
    backend::{Actor, Caller},
    ids::PersonId,
    secret::Secret,
};
use rusqlite::Connection;

use super::{
    core::{Core, defect},
    cuts::Holder,
};

/// How long a sign-in lasts without being used.
const SIGN_IN_IDLE_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// How exactly its last use is kept.
const USED_ROUND_MS: u64 = 60 * 60 * 1_000;
/// Sign-ins of which that is remembered; beyond it, it is noted once too often.
const USES_MAX: usize = 10_000;

const BROWSER_PREFIX: &str = "opb";
const TOKEN_PREFIX: &str = "opt";
const LINK_PREFIX: &str = "opl";
const MACHINE_PREFIX: &str = "omc_";

/// What a request brought to say who sends it; nothing of it has been checked.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    None,
    /// A browser's cookie.
    Cookie(Secret),
    /// A person's token.
    Token(Secret),
    /// A machine's connection token.
    Machine(Secret),
}

impl Credential {
    /// Takes the credential out of the headers. A bearer token goes before a cookie.
    ///
    /// # Errors
    /// When there is a bearer token that is none of ours.
    pub(crate) fn of(headers: &HeaderMap, cookie_name: &str) -> Result<Self, CallError> {
        // Another scheme is between the browser and a proxy before the hub.
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then(|| Secret::new(token.trim()))
        });
        match bearer {
            Some(token) if token.expose().starts_with(MACHINE_PREFIX) => Ok(Self::Machine(token)),
            Some(token) if token.is_well_formed(TOKEN_PREFIX) => Ok(Self::Token(token)),
            Some(_) => Err(CallError::new(
                ErrorCode::Unauthenticated,
                "The Authorization header holds no complete token of this backend. A machine's begins with omc_, a person's with opt_.",
            )),
            None => Ok(cookie(headers, cookie_name).map_or(Self::None, Self::Cookie)),
        }
    }

    /// Who it is, as the database says now.
    ///
    /// # Errors
    /// When a person's token is not known; a cookie that is not known is as none.
    pub(crate) fn caller(&self, connection: &Connection, now_ms: u64) -> Result<Caller, CallError> {
        match self {
            Self::None => Ok(Caller::Anyone),
            Self::Machine(token) => Ok(Caller::Machine(token.clone())),
            Self::Cookie(secret) => {
                let known = sign_in(connection, secret, now_ms)?
                    .filter(|known| known.kind == Kind::Browser);
                Ok(known.map_or(Caller::Anyone, |known| Caller::Person(known.person)))
            }
            Self::Token(secret) => {
                let known = sign_in(connection, secret, now_ms)?
                    .filter(|known| known.kind != Kind::Browser);
                known
                    .map(|known| Caller::Person(known.person))
                    .ok_or_else(unknown_token)
            }
        }
    }

    /// The person's sign-in that it is.
    pub(crate) fn sign_in(
        &self,
        connection: &Connection,
        now_ms: u64,
    ) -> Result<SignIn, CallError> {
        let known = match self {
            Self::None => None,
            Self::Machine(_) => {
                return Err(CallError::new(
                    ErrorCode::Forbidden,
                    "This is for people, not for machines.",
                ));
            }
            Self::Cookie(secret) => {
                sign_in(connection, secret, now_ms)?.filter(|known| known.kind == Kind::Browser)
            }
            Self::Token(secret) => {
                let known = sign_in(connection, secret, now_ms)?
                    .filter(|known| known.kind != Kind::Browser);
                return known.ok_or_else(unknown_token);
            }
        };
        known.ok_or_else(not_signed_in)
    }

    /// Whom to cut off when it holds no longer; `None` for nobody.
    pub(crate) fn holder(&self, actor: &Actor) -> Option<Holder> {
        match (self, actor) {
            (Self::Cookie(secret) | Self::Token(secret), Actor::Person(_)) => {
                Some(Holder::SignIn(secret.hash().as_str().to_owned()))
            }
            (_, Actor::Machine { id, epoch, .. }) => Some(Holder::Machine(id.clone(), *epoch)),
            (_, Actor::Anyone | Actor::Person(_)) => None,
        }
    }

    /// Notes, now and then, that a sign-in which has just been found to hold is in use.
    pub(crate) async fn note_use(&self, core: &Core) {
        let (Self::Cookie(secret) | Self::Token(secret)) = self else {
            return;
        };
        let (hash, now_ms) = (secret.hash(), core.clock.now_ms());
        if !core.uses.is_news(hash.as_str(), now_ms) {
            return;
        }
        let noted = core
            .write(move |transaction| {
                tables::used(transaction, hash.as_str(), now_ms).map_err(|error| defect(&error))
            })
            .await;
        if let Err(error) = noted {
            tracing::warn!(%error, "the use of a sign-in could not be noted");
        }
    }
}

/// When the use of each sign-in was noted last, so that not every request is a write.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<HashMap<String, u64>>);

impl Uses {
    fn is_news(&self, hash: &str, now_ms: u64) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted
            .get(hash)
            .is_some_and(|noted_ms| now_ms.saturating_sub(*noted_ms) < USED_ROUND_MS)
        {
            return false;
        }
        if noted.len() >= USES_MAX {
            noted.clear();
        }
        noted.insert(hash.to_owned(), now_ms);
        true
    }
}

fn sign_in(
    connection: &Connection,
    secret: &Secret,
    now_ms: u64,
) -> Result<Option<SignIn>, CallError> {
    let known =
        tables::sign_in(connection, secret.hash().as_str()).map_err(|error| defect(&error))?;
    Ok(known.filter(|known| known.holds_at(now_ms)))
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<Secret> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| Secret::new(value))
}

pub(crate) fn not_signed_in() -> CallError {
    CallError::new(
        ErrorCode::Unauthenticated,
        "You are not signed in. Sign in and try again.",
    )
}

fn unknown_token() -> CallError {
    CallError::new(
        ErrorCode::Unauthenticated,
        "This token is not known; it was revoked or not used for 30 days. Make a new one.",
    )
}

/// A new secret of that kind.
fn new_secret(prefix: &str) -> Result<Secret, CallError> {
    Ok(Secret::generate(prefix, super::core::entropy()?.secret))
}

/// A link with which a person signs in once.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) token: Secret,
    pub(crate) expires_ms: u64,
}

/// Makes a link for a person.
pub(crate) async fn new_link(
    core: &Core,
    person: PersonId,
    life: LinkLife,
) -> Result<Link, CallError> {
    let token = new_secret(LINK_PREFIX)?;
    let expires_ms = core.clock.now_ms().saturating_add(life.ms());
    let hash = token.hash();
    core.write(move |transaction| {
        tables::add_link(transaction, hash.as_str(), &person, expires_ms, life)
            .map_err(|error| defect(&error))
    })
    .await?;
    Ok(Link { token, expires_ms })
}
