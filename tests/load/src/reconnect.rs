//! How soon an answer goes on after the network was cut: from when the network is back to the next piece at a reader,
//! beside a client that only tries again every second.

use std::time::{Duration, Instant};

use clap::Args;
use tokio::net::TcpStream;
use torture::proxy::{End, Proxy, Weather};
use torture::random::Random;

use crate::figures::{Samples, load_average, print_target};
use crate::person::Text;
use crate::product::{Home, Hub, Product};
use crate::{Failure, Found};

/// The target of the 95th percentile, in milliseconds.
const P95_MAX_MS: f64 = 2_000.0;
/// How long the network is away.
const AWAY_MS: (u64, u64) = (300, 2_500);
/// How long it is there in between, after the answer has gone on.
const THERE_MS: (u64, u64) = (300, 1_500);
/// The yardstick's pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// The time between two words of an answer, in milliseconds.
const PACE_MS: u32 = 20;
/// Words of an answer: some 80 s.
const WORDS: u32 = 4_000;
/// How many pieces of an answer must still be to come when it is cut.
const REST: u32 = 600;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Cuts
    #[arg(long, default_value_t = 120)]
    cuts: u32,
    /// Decides how long each one is
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) async fn run(found: &Found, options: &Options) -> Result<(), Failure> {
    let home = Home::new(found.lean).await?;
    let hub = Hub::start(found, &home, "a").await?;
    let address = hub.address_text()?.parse()?;
    let proxy = Proxy::start(address, options.seed).await?;
    let way = proxy.url();
    let product = Product::join(found, &home, hub, "a", &way, &[]).await?;
    let address = way.strip_prefix("http://").unwrap_or(&way).to_owned();
    let mut random = Random::new(options.seed, 0);
    let mut chat = product.person.start_chat(&product.worker).await?;
    chat.turn("say warm").await?;
    let (mut resumed, mut yardstick) = (Samples::default(), Samples::default());
    while resumed.count() < options.cuts as usize {
        let turn = chat.send(&format!("count {WORDS} {PACE_MS}")).await?;
        let mut text = chat.subscribe(&turn).await?;
        let begun = text.first_word().await?;
        let last = Duration::from_millis(u64::from((WORDS - REST) * PACE_MS));
        while begun.elapsed() < last && resumed.count() < options.cuts as usize {
            let away = random.time(AWAY_MS.0, AWAY_MS.1);
            let end = if random.per_cent(50) {
                End::Reset
            } else {
                End::Close
            };
            let (cut, tried) = tokio::join!(
                cut(&proxy, &mut text, away, end),
                try_every(&address, away, PAUSE)
            );
            resumed.add(cut?);
            yardstick.add(tried);
            let there = Instant::now() + random.time(THERE_MS.0, THERE_MS.1);
            while Instant::now() < there {
                text.next().await?.ok_or("the answer is too short")?;
            }
        }
        while text.next().await?.is_some() {}
        chat.complete(&turn).await?;
    }
    for (what, samples) in [
        ("an answer goes on after", &resumed),
        ("yardstick, a try every second", &yardstick),
    ] {
        println!(
            "{what}: p50 {:.0} ms, p95 {:.0} ms, most {:.0} ms ({} cuts, load {})",
            samples.median(),
            samples.quantile(0.95),
            samples.quantile(1.0),
            samples.count(),
            load_average()
        );
    }
    let p95 = resumed.quantile(0.95);
    print_target("resumed, p95", p95, P95_MAX_MS, " ms");
    println!(
        "  of the yardstick's: {:.2} (median {:.2})",
        p95 / yardstick.quantile(0.95),
        resumed.median() / yardstick.median()
    );
    chat.end().await?;
    product.stop().await
}

/// Ends every connection and lets none through for a while. Gives the time from then to the answer's next piece.
async fn cut(
    proxy: &Proxy,
    text: &mut Text,
    away: Duration,
    end: End,
) -> Result<Duration, Failure> {
    proxy.set(Weather::Refusing);
    proxy.end(end);
    let back = tokio::time::sleep(away);
    tokio::pin!(back);
    // What was on its way still comes.
    loop {
        tokio::select! {
            () = &mut back => break,
            piece = text.next() => drop(piece?.ok_or("the answer ended while it was cut off")?),
        }
    }
    proxy.set(Weather::Clear);
    let begun = Instant::now();
    let (arrived, _) = text.next().await?.ok_or("the answer ended in a cut")?;
    Ok(arrived.saturating_duration_since(begun))
}

/// How long after the network is back a client is through that tries again after each pause.
async fn try_every(address: &str, away: Duration, pause: Duration) -> Duration {
    let back = Instant::now() + away;
    loop {
        tokio::time::sleep(pause).await;
        // The proxy ends what it refuses at once: whoever is still connected is through.
        if Instant::now() >= back && TcpStream::connect(address).await.is_ok() {
            return back.elapsed();
        }
    }
}
