//! A writer that remembers streams against one that forgets them before each job: nobody can tell them apart.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{
    store::{Store, WriteError},
    streams::{
        Append, Create, Lifetime, Payload, Producer, ReadFrom, StreamError, StreamLimits, Streams,
    },
};

const PATHS: [&str; 3] = ["a", "b/c", "d"];
const PRODUCERS: [&str; 2] = ["one", "two"];

#[derive(Debug, Clone)]
enum Step {
    Create {
        path: usize,
        ttl_s: Option<u64>,
    },
    Append(Wanted),
    /// The last one once more, as after a lost answer.
    Again,
    /// Both in one job, the second after the first was perhaps refused.
    Two(Wanted, Wanted),
    /// A job that appends and then fails is undone alone.
    Undone(Wanted),
    /// One without a savepoint takes its group with it.
    Broken(Wanted),
    Delete {
        path: usize,
    },
    Settle,
    /// With an append before each slice; left midway if there are too few.
    SettleAmid(Vec<Wanted>),
    Wait {
        ms: u64,
    },
    Restart,
}

#[derive(Debug, Clone)]
struct Wanted {
    path: usize,
    /// Which, how many epochs on, and how far beside the number that comes next.
    producer: Option<(usize, u64, i64)>,
    bytes: usize,
    writer_seq: Option<u8>,
    close: bool,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let beside = prop_oneof![8 => Just(0_i64), 1 => Just(-1), 1 => Just(1)];
    let epochs_on = prop_oneof![9 => Just(0_u64), 1 => Just(1)];
    (
        0..PATHS.len(),
        prop::option::weighted(0.8, (0..PRODUCERS.len(), epochs_on, beside)),
        prop_oneof![4 => 1_usize..40, 1 => Just(0)],
        prop::option::weighted(0.1, b'a'..b'f'),
        prop::bool::weighted(0.08),
    )
        .prop_map(|(path, producer, bytes, writer_seq, close)| Wanted {
            path,
            producer,
            bytes,
            writer_seq,
            close,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let ttl_s = prop::option::weighted(0.2, Just(5_u64));
    prop_oneof![
        4 => (0..PATHS.len(), ttl_s).prop_map(|(path, ttl_s)| Step::Create { path, ttl_s }),
        16 => wanted().prop_map(Step::Append),
        3 => Just(Step::Again),
        3 => (wanted(), wanted()).prop_map(|(one, other)| Step::Two(one, other)),
        3 => wanted().prop_map(Step::Undone),
        2 => wanted().prop_map(Step::Broken),
        1 => (0..PATHS.len()).prop_map(|path| Step::Delete { path }),
        3 => Just(Step::Settle),
        3 => prop::collection::vec(wanted(), 0..6).prop_map(Step::SettleAmid),
        1 => (1_000_u64..6_000).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Restart),
    ]
}

/// A hub's streams, with what its producers believe of themselves.
struct Side {
    directory: TempDir,
    now_ms: Arc<AtomicU64>,
    streams: Streams,
    forgetful: bool,
    producers: BTreeMap<(usize, usize), (u64, u64)>,
    last: Option<(String, Append)>,
}

impl Side {
    fn start(forgetful: bool) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let now_ms = Arc::new(AtomicU64::new(1_000_000));
        let streams = open(&directory, &now_ms);
        Self {
            directory,
            now_ms,
            streams,
            forgetful,
            producers: BTreeMap::new(),
            last: None,
        }
    }

    async fn forget(&self) {
        let undone = self.streams.store().write(|transaction| {
            transaction.execute("INSERT INTO rows (key, value) VALUES ('x', x'')", [])?;
            Err::<(), StreamError>(StreamError::NotFound)
        });
        assert!(matches!(undone.await, Err(WriteError::Job(_))));
    }

