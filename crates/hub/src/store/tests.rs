use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

use rusqlite::params;
use tempfile::TempDir;

use super::*;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn open(directory: &TempDir) -> Store {
    Store::open(directory.path().join("hub.db")).expect("opens")
}

fn put(transaction: &Transaction<'_>, key: &str) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached("INSERT INTO rows (key, value) VALUES (?1, x'00')")?
        .execute([key])
}

fn keys(connection: &Connection) -> Vec<String> {
    let mut statement = connection
        .prepare("SELECT key FROM rows ORDER BY key")
        .expect("prepares");
    statement
        .query_map([], |row| row.get(0))
        .expect("runs")
        .collect::<Result<_, _>>()
        .expect("reads")
}

/// Holds the writer inside a job, so that what is queued meanwhile becomes one group.
struct Hold {
    release: mpsc::SyncSender<()>,
}

impl Hold {
    async fn take(store: &Store) -> Self {
        let (release, released) = mpsc::sync_channel(1);
        let (holding, held) = tokio::sync::oneshot::channel();
        let store = store.clone();
        tokio::spawn(async move {
            store
                .write(move |_| {
                    let _ = holding.send(());
                    released.recv()
                })
                .await
        });
        held.await.expect("the writer holds");
        Self { release }
    }

    fn release(self) {
        self.release.send(()).expect("the writer waits");
    }
}

/// Polls the write once, which queues it, and gives back the rest.
async fn queued<T>(write: impl Future<Output = T>) -> impl Future<Output = T> + Unpin {
    let mut write = Box::pin(write);
    assert!(futures::poll!(&mut write).is_pending());
    write
}

#[tokio::test]
async fn an_answered_write_is_read_and_survives_reopening() {
    let directory = directory();
    let store = open(&directory);
    store
        .write(|transaction| put(transaction, "a"))
        .await
        .expect("writes");
    assert_eq!(store.read(keys).await.expect("reads"), ["a"]);
    store.close().await;
    assert_eq!(open(&directory).read(keys).await.expect("reads"), ["a"]);
}

#[tokio::test]
async fn a_failing_and_a_panicking_job_fall_alone() {
    let directory = directory();
    let store = open(&directory);
    let hold = Hold::take(&store).await;
    let hooks = Arc::new(AtomicUsize::new(0));
    let count = |by: usize| {
        let hooks = Arc::clone(&hooks);
        move || {
            hooks.fetch_add(by, Ordering::SeqCst);
        }
    };
    let (good, bad, worse) = (count(1), count(10), count(100));
    let first = queued(store.write(move |transaction| {
        transaction.after_commit(good);
        put(transaction, "first")
    }))
    .await;
    let failing = queued(store.write(move |transaction| {
        transaction.after_commit(bad);
        put(transaction, "undone").map_err(|_| "unexpected")?;
        Err::<(), _>("refused")
    }))
    .await;
    let panicking = queued(store.write(move |transaction| {
        transaction.after_commit(worse);
        put(transaction, "undone too").expect("inserts");
        assert_eq!(transaction.total_changes(), 0, "on purpose");
        Ok::<_, ()>(())
    }))
    .await;
    let last = queued(store.write(|transaction| put(transaction, "last"))).await;
    hold.release();

    first.await.expect("stands");
    assert!(matches!(failing.await, Err(WriteError::Job("refused"))));
    let panicked = panicking.await.expect_err("panicked");
    assert!(!panicked.is_retryable());
    assert!(
        format!("{panicked:?}").contains("on purpose"),
        "{panicked:?}"
    );
    last.await.expect("stands");
    assert_eq!(store.read(keys).await.expect("reads"), ["first", "last"]);
    assert_eq!(
        hooks.load(Ordering::SeqCst),
        1,
        "only the hook of what was committed ran"
    );
}

