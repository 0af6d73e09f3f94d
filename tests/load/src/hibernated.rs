//! What chat sessions that hibernate cost their machine: no process, and how much of the agent's memory.

use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt as _;
use protocol::functions::{ReportSession, RequestCommand, StartSession, ViewCommand, ViewMachine};
use protocol::state::ChatState;
use protocol::wire::{
    CommandArgs, MachineArgs, MachineView, Operation, Presence, ReportSessionArgs,
    RequestCommandArgs, StartSessionArgs,
};
use transport_http::HttpTransport;

use crate::figures::print_target;
use crate::machines::{self, Registered};
use crate::processes::{memory, opencodes};
use crate::product::{Home, Hub, machine_command};
use crate::{Failure, Found};

/// What they may add to the agent's resident memory, in MiB.
const ADDED_MAX_MIB: f64 = 20.0;
/// How many chat sessions are set up at once.
const AT_ONCE: usize = 32;
/// Commands that are done before memory is looked at again: each changes the inbox, which is sent as a whole.
const COMMANDS: u32 = 20;
/// How long any one step may take.
const LIMIT: Duration = Duration::from_secs(120);
/// The pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Chat sessions
    #[arg(long, default_value_t = 1_000)]
    sessions: usize,
    /// How long the agent is left alone before its memory is looked at, in seconds
    #[arg(long, default_value_t = 20)]
    settle: u64,
}

/// An agent's resident memory, in MiB.
#[derive(Debug, Clone, Copy)]
struct Resident {
    started: f64,
    used: f64,
}

pub(crate) async fn run(found: &Found, options: &Options) -> Result<(), Failure> {
    let home = Home::new(found.lean).await?;
    let hub = Hub::start(found, &home, "a").await?;
    let without = of_agent(found, &home, &hub, 0, options).await?;
    let with = of_agent(found, &home, &hub, options.sessions, options).await?;
    hub.stop().await?;
    for (when, without, with) in [
        ("after its start", without.started, with.started),
        ("after 20 commands", without.used, with.used),
    ] {
        println!(
            "agent's resident memory {when}: {without:.1} MiB without, {with:.1} MiB with {} hibernated: {:.2} of it",
            options.sessions,
            with / without
        );
    }
    let added = (with.started - without.started).max(with.used - without.used);
    print_target("added, the more of both", added, ADDED_MAX_MIB, " MiB");
    Ok(())
}

async fn of_agent(
    found: &Found,
    home: &Home,
    hub: &Hub,
    sessions: usize,
    options: &Options,
) -> Result<Resident, Failure> {
    let http = HttpTransport::new(&hub.backend)?;
    let name = format!("with {sessions}");
    let machine = machines::registered(&hub.person, &http, name.clone(), "project").await?;
    hibernate(&machine, hub, &http, sessions).await?;
    let machine_dir = home.path(&name);
    let mut command = machine_command(found, home, &hub.backend, &machine_dir, &[]);
    let mut child = command
        .env(
            "ORCHESTRATOR_MACHINE_ID",
            machine.credentials.machine_id.as_str(),
        )
        .env(
            "ORCHESTRATOR_MACHINE_SECRET",
            machine.credentials.secret.expose(),
        )
        .env("ORCHESTRATOR_SPARES", "0")
        .spawn()?;
    let pid = child.id().ok_or("the agent ended")?;
    until_online(hub, &machine, sessions).await?;
    let settle = Duration::from_secs(options.settle);
    tokio::time::sleep(settle).await;
    let started = resident(pid)?;
    for number in 0..COMMANDS {
        command_done(hub, &machine, format!("made-{sessions}-{number}")).await?;
    }
    tokio::time::sleep(settle).await;
    let used = resident(pid)?;
    let processes = opencodes(&machine_dir).len();
    println!("{sessions} chat sessions hibernate: {processes} processes of opencode");
    if processes != 0 {
        return Err("a chat session that hibernates has a process".into());
    }
    drop(child.stdin.take());
    tokio::time::timeout(LIMIT, child.wait()).await??;
    Ok(Resident { started, used })
}

/// Starts chat sessions and lets them hibernate, as their agent would have done.
async fn hibernate(
    machine: &Registered,
    hub: &Hub,
    http: &HttpTransport,
    sessions: usize,
) -> Result<(), Failure> {
    let connected = machines::connect(http, machine).await?;
    let token = &connected.connection_token;
    let all = futures::stream::iter(0..sessions).map(async |number| {
        let args = StartSessionArgs {
            worker_id: machine.worker.clone(),
            title: Some(format!("A conversation about the matter number {number}")),
            model: None,
            agent: None,
            own_worktree: false,
            continues: None,
        };
        let chat = hub.person.call::<StartSession>(&args).await?;
        let states = [ChatState::Starting, ChatState::Ready, ChatState::Hibernated];
        for (seq, state) in (1..).zip(states) {
            let report = ReportSessionArgs {
                chat_session_id: chat.chat_session_id.clone(),
                state,
                reason: None,
                agent_session_id: Some(format!("ses_{number:024}")),
                seq,
            };
            machines::call::<ReportSession>(http, &report, Some(token)).await?;
        }
        Ok::<(), Failure>(())
    });
    let mut all = all.buffer_unordered(AT_ONCE);
    while let Some(done) = all.next().await {
        done?;
    }
    Ok(())
}

/// Waits until the machine is shown online with its own connection, and all chat sessions as hibernated.
async fn until_online(hub: &Hub, machine: &Registered, sessions: usize) -> Result<(), Failure> {
    let args = MachineArgs {
        machine_id: machine.credentials.machine_id.clone(),
    };
    let mut views = hub.person.watch::<ViewMachine>(&args)?;
    loop {
        let value = tokio::time::timeout(LIMIT, views.next())
            .await?
            .ok_or("the watch ended")??;
        let view: MachineView = serde_json::from_value(value)?;
        let hibernated = view.chats.iter();
        let hibernated = hibernated.filter(|chat| chat.state == ChatState::Hibernated);
        // The first epoch was the one that set them up.
        let is_own = matches!(view.machine.presence, Presence::Online { epoch, .. } if epoch > 1);
        if is_own && hibernated.count() == sessions {
            return Ok(());
        }
    }
}

async fn command_done(hub: &Hub, machine: &Registered, path: String) -> Result<(), Failure> {
    let args = RequestCommandArgs {
        machine_id: machine.credentials.machine_id.clone(),
        operation: Operation::MakeDirectory { path },
    };
    let command_id = hub.person.call::<RequestCommand>(&args).await?.command.id;
    let deadline = Instant::now() + LIMIT;
    let args = CommandArgs { command_id };
    while !hub
        .person
        .call::<ViewCommand>(&args)
        .await?
        .command
        .state
        .is_terminal()
    {
        if Instant::now() > deadline {
            return Err("a command is not done".into());
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Ok(())
}

fn resident(pid: u32) -> Result<f64, Failure> {
    Ok(memory(pid)?.rss as f64 / f64::from(1 << 20))
}
