//! Durable appends per second: `cargo bench -p hub --bench streams`.
//!
//! 64 producers, each with a stream of its own and one append of 256 bytes in flight. In each round, in this
//! order and on the same disk:
//! - bare fdatasync of 4 KiB;
//! - two yardsticks of bare SQLite with group commit: one row per append and nothing else; and one row with
//!   the producer's sequence number beside it, which is the least that can be fenced. Neither reads or checks;
//! - the typed interface, and HTTP over loopback;
//! - HTTP answered at once and without storing anything: what this client, axum and the machine allow.
//!
//! A disk is never twice the same, so the ratios within a round are what counts; the medians over the rounds
//! are printed last.
//!
//! `-- --dir PATH` measures on another disk; on a memory file system it shows what the processor takes.
//! `-- --peer NAME=URL` (repeatable) adds another server of the Durable Streams protocol to each round, URL
//! being where its streams live, such as `http://127.0.0.1:4437/v1/stream`.
//! `-- --profile typed` (or `http`) runs that line alone, for a profiler to watch.
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

use axum::{Router, http::StatusCode, routing::put};
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
/// Unless `--rounds N` is given.
const ROUNDS: usize = 11;
const MEASURE: Duration = Duration::from_secs(1);

struct Figure {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Ratios to the yardsticks of the same round.
    of_row: f64,
    of_row_and_seq: f64,
}

#[tokio::main]
async fn main() {
    let peers = peers();
    let place = argument("--dir").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").to_owned());
    let mut all: BTreeMap<String, Vec<Figure>> = BTreeMap::new();
    let own = [
        "fdatasync",
        "SQLite, row",
        "SQLite, row and seq",
        "typed interface",
        "HTTP",
        "HTTP, nothing stored",
    ];
    let mut order: Vec<String> = own.map(str::to_owned).into();
    order.extend(peers.iter().map(|(name, _)| name.clone()));
    let rounds = argument("--rounds").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    if let Some(line) = argument("--profile") {
        return profile(&line, &place, rounds).await;
    }
    for round in 1..=rounds {
        let directory = tempfile::tempdir_in(&place).unwrap();
        let syncs = tokio::task::block_in_place(|| fdatasync(directory.path()));
        let mut figures = vec![
            syncs,
            sqlite(directory.path(), false).await,
            sqlite(directory.path(), true).await,
        ];
        let streams = Streams::start(
            Store::open(directory.path().join("hub.db")).unwrap(),
            StreamLimits::default(),
        );
        figures.push(typed(&streams, round).await);
        let (address, server) =
            serve(Router::new().nest("/v1/streams", router(streams.clone(), Arc::new(OpenAccess))))
                .await;
        figures.push(http(address, "/v1/streams", "http", round).await);
        server.abort();
        streams.store().close().await;
        let (address, server) = serve(nothing()).await;
        figures.push(http(address, "/v1/streams", "nothing", round).await);
        server.abort();
        for (_, url) in &peers {
            let (address, base) = url;
            figures.push(http(*address, base, "peer", round).await);
        }
        let (row, row_and_seq) = (figures[1].per_second, figures[2].per_second);
        println!("round {round}");
        for (name, mut figure) in order.iter().zip(figures) {
            figure.of_row = figure.per_second / row;
            figure.of_row_and_seq = figure.per_second / row_and_seq;
            figure.print(name);
            all.entry(name.clone()).or_default().push(figure);
        }
    }
    println!("medians over {rounds} rounds of {MEASURE:?}");
    for name in &order {
        Figure::medians(&all[name]).print(name);
    }
}

/// One line alone, round after round on one database.
async fn profile(line: &str, place: &str, rounds: usize) {
    let directory = tempfile::tempdir_in(place).unwrap();
    let streams = Streams::start(
        Store::open(directory.path().join("hub.db")).unwrap(),
        StreamLimits::default(),
    );
    let (address, server) =
        serve(Router::new().nest("/v1/streams", router(streams.clone(), Arc::new(OpenAccess))))
            .await;
    for round in 1..=rounds {
        let figure = match line {
            "typed" => typed(&streams, round).await,
            "http" => http(address, "/v1/streams", "http", round).await,
            _ => panic!("--profile takes typed or http"),
        };
        figure.print(line);
    }
    server.abort();
    streams.store().close().await;
}

impl Figure {
    fn print(&self, name: &str) {
        let Self {
            per_second,
            p50_ms,
            p99_ms,
            of_row,
            of_row_and_seq,
        } = self;
        println!(
            "  {name:<22} {per_second:>8.0}/s  p50 {p50_ms:>6.2} ms  p99 {p99_ms:>6.2} ms  \
             {of_row:>5.2} of row  {of_row_and_seq:>5.2} of row and seq"
        );
    }

    fn medians(figures: &[Self]) -> Self {
        let median = |value: fn(&Self) -> f64| {
            let mut values: Vec<f64> = figures.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            per_second: median(|figure| figure.per_second),
            p50_ms: median(|figure| figure.p50_ms),
            p99_ms: median(|figure| figure.p99_ms),
            of_row: median(|figure| figure.of_row),
            of_row_and_seq: median(|figure| figure.of_row_and_seq),
        }
    }