#[tokio::test]
async fn a_dropped_future_breaks_nothing() {
    let directory = directory();
    let store = open(&directory);
    let hold = Hold::take(&store).await;
    drop(queued(store.write(|transaction| put(transaction, "dropped"))).await);
    let kept = queued(store.write(|transaction| put(transaction, "kept"))).await;
    hold.release();
    kept.await.expect("writes");
    assert_eq!(store.read(keys).await.expect("reads"), ["dropped", "kept"]);
}

#[tokio::test]
async fn a_full_disk_is_told_to_the_whole_group_and_passes() {
    let directory = directory();
    let path = directory.path().join("hub.db");
    let store = Store::open_with(
        &path,
        &StoreOptions {
            max_pages: Some(64),
            ..StoreOptions::default()
        },
    )
    .expect("opens");
    let big = |transaction: &Transaction<'_>, key: &str, pages: usize| {
        transaction.execute(
            "INSERT INTO rows (key, value) VALUES (?1, ?2)",
            params![key, vec![0_u8; pages * 4_096]],
        )
    };
    store
        .write(move |transaction| big(transaction, "base", 8))
        .await
        .expect("fits");

    let hold = Hold::take(&store).await;
    let hooks = Arc::new(AtomicUsize::new(0));
    let published = Arc::clone(&hooks);
    let small = queued(store.write(move |transaction| {
        transaction.after_commit(move || {
            published.fetch_add(1, Ordering::SeqCst);
        });
        put(transaction, "small")
    }))
    .await;
    let large = queued(store.write(move |transaction| big(transaction, "large", 200))).await;
    let after = queued(store.write(|transaction| put(transaction, "after"))).await;
    hold.release();

    let (small, large) = (
        small.await.expect_err("undone"),
        large.await.expect_err("too large"),
    );
    assert!(matches!(small, WriteError::NotCommitted(_)), "{small:?}");
    assert!(small.is_retryable() && large.is_retryable());
    assert_eq!(
        hooks.load(Ordering::SeqCst),
        0,
        "nothing may be published that is not on disk"
    );
    after
        .await
        .expect("the rest of the group gets a transaction of its own");

    store
        .write(|transaction| put(transaction, "small"))
        .await
        .expect("the retry works");
    assert_eq!(
        store.read(keys).await.expect("reads"),
        ["after", "base", "small"]
    );
}

#[tokio::test]
async fn two_hubs_cannot_share_a_database() {
    let directory = directory();
    let store = open(&directory);
    let second = Store::open(store.path()).expect_err("locked");
    assert!(matches!(second, OpenError::Locked { .. }));
    assert!(second.to_string().contains("another hub"), "{second}");
    store.close().await;
    drop(open(&directory));
}

