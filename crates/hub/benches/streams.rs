//! Durable appends per second: `cargo bench -p hub --bench streams`.
//!
//! 64 producers, each with a stream of its own and one append of 256 bytes in flight. In each round, in this
//! order and on the same disk: bare fdatasync, bare SQLite with group commit (the yardstick: one row per
//! append and nothing else), the typed interface, and HTTP over loopback. A disk is never twice the same, so
//! the ratios within a round are what counts; the median over the rounds is printed last.
//!
//! `-- --dir PATH` measures on another disk; on a memory file system it shows what the processor takes.
//! `-- --peer NAME=URL` (repeatable) adds another server of the Durable Streams protocol to each round, URL
//! being where its streams live, such as `http://127.0.0.1:4437/v1/stream`.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write as _,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::Router;
use bytes::Bytes;
use hdrhistogram::Histogram;
use hub::{
    listen::{STALL_LIMIT, cut_stalled},
    store::Store,
    streams::{Append, Create, OpenAccess, Payload, Producer, StreamLimits, Streams, router},
};
use rusqlite::Connection;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
};

const PRODUCERS: usize = 64;
const APPEND_BYTES: usize = 256;
const ROUNDS: usize = 5;
const MEASURE: Duration = Duration::from_secs(3);
const YARDSTICK: &str = "SQLite, group commit";

struct Figure {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

#[tokio::main]
async fn main() {
    let peers = peers();
    let place = argument("--dir").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").to_owned());
    let mut all: BTreeMap<String, Vec<(f64, Figure)>> = BTreeMap::new();
    let mut order = vec![
        "fdatasync".to_owned(),
        YARDSTICK.to_owned(),
        "typed interface".to_owned(),
        "HTTP".to_owned(),
    ];
    order.extend(peers.iter().map(|(name, _)| name.clone()));
    for round in 1..=ROUNDS {
        let directory = tempfile::tempdir_in(&place).unwrap();
        let syncs = tokio::task::block_in_place(|| fdatasync(directory.path()));
        let mut figures = vec![syncs, sqlite(directory.path()).await];
        let streams = Streams::start(
            Store::open(directory.path().join("hub.db")).unwrap(),
            StreamLimits::default(),
        );
        figures.push(typed(&streams).await);
        let (address, server) = serve(streams.clone()).await;
        figures.push(http(address, "/v1/streams", &format!("http-{round}")).await);
        server.abort();
        streams.store().close().await;
        for (_, url) in &peers {
            let (address, base) = url;
            figures.push(
                http(
                    *address,
                    base,
                    &format!("bench-{}-{round}", std::process::id()),
                )
                .await,
            );
        }
        let yardstick = figures[1].per_second;
        println!("round {round}");
        for (name, figure) in order.iter().zip(figures) {
            let ratio = figure.per_second / yardstick;
            print(name, &figure, ratio);
            all.entry(name.clone()).or_default().push((ratio, figure));
        }
    }
    println!("median over {ROUNDS} rounds of {MEASURE:?}");
    for name in &order {
        let figures = all.get_mut(name).unwrap();
        figures.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let (ratio, figure) = &figures[ROUNDS / 2];
        print(name, figure, *ratio);
    }
}

fn print(name: &str, figure: &Figure, ratio: f64) {
    let Figure {
        per_second,
        p50_ms,
        p99_ms,
    } = figure;
    println!(
        "  {name:<24} {per_second:>8.0}/s  p50 {p50_ms:>6.2} ms  p99 {p99_ms:>6.2} ms  {ratio:>5.2} of the yardstick"
    );
}

fn argument(name: &str) -> Option<String> {
    std::env::args()
        .skip_while(|argument| argument != name)
        .nth(1)
}

fn peers() -> Vec<(String, (SocketAddr, String))> {
    let arguments: Vec<String> = std::env::args().collect();
    let values = arguments
        .windows(2)
        .filter(|pair| pair[0] == "--peer")
        .map(|pair| &pair[1]);
    values
        .map(|value| {
            let (name, url) = value.split_once('=').expect("NAME=URL");
            let rest = url.strip_prefix("http://").expect("an http address");
            let (authority, path) = rest.split_once('/').expect("a path");
            (
                name.to_owned(),
                (
                    authority.parse().expect("an address and a port"),
                    format!("/{path}"),
                ),
            )
        })
        .collect()
}

/// Runs `producers` until the time is over, and counts what they report.
async fn measure<F, Fut>(producer: F) -> Figure
where
    F: Fn(usize, Meter) -> Fut,
    Fut: Future<Output = Meter> + Send + 'static,
{
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|number| {
            let meter = Meter {
                stop: Arc::clone(&stop),
                count: Arc::clone(&count),
                times: Histogram::new(3).unwrap(),
            };
            tokio::spawn(producer(number, meter))
        })
        .collect();
    // The first acks open files, connections and caches.
    tokio::time::sleep(MEASURE / 6).await;
    let (begin, before) = (Instant::now(), count.load(Ordering::Relaxed));
    tokio::time::sleep(MEASURE).await;
    let (done, elapsed) = (count.load(Ordering::Relaxed) - before, begin.elapsed());
    stop.store(true, Ordering::Relaxed);
    let mut times = Histogram::<u64>::new(3).unwrap();
    for producer in producers {
        times.add(&producer.await.unwrap().times).unwrap();
    }
    let quantile =
        |quantile| Duration::from_micros(times.value_at_quantile(quantile)).as_secs_f64() * 1_000.0;
    Figure {
        per_second: done as f64 / elapsed.as_secs_f64(),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
    }
}

