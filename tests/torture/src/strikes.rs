//! Faults as they are done.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use torture::proxy::{End, Weather};

use crate::Failure;
use crate::plan::{Fault, Side, Strike, Target};
use crate::processes::{Handle, Process, of_home, tree};
use crate::product::Product;

/// Does it, and returns when it is over. Says what it hit.
pub(crate) async fn strike(product: &Product, strike: &Strike) -> Result<String, Failure> {
    let way = |side| match side {
        Side::Agent => &product.agent_way,
        Side::Person => &product.person_way,
    };
    match strike.fault {
        Fault::Kill {
            target: Target::Hub,
            down,
        } => product.restart_hub(down).await?,
        Fault::Kill {
            target: Target::Agent | Target::Machine,
            down,
        } => product.restart_agent(down).await?,
        Fault::Kill {
            target: target @ (Target::Opencode | Target::Supervisor),
            ..
        } => {
            let Some((pid, handle)) = one_of(product, target, strike.which) else {
                return Ok("there was none".to_owned());
            };
            handle.signal(Signal::KILL);
            return Ok(format!("process {pid}"));
        }
        Fault::Pause {
            target: Target::Hub,
            time,
        } => product.pause(&product.hub, time).await,
        Fault::Pause {
            target: Target::Agent,
            time,
        } => product.pause(&product.agent, time).await,
        Fault::Pause {
            target: Target::Machine,
            time,
        } => {
            let held = product.agent_held().await;
            let top = held.as_ref().and_then(tokio::process::Child::id);
            let processes = of_home(product.home());
            let handles: Vec<Handle> = top
                .map(|top| tree(&processes, top))
                .into_iter()
                .flatten()
                .filter_map(Handle::of)
                .collect();
            for handle in &handles {
                handle.signal(Signal::STOP);
            }
            tokio::time::sleep(time).await;
            for handle in &handles {
                handle.signal(Signal::CONT);
            }
            return Ok(format!("{} processes", handles.len()));
        }
        Fault::Pause {
            target: target @ (Target::Opencode | Target::Supervisor),
            time,
        } => {
            let Some((pid, handle)) = one_of(product, target, strike.which) else {
                return Ok("there was none".to_owned());
            };
            handle.signal(Signal::STOP);
            tokio::time::sleep(time).await;
            handle.signal(Signal::CONT);
            return Ok(format!("process {pid}"));
        }
        Fault::Network {
            side,
            weather,
            time,
            end,
        } => {
            let way = way(side);
            way.set(weather);
            if weather == Weather::Refusing {
                way.end(end.unwrap_or(End::Reset));
            }
            tokio::time::sleep(time).await;
            if weather != Weather::Refusing
                && let Some(end) = end
            {
                way.end(end);
            }
            way.set(Weather::Clear);
        }
        Fault::Cut { side, end } => way(side).end(end),
        Fault::Orphan { target, time } => {
            let orphan = one_of(product, target, strike.which);
            if let Some((_, handle)) = &orphan {
                handle.signal(Signal::STOP);
            }
            product.restart_agent(Duration::ZERO).await?;
            tokio::time::sleep(time).await;
            if let Some((pid, handle)) = orphan {
                handle.signal(Signal::CONT);
                return Ok(format!("process {pid}"));
            }
        }
        Fault::Twin { time } => product.twin(time).await?,
    }
    Ok(String::new())
}

/// One of the processes of a kind.
fn one_of(product: &Product, target: Target, which: usize) -> Option<(u32, Handle)> {
    let processes: BTreeMap<u32, Process> = of_home(product.home());
    let fitting: Vec<u32> = processes
        .values()
        .filter(|process| !process.is_zombie)
        .filter(|process| match target {
            Target::Supervisor => process.is_supervisor() && process.command.contains("opencode "),
            Target::Opencode => process.is_opencode(),
            Target::Agent | Target::Hub | Target::Machine => false,
        })
        .map(|process| process.pid)
        .collect();
    let pid = *fitting.get(which % fitting.len().max(1))?;
    Some((pid, Handle::of(pid)?))
}
