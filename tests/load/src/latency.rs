//! Added latency: opencode's events at a direct subscriber, against the same text at a subscriber of the hub.
//! Both are in this process and read the same clock.

use std::time::{Duration, Instant};

use clap::Args;

use crate::figures::{Samples, load_average, print_target};
use crate::opencode::{Server, delta};
use crate::person::Chat;
use crate::product::{Home, Product};
use crate::{Failure, Found};

/// The targets, in milliseconds.
const MEDIAN_MAX_MS: f64 = 20.0;
const P99_MAX_MS: f64 = 60.0;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Words in each answer
    #[arg(long, default_value_t = 400)]
    words: u32,
    /// The time between two words, in milliseconds
    #[arg(long, default_value_t = 20)]
    pace: u32,
    /// Answers
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// Where an answer's text ended, in bytes, after something of it arrived.
type Arrivals = Vec<(usize, Instant)>;

pub(crate) async fn run(found: &Found, options: &Options) -> Result<(), Failure> {
    let home = Home::new(found.lean).await?;
    let product = Product::start(found, &home, "a", &[]).await?;
    let mut chat = product.person.start_chat(&product.worker).await?;
    chat.turn("say warm").await?;
    let taps = product.until_opencodes(1).await?;
    let server = Server::tapped(taps.first().ok_or("no opencode")?);

    println!(
        "added latency: {} answers of {} words, one every {} ms",
        options.rounds, options.words, options.pace
    );
    let mut all = Samples::default();
    for round in 1..=options.rounds {
        let added = round_of(&mut chat, &server, options).await?;
        println!(
            "  answer {round}: {} words, added p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms (load {})",
            added.count(),
            added.median(),
            added.quantile(0.99),
            added.quantile(1.0),
            load_average(),
        );
        all.extend(&added);
    }
    print_target("added latency, median", all.median(), MEDIAN_MAX_MS, " ms");
    print_target("added latency, p99", all.quantile(0.99), P99_MAX_MS, " ms");
    chat.end().await?;
    product.stop().await
}

async fn round_of(chat: &mut Chat, server: &Server, options: &Options) -> Result<Samples, Failure> {
    let expected = (1..=options.words)
        .map(|number| number.to_string().len() + 1)
        .sum();
    let mut events = server.events().await?;
    let direct = tokio::spawn(async move {
        let mut arrivals = Arrivals::new();
        let mut end = 0;
        while end < expected {
            let (arrived, events) = events.next().await?;
            for event in &events {
                if let Some(text) = delta(event) {
                    end += text.len();
                    arrivals.push((end, arrived));
                }
            }
        }
        Ok::<_, Failure>(arrivals)
    });
    let turn = chat
        .send(&format!("count {} {}", options.words, options.pace))
        .await?;
    let mut text = chat.subscribe(&turn).await?;
    let mut through = Arrivals::new();
    let mut end = 0;
    while end < expected {
        let (arrived, piece) = text.next().await?.ok_or("the answer is too short")?;
        end += piece.len();
        through.push((end, arrived));
    }
    chat.complete(&turn).await?;
    Ok(added(&direct.await??, &through))
}

/// How much later each word was there through the hub. What came in one piece counts for each of its words.
fn added(direct: &Arrivals, through: &Arrivals) -> Samples {
    let mut samples = Samples::default();
    let mut pieces = through.iter().peekable();
    for (end, seen) in direct {
        while pieces.next_if(|(there, _)| there < end).is_some() {}
        if let Some((_, arrived)) = pieces.peek() {
            samples.add_ms(signed_ms(*arrived, *seen));
        }
    }
    samples
}

fn signed_ms(later: Instant, earlier: Instant) -> f64 {
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    match later.checked_duration_since(earlier) {
        Some(after) => ms(after),
        None => -ms(earlier.duration_since(later)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_matched_by_where_they_end() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let direct = vec![(2, at(0)), (4, at(20)), (6, at(40))];
        let through = vec![(2, at(5)), (6, at(39))];
        let added = added(&direct, &through);
        assert_eq!(
            (
                added.count(),
                added.quantile(0.0),
                added.median(),
                added.quantile(1.0)
            ),
            (3, -1.0, 5.0, 19.0)
        );
    }
}
