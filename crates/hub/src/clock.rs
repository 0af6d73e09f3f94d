//! The hub's clock: the wall clock, or one that a test moves by hand.

use std::time::Duration;

use tokio::sync::watch;

/// The longest sleep before the wall clock is looked at again: a computer that was suspended, or whose clock
/// was set, is late by no more than this.
const RECHECK: Duration = Duration::from_secs(1);

/// Tells the time, in milliseconds since the Unix epoch.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(watch::Receiver<u64>),
}

impl Clock {
    /// The computer's own clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// The time now.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System => {
                let elapsed = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
            }
            Source::Manual(time) => *time.borrow(),
        }
    }

    /// Waits until the clock shows that moment.
    pub(crate) async fn sleep_until(&self, at_ms: u64) {
        match &self.0 {
            Source::System => loop {
                let left = Duration::from_millis(at_ms.saturating_sub(self.now_ms()));
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(RECHECK)).await;
            },
            Source::Manual(time) => {
                // Without its hand the clock stands still for ever.
                if time.clone().wait_for(|now| *now >= at_ms).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

/// The hand of a clock for tests.
#[derive(Debug)]
pub struct ManualClock(watch::Sender<u64>);

impl ManualClock {
    /// A clock that stands at that moment.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self(watch::Sender::new(now_ms))
    }

    /// The clock, for a hub.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Source::Manual(self.0.subscribe()))
    }

    /// Sets it to that moment, be it earlier or later.
    pub fn set(&self, now_ms: u64) {
        self.0.send_replace(now_ms);
    }

    /// Moves the time on.
    pub fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.0.send_modify(|now| *now = now.saturating_add(by_ms));
    }
}