struct Meter {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    times: Histogram<u64>,
}

impl Meter {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn acked(&mut self, since: Instant) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.times
            .record(u64::try_from(since.elapsed().as_micros()).unwrap())
            .unwrap();
    }
}

fn fdatasync(directory: &Path) -> Figure {
    let mut file = File::create(directory.join("fdatasync")).unwrap();
    let page = [7_u8; 4_096];
    let mut times = Histogram::<u64>::new(3).unwrap();
    let begin = Instant::now();
    while begin.elapsed() < MEASURE {
        let since = Instant::now();
        file.write_all(&page).unwrap();
        file.sync_data().unwrap();
        times
            .record(u64::try_from(since.elapsed().as_micros()).unwrap())
            .unwrap();
    }
    let quantile =
        |quantile| Duration::from_micros(times.value_at_quantile(quantile)).as_secs_f64() * 1_000.0;
    Figure {
        per_second: times.len() as f64 / begin.elapsed().as_secs_f64(),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
    }
}

/// What SQLite itself gives for the same durability: no streams, no fencing, no savepoints.
async fn sqlite(directory: &Path) -> Figure {
    let path = directory.join("yardstick.db");
    let (queue, mut jobs) = mpsc::channel::<(Vec<u8>, oneshot::Sender<()>)>(1_024);
    let writer = std::thread::spawn(move || {
        let connection = Connection::open(path).unwrap();
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .unwrap();
        connection
            .pragma_update(None, "synchronous", "FULL")
            .unwrap();
        connection
            .pragma_update(None, "wal_autocheckpoint", 4_096)
            .unwrap();
        connection
            .execute_batch("CREATE TABLE log (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
            .unwrap();
        let mut insert = connection
            .prepare("INSERT INTO log (data) VALUES (?1)")
            .unwrap();
        let mut group = Vec::new();
        while let Some(job) = jobs.blocking_recv() {
            group.push(job);
            while group.len() < 256
                && let Ok(job) = jobs.try_recv()
            {
                group.push(job);
            }
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            for (data, _) in &group {
                insert.execute([data]).unwrap();
            }
            connection.execute_batch("COMMIT").unwrap();
            for (_, reply) in group.drain(..) {
                let _ = reply.send(());
            }
        }
    });
    let figure = measure(|_, mut meter| {
        let queue = queue.clone();
        async move {
            while meter.goes_on() {
                let since = Instant::now();
                let (reply, answer) = oneshot::channel();
                queue.send((vec![b'x'; APPEND_BYTES], reply)).await.unwrap();
                answer.await.unwrap();
                meter.acked(since);
            }
            meter
        }
    })
    .await;
    drop(queue);
    tokio::task::block_in_place(|| writer.join().unwrap());
    figure
}

async fn typed(streams: &Streams) -> Figure {
    measure(|number, mut meter| {
        let streams = streams.clone();
        async move {
            let path = format!("typed/{number}");
            let create = Create {
                content_type: Some("text/plain".to_owned()),
                ..Create::default()
            };
            streams
                .create_durably(path.clone(), create, None)
                .await
                .unwrap();
            for seq in 0.. {
                if !meter.goes_on() {
                    break;
                }
                let since = Instant::now();
                let body = Bytes::from(vec![b'x'; APPEND_BYTES]);
                let append = Append {
                    payload: Some(Payload::new("text/plain", body, streams.limits()).unwrap()),
                    producer: Some(Producer {
                        id: "bench".to_owned(),
                        epoch: 0,
                        seq,
                    }),
                    ..Append::default()
                };
                streams
                    .append_durably(path.clone(), append, None)
                    .await
                    .unwrap();
                meter.acked(since);
            }
            meter
        }
    })
    .await
}

async fn serve(streams: Streams) -> (SocketAddr, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().nest("/v1/streams", router(streams, Arc::new(OpenAccess)));
    (
        address,
        tokio::spawn(async move { axum::serve(cut_stalled(listener, STALL_LIMIT), app).await }),
    )
}

/// Over kept-open connections, with a client so small that it takes little of the machine.
async fn http(address: SocketAddr, base: &str, run: &str) -> Figure {
    measure(|number, mut meter| {
        let path = format!("{base}/{run}-{number}");
        async move {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.set_nodelay(true).unwrap();
            let mut answer = Vec::with_capacity(4_096);
            let create = format!("PUT {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n");
            connection.write_all(create.as_bytes()).await.unwrap();
            assert_eq!(status(&mut connection, &mut answer).await, "201");
            let body = "x".repeat(APPEND_BYTES);
            for seq in 0.. {
                if !meter.goes_on() {
                    break;
                }
                let since = Instant::now();
                let append = format!(
                    "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: text/plain\r\nproducer-id: bench\r\n\
                     producer-epoch: 0\r\nproducer-seq: {seq}\r\ncontent-length: {APPEND_BYTES}\r\n\r\n{body}"
                );
                connection.write_all(append.as_bytes()).await.unwrap();
                assert_eq!(status(&mut connection, &mut answer).await, "200");
                meter.acked(since);
            }
            meter
        }
    })
    .await
}

/// The status of the next answer, whose body must be empty.
async fn status(connection: &mut TcpStream, answer: &mut Vec<u8>) -> String {
    answer.clear();
    while !answer.ends_with(b"\r\n\r\n") {
        assert_ne!(
            connection.read_buf(answer).await.unwrap(),
            0,
            "the server closed the connection"
        );
    }
    String::from_utf8_lossy(answer)
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .to_owned()
}
