//! Waking live readers, and the newest bytes of what they read.
//!
//! A commit publishes; a reader is told how the stream stands, not what was missed, and fetches the rest
//! itself: from the recent bytes kept here if they reach back far enough, else from the disk. So a reader
//! that is slow or was away costs nothing but its own reads.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{StreamError, StreamLimits};

/// What a commit did to a stream.
#[derive(Debug)]
pub(super) enum Change {
    /// Bytes (or none) were appended, and perhaps it was closed.
    Appended {
        start: u64,
        data: Bytes,
        closed: bool,
    },
    /// It was deleted or has expired.
    Gone,
}

/// How a stream stands, as far as commits since the first subscription tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) tail: u64,
    pub(super) closed: bool,
    pub(super) gone: bool,
}

/// One append, with the form in which SSE readers get it, made by the first of them.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) data: Bytes,
    pub(super) event: OnceLock<Option<Bytes>>,
}

impl Piece {
    pub(super) fn end(&self) -> u64 {
        self.start + u64::try_from(self.data.len()).unwrap_or(u64::MAX)
    }
}

#[derive(Debug)]
pub(super) struct Live {
    topics: Mutex<HashMap<i64, Arc<Topic>>>,
    slots: Arc<Semaphore>,
    topic_bytes: usize,
    total_bytes: usize,
    /// Bytes kept by all topics together.
    kept: AtomicUsize,
}

#[derive(Debug)]
struct Topic {
    state: watch::Sender<State>,
    recent: Mutex<VecDeque<Arc<Piece>>>,
}

impl Live {
    pub(super) fn new(limits: &StreamLimits) -> Self {
        Self {
            topics: Mutex::default(),
            slots: Arc::new(Semaphore::new(limits.live_readers)),
            topic_bytes: limits.recent_bytes,
            total_bytes: limits.recent_total_bytes,
            kept: AtomicUsize::new(0),
        }
    }

    /// Subscribes to a stream. What was committed before is for the subscriber to look up, afterwards.
    pub(super) fn subscribe(self: &Arc<Self>, stream: i64) -> Result<Subscription, StreamError> {
        let slot = Arc::clone(&self.slots)
            .try_acquire_owned()
            .map_err(|_| StreamError::TooManyReaders)?;
        let mut topics = lock(&self.topics);
        let topic = topics.entry(stream).or_insert_with(|| {
            Arc::new(Topic {
                state: watch::Sender::new(State::default()),
                recent: Mutex::default(),
            })
        });
        let changes = topic.state.subscribe();
        Ok(Subscription {
            live: Arc::clone(self),
            stream,
            topic: Arc::clone(topic),
            changes,
            _slot: slot,
        })
    }

    /// Tells the readers of a stream; called in the order of commits.
    pub(super) fn publish(&self, stream: i64, change: Change) {
        let Some(topic) = lock(&self.topics).get(&stream).cloned() else {
            return;
        };
        match change {
            Change::Appended {
                start,
                data,
                closed,
            } => {
                let tail = start + u64::try_from(data.len()).unwrap_or(u64::MAX);
                if !data.is_empty() {
                    self.keep(
                        &topic,
                        Piece {
                            start,
                            data,
                            event: OnceLock::new(),
                        },
                    );
                }
                topic.state.send_modify(|state| {
                    state.tail = tail;
                    state.closed |= closed;
                });
            }
            Change::Gone => topic.state.send_modify(|state| state.gone = true),
        }
    }

    fn keep(&self, topic: &Topic, piece: Piece) {
        let mut recent = lock(&topic.recent);
        let mut own: usize = recent.iter().map(|piece| piece.data.len()).sum();
        let added = piece.data.len();
        recent.push_back(Arc::new(piece));
        own += added;
        let others = (self.kept.fetch_add(added, Ordering::Relaxed) + added).saturating_sub(own);
        let allowed = self
            .topic_bytes
            .min(self.total_bytes.saturating_sub(others));
        while own > allowed {
            let Some(oldest) = recent.pop_front() else {
                break;
            };
            own -= oldest.data.len();
            self.kept.fetch_sub(oldest.data.len(), Ordering::Relaxed);
        }
    }
}

/// A live reader's place. Frees its slot, and with the last one of a stream its recent bytes, when dropped.
#[derive(Debug)]
pub(super) struct Subscription {
    live: Arc<Live>,
    stream: i64,
    topic: Arc<Topic>,
    changes: watch::Receiver<State>,
    _slot: OwnedSemaphorePermit,
}

