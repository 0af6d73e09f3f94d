//! `cargo run --release -p simulation -- --seeds 100000`: runs many worlds and prints what happened in them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

/// Runs seeded simulations of an agent and a backend and checks what is promised after every step.
#[derive(Debug, Parser)]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Print every step to standard error.
    #[arg(long)]
    trace: bool,
}

#[allow(clippy::print_stdout)]
fn main() -> ExitCode {
    let options = Options::parse();
    let begun = Instant::now();
    let (mut steps, mut virtual_ms) = (0, 0);
    let mut faults = BTreeMap::<&str, u64>::new();
    let mut turns = BTreeMap::<&str, u64>::new();
    let mut commands = BTreeMap::<&str, u64>::new();
    for seed in options.first..options.first + options.seeds {
        match simulation::run(seed, options.trace) {
            Ok(report) => {
                steps += report.steps;
                virtual_ms += report.virtual_ms;
                report
                    .faults
                    .into_iter()
                    .for_each(|(kind, count)| *faults.entry(kind).or_default() += count);
                report
                    .turns
                    .into_iter()
                    .for_each(|(end, count)| *turns.entry(end).or_default() += count);
                report
                    .commands
                    .into_iter()
                    .for_each(|(end, count)| *commands.entry(end).or_default() += count);
            }
            Err(broken) => {
                println!("seed {seed}: {broken}");
                println!(
                    "again: cargo run --release -p simulation -- --first {seed} --seeds 1 --trace"
                );
                return ExitCode::FAILURE;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let hours = virtual_ms as f64 / 3_600_000.0;
    println!(
        "{} seeds, {steps} steps, {hours:.0} simulated hours in {seconds:.1} s",
        options.seeds
    );
    println!("faults: {faults:?}");
    println!("turns: {turns:?}");
    println!("commands: {commands:?}");
    ExitCode::SUCCESS
}
