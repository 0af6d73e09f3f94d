//! What an answer costs on Convex: function calls, documents and bytes, counted by the bridge as Convex bills them,
//! for the product's machine and reader and beside them for the rule of `@convex-dev/agent` on the same recording.

mod bridge;
mod peer;
mod stage;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::replay::Recording;
use crate::{Failure, Found};
use bridge::Bridge;
use stage::Stage;

/// Published prices: of a million function calls, and of a gibibyte read from or written to the database, in US
/// dollars (docs.convex.dev, limits; November 2026).
const PRICE_PER_MILLION_CALLS: f64 = 2.0;
const PRICE_PER_GIB: f64 = 0.2;
/// What an answer's calls may be of the yardstick's.
const TARGET_SHARE: f64 = 0.5;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The recorded answer: a JSON array of [milliseconds, text]
    #[arg(long, value_name = "FILE")]
    recording: Option<std::path::PathBuf>,
}

/// What one way of streaming took.
#[derive(Debug, Clone)]
struct Cost {
    /// By function.
    counts: Value,
    /// From the first word to the reader's first chunk, where there is a reader.
    first_word: Option<Duration>,
}

/// The functions that stream: the others are the same however an answer is streamed.
const STREAMING: [&str; 3] = [
    "worker/chat:writeChunk",
    "worker/chat:chunks",
    "worker/chat:viewing",
];

impl Cost {
    fn of(&self, function: &str, what: &str) -> f64 {
        self.counts["functions"][function][what]
            .as_f64()
            .unwrap_or_default()
    }

    fn total(&self, what: &str) -> f64 {
        self.counts["total"][what].as_f64().unwrap_or_default()
    }

    fn streaming_calls(&self) -> f64 {
        STREAMING.iter().map(|name| self.of(name, "calls")).sum()
    }
}

pub(crate) async fn run(programs: &Found, options: &Options) -> Result<(), Failure> {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/long-answer.json");
    let recording = Recording::read(options.recording.as_deref().unwrap_or(&usual))?;
    println!(
        "recording: {} deltas, {} bytes of text, {:.1} s",
        recording.deltas.len(),
        recording.text().len(),
        recording.length().as_secs_f64()
    );
    let bridge = Bridge::start(programs).await?;
    for readers in [0, 1] {
        let ours = Stage::set(&bridge, "ours")
            .await?
            .stream(&bridge, &recording, readers)
            .await?;
        let theirs = peer::stream(&bridge, &recording, readers).await?;
        print(&recording, readers, &ours, &theirs);
    }
    bridge.stop().await;
    Ok(())
}

fn print(recording: &Recording, readers: usize, ours: &Cost, theirs: &Cost) {
    let an_hour = 3_600.0 / recording.length().as_secs_f64();
    println!("\none writer, {readers} reader(s); a streamed hour in brackets");
    for (who, cost) in [("product", ours), ("250 ms rule", theirs)] {
        let parts = STREAMING.map(|name| {
            let short = name.rsplit(':').next().unwrap_or(name);
            format!("{short} {}", cost.of(name, "calls"))
        });
        println!(
            "{who:>12}: {} streaming calls [{:.0}]: {}",
            cost.streaming_calls(),
            cost.streaming_calls() * an_hour,
            parts.join(", ")
        );
        if let Some(first_word) = cost.first_word {
            println!(
                "{:>12}  first word after {:.0} ms",
                "",
                first_word.as_secs_f64() * 1e3
            );
        }
    }
    let share = ours.streaming_calls() / theirs.streaming_calls();
    crate::figures::print_target("calls beside the rule's", share, TARGET_SHARE, "");
    let kib = ours.total("readKib") + ours.total("writtenKib");
    println!(
        "the whole turn: {} calls, {} documents read ({} KiB), {} written ({} KiB)",
        ours.total("calls"),
        ours.total("docsRead"),
        ours.total("readKib"),
        ours.total("docsWritten"),
        ours.total("writtenKib")
    );
    let calls_usd = ours.total("calls") * an_hour / 1e6 * PRICE_PER_MILLION_CALLS;
    let bytes_usd = kib * an_hour / (1024.0 * 1024.0) * PRICE_PER_GIB;
    println!(
        "an hour of such chat: {:.4} US dollars for calls, {:.4} for the database",
        calls_usd, bytes_usd
    );
}
