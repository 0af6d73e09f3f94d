//! `machines`, `workers`, `sessions`: what there is, and changing it.

use jiff::tz::TimeZone;
use protocol::Timestamp;
use protocol::functions::{
    CreateMachine, EndSession, ListMachines, ReadTranscript, RegisterWorker, RemoveWorker,
    RenameMachine, RenameWorker, RevokeMachine, ViewMachine,
};
use protocol::ids::ChatSessionId;
use protocol::state::{ChatState, MachineState};
use protocol::wire::{
    ChatSummary, CreateMachineArgs, EndSessionArgs, MachineArgs, MachineSummary, MachineView,
    NoArgs, PartBody, Presence, RegisterWorkerArgs, RenameMachineArgs, RenameWorkerArgs,
    TranscriptArgs, TurnRecord, WorkerArgs, WorkerSettings, WorkerSummary,
};
use serde_json::json;

use crate::api::{Api, pick};
use crate::cli::{
    MachinesArgs, MachinesCommand, SessionsArgs, SessionsCommand, WorkersArgs, WorkersCommand,
};
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, one_line, printable};
use crate::settings::Settings;

pub(crate) async fn machines(
    settings: &Settings,
    args: MachinesArgs,
    out: Out,
) -> Result<Exit, Failure> {
    let api = Api::of(settings)?;
    match args.command.unwrap_or(MachinesCommand::List) {
        MachinesCommand::List => {
            let machines = api.call::<ListMachines>(&NoArgs {}).await?.machines;
            if out.is_json() {
                machines.iter().try_for_each(|machine| out.value(machine))?;
            } else {
                let rows: Vec<_> = machines.iter().map(machine_row).collect();
                out.table(
                    &["NAME", "STATE", "WORKERS", "CHATS", "ASKS", "ROOT", "ID"],
                    &rows,
                )?;
            }
        }
        MachinesCommand::Add { name } => {
            let key = api
                .call::<CreateMachine>(&CreateMachineArgs { name: name.clone() })
                .await?;
            let command = format!(
                "orchestrator machine --backend {} --key {}",
                api.address(),
                key.registration_key.expose()
            );
            if out.is_json() {
                out.value(&json!({
                    "machineId": key.machine_id,
                    "name": name,
                    "registrationKey": key.registration_key,
                    "expiresAt": key.expires_at,
                    "command": command,
                }))?;
            } else {
                out.say(&format!(
                    "Run this on {}, until {}; the key works once and is not shown again:",
                    one_line(&name),
                    time(key.expires_at)
                ));
                out.line(&command)?;
            }
        }
        MachinesCommand::Rename { machine, name } => {
            let machine = api.machine(&machine).await?;
            api.call::<RenameMachine>(&RenameMachineArgs {
                machine_id: machine.id.clone(),
                name: name.clone(),
            })
            .await?;
            done(
                out,
                &format!(
                    "{} is called {} now.",
                    one_line(&machine.name),
                    one_line(&name)
                ),
                &json!({ "machineId": machine.id, "name": name }),
            )?;
        }
        MachinesCommand::Revoke { machine } => {
            let machine = api.machine(&machine).await?;
            api.call::<RevokeMachine>(&MachineArgs {
                machine_id: machine.id.clone(),
            })
            .await?;
            let text = format!(
                "{} is revoked: its credentials are void and its chat sessions closed.",
                one_line(&machine.name)
            );
            done(out, &text, &json!({ "machineId": machine.id }))?;
        }
    }
    Ok(Exit::Done)
}

