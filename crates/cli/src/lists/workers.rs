//! `workers`.

use protocol::functions::{
    ConfigureWorker, ListMachines, RegisterWorker, RemoveWorker, RenameWorker,
};
use protocol::wire::{
    ConfigureWorkerArgs, MachineSummary, NoArgs, RegisterWorkerArgs, RenameWorkerArgs, Sandbox,
    WorkerArgs, WorkerSettings, WorkerSummary,
};
use serde_json::json;

use super::{done, views};
use crate::api::{Api, pick};
use crate::cli::{WorkerSettingsArgs, WorkersArgs, WorkersCommand};
use crate::directory::Place;
use crate::exit::{Exit, Failure};
use crate::out::{Out, one_line};
use crate::settings::Settings;

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
                    &[
                        "NAME",
                        "MACHINE",
                        "STATE",
                        "CHATS",
                        "DIRECTORY",
                        "MODEL",
                        "AGENT",
                        "SANDBOX",
                        "ID",
                    ],
                    &rows,
                )?;
            }
        }
        WorkersCommand::Add {
            directory,
            name,
            settings,
        } => add(&api, machine, &directory, name, &settings, out).await?,
        WorkersCommand::Configure { worker, settings } => {
            let worker = worker_of(&api, machine, &worker).await?;
            let worker = api
                .call::<ConfigureWorker>(&ConfigureWorkerArgs {
                    worker_id: worker.id,
                    settings: settings.over(worker.settings),
                })
                .await?;
            let text = format!(
                "Chat sessions of {} that start from now on run with {}.",
                one_line(&worker.name),
                settings_of(&worker)
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

async fn add(
    api: &Api,
    machine: Option<&str>,
    directory: &str,
    name: Option<String>,
    settings: &WorkerSettingsArgs,
    out: Out,
) -> Result<(), Failure> {
    let machines = api.call::<ListMachines>(&NoArgs {}).await?.machines;
    let place = Place::find(machines, machine, directory)?;
    let wanted = settings.over(WorkerSettings::default());
    let worker = api
        .call::<RegisterWorker>(&RegisterWorkerArgs {
            machine_id: place.machine.id,
            directory: place.path,
            name,
            settings: wanted.clone(),
        })
        .await?;
    let text = format!(
        "{} is a worker of {} for {}.",
        one_line(&worker.name),
        one_line(&place.machine.name),
        directory_of(&worker)
    );
    done(out, &text, &worker)?;
    if worker.settings != wanted {
        out.say(&format!(
            "It was there already, and runs with {}. Change that with `orchestrator workers configure`.",
            settings_of(&worker)
        ));
    }
    Ok(())
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
        chosen(worker.settings.model.as_deref()),
        chosen(worker.settings.agent.as_deref()),
        sandbox_of(worker).to_owned(),
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

/// What was chosen, or that nothing was.
fn chosen(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), one_line)
}

const fn sandbox_of(worker: &WorkerSummary) -> &'static str {
    match worker.settings.sandbox {
        Sandbox::Off => "off",
        Sandbox::Workspace => "workspace",
        Sandbox::Unknown => "unknown",
    }
}

fn settings_of(worker: &WorkerSummary) -> String {
    let own = |text: Option<&str>| text.map_or_else(|| "opencode's own".to_owned(), one_line);
    format!(
        "model: {}, agent: {}, sandbox: {}",
        own(worker.settings.model.as_deref()),
        own(worker.settings.agent.as_deref()),
        sandbox_of(worker)
    )
}
