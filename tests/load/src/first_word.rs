//! From starting a chat, and from sending a message to a running one, to the first streamed word: through the
//! product and with plain `opencode serve`, in turn.

use std::time::{Duration, Instant};

use clap::Args;

use crate::figures::{Samples, load_average, print_target};
use crate::opencode::Plain;
use crate::person::Chat;
use crate::processes::{Tap, processor_ticks};
use crate::product::{Home, Product};
use crate::{Failure, Found};

/// The targets.
const COLD_MAX_RATIO: f64 = 1.0;
const SPARE_MAX_RATIO: f64 = 0.4;
const SEND_ADDED_MAX_MS: f64 = 25.0;
/// What is asked.
const MESSAGE: &str = "say hello to whoever reads this";
/// How long nothing may happen in a process before it counts as quiet, and how long that may take.
const QUIET_FOR: Duration = Duration::from_secs(1);
const QUIET_LIMIT: Duration = Duration::from_secs(60);
/// The processor time within [`QUIET_FOR`] that is still quiet, in hundredths of a second.
const QUIET_TICKS: u64 = 5;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Chats of each kind
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Further messages in each chat
    #[arg(long, default_value_t = 5)]
    sends: u32,
}

/// What was measured of one way to chat.
#[derive(Debug, Default)]
struct Way {
    /// From starting a chat to the first word.
    start: Samples,
    /// From sending a further message to the first word of its answer.
    send: Samples,
}

pub(crate) async fn run(found: &Found, options: &Options) -> Result<(), Failure> {
    let home = Home::new(found.lean).await?;
    let without = Product::start(found, &home, "without", &[("ORCHESTRATOR_SPARES", "0")]).await?;
    let with = Product::start(found, &home, "with", &[("ORCHESTRATOR_SPARES", "1")]).await?;
    let settings = if found.lean {
        "lean settings"
    } else {
        "its default settings"
    };
    println!(
        "first word: {} chats of each kind, {} further messages in each; opencode has {settings}",
        options.rounds, options.sends
    );

    // Files that the first of all starts reads are in memory from then on.
    plain(found, &home, &mut Way::default(), options).await?;
    cold(&without, &mut Way::default(), options).await?;

    let (mut plains, mut colds, mut ratios) = (Way::default(), Way::default(), Samples::default());
    for round in 1..=options.rounds {
        let yardstick = plain(found, &home, &mut plains, options).await?;
        let product = cold(&without, &mut colds, options).await?;
        ratios.add_ms(product / yardstick);
        println!(
            "  round {round}: plain {yardstick:.0} ms, product cold {product:.0} ms, {:.2} (load {})",
            product / yardstick,
            load_average()
        );
    }
    print_target(
        "cold start to first word, median of ratios",
        ratios.median(),
        COLD_MAX_RATIO,
        "",
    );
    println!(
        "  medians: plain {:.0} ms, product {:.0} ms",
        plains.start.median(),
        colds.start.median()
    );
    print_target(
        "send to first word, added",
        colds.send.median() - plains.send.median(),
        SEND_ADDED_MAX_MS,
        " ms",
    );
    println!(
        "  medians: plain {:.1} ms, product {:.1} ms",
        plains.send.median(),
        colds.send.median()
    );

    // The directory is in use from here on.
    let mut first = with.person.start_chat(&with.worker).await?;
    first.turn(MESSAGE).await?;
    let (mut plains, mut spares, mut ratios) = (Way::default(), Way::default(), Samples::default());
    for round in 1..=options.rounds {
        let yardstick = plain(found, &home, &mut plains, options).await?;
        let processes = with.until_opencodes(2).await?;
        until_quiet(&processes).await?;
        let product = with_spare(&with, &processes, &mut spares, options).await?;
        ratios.add_ms(product / yardstick);
        println!(
            "  round {round}: plain {yardstick:.0} ms, product with a spare {product:.0} ms, {:.2} (load {})",
            product / yardstick,
            load_average()
        );
    }
    print_target(
        "start with a warm spare to first word, median of ratios",
        ratios.median(),
        SPARE_MAX_RATIO,
        "",
    );
    println!(
        "  medians: plain {:.0} ms, product {:.0} ms",
        plains.start.median(),
        spares.start.median()
    );

    first.end().await?;
    with.stop().await?;
    without.stop().await
}

