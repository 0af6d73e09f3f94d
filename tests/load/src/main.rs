//! Measures the running product beside a yardstick in the same run: `tests/load/run latency`, `first-word`,
//! `directory`, `convex-cost`, `memory`, `restart`, `reconnect`, `hibernated` or `storm`. The method and the figures are in `docs/performance.md`.
#![allow(clippy::print_stdout, reason = "figures are what it prints")]

mod convex;
mod directory;
mod figures;
mod first_word;
mod hibernated;
mod latency;
mod machines;
mod memory;
mod opencode;
mod person;
mod processes;
mod product;
mod reconnect;
mod replay;
mod restart;
mod storm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// What went wrong, for whoever runs this.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures the running product beside plain opencode.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    programs: Programs,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Args)]
struct Programs {
    /// The product's program [default: `orchestrator` beside this program]
    #[arg(long, global = true, value_name = "FILE")]
    orchestrator: Option<PathBuf>,
    /// The real opencode [default: the pinned one]
    #[arg(long, global = true, value_name = "FILE")]
    opencode: Option<PathBuf>,
    /// Keep opencode from the network and apart from its usual plugins and model list, both in the product
    /// and in plain opencode
    #[arg(long, global = true)]
    lean: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How much later a word is at a subscriber of the hub than at a direct subscriber of opencode
    Latency(latency::Options),
    /// From starting a chat and from sending a message to the first streamed word, beside plain opencode
    FirstWord(first_word::Options),
    /// From a request to the listing at whoever watches, beside `ls -la`; a clone beside plain `git clone`
    Directory(directory::Options),
    /// What a streamed answer costs on Convex, beside the 250 ms rule of `@convex-dev/agent`
    ConvexCost(convex::Options),
    /// The resident memory of the hub and of a machine's agent
    Memory(memory::Options),
    /// From the start of an agent that was killed until all that it had is shown as it is, beside opencode's own start
    Restart(restart::Options),
    /// How soon an answer goes on after the network was cut, beside a client that tries again every second
    Reconnect(reconnect::Options),
    /// What chat sessions that hibernate cost: processes and the agent's memory, beside an agent without any
    Hibernated(hibernated::Options),
    /// How soon all machines of a hub that was killed are online again, beside one question from each
    Storm(storm::Options),
}

/// The programs that are measured.
#[derive(Debug, Clone)]
struct Found {
    orchestrator: PathBuf,
    opencode: PathBuf,
    lean: bool,
}

impl Programs {
    fn find(self) -> Result<Found, Failure> {
        let beside = || Some(std::env::current_exe().ok()?.with_file_name("orchestrator"));
        let orchestrator = self.orchestrator.or_else(beside).unwrap_or_default();
        let machine = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "x64"
        };
        let pinned = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../opencode/node_modules")
            .join(format!("opencode-linux-{machine}/bin/opencode"));
        let opencode = self.opencode.unwrap_or(pinned);
        for (program, advice) in [
            (
                &orchestrator,
                "Build it with `cargo build --release -p cli`.",
            ),
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
            lean: self.lean,
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
    let programs = options.programs.find()?;
    figures::print_machine();
    println!(
        "measured: {}, modified {}",
        programs.orchestrator.display(),
        figures::age(&programs.orchestrator)
    );
    let measured = async {
        match options.what {
            What::Latency(options) => latency::run(&programs, &options).await,
            What::FirstWord(options) => first_word::run(&programs, &options).await,
            What::Directory(options) => directory::run(&programs, &options).await,
            What::ConvexCost(options) => convex::run(&programs, &options).await,
            What::Memory(options) => memory::run(&programs, &options).await,
            What::Restart(options) => restart::run(&programs, &options).await,
            What::Reconnect(options) => reconnect::run(&programs, &options).await,
            What::Hibernated(options) => hibernated::run(&programs, &options).await,
            What::Storm(options) => storm::run(&programs, &options).await,
        }
    };
    // Leaving in order takes the processes along.
    tokio::select! {
        measured = measured => measured,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    }
}
