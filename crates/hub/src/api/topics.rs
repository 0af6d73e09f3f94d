//! Waking the watches of a value.
//!
//! A topic has a version and nothing else: who is slow sees that it has changed, not how often, and looks
//! the newest value up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use protocol::backend::Topic;
use tokio::sync::watch;

#[derive(Debug, Default)]
pub(crate) struct Topics {
    versions: Mutex<HashMap<Topic, watch::Sender<u64>>>,
}

impl Topics {
    /// Subscribes; what was committed before is for the subscriber to look up, afterwards.
    pub(crate) fn subscribe(self: &Arc<Self>, topic: Topic) -> Subscription {
        let version = self.lock().entry(topic.clone()).or_default().subscribe();
        Subscription {
            topics: Arc::clone(self),
            topic,
            version,
        }
    }

    /// Says that the topic has changed.
    pub(crate) fn publish(&self, topic: &Topic) {
        if let Some(version) = self.lock().get(topic) {
            version.send_modify(|version| *version += 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, watch::Sender<u64>>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct Subscription {
    topics: Arc<Topics>,
    topic: Topic,
    version: watch::Receiver<u64>,
}

impl Subscription {
    /// Whether the topic has changed since this was last asked.
    pub(crate) fn take_change(&mut self) -> bool {
        let changed = self.version.has_changed().unwrap_or(false);
        self.version.mark_unchanged();
        changed
    }

    /// Waits until the topic has changed since [`Subscription::take_change`].
    pub(crate) async fn changed(&mut self) {
        // Waiting takes nothing: the change is left for `take_change` to see.
        let mut version = self.version.clone();
        if version.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut versions = self.topics.lock();
        // Subscribing needs the lock that is held, so nobody can come between.
        if versions
            .get(&self.topic)
            .is_some_and(|version| version.receiver_count() == 1)
        {
            versions.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Timestamp, ids::MachineId};

    use super::*;

    #[tokio::test]
    async fn many_changes_are_one_and_the_last_reader_frees_the_topic() {
        let topics = Arc::new(Topics::default());
        let topic = Topic::Machine(MachineId::generate(Timestamp::from_ms(1), [1; 10]));
        topics.publish(&topic);
        let (mut first, second) = (
            topics.subscribe(topic.clone()),
            topics.subscribe(topic.clone()),
        );
        assert!(!first.take_change());
        topics.publish(&topic);
        topics.publish(&topic);
        first.changed().await;
        assert!(first.take_change());
        assert!(!first.take_change());
        drop(first);
        assert_eq!(topics.lock().len(), 1);
        drop(second);
        assert!(topics.lock().is_empty());
    }
}
