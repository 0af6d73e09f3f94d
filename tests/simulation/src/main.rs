//! `cargo run --release -p simulation -- --seeds 100000`: runs many worlds and prints what happened in them.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use simulation::broken::Broken;
use simulation::world::{Report, Setup, Trace, World};

/// Runs seeded simulations of an agent and a backend and checks what is promised after every step.
#[derive(Debug, Parser)]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Print every step of the first seed to standard error, and run no other.
    #[arg(long)]
    trace: bool,
    /// With `--trace`: only the faults that are needed to break a promise, if one is broken.
    #[arg(long)]
    least: bool,
    /// Go on after a broken promise, and say of each seed which one it was.
    #[arg(long)]
    survey: bool,
    /// Take a safeguard out; a promise must be broken then.
    #[arg(long)]
    broken: Option<Broken>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let begun = Instant::now();
    let outcome = if options.trace {
        trace(&options)
    } else if options.survey {
        survey(&options)
    } else {
        simulation::run_all(options.first..options.first + options.seeds, options.broken)
    };
    match outcome {
        Ok(report) => {
            print(&options, &report, begun.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(explained) => {
            say(&explained);
            ExitCode::FAILURE
        }
    }
}

fn trace(options: &Options) -> Result<Report, String> {
    let mut setup = Setup {
        seed: options.first,
        broken: options.broken,
        ..Setup::default()
    };
    if options.least
        && let Err(breach) = World::new(setup.clone()).run()
    {
        setup = simulation::minimise::minimise(&setup, breach).0;
    }
    setup.trace = Trace::Print;
    World::new(setup).run().map_err(|breach| breach.to_string())
}

fn survey(options: &Options) -> Result<Report, String> {
    let mut sum = Report::default();
    let mut breaches = 0;
    for seed in options.first..options.first + options.seeds {
        let setup = Setup {
            seed,
            broken: options.broken,
            ..Setup::default()
        };
        match World::new(setup).run() {
            Ok(report) => sum.add(report),
            Err(breach) => {
                breaches += 1;
                say(&format!("seed {seed}: {}", breach.what));
            }
        }
    }
    if breaches > 0 {
        return Err(format!(
            "{breaches} of {} seeds broke a promise",
            options.seeds
        ));
    }
    Ok(sum)
}

fn print(options: &Options, report: &Report, seconds: f64) {
    let hours = report.virtual_ms as f64 / 3_600_000.0;
    let seeds = if options.trace { 1 } else { options.seeds };
    let faults: u64 = report.faults.values().sum();
    say(&format!(
        "{seeds} seeds, {} steps, {faults} faults, {hours:.0} simulated hours in {seconds:.1} s: {:.0} hours a second",
        report.steps,
        hours / seconds
    ));
    say(&format!("faults: {:?}", report.faults));
    say(&format!("turns: {:?}", report.turns));
    say(&format!("commands: {:?}", report.commands));
    say(&format!("runs: {:?}", report.runs));
    say(&format!("a person: {:?}", report.acts));
    say(&format!("digest of all: {:016x}", report.digest));
}

#[allow(clippy::print_stdout)]
fn say(line: &str) {
    println!("{line}");
}