/// Plain opencode, from starting its process. Gives milliseconds.
async fn plain(
    found: &Found,
    home: &Home,
    way: &mut Way,
    options: &Options,
) -> Result<f64, Failure> {
    let begun = Instant::now();
    let plain = Plain::start(&found.opencode, &home.project(), home).await?;
    let (mut events, session) =
        tokio::try_join!(plain.server.events(), plain.server.create_session())?;
    plain.server.prompt(&session, MESSAGE).await?;
    let start = events.first_word().await? - begun;
    way.start.add(start);
    events.idle().await?;
    until_quiet_process(plain.pid().ok_or("opencode ended")?).await?;
    for _ in 0..options.sends {
        let begun = Instant::now();
        plain.server.prompt(&session, MESSAGE).await?;
        way.send.add(events.first_word().await? - begun);
        events.idle().await?;
    }
    plain.stop().await?;
    Ok(start.as_secs_f64() * 1e3)
}

/// The product without a spare, from the call that starts the chat.
async fn cold(product: &Product, way: &mut Way, options: &Options) -> Result<f64, Failure> {
    product.until_opencodes(0).await?;
    let begun = Instant::now();
    let mut chat = product.person.start_chat(&product.worker).await?;
    let start = answered(&mut chat, begun).await?;
    way.start.add(start);
    until_quiet(&product.opencodes()).await?;
    for _ in 0..options.sends {
        let sent = answered(&mut chat, Instant::now()).await?;
        way.send.add(sent);
    }
    chat.end().await?;
    product.until_opencodes(0).await?;
    Ok(start.as_secs_f64() * 1e3)
}

/// The product with a spare that is ready.
async fn with_spare(
    product: &Product,
    before: &[Tap],
    way: &mut Way,
    options: &Options,
) -> Result<f64, Failure> {
    let begun = Instant::now();
    let mut chat = product.person.start_chat(&product.worker).await?;
    let start = answered(&mut chat, begun).await?;
    way.start.add(start);
    // The next spare is for the next round.
    let processes = product.until_opencodes(3).await?;
    if !before.iter().all(|tap| processes.contains(tap)) {
        return Err("the spare was ended instead of being taken".into());
    }
    until_quiet(&processes).await?;
    for _ in 0..options.sends {
        let sent = answered(&mut chat, Instant::now()).await?;
        way.send.add(sent);
    }
    chat.end().await?;
    product.until_opencodes(2).await?;
    Ok(start.as_secs_f64() * 1e3)
}

/// Sends the message; the time from `begun` to the first word. Returns when the answer is complete.
async fn answered(chat: &mut Chat, begun: Instant) -> Result<Duration, Failure> {
    let turn = chat.send(MESSAGE).await?;
    let arrived = chat.subscribe(&turn).await?.first_word().await?;
    chat.complete(&turn).await?;
    Ok(arrived - begun)
}

async fn until_quiet(processes: &[Tap]) -> Result<(), Failure> {
    for tap in processes {
        until_quiet_process(tap.pid).await?;
    }
    Ok(())
}

/// Waits until a process has done next to nothing for a while: what it does at its start is over.
async fn until_quiet_process(pid: u32) -> Result<(), Failure> {
    let deadline = Instant::now() + QUIET_LIMIT;
    while Instant::now() < deadline {
        let before = processor_ticks(pid).ok_or("a process ended")?;
        tokio::time::sleep(QUIET_FOR).await;
        if processor_ticks(pid).ok_or("a process ended")? - before <= QUIET_TICKS {
            return Ok(());
        }
    }
    Err(format!("process {pid} does not come to rest").into())
}
