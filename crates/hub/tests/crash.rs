//! What was acked survives `kill -9`, once and in order.
//!
//! The parent runs this very test program again as the process to be killed: several producers append as
//! fast as they can and report each ack on standard output; the parent kills it after so many acks, at
//! whatever point it is then, opens the database and compares.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use hub::{
    store::Store,
    streams::{Append, Create, Payload, Producer, ReadFrom, StreamLimits, Streams},
};

const ROUNDS: u64 = 20;
const PRODUCERS: u64 = 16;
const DATABASE: &str = "CRASH_TEST_DATABASE";
const ROUND: &str = "CRASH_TEST_ROUND";
const CONTENT_TYPE: &str = "text/plain";

#[tokio::test]
async fn what_was_acked_survives_kill_9() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let database = directory.path().join("hub.db");
    // By producer: what each round was acked for.
    let mut acked: BTreeMap<u64, BTreeMap<u64, u64>> = BTreeMap::new();
    for round in 0..ROUNDS {
        // A different number each time, so that the kill meets each phase of a group.
        let acks = 40 + (round * 7_919) % 461;
        for (producer, seq) in run_and_kill(&database, round, acks) {
            acked.entry(producer).or_default().insert(round, seq);
        }
        let store = Store::open(&database).expect("opens after the kill");
        let streams = Streams::start(store, StreamLimits::default());
        for (producer, rounds) in &acked {
            check(
                *producer,
                rounds,
                &written(&streams, *producer).await,
                round,
            );
            if let Some(seq) = rounds.get(&round) {
                repeat(&streams, *producer, round, *seq).await;
            }
        }
        streams.store().close().await;
    }
    assert_eq!(
        acked.len() as u64,
        PRODUCERS,
        "every producer got something through"
    );
}

/// Everything acked is there, each round's numbers are contiguous from 0, and rounds follow one another.
fn check(producer: u64, acked: &BTreeMap<u64, u64>, written: &str, last_round: u64) {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for line in written.lines() {
        let (round, seq) = line.split_once(' ').expect("whole lines only");
        let (round, seq): (u64, u64) = (
            round.parse().expect("a number"),
            seq.parse().expect("a number"),
        );
        assert!(
            last.keys()
                .next_back()
                .is_none_or(|newest| *newest <= round),
            "producer {producer}: out of order"
        );
        let expected = last.get(&round).map_or(0, |last| last + 1);
        assert_eq!(
            seq, expected,
            "producer {producer}, round {round}: each append once"
        );
        last.insert(round, seq);
    }
    for (round, seq) in acked {
        let kept = last.get(round).copied();
        assert!(
            kept >= Some(*seq),
            "producer {producer}: {seq} of round {round} was acked, {kept:?} kept after {last_round}"
        );
    }
}

/// The producer's whole stream, as any reader gets it.
async fn written(streams: &Streams, producer: u64) -> String {
    let (mut bytes, mut from) = (Vec::new(), ReadFrom::Start);
    loop {
        let page = streams.read_durably(producer.to_string(), from);
        let page = page.await.expect("reads");
        bytes.extend_from_slice(&page.body());
        if page.is_up_to_date() {
            return String::from_utf8(bytes).expect("text");
        }
        from = ReadFrom::At(page.next);
    }
}

/// The number of an append survives with its bytes: an ack that was lost on the way is given again.
async fn repeat(streams: &Streams, producer: u64, round: u64, seq: u64) {
    let repeated = streams.append_durably(
        producer.to_string(),
        append(streams, producer, round, seq),
        None,
    );
    assert!(
        repeated.await.expect("is known").duplicate,
        "producer {producer} forgot append {seq} of round {round}"
    );
}

fn append(streams: &Streams, producer: u64, round: u64, seq: u64) -> Append {
    let line = Bytes::from(format!("{round} {seq}\n"));
    Append {
        payload: Some(Payload::new(CONTENT_TYPE, line, streams.limits()).expect("valid")),
        producer: Some(Producer {
            id: producer.to_string(),
            epoch: round,
            seq,
        }),
        ..Append::default()
    }
}

/// The last number acked to each producer before the kill.
fn run_and_kill(database: &Path, round: u64, acks: u64) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "append_until_killed",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DATABASE, database)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut acked = BTreeMap::new();
    let mut count = 0;
    let mut killed = false;
    for line in lines {
        let Ok(line) = line else { break };
        // Lines of the test runner look different. A line cut by the kill has no end mark.
        let Some(ack) = line
            .strip_prefix("ack ")
            .and_then(|line| line.strip_suffix(" ."))
        else {
            continue;
        };
        let (producer, seq) = ack.split_once(' ').expect("two numbers");
        acked.insert(
            producer.parse().expect("a number"),
            seq.parse().expect("a number"),
        );
        count += 1;
        if count >= acks && !killed {
            child.kill().expect("SIGKILL");
            killed = true;
        }
    }
    let status = child.wait().expect("ends");
    assert!(
        killed && !status.success(),
        "the child ended by itself after {count} acks: {status}"
    );
    acked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the other test kills"]
async fn append_until_killed() {
    let Ok(database) = std::env::var(DATABASE) else {
        return;
    };
    let round: u64 = std::env::var(ROUND)
        .expect("given")
        .parse()
        .expect("a number");
    let streams = Streams::start(
        Store::open(database).expect("opens"),
        StreamLimits::default(),
    );
    let output = Arc::new(std::sync::Mutex::new(std::io::stdout()));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            tokio::spawn(append_for_ever(
                streams.clone(),
                producer,
                round,
                Arc::clone(&output),
            ))
        })
        .collect();
    for producer in producers {
        producer.await.expect("runs until killed");
    }
}

async fn append_for_ever(
    streams: Streams,
    producer: u64,
    round: u64,
    output: Arc<std::sync::Mutex<std::io::Stdout>>,
) {
    let path = producer.to_string();
    let create = Create {
        content_type: Some(CONTENT_TYPE.to_owned()),
        ..Create::default()
    };
    streams
        .create_durably(path.clone(), create, None)
        .await
        .expect("creates");
    for seq in 0.. {
        streams
            .append_durably(path.clone(), append(&streams, producer, round, seq), None)
            .await
            .expect("appends");
        let mut output = output.lock().expect("not poisoned");
        output
            .write_all(format!("\nack {producer} {seq} .\n").as_bytes())
            .expect("the parent reads");
        output.flush().expect("the parent reads");
    }
}
