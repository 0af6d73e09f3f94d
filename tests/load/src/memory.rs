//! Resident memory of the hub and of a machine's agent: idle after their start, and idle after a chat.

use std::time::Duration;

use clap::Args;

use crate::figures::print_target;
use crate::opencode::Plain;
use crate::processes::memory;
use crate::product::{Home, Product};
use crate::{Failure, Found};

/// The targets, in MiB.
const AGENT_MAX_MIB: f64 = 20.0;
const HUB_MAX_MIB: f64 = 50.0;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long they are left alone before they count as idle, in seconds
    #[arg(long, default_value_t = 30)]
    settle: u64,
    /// Words in the chat's answer
    #[arg(long, default_value_t = 2_000)]
    words: u32,
}

pub(crate) async fn run(found: &Found, options: &Options) -> Result<(), Failure> {
    let settle = Duration::from_secs(options.settle);
    let home = Home::new(found.lean).await?;
    let product = Product::start(found, &home, "a", &[("ORCHESTRATOR_SPARES", "0")]).await?;
    let hub = product.hub_pid().ok_or("the hub ended")?;
    let agent = product.machine_pid().ok_or("the machine ended")?;

    println!("memory in MiB: resident, resident with shared pages divided, anonymous");
    tokio::time::sleep(settle).await;
    let agent_mib = print("agent, idle, nothing run yet", agent)?;
    let hub_mib = print("hub, idle, nothing run yet", hub)?;

    let mut chat = product.person.start_chat(&product.worker).await?;
    chat.turn("say hello").await?;
    let opencode = product
        .until_opencodes(1)
        .await?
        .first()
        .ok_or("no opencode")?
        .pid;
    chat.turn(&format!("count {} 0", options.words)).await?;
    chat.turn("long").await?;
    tokio::time::sleep(settle).await;
    let agent_open_mib = print("agent, idle, a chat session open", agent)?;
    let hub_open_mib = print("hub, idle, a chat session open", hub)?;
    print("its supervisor", supervisor_of(opencode)?)?;
    print("its opencode", opencode)?;
    chat.end().await?;
    product.until_opencodes(0).await?;
    tokio::time::sleep(settle).await;
    let agent_after_mib = print("agent, idle, after the chat session", agent)?;
    let hub_after_mib = print("hub, idle, after the chat session", hub)?;
    product.stop().await?;

    let plain = Plain::start(&found.opencode, &home.project(), &home).await?;
    tokio::time::sleep(settle).await;
    let yardstick = print(
        "yardstick: plain opencode serve, idle, nothing run yet",
        plain.pid().ok_or("it ended")?,
    )?;
    plain.stop().await?;

    let agent_most = agent_mib.max(agent_open_mib).max(agent_after_mib);
    let hub_most = hub_mib.max(hub_open_mib).max(hub_after_mib);
    print_target(
        "agent, the most of these",
        agent_most,
        AGENT_MAX_MIB,
        " MiB",
    );
    print_target("hub, the most of these", hub_most, HUB_MAX_MIB, " MiB");
    println!(
        "  of plain opencode's: agent {:.3}, hub {:.3}",
        agent_most / yardstick,
        hub_most / yardstick
    );
    Ok(())
}

/// Prints a process's memory; gives what is resident, in MiB.
fn print(what: &str, pid: u32) -> Result<f64, Failure> {
    let memory = memory(pid)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "  {what}: {:.1}, {:.1}, {:.1}",
        mib(memory.rss),
        mib(memory.pss),
        mib(memory.anonymous)
    );
    Ok(mib(memory.rss))
}

fn supervisor_of(pid: u32) -> Result<u32, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let parent = stat
        .rsplit_once(')')
        .and_then(|(_, fields)| fields.split_whitespace().nth(1)?.parse().ok());
    parent.ok_or_else(|| "the process has no parent".into())
}
