//! Kills, stops and cuts off the agent, opencode and the hub under load, and looks for what was lost, doubled
//! or left over: `tests/torture/run`. Real processes, the real opencode, a scripted model. What is promised,
//! and which command proves it, is in `docs/recovery.md`.
#![allow(clippy::print_stdout, reason = "figures are what it prints")]

mod bridge;
mod checks;
mod figures;
mod lane;
mod person;
mod plan;
mod processes;
mod product;
mod reader;
mod round;
mod strikes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// What went wrong, for whoever runs this.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Faults against the real product, and checks that nothing is lost, doubled, left over or stuck.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// How many rounds
    #[arg(long, default_value_t = 100)]
    rounds: u64,
    /// Decides every round's messages and faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The first round; with --rounds 1, a failed round again
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many products run side by side, each with its own hub, machine and chats
    #[arg(long, default_value_t = 2)]
    lanes: usize,
    /// How many chats each product has
    #[arg(long, default_value_t = 2)]
    chats: usize,
    /// What is in the middle: the hub, or the Convex functions behind the bridge
    #[arg(long, value_enum, default_value = "hub")]
    backend: product::Backend,
    /// Also machines that sleep for longer than their lease
    #[arg(long)]
    long: bool,
    /// Only faults whose kind has this in its name: "kill agent", "half-open", "sleep", ...
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Tell what happens in each round
    #[arg(long)]
    verbose: bool,
    /// The product's program [default: `orchestrator` beside this program]
    #[arg(long, value_name = "FILE", env = "ORCHESTRATOR_PROGRAM")]
    orchestrator: Option<PathBuf>,
    /// The real opencode [default: the pinned one]
    #[arg(long, value_name = "FILE")]
    opencode: Option<PathBuf>,
}

/// The programs that are tortured.
#[derive(Debug, Clone)]
struct Found {
    orchestrator: PathBuf,
    opencode: PathBuf,
}

impl Options {
    fn choice(&self) -> plan::Choice<'_> {
        plan::Choice {
            chats: self.chats,
            is_long: self.long,
            only: self.only.as_deref(),
        }
    }

    fn find(&self) -> Result<Found, Failure> {
        let beside = || Some(std::env::current_exe().ok()?.with_file_name("orchestrator"));
        let orchestrator = self
            .orchestrator
            .clone()
            .or_else(beside)
            .unwrap_or_default();
        let machine = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "x64"
        };
        let pinned = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../opencode/node_modules")
            .join(format!("opencode-linux-{machine}/bin/opencode"));
        let opencode = self.opencode.clone().unwrap_or(pinned);
        for (program, advice) in [
            (&orchestrator, "Build it with `cargo build -p cli`."),
            (
                &opencode,
                "Install it with tests/opencode/scripts/ensure-opencode.",
            ),
        ] {
            if !program.is_file() {
                return Err(format!("{} is not there. {advice}", program.display()).into());
            }
        }
        Ok(Found {
            orchestrator: orchestrator.canonicalize()?,
            opencode: opencode.canonicalize()?,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Failure> {
    let found = options.find()?;
    println!(
        "{:?}, seed {}, rounds {} to {}, {} products with {} chats each",
        options.backend,
        options.seed,
        options.first,
        options.first + options.rounds.saturating_sub(1),
        options.lanes,
        options.chats
    );
    let begun = Instant::now();
    let own = processes::Own::default();
    let reaper = processes::adopt_orphans(own.clone());
    let shared = Arc::new(lane::Shared::new(options, found, own));
    let lanes = (0..shared.options.lanes).map(|index| lane::run(index, Arc::clone(&shared)));
    // The first Ctrl-C lets the rounds that are under way end; the second one takes the processes along.
    let mut terminated = signal(SignalKind::terminate())?;
    let interrupted = async {
        let _ = tokio::signal::ctrl_c().await;
        shared.end();
        let _ = tokio::signal::ctrl_c().await;
    };
    let ended = tokio::select! {
        ended = futures::future::join_all(lanes) => ended.into_iter().collect(),
        () = interrupted => Err("interrupted".into()),
        _ = terminated.recv() => Err("terminated".into()),
    };
    reaper.abort();
    print_results(&shared.results(), begun.elapsed());
    ended
}

fn print_results(results: &lane::Results, took: Duration) {
    results.recoveries.print();
    print_counts("faults", &results.faults);
    print_counts("turns", &results.turns);
    print_counts("reasons of turns that were not completed", &results.reasons);
    print_counts("commands", &results.commands);
    println!();
    let seconds = took.as_secs_f64();
    println!(
        "{} rounds in {seconds:.0} s, {:.1} s each; {} failed",
        results.rounds,
        seconds / results.rounds.max(1) as f64,
        results.failed
    );
}

fn print_counts(what: &str, counts: &BTreeMap<String, u64>) {
    println!();
    println!("{what}:");
    for (name, count) in counts {
        println!("{count:>7}  {name}");
    }
}