    fn new(per_second: f64, times: &Histogram<u64>) -> Self {
        let quantile = |quantile| {
            Duration::from_micros(times.value_at_quantile(quantile)).as_secs_f64() * 1_000.0
        };
        Self {
            per_second,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            of_row: 0.0,
            of_row_and_seq: 0.0,
        }
    }
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
    tokio::time::sleep(MEASURE / 4).await;
    let (begin, before) = (Instant::now(), count.load(Ordering::Relaxed));
    tokio::time::sleep(MEASURE).await;
    let (done, elapsed) = (count.load(Ordering::Relaxed) - before, begin.elapsed());
    stop.store(true, Ordering::Relaxed);
    let mut times = Histogram::<u64>::new(3).unwrap();
    for producer in producers {
        times.add(&producer.await.unwrap().times).unwrap();
    }
    Figure::new(done as f64 / elapsed.as_secs_f64(), &times)
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
    Figure::new(times.len() as f64 / begin.elapsed().as_secs_f64(), &times)
}

/// What SQLite itself gives for the same durability: no lookups, no checks, no savepoints, nothing to read by.
async fn sqlite(directory: &Path, with_seq: bool) -> Figure {
    let path = directory.join(format!("yardstick-{with_seq}.db"));
    let (queue, mut jobs) = mpsc::channel::<(i64, i64, Vec<u8>, oneshot::Sender<()>)>(1_024);
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
            .execute_batch(
                "CREATE TABLE log (id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, data BLOB NOT NULL);
                 CREATE TABLE producer (stream INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL);",
            )
            .unwrap();
        let mut begin = connection.prepare("BEGIN IMMEDIATE").unwrap();
        let mut commit = connection.prepare("COMMIT").unwrap();
        let mut insert = connection
            .prepare("INSERT INTO log (stream, data) VALUES (?1, ?2)")
            .unwrap();
        let mut upsert = connection
            .prepare("INSERT INTO producer VALUES (?1, 0, ?2) ON CONFLICT DO UPDATE SET epoch = 0, seq = excluded.seq")
            .unwrap();
        let mut group = Vec::new();
        while let Some(job) = jobs.blocking_recv() {
            group.push(job);
            while group.len() < 256
                && let Ok(job) = jobs.try_recv()
            {
                group.push(job);
            }
            begin.execute([]).unwrap();
            for (stream, seq, data, _) in &group {
                insert.execute((stream, data)).unwrap();
                if with_seq {
                    upsert.execute((stream, seq)).unwrap();
                }
            }
            commit.execute([]).unwrap();
            for (.., reply) in group.drain(..) {
                let _ = reply.send(());
            }
        }
    });
    let figure = measure(|number, mut meter| {
        let queue = queue.clone();
        async move {
            for seq in 0.. {
                if !meter.goes_on() {
                    break;
                }
                let since = Instant::now();
                let (reply, answer) = oneshot::channel();
                let stream = i64::try_from(number).unwrap();
                queue
                    .send((stream, seq, vec![b'x'; APPEND_BYTES], reply))
                    .await
                    .unwrap();
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

async fn typed(streams: &Streams, round: usize) -> Figure {
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
                        epoch: u64::try_from(round).unwrap(),
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

async fn serve(app: Router) -> (SocketAddr, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (
        address,
        tokio::spawn(async move { axum::serve(cut_stalled(listener, STALL_LIMIT), app).await }),
    )
}

/// Takes each body and says that all is well.
fn nothing() -> Router {
    let create = async || StatusCode::CREATED;
    let append = async |_: Bytes| StatusCode::OK;
    Router::new().route("/v1/streams/{*path}", put(create).post(append))
}

/// Over kept-open connections, with a client so small that it takes little of the machine.
async fn http(address: SocketAddr, base: &str, run: &str, round: usize) -> Figure {
    measure(|number, mut meter| {
        let path = format!("{base}/{run}-{number}");
        async move {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.set_nodelay(true).unwrap();
            let mut answer = Vec::with_capacity(4_096);
            let create = format!("PUT {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n");
            connection.write_all(create.as_bytes()).await.unwrap();
            let created = status(&mut connection, &mut answer).await;
            // A peer keeps its streams from round to round; a new epoch begins each time.
            assert!(matches!(created.as_str(), "200" | "201"), "{created}: {path} at {address}");
            let body = "x".repeat(APPEND_BYTES);
            for seq in 0.. {
                if !meter.goes_on() {
                    break;
                }
                let since = Instant::now();
                let append = format!(
                    "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: text/plain\r\nproducer-id: bench\r\n\
                     producer-epoch: {round}\r\nproducer-seq: {seq}\r\ncontent-length: {APPEND_BYTES}\r\n\r\n{body}"
                );
                connection.write_all(append.as_bytes()).await.unwrap();
                assert_eq!(status(&mut connection, &mut answer).await, "200", "append {seq} to {path} at {address}");
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