impl Subscription {
    /// How the stream stands; the next [`Subscription::changed`] waits for something newer.
    pub(super) fn state(&mut self) -> State {
        *self.changes.borrow_and_update()
    }

    /// Waits for a commit after the last [`Subscription::state`].
    pub(super) async fn changed(&mut self) {
        // The sender lives in the topic that is held here.
        let _ = self.changes.changed().await;
    }

    /// The appends from `from` on, if they are still in memory and one begins there; at most `limit` bytes
    /// or one larger append.
    pub(super) fn recent(&self, from: u64, limit: usize) -> Vec<Arc<Piece>> {
        let recent = lock(&self.topic.recent);
        let Ok(first) = recent.binary_search_by_key(&from, |piece| piece.start) else {
            return Vec::new();
        };
        let mut bytes = 0;
        recent
            .range(first..)
            .take_while(|piece| {
                let fits = bytes == 0 || bytes + piece.data.len() <= limit;
                bytes += piece.data.len();
                fits
            })
            .cloned()
            .collect()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut topics = lock(&self.live.topics);
        // Subscribing needs the lock that is held, so nobody can come between.
        if self.topic.state.receiver_count() == 1 {
            topics.remove(&self.stream);
            let mut recent = lock(&self.topic.recent);
            let freed = recent.drain(..).map(|piece| piece.data.len()).sum();
            self.live.kept.fetch_sub(freed, Ordering::Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(recent_bytes: usize, recent_total_bytes: usize, live_readers: usize) -> Arc<Live> {
        let limits = StreamLimits {
            recent_bytes,
            recent_total_bytes,
            live_readers,
            ..StreamLimits::default()
        };
        Arc::new(Live::new(&limits))
    }

    fn appended(start: u64, length: usize) -> Change {
        Change::Appended {
            start,
            data: Bytes::from(vec![b'x'; length]),
            closed: false,
        }
    }

    fn starts(subscription: &Subscription, from: u64, limit: usize) -> Vec<u64> {
        subscription
            .recent(from, limit)
            .iter()
            .map(|piece| piece.start)
            .collect()
    }

    #[test]
    fn keeps_the_newest_bytes_only() {
        let live = live(100, 1_000, 10);
        let mut subscription = live.subscribe(1).expect("subscribes");
        for start in [0, 40, 80, 120] {
            live.publish(1, appended(start, 40));
        }
        assert_eq!(
            subscription.state(),
            State {
                tail: 160,
                closed: false,
                gone: false
            }
        );
        assert_eq!(starts(&subscription, 80, 1_000), [80, 120]);
        assert_eq!(starts(&subscription, 80, 50), [80]);
        assert_eq!(
            starts(&subscription, 80, 1),
            [80],
            "one append goes whatever its size"
        );
        assert_eq!(starts(&subscription, 40, 1_000), [0; 0], "gone from memory");
        assert_eq!(starts(&subscription, 90, 1_000), [0; 0], "within an append");
        assert_eq!(live.kept.load(Ordering::Relaxed), 80);
        drop(subscription);
        assert_eq!(live.kept.load(Ordering::Relaxed), 0);
        assert!(lock(&live.topics).is_empty());
    }

    #[test]
    fn keeps_no_more_than_allowed_over_all_streams() {
        let live = live(100, 150, 10);
        let (first, second) = (
            live.subscribe(1).expect("subscribes"),
            live.subscribe(2).expect("subscribes"),
        );
        live.publish(1, appended(0, 100));
        live.publish(2, appended(0, 40));
        live.publish(2, appended(40, 40));
        assert_eq!(starts(&second, 40, 1_000), [40]);
        assert_eq!(starts(&second, 0, 1_000), [0; 0]);
        drop(first);
        live.publish(2, appended(80, 40));
        assert_eq!(starts(&second, 40, 1_000), [40, 80]);
    }

    #[test]
    fn readers_are_counted() {
        let live = live(100, 100, 2);
        let first = live.subscribe(1).expect("subscribes");
        let _second = live.subscribe(1).expect("subscribes");
        assert!(matches!(
            live.subscribe(2),
            Err(StreamError::TooManyReaders)
        ));
        drop(first);
        assert!(live.subscribe(2).is_ok());
    }
}
