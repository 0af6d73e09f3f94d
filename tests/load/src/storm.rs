//! All machines of a hub at once: it is killed and started again, and every agent comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::Agent;
use clap::Args;
use futures::StreamExt as _;
use futures::future::try_join_all;
use protocol::functions::{ListMachines, ViewMachine};
use protocol::wire::{MachineArgs, MachineList, NoArgs, Presence};
use transport_http::HttpTransport;

use crate::figures::{Samples, load_average, print_target};
use crate::machines::{self, Registered};
use crate::person::Person;
use crate::processes::processor_ticks;
use crate::product::{Home, Hub};
use crate::replay::{Recording, Replay};
use crate::{Failure, Found};

/// The target, in milliseconds.
const SETTLED_MAX_MS: f64 = 5_000.0;
/// How many machines are set up at once.
const AT_ONCE: usize = 16;
/// How long all of them may take.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Machines
    #[arg(long, default_value_t = 500)]
    machines: usize,
    /// How often the hub is killed
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How long the hub stays away, in milliseconds: the longer, the further apart the tries are
    #[arg(long, default_value_t = 0)]
    away: u64,
}

pub(crate) async fn run(found: &Found, options: &Options) -> Result<(), Failure> {
    let home = Home::new(found.lean).await?;
    let mut hub = Hub::start(found, &home, "a").await?;
    let root = tempfile::tempdir()?;
    let person = hub.person.clone();
    let (backend, root) = (hub.backend.clone(), root.path());
    let agents = futures::stream::iter(0..options.machines).map(|number| {
        let (person, backend) = (person.clone(), backend.clone());
        async move {
            // As many computers have: a client of its own for each.
            let http = HttpTransport::new(&backend)?;
            let name = format!("machine {number}");
            let machine = machines::registered(&person, &http, name, "").await?;
            let recording = Recording { deltas: Vec::new() };
            let agent = Agent::builder(machine.credentials.clone(), root)
                .transport(Arc::new(http))
                .driver(Arc::new(Replay::new(&recording).0))
                .start()?;
            Ok::<_, Failure>((machine, agent))
        }
    });
    let agents: Vec<_> = agents.buffer_unordered(AT_ONCE).collect().await;
    let agents: Vec<_> = agents.into_iter().collect::<Result<_, _>>()?;
    let _ = until_online(&person, options.machines, Instant::now()).await?;
    println!("{} machines are online", options.machines);

    let (mut settled, mut yardstick) = (Samples::default(), Samples::default());
    for round in 1..=options.rounds {
        // Each has a connection of its own, which making a client does not open.
        let people = agents.iter().map(|_| hub.new_person());
        let people: Vec<Person> = people.collect::<Result<_, _>>()?;
        let all = agents
            .iter()
            .zip(&people)
            .map(async |((machine, _), person)| {
                let args = MachineArgs {
                    machine_id: machine.credentials.machine_id.clone(),
                };
                person.call::<ViewMachine>(&args).await
            });
        let begun = Instant::now();
        try_join_all(all).await?;
        let asked = begun.elapsed();

        let away = Duration::from_millis(options.away);
        let begun = hub.restart(found, &home, away).await?;
        let listening = begun.elapsed();
        let (half, all) = match until_online(&person, options.machines, begun).await {
            Ok(times) => times,
            Err(failure) => return Err(format!("{failure}; {}", told(&agents)).into()),
        };
        let busy = hub.pid().and_then(processor_ticks).unwrap_or_default();
        println!(
            "  round {round}: the hub listens after {:.0} ms, half are online after {:.0} ms, all after {:.0} ms; \
             its processor time {} ms (load {}); yardstick {:.0} ms",
            ms(listening),
            ms(half),
            ms(all),
            busy * 10,
            load_average(),
            ms(asked)
        );
        settled.add(all);
        yardstick.add(asked);
    }
    print_target(
        "from the hub's start to the last machine online, the most of all rounds",
        settled.quantile(1.0),
        SETTLED_MAX_MS,
        " ms",
    );
    println!(
        "  beside one question of each machine's page over a new connection, all at once ({:.0} ms): {:.2}",
        yardstick.median(),
        settled.median() / yardstick.median()
    );
    for (_, mut agent) in agents {
        agent.stop().await;
        agent.ended().await;
    }
    hub.stop().await
}

/// What the agents say that are not connected.
fn told(agents: &[(Registered, Agent)]) -> String {
    let statuses = agents.iter().map(|(machine, agent)| {
        let status = agent.status().borrow().clone();
        (machine, status)
    });
    let away = statuses.filter(|(_, status)| !status.connected);
    let lines = away.map(|(machine, status)| {
        let error = status.last_error.unwrap_or_default();
        format!("{} is not connected: {error}", machine.credentials.name)
    });
    lines.collect::<Vec<_>>().join("; ")
}

/// Waits until all machines are shown online. Gives the times since then of half of them and of all.
async fn until_online(
    person: &Person,
    machines: usize,
    since: Instant,
) -> Result<(Duration, Duration), Failure> {
    let deadline = Instant::now() + LIMIT;
    let mut half = None;
    let mut lists = person.watch::<ListMachines>(&NoArgs {})?;
    loop {
        let value = tokio::time::timeout(LIMIT, lists.next())
            .await?
            .ok_or("the watch ended")??;
        let list: MachineList = serde_json::from_value(value)?;
        let is_online = |presence: &Presence| matches!(presence, Presence::Online { .. });
        let all = list.machines.iter();
        let online = all.filter(|machine| is_online(&machine.presence)).count();
        if online * 2 >= machines {
            half.get_or_insert_with(|| since.elapsed());
        }
        if online == machines {
            let all = since.elapsed();
            return Ok((half.unwrap_or(all), all));
        }
        if Instant::now() > deadline {
            let away = list.machines.iter();
            let away = away.filter(|machine| !is_online(&machine.presence));
            let names: Vec<&str> = away.map(|machine| machine.name.as_str()).collect();
            return Err(format!("{online} of {machines} are online; not: {names:?}").into());
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
