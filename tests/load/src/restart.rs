//! From the start of an agent that was killed until what it had is shown as it is: its machine online, its worker
//! ready, no chat session shown as running that is not, and what was cut off as interrupted. Beside it opencode's
//! own start, as often as chat sessions had been cut off.

use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt as _;
use futures::future::try_join_all;
use protocol::functions::ViewMachine;
use protocol::state::{ChatState, TurnState, WorkerState};
use protocol::wire::{MachineArgs, MachineView, Presence};

use crate::figures::{Samples, load_average, print_target};
use crate::opencode::Plain;
use crate::person::Chat;
use crate::product::{Home, Product};
use crate::{Failure, Found};

/// How much longer than opencode's own start it may take, in milliseconds.
const ADDED_MAX_MS: f64 = 2_000.0;
/// How long any one step may take.
const LIMIT: Duration = Duration::from_secs(120);
/// How many chat sessions begin at once: each is a start of opencode.
const AT_ONCE: usize = 2;
/// A machine with no process that it would keep in store: they are not restored.
const VARIABLES: &[(&str, &str)] = &[("ORCHESTRATOR_SPARES", "0")];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Chat sessions
    #[arg(long, default_value_t = 50)]
    sessions: usize,
    /// How many of them are answering when the agent is killed
    #[arg(long, default_value_t = 1)]
    busy: usize,
    /// How often it is killed
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// When something was first shown, after the agent's start.
#[derive(Debug, Clone, Copy)]
struct Restored {
    online: Duration,
    /// The worker and all chat sessions that were not cut off.
    sessions: Duration,
    /// Those that were.
    interrupted: Duration,
}

pub(crate) async fn run(found: &Found, options: &Options) -> Result<(), Failure> {
    let home = Home::new(found.lean).await?;
    let mut product = Product::start(found, &home, "a", VARIABLES).await?;
    let mut chats = Vec::new();
    while chats.len() < options.sessions {
        let count = AT_ONCE.min(options.sessions - chats.len());
        let begun = (0..count).map(async |_| {
            let mut chat = product.person.start_chat(&product.worker).await?;
            chat.turn("say hello").await?;
            Ok::<_, Failure>(chat)
        });
        chats.extend(try_join_all(begun).await?);
    }
    println!("{} chat sessions have answered", chats.len());

    let (mut restored, mut idle, mut own) =
        (Samples::default(), Samples::default(), Samples::default());
    for round in 1..=options.rounds {
        // As many processes as there may be.
        if round > 1 {
            for chat in &mut chats {
                chat.turn("say again").await?;
            }
        }
        let busy = options.busy.min(chats.len());
        let mut turns = Vec::new();
        for chat in &mut chats[..busy] {
            let turn = chat.send("count 2000 20").await?;
            chat.subscribe(&turn).await?.first_word().await?;
            turns.push(turn);
        }
        let running = product.opencodes().len();
        product.kill_machine().await?;
        product.until_opencodes(0).await?;
        let begun = product.start_machine(found, &home, VARIABLES)?;
        let seen = seen(&product, &mut chats[..busy], &turns, begun).await?;
        let starts = own_starts(found, &home, busy.max(1)).await?;
        println!(
            "  round {round}: {running} processes were killed, {busy} with a turn under way; online after {:.0} ms, \
             all at rest shown so after {:.0} ms, what was cut off after {:.0} ms; yardstick {:.0} ms (load {})",
            ms(seen.online),
            ms(seen.sessions),
            ms(seen.interrupted),
            ms(starts),
            load_average()
        );
        idle.add(seen.sessions);
        restored.add(seen.sessions.max(seen.interrupted));
        own.add(starts);
    }
    let target = own.median() + ADDED_MAX_MS;
    print_target(
        "all restored, the slowest round",
        restored.quantile(1.0),
        target,
        " ms",
    );
    println!(
        "  of opencode's own start ({:.0} ms): {:.2}; chat sessions at rest {:.2}",
        own.median(),
        restored.median() / own.median(),
        idle.median() / own.median()
    );
    product.stop().await
}

/// Waits until all is shown as it is.
async fn seen(
    product: &Product,
    busy: &mut [Chat],
    turns: &[protocol::ids::TurnId],
    begun: Instant,
) -> Result<Restored, Failure> {
    let (at_rest, cut_off) = tokio::join!(
        shown(product, begun, busy.len()),
        try_join_all(busy.iter_mut().zip(turns).map(async |(chat, turn)| {
            let state = chat.ended(turn).await?;
            if state != TurnState::Interrupted {
                return Err(format!("a turn that was cut off ended as {}", state.as_str()).into());
            }
            Ok::<_, Failure>(begun.elapsed())
        }))
    );
    let (online, sessions) = at_rest?;
    let interrupted = cut_off?.into_iter().fold(sessions, Duration::max);
    Ok(Restored {
        online,
        sessions,
        interrupted,
    })
}

/// When the machine is shown online, and when besides its worker as ready and all chat sessions but those that have
/// to be asked after as what they are.
async fn shown(
    product: &Product,
    begun: Instant,
    busy: usize,
) -> Result<(Duration, Duration), Failure> {
    let args = MachineArgs {
        machine_id: product.machine_id.clone(),
    };
    let mut views = product.person.watch::<ViewMachine>(&args)?;
    let mut online = None;
    loop {
        let value = tokio::time::timeout(LIMIT, views.next())
            .await?
            .ok_or("the watch ended")??;
        let view: MachineView = serde_json::from_value(value)?;
        if !matches!(view.machine.presence, Presence::Online { .. }) {
            // A connection of before the kill may still be shown.
            online = None;
            continue;
        }
        let online = *online.get_or_insert_with(|| begun.elapsed());
        let is_ready = view.workers.iter();
        let mut is_ready = is_ready.map(|worker| worker.state == WorkerState::Ready);
        let at_rest = view.chats.iter();
        let at_rest = at_rest.filter(|chat| chat.state == ChatState::Hibernated);
        if is_ready.all(|is| is) && at_rest.count() + busy >= view.chats.len() {
            return Ok((online, begun.elapsed()));
        }
    }
}

/// How long plain opencode takes to start so many times at once.
async fn own_starts(found: &Found, home: &Home, count: usize) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let project = home.project();
    let starts = (0..count).map(|_| Plain::start(&found.opencode, &project, home));
    let started = try_join_all(starts).await?;
    let took = begun.elapsed();
    for plain in started {
        plain.stop().await?;
    }
    Ok(took)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
