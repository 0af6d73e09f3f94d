//! Seeded simulation: the real agent core and the real backend core in a world where everything breaks. The same
//! seed gives the same run, to the last byte.

mod backend;
pub mod broken;
mod checks;
mod client;
mod commands;
pub mod faults;
mod governed;
mod inbox;
mod machine;
pub mod minimise;
mod network;
mod opencode;
mod page;
mod person;
pub mod random;
mod schedules;
mod script;
mod store;
mod transactions;
mod watch;
mod weather;
pub mod world;

use broken::Broken;
use world::{Breach, Report, Setup, Trace, World};

/// Runs the world of one seed.
///
/// # Errors
/// The promise that was broken.
pub fn run(seed: u64) -> Result<Report, Breach> {
    World::new(Setup {
        seed,
        ..Setup::default()
    })
    .run()
}

/// Runs the worlds of these seeds, on two threads, and sums up what happened in them.
///
/// # Errors
/// What broke a promise first, with the fewest faults that still do, as a text.
pub fn run_all(seeds: std::ops::Range<u64>, broken: Option<Broken>) -> Result<Report, String> {
    const THREADS: u64 = 2;
    let of_thread = |thread: u64| {
        let mut sum = Report::default();
        let seeds = seeds
            .clone()
            .skip(usize::try_from(thread).unwrap_or_default());
        for seed in seeds.step_by(usize::try_from(THREADS).unwrap_or(1)) {
            let setup = Setup {
                seed,
                broken,
                ..Setup::default()
            };
            match World::new(setup.clone()).run() {
                Ok(report) => sum.add(report),
                Err(breach) => return Err(explain(&setup, breach)),
            }
        }
        Ok(sum)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || of_thread(thread)))
            .collect();
        let mut sum = Report::default();
        for thread in threads {
            sum.add(thread.join().expect("a world does not panic")?);
        }
        Ok(sum)
    })
}

/// A broken promise for whoever looks into it: the seed, the shortest list of faults, the command.
#[must_use]
pub fn explain(setup: &Setup, breach: Breach) -> String {
    let all = breach.happened.len();
    let (_, least) = minimise::minimise(setup, breach.clone());
    let broken = setup
        .broken
        .map_or_else(String::new, |broken| format!(" with {broken:?} taken out"));
    let seed = setup.seed;
    format!(
        "seed {seed}{broken}: {}\nof {all} faults, {} are enough; {least}again: cargo run --release -p simulation -- --first {seed} --seeds 1 --trace\n",
        breach.what,
        least.happened.len(),
    )
}

/// Runs the world of one seed and keeps the account of what happens.
///
/// # Errors
/// The promise that was broken.
pub fn run_with_account(seed: u64) -> Result<Report, Breach> {
    World::new(Setup {
        seed,
        trace: Trace::Keep,
        ..Setup::default()
    })
    .run()
}

impl Report {
    /// Adds another run.
    pub fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.virtual_ms += other.virtual_ms;
        self.digest = self.digest.wrapping_add(other.digest);
        for (sums, others) in [
            (&mut self.faults, other.faults),
            (&mut self.turns, other.turns),
            (&mut self.commands, other.commands),
            (&mut self.runs, other.runs),
        ] {
            for (kind, count) in others {
                *sums.entry(kind).or_default() += count;
            }
        }
        for (kind, count) in other.acts {
            *self.acts.entry(kind).or_default() += count;
        }
    }
}
