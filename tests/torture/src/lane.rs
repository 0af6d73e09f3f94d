//! A lane: one product, through round after round.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::figures::Recoveries;
use crate::plan::Plan;
use crate::processes::Own;
use crate::product::{Backend, Product};
use crate::round::{Chat, Round};
use crate::{Failure, Found, Options};

/// After so many failed rounds the rest is left out.
const FAILURES_MAX: u64 = 5;

/// How often progress is told.
const PROGRESS_ROUNDS: u64 = 10;

/// What all lanes have together.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    found: Found,
    own: Own,
    begun: Instant,
    next: AtomicU64,
    results: Mutex<Results>,
}

/// What came of the rounds.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) rounds: u64,
    pub(crate) failed: u64,
    pub(crate) recoveries: Recoveries,
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) turns: BTreeMap<String, u64>,
    pub(crate) reasons: BTreeMap<String, u64>,
    pub(crate) commands: BTreeMap<String, u64>,
}

impl Shared {
    pub(crate) fn new(options: Options, found: Found, own: Own) -> Self {
        Self {
            begun: Instant::now(),
            next: AtomicU64::new(options.first),
            options,
            found,
            own,
            results: Mutex::default(),
        }
    }

    pub(crate) fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No more rounds begin.
    pub(crate) fn end(&self) {
        self.next.store(u64::MAX / 2, Ordering::Relaxed);
    }

    /// The next round, until there have been enough of them or too many failed.
    fn next_round(&self) -> Option<u64> {
        let end = self.options.first + self.options.rounds;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < end && self.results().failed < FAILURES_MAX).then_some(number)
    }
}

/// Runs rounds until there are no more.
pub(crate) async fn run(index: usize, shared: Arc<Shared>) -> Result<(), Failure> {
    let options = &shared.options;
    let mut state: Option<(Product, Vec<Chat>)> = None;
    let mut failed = 0_u64;
    while let Some(number) = shared.next_round() {
        let (product, mut chats) = match state.take() {
            Some(state) => state,
            None => begin(&shared, number).await?,
        };
        let plan = Plan::new(options.seed, number, &options.choice());
        let mut round = Round::new(&product, &plan, index, options.verbose);
        let ended = round.run(&mut chats).await;
        note(&shared, &plan, &round);
        tell_progress(&shared);
        match ended {
            Ok(()) => state = Some((product, chats)),
            Err(failure) => {
                failed += 1;
                println!("{}", account(options, &plan, &round, &failure));
                let logs = product.logs();
                drop(chats);
                let files = product.abandon().await;
                println!("{logs}\nIts files are kept in {}.", files.display());
            }
        }
    }
    if let Some((product, chats)) = state {
        drop(chats);
        let home = product.home().to_owned();
        product.stop().await?;
        let left = crate::checks::nothing_left(&home).await;
        if !left.is_empty() {
            return Err(format!("left when all was over:\n  {}", left.join("\n  ")).into());
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(format!("{failed} rounds of lane {index} failed; see above").into()),
    }
}

fn tell_progress(shared: &Shared) {
    let rounds = shared.results().rounds;
    if rounds.is_multiple_of(PROGRESS_ROUNDS) {
        println!(
            "{rounds} rounds after {} s",
            shared.begun.elapsed().as_secs()
        );
    }
}

async fn begin(shared: &Shared, number: u64) -> Result<(Product, Vec<Chat>), Failure> {
    let options = &shared.options;
    let seed = options.seed ^ number;
    let product = Product::start(&shared.found, &shared.own, options.backend, seed).await?;
    let mut chats = Vec::new();
    for _ in 0..options.chats {
        chats.push(Chat::start(&product).await?);
    }
    Ok((product, chats))
}

fn note(shared: &Shared, plan: &Plan, round: &Round<'_>) {
    let mut results = shared.results();
    results.rounds += 1;
    let add =
        |counts: &mut BTreeMap<String, u64>, name: String| *counts.entry(name).or_default() += 1;
    let kinds = || plan.strikes.iter().map(|strike| strike.fault.kind());
    for kind in kinds() {
        add(&mut results.faults, kind);
    }
    for state in &round.turns {
        add(&mut results.turns, state.clone());
    }
    for reason in &round.reasons {
        add(&mut results.reasons, reason.clone());
    }
    for state in &round.commands {
        add(&mut results.commands, state.clone());
    }
    match round.recovery {
        Some(recovery) if round.is_passed => results.recoveries.note(kinds(), recovery),
        Some(_) | None => results.failed += 1,
    }
}

/// What happened in a round that failed, in order.
fn account(options: &Options, plan: &Plan, round: &Round<'_>, failure: &Failure) -> String {
    let mut text = format!(
        "\nROUND {} FAILED. Once more: tests/torture/run --seed {} --first {} --rounds 1 --lanes 1 --chats {}{}{}{}\n",
        plan.number,
        options.seed,
        plan.number,
        options.chats,
        match options.backend {
            Backend::Hub => "",
            Backend::Convex => " --backend convex",
        },
        if options.long { " --long" } else { "" },
        options
            .only
            .iter()
            .map(|only| format!(" --only '{only}'"))
            .collect::<String>(),
    );
    text.push_str("planned:\n");
    for strike in &plan.strikes {
        text.push_str(&format!("  {strike}\n"));
    }
    text.push_str("what happened:\n");
    for line in round.journal.lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str(&format!("what is wrong:\n  {failure}\n"));
    text
}