pub(crate) async fn workers(
    settings: &Settings,
    args: WorkersArgs,
    out: Out,
) -> Result<Exit, Failure> {
    let api = Api::of(settings)?;
    let machine = args.machine.as_deref();
    match args.command.unwrap_or(WorkersCommand::List) {
        WorkersCommand::List => {
            let views = views(&api, machine).await?;
            let workers = views
                .iter()
                .flat_map(|view| view.workers.iter().map(|worker| (&view.machine, worker)));
            if out.is_json() {
                workers
                    .into_iter()
                    .try_for_each(|(_, worker)| out.value(worker))?;
            } else {
                let rows: Vec<_> = workers
                    .map(|(machine, worker)| worker_row(machine, worker))
                    .collect();
                out.table(
                    &["NAME", "MACHINE", "STATE", "CHATS", "DIRECTORY", "ID"],
                    &rows,
                )?;
            }
        }
        WorkersCommand::Add { directory, name } => {
            let machine = match machine {
                Some(machine) => api.machine(machine).await?,
                None => only_machine(&api).await?,
            };
            let worker = api
                .call::<RegisterWorker>(&RegisterWorkerArgs {
                    machine_id: machine.id,
                    directory,
                    name,
                    settings: WorkerSettings::default(),
                })
                .await?;
            let text = format!(
                "{} is a worker of {} for {}.",
                one_line(&worker.name),
                one_line(&machine.name),
                directory_of(&worker)
            );
            done(out, &text, &worker)?;
        }
        WorkersCommand::Rename { worker, name } => {
            let worker = worker_of(&api, machine, &worker).await?;
            api.call::<RenameWorker>(&RenameWorkerArgs {
                worker_id: worker.id.clone(),
                name: name.clone(),
            })
            .await?;
            done(
                out,
                &format!(
                    "{} is called {} now.",
                    one_line(&worker.name),
                    one_line(&name)
                ),
                &json!({ "workerId": worker.id, "name": name }),
            )?;
        }
        WorkersCommand::Remove { worker } => {
            let worker = worker_of(&api, machine, &worker).await?;
            api.call::<RemoveWorker>(&WorkerArgs {
                worker_id: worker.id.clone(),
            })
            .await?;
            let text = format!(
                "{} is removed and its chat sessions are closed; its directory stays.",
                one_line(&worker.name)
            );
            done(out, &text, &json!({ "workerId": worker.id }))?;
        }
    }
    Ok(Exit::Done)
}

pub(crate) async fn sessions(
    settings: &Settings,
    args: SessionsArgs,
    out: Out,
) -> Result<Exit, Failure> {
    let api = Api::of(settings)?;
    match args.command.unwrap_or(SessionsCommand::List { all: false }) {
        SessionsCommand::List { all } => {
            let views = views(&api, None).await?;
            let chats = views
                .iter()
                .flat_map(|view| view.chats.iter().map(move |chat| (view, chat)));
            let chats = chats.filter(|(_, chat)| all || chat.state != ChatState::Closed);
            if out.is_json() {
                chats
                    .into_iter()
                    .try_for_each(|(_, chat)| out.value(chat))?;
            } else {
                let rows: Vec<_> = chats.map(|(view, chat)| chat_row(view, chat)).collect();
                out.table(
                    &["TITLE", "WORKER", "MACHINE", "STATE", "ACTIVE", "ID"],
                    &rows,
                )?;
            }
        }
        SessionsCommand::End { session } => {
            let chat = chat_id(&session)?;
            api.call::<EndSession>(&EndSessionArgs {
                chat_session_id: chat.clone(),
                discard_worktree: false,
            })
            .await?;
            done(
                out,
                "The chat session is ended; what was said stays.",
                &json!({ "chatSessionId": chat }),
            )?;
        }
        SessionsCommand::Transcript { session } => {
            transcript(&api, &chat_id(&session)?, out).await?
        }
    }
    Ok(Exit::Done)
}

async fn transcript(api: &Api, chat: &ChatSessionId, out: Out) -> Result<(), Failure> {
    // The pages come latest first, and are wanted from the beginning.
    let mut pages = Vec::new();
    let mut before_ordinal = None;
    loop {
        let args = TranscriptArgs {
            chat_session_id: chat.clone(),
            before_ordinal,
            turn_ids: None,
        };
        let page = api.call::<ReadTranscript>(&args).await?;
        before_ordinal = page.turns.first().map(|record| record.turn.ordinal);
        let has_earlier = page.has_earlier && before_ordinal.is_some();
        pages.push(page.turns);
        if !has_earlier {
            break;
        }
    }
    pages.iter().rev().flatten().try_for_each(|record| {
        if out.is_json() {
            out.value(record)
        } else {
            show_turn(record, out)
        }
    })
}

fn show_turn(record: &TurnRecord, out: Out) -> Result<(), Failure> {
    out.line(&out.paint(
        Look::Bold,
        &format!("> {}", printable(&record.message).replace('\n', "\n> ")),
    ))?;
    for part in record.answer.iter().flat_map(|answer| &answer.parts) {
        match &part.body {
            PartBody::Text { text } => out.line(&printable(text))?,
            PartBody::Tool(call) => {
                let title = call.title.as_deref().map(one_line).unwrap_or_default();
                out.line(
                    &out.paint(
                        Look::Dim,
                        format!("[{} {title}]", one_line(&call.tool))
                            .replace(" ]", "]")
                            .as_str(),
                    ),
                )?;
            }
            PartBody::Reasoning { .. } | PartBody::Notice { .. } | PartBody::Unknown => {}
        }
    }
    let reason = record
        .turn
        .reason
        .as_deref()
        .map(|reason| format!(": {}", one_line(reason)))
        .unwrap_or_default();
    if record.turn.state != protocol::state::TurnState::Completed {
        out.line(&out.paint(
            Look::Warn,
            &format!("({}{reason})", record.turn.state.as_str()),
        ))?;
    }
    out.line("")
}