    /// What the step led to, as text.
    async fn take(&mut self, step: &Step) -> String {
        if self.forgetful {
            self.forget().await;
        }
        match step {
            Step::Create { path, ttl_s } => {
                let create = Create {
                    content_type: Some("text/plain".to_owned()),
                    lifetime: ttl_s.map_or(Lifetime::Unlimited, |ttl_s| Lifetime::Idle { ttl_s }),
                    ..Create::default()
                };
                let path = PATHS[*path].to_owned();
                format!(
                    "{:?}",
                    self.streams.create_durably(path, create, None).await
                )
            }
            Step::Append(wanted) => {
                let append = self.append(wanted);
                let path = PATHS[wanted.path].to_owned();
                self.last = Some((path.clone(), append.clone()));
                let result = self
                    .streams
                    .append_durably(path, append.clone(), None)
                    .await;
                if let (Ok(_), Some(Producer { epoch, seq, .. }), Some((producer, ..))) =
                    (&result, append.producer, wanted.producer)
                {
                    self.producers
                        .insert((wanted.path, producer), (epoch, seq + 1));
                }
                format!("{result:?}")
            }
            Step::Again => match self.last.clone() {
                Some((path, append)) => {
                    let result = self.streams.append_durably(path, append, None).await;
                    format!("{result:?}")
                }
                None => String::new(),
            },
            Step::Two(one, other) => {
                let appends = [
                    (one.path, self.append(one)),
                    (other.path, self.append(other)),
                ];
                let streams = self.streams.clone();
                let both = self.streams.store().write(move |transaction| {
                    let both = appends.map(|(path, append)| {
                        format!("{:?}", streams.append(transaction, PATHS[path], append))
                    });
                    Ok::<_, StreamError>(both)
                });
                format!("{:?}", both.await)
            }
            Step::Undone(wanted) => {
                let (append, path) = (self.append(wanted), PATHS[wanted.path]);
                let streams = self.streams.clone();
                let undone = self.streams.store().write(move |transaction| {
                    streams.append(transaction, path, append)?;
                    Err::<(), _>(StreamError::NotFound)
                });
                format!("{:?}", undone.await)
            }
            Step::Broken(wanted) => {
                let (append, path) = (self.append(wanted), PATHS[wanted.path]);
                let streams = self.streams.clone();
                let broken = self.streams.store().write_decided(move |transaction| {
                    streams.append(transaction, path, append)?;
                    Err::<(), _>(StreamError::NotFound)
                });
                format!("{:?}", broken.await)
            }
            Step::Delete { path } => {
                let path = PATHS[*path].to_owned();
                format!("{:?}", self.streams.delete_durably(path, None).await)
            }
            Step::Settle => format!("{:?}", self.streams.settle().await),
            Step::SettleAmid(appends) => {
                let mut results = String::new();
                // The sweeper settles on its own time; two at once are refused.
                let _alone = self.streams.inner.settling.lock().await;
                let mut left = self.streams.gather().await.ok();
                for wanted in appends {
                    let append = self.append(wanted);
                    let path = PATHS[wanted.path].to_owned();
                    let result = self.streams.append_durably(path, append, None).await;
                    results.push_str(&format!("{result:?}\n"));
                    if let Some(settling) = left.take() {
                        left = self.streams.settle_slice(settling).await.expect("settles");
                    }
                }
                results
            }
            Step::Wait { ms } => {
                self.now_ms.fetch_add(*ms, Ordering::Relaxed);
                String::new()
            }
            Step::Restart => {
                self.streams.store().close().await;
                self.streams = open(&self.directory, &self.now_ms);
                String::new()
            }
        }
    }

    fn append(&self, wanted: &Wanted) -> Append {
        let body = Bytes::from(vec![b'x'; wanted.bytes]);
        let payload = Payload::new("text/plain", body, self.streams.limits()).expect("valid");
        Append {
            payload: (wanted.bytes > 0).then_some(payload),
            producer: wanted.producer.map(|(producer, epochs_on, beside)| {
                let known = self.producers.get(&(wanted.path, producer));
                let (epoch, next) = known.copied().unwrap_or_default();
                let next = if epochs_on == 0 { next } else { 0 };
                Producer {
                    id: PRODUCERS[producer].to_owned(),
                    epoch: epoch + epochs_on,
                    seq: next.saturating_add_signed(beside),
                }
            }),
            writer_seq: wanted.writer_seq.map(|seq| char::from(seq).to_string()),
            close: wanted.close,
        }
    }

    /// How each stream reads.
    async fn read(&self) -> String {
        let mut all = String::new();
        for path in PATHS {
            let read = self.streams.read_durably(path.to_owned(), ReadFrom::Start);
            all.push_str(&format!("{:?}\n", read.await));
        }
        all
    }
}

fn open(directory: &TempDir, now_ms: &Arc<AtomicU64>) -> Streams {
    let store = Store::open(directory.path().join("hub.db")).expect("opens");
    let now_ms = Arc::clone(now_ms);
    let clock = Arc::new(move || now_ms.load(Ordering::Relaxed));
    Streams::start_with_clock(store, StreamLimits::default(), clock)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn remembering_changes_nothing(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let (mut one, mut other) = (Side::start(false), Side::start(true));
            for path in 0..PATHS.len() {
                let create = Step::Create { path, ttl_s: None };
                prop_assert_eq!(one.take(&create).await, other.take(&create).await);
            }
            for step in &steps {
                prop_assert_eq!(one.take(step).await, other.take(step).await, "{:?}", step);
                prop_assert_eq!(one.read().await, other.read().await, "{:?}", step);
            }
            one.streams.store().close().await;
            other.streams.store().close().await;
            Ok(())
        })?;
    }
}

/// Somebody with a shell, against all advice.
#[tokio::test]
async fn what_another_process_changed_is_noticed() {
    let side = Side::start(false);
    let append = || {
        let payload = Payload::new(
            "text/plain",
            Bytes::from_static(b"x"),
            side.streams.limits(),
        );
        Append {
            payload: Some(payload.expect("valid")),
            ..Append::default()
        }
    };
    let create = Create {
        content_type: Some("text/plain".to_owned()),
        ..Create::default()
    };
    let path = || "a".to_owned();
    side.streams
        .create_durably(path(), create, None)
        .await
        .expect("creates");
    side.streams
        .append_durably(path(), append(), None)
        .await
        .expect("appends");
    rusqlite::Connection::open(side.streams.store().path())
        .and_then(|shell| shell.execute("DELETE FROM stream", []))
        .expect("deletes");
    assert!(matches!(
        side.streams.append_durably(path(), append(), None).await,
        Err(StreamError::NotFound)
    ));
}
