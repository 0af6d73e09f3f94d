//! Passwords: argon2id, a few at a time, and slower after failures.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _, password_hash};
use protocol::{CallError, ErrorCode};
use tokio::sync::Semaphore;

use super::super::{core::defect, limiter::Keyed};
use crate::clock::Clock;

/// The shortest password.
pub(super) const PASSWORD_MIN_CHARS: usize = 8;
/// The longest one, in bytes: a bound on the work, not on people.
pub(super) const PASSWORD_MAX_BYTES: usize = 1_024;
/// Hashes computed at a time; each takes 19 MiB.
const HASHES_AT_ONCE: usize = 2;
/// How long a request waits for its turn to compute a hash.
const HASH_WAIT: Duration = Duration::from_secs(5);
/// Wrong passwords from one address before it has to wait.
const FREE_FAILURES: u32 = 5;
/// Wrong passwords from all addresses together before everybody has to wait.
const FREE_FAILURES_OF_ALL: u32 = 100;
/// The first wait; it doubles with each further failure.
const FIRST_WAIT_MS: u64 = 1_000;
/// The longest wait.
const LONGEST_WAIT_MS: u64 = 5 * 60 * 1_000;
/// The longest wait that strangers can impose on everybody.
const LONGEST_WAIT_OF_ALL_MS: u64 = 2_000;
/// Addresses remembered; the one that failed longest ago is forgotten first.
const ADDRESSES: usize = 10_000;

/// Hashes and checks passwords.
#[derive(Debug)]
pub(crate) struct Passwords {
    clock: Clock,
    slots: Arc<Semaphore>,
    failures: Mutex<Failures>,
}

#[derive(Debug)]
struct Failures {
    by_address: Keyed<Count>,
    all: Count,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    failures: u32,
    wait_until_ms: u64,
}

impl Passwords {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            slots: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            failures: Mutex::new(Failures {
                by_address: Keyed::new(ADDRESSES),
                all: Count::default(),
            }),
        }
    }

    /// Whether that is the password. Without a hash it is none, after the same time.
    ///
    /// # Errors
    /// When the address has failed too often and has to wait, or too many others want to know.
    pub(crate) async fn check(
        &self,
        address: IpAddr,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, CallError> {
        if password.len() > PASSWORD_MAX_BYTES {
            return Ok(false);
        }
        // Counted before it is known, so that tries at the same time count as well.
        self.count(address)?;
        let right = self
            .compute(move || match hash {
                Some(hash) => verify(&password, &hash),
                None => digest(&password).map(|_| false),
            })
            .await;
        // What could not be checked was no failure.
        if !matches!(right, Ok(false)) {
            self.forgive(address, matches!(right, Ok(true)));
        }
        right
    }

    /// The hash to keep of a new password.
    ///
    /// # Errors
    /// When it is too short or too long.
    pub(crate) async fn hash(&self, password: String) -> Result<String, CallError> {
        if password.chars().count() < PASSWORD_MIN_CHARS {
            return Err(CallError::new(
                ErrorCode::Invalid,
                format!(
                    "The password is too short. Choose one of at least {PASSWORD_MIN_CHARS} characters."
                ),
            ));
        }
        if password.len() > PASSWORD_MAX_BYTES {
            return Err(CallError::new(
                ErrorCode::TooLarge,
                format!(
                    "The password is longer than {PASSWORD_MAX_BYTES} bytes. Choose a shorter one."
                ),
            ));
        }
        self.compute(move || digest(&password)).await
    }

    async fn compute<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let slot = tokio::time::timeout(HASH_WAIT, Arc::clone(&self.slots).acquire_owned()).await;
        let Ok(Ok(slot)) = slot else {
            return Err(CallError {
                retry_after_ms: Some(FIRST_WAIT_MS),
                ..CallError::new(
                    ErrorCode::RateLimited,
                    "Too many people sign in at this moment. Try again in a second.",
                )
            });
        };
        // The slot goes with the work, so that a request that was given up still counts.
        tokio::task::spawn_blocking(move || {
            let result = job();
            drop(slot);
            result
        })
        .await
        .unwrap_or_else(|error| Err(defect(&error)))
    }

    fn count(&self, address: IpAddr) -> Result<(), CallError> {
        let now_ms = self.clock.now_ms();
        let mut failures = self.lock();
        let Failures { by_address, all } = &mut *failures;
        let own = by_address.entry(address, now_ms);
        let wait_ms = own
            .wait_until_ms
            .max(all.wait_until_ms)
            .saturating_sub(now_ms);
        if wait_ms > 0 {
            return Err(CallError {
                retry_after_ms: Some(wait_ms),
                ..CallError::new(
                    ErrorCode::RateLimited,
                    format!(
                        "Too many wrong passwords. Try again in {} s, or sign in with a link from the computer that runs the backend.",
                        wait_ms.div_ceil(1_000)
                    ),
                )
            });
        }
        own.fail(now_ms, FREE_FAILURES, LONGEST_WAIT_MS);
        all.fail(now_ms, FREE_FAILURES_OF_ALL, LONGEST_WAIT_OF_ALL_MS);
        Ok(())
    }

    fn forgive(&self, address: IpAddr, right: bool) {
        let now_ms = self.clock.now_ms();
        let mut failures = self.lock();
        let Failures { by_address, all } = &mut *failures;
        for count in [by_address.entry(address, now_ms), all] {
            if right {
                *count = Count::default();
            } else {
                count.failures = count.failures.saturating_sub(1);
                count.wait_until_ms = 0;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn fail(&mut self, now_ms: u64, free: u32, longest_ms: u64) {
        self.failures = self.failures.saturating_add(1);
        if let Some(beyond) = self.failures.checked_sub(free) {
            let wait_ms = FIRST_WAIT_MS
                .saturating_mul(1 << beyond.min(20))
                .min(longest_ms);
            self.wait_until_ms = now_ms.saturating_add(wait_ms);
        }
    }
}

fn digest(password: &str) -> Result<String, CallError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| defect(&error))
}

fn verify(password: &str, hash: &str) -> Result<bool, CallError> {
    let hash = PasswordHash::new(hash).map_err(|error| defect(&error))?;
    match Argon2::default().verify_password(password.as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(defect(&error)),
    }
}