fn done(out: Out, text: &str, value: &impl serde::Serialize) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(value);
    }
    out.say(text);
    Ok(())
}

fn chat_id(text: &str) -> Result<ChatSessionId, Failure> {
    text.parse().map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("{error}. `orchestrator sessions` lists them."),
        )
    })
}

async fn views(api: &Api, machine: Option<&str>) -> Result<Vec<MachineView>, Failure> {
    let machines = match machine {
        Some(machine) => vec![api.machine(machine).await?],
        None => api.call::<ListMachines>(&NoArgs {}).await?.machines,
    };
    let mut views = Vec::new();
    for machine in machines {
        views.push(
            api.call::<ViewMachine>(&MachineArgs {
                machine_id: machine.id,
            })
            .await?,
        );
    }
    Ok(views)
}

async fn only_machine(api: &Api) -> Result<MachineSummary, Failure> {
    let mut machines = api.call::<ListMachines>(&NoArgs {}).await?.machines;
    match (machines.pop(), machines.len()) {
        (Some(machine), 0) => Ok(machine),
        (Some(_), _) => Err(Failure::new(
            Exit::Usage,
            "There are several machines. Choose one with --machine.",
        )),
        (None, _) => Err(Failure::new(
            Exit::NotFound,
            "There is no machine yet. Add one with `orchestrator machines add NAME`.",
        )),
    }
}

async fn worker_of(
    api: &Api,
    machine: Option<&str>,
    wanted: &str,
) -> Result<WorkerSummary, Failure> {
    let workers = views(api, machine)
        .await?
        .into_iter()
        .flat_map(|view| view.workers)
        .collect();
    pick("worker", wanted, workers, |worker| {
        (worker.id.as_str(), &worker.name)
    })
}

fn machine_row(machine: &MachineSummary) -> Vec<String> {
    let root = machine
        .info
        .as_ref()
        .map(|info| one_line(&info.root))
        .unwrap_or_default();
    vec![
        one_line(&machine.name),
        presence(machine),
        machine.worker_count.to_string(),
        machine.open_chat_count.to_string(),
        machine.pending_ask_count.to_string(),
        root,
        machine.id.to_string(),
    ]
}

fn presence(machine: &MachineSummary) -> String {
    match (machine.state, &machine.presence) {
        (MachineState::Created, _) => match machine.key_expires_at {
            Some(expires) => format!("waits for its key, until {}", time(expires)),
            None => "its key has expired".to_owned(),
        },
        (MachineState::Registered | MachineState::Revoked | MachineState::Unknown, presence) => {
            match presence {
                Presence::Never => "has never connected".to_owned(),
                Presence::Online { .. } => "online".to_owned(),
                Presence::Draining { .. } => "stopping".to_owned(),
                Presence::Unknown { since } => format!("unknown since {}", time(*since)),
                Presence::Offline { since } => format!("offline since {}", time(*since)),
            }
        }
    }
}

fn worker_row(machine: &MachineSummary, worker: &WorkerSummary) -> Vec<String> {
    let reason = worker
        .reason
        .as_deref()
        .map(|reason| format!(": {}", one_line(reason)))
        .unwrap_or_default();
    vec![
        one_line(&worker.name),
        one_line(&machine.name),
        format!("{}{reason}", worker.state.as_str()),
        worker.open_chat_count.to_string(),
        directory_of(worker),
        worker.id.to_string(),
    ]
}

fn directory_of(worker: &WorkerSummary) -> String {
    if worker.directory.is_empty() {
        ".".to_owned()
    } else {
        one_line(&worker.directory)
    }
}

fn chat_row(view: &MachineView, chat: &ChatSummary) -> Vec<String> {
    let worker = view
        .workers
        .iter()
        .find(|worker| worker.id == chat.worker_id)
        .map_or("(removed)", |worker| &worker.name);
    vec![
        one_line(&chat.title),
        one_line(worker),
        one_line(&view.machine.name),
        chat.state.as_str().to_owned(),
        time(chat.active_at),
        chat.id.to_string(),
    ]
}

/// A moment in the person's own time zone.
pub(crate) fn time(moment: Timestamp) -> String {
    let ms = i64::try_from(moment.as_ms()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(moment) => moment
            .to_zoned_datetime(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => "at an unknown time".to_owned(),
    }
}