#[tokio::test]
async fn a_newer_or_a_foreign_database_is_refused_untouched() {
    let directory = directory();
    let newer = directory.path().join("newer.db");
    Store::open(&newer).expect("opens").close().await;
    Connection::open(&newer)
        .expect("opens")
        .pragma_update(None, "user_version", 1_000)
        .expect("sets");
    let refused = Store::open(&newer).expect_err("newer");
    assert!(
        matches!(refused, OpenError::Newer { found: 1_000, .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("newer version"), "{refused}");

    let foreign = directory.path().join("foreign.db");
    Connection::open(&foreign)
        .expect("opens")
        .execute_batch("CREATE TABLE other (a)")
        .expect("creates");
    let before = std::fs::read(&foreign).expect("reads");
    assert!(matches!(
        Store::open(&foreign),
        Err(OpenError::Foreign { .. })
    ));
    assert_eq!(std::fs::read(&foreign).expect("reads"), before);
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = directory();
    let store = open(&directory);
    store
        .write(|transaction| put(transaction, "a"))
        .await
        .expect("writes");
    for name in ["hub.db", "hub.db-wal", "hub.db-shm", "hub.db.lock"] {
        let mode = std::fs::metadata(directory.path().join(name))
            .expect(name)
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn closing_commits_what_is_queued_and_refuses_the_rest() {
    let directory = directory();
    let store = open(&directory);
    let hold = Hold::take(&store).await;
    let waiting = queued(store.write(|transaction| put(transaction, "queued"))).await;
    let closing = queued(store.close()).await;
    hold.release();
    waiting.await.expect("committed");
    closing.await;
    assert!(matches!(
        store.write(|_| Ok::<_, ()>(())).await,
        Err(WriteError::Closed)
    ));
    assert!(matches!(store.read(|_| ()).await, Err(ReadError::Closed)));
    store.close().await;
    assert_eq!(
        open(&directory).read(keys).await.expect("reads"),
        ["queued"]
    );
}

#[tokio::test]
async fn a_panicking_read_gives_its_connection_back() {
    let directory = directory();
    let store = Store::open_with(
        directory.path().join("hub.db"),
        &StoreOptions {
            readers: 1,
            ..StoreOptions::default()
        },
    )
    .expect("opens");
    let defect = || -> usize { panic!("on purpose") };
    assert!(matches!(
        store.read(move |_| defect()).await,
        Err(ReadError::Panicked { .. })
    ));
    assert_eq!(store.read(keys).await.expect("reads"), [""; 0]);
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let directory = directory();
    let store = open(&directory);
    let refused = store
        .read(|connection| connection.execute("DELETE FROM rows", []))
        .await
        .expect("runs");
    assert!(refused.is_err());
}

#[tokio::test]
async fn nothing_is_answered_or_visible_before_its_group_is_committed() {
    let directory = directory();
    let store = open(&directory);
    let before = Hold::take(&store).await;
    let mut first = queued(store.write(|transaction| put(transaction, "first"))).await;
    // In the same group as `first`, after it.
    let (release, released) = mpsc::sync_channel(1);
    let (holding, held) = tokio::sync::oneshot::channel();
    let second = queued(store.write(move |_| {
        let _ = holding.send(());
        released.recv()
    }))
    .await;
    before.release();
    held.await
        .expect("the group has run as far as the second job");

    assert!(
        futures::poll!(&mut first).is_pending(),
        "not on disk, so not answered"
    );
    assert_eq!(
        store.read(keys).await.expect("reads"),
        [""; 0],
        "not committed, so not visible"
    );
    release.send(()).expect("the writer waits");
    first.await.expect("writes");
    second.await.expect("writes");
    assert_eq!(store.read(keys).await.expect("reads"), ["first"]);
}

#[tokio::test]
async fn a_commit_syncs_the_log() {
    let directory = directory();
    let store = open(&directory);
    let settings = store.write(|transaction| {
        let synchronous: i64 =
            transaction.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        let journal: String =
            transaction.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        Ok::<_, rusqlite::Error>((synchronous, journal))
    });
    // 2 is FULL: the log is synced by each commit, and not only when it is folded into the file.
    assert_eq!(settings.await.expect("reads"), (2, "wal".to_owned()));
}

#[tokio::test]
async fn a_decided_job_that_fails_before_it_writes_falls_alone_and_after_it_with_its_group() {
    let directory = directory();
    let store = open(&directory);
    let hold = Hold::take(&store).await;
    let first = queued(store.write_decided(|transaction| put(transaction, "first"))).await;
    let refused = queued(store.write_decided(|_| Err::<(), _>("refused"))).await;
    hold.release();
    first.await.expect("stands");
    assert!(matches!(refused.await, Err(WriteError::Job("refused"))));

    let hold = Hold::take(&store).await;
    let innocent = queued(store.write(|transaction| put(transaction, "innocent"))).await;
    let broken = queued(store.write_decided(|transaction| {
        put(transaction, "half").map_err(|_| "unexpected")?;
        Err::<(), _>("too late")
    }))
    .await;
    let after = queued(store.write(|transaction| put(transaction, "after"))).await;
    hold.release();
    assert!(innocent.await.is_err_and(|error| error.is_retryable()));
    assert!(broken.await.is_err());
    after
        .await
        .expect("the rest of the group gets a transaction of its own");
    assert_eq!(store.read(keys).await.expect("reads"), ["after", "first"]);
}
