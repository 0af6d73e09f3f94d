//! Which chat session is meant.

use std::path::Path;

use protocol::functions::{
    EndSession, ListMachines, RegisterWorker, StartSession, ViewChat, ViewMachine,
};
use protocol::ids::ChatSessionId;
use protocol::wire::{
    ChatArgs as ChatSessionArgs, ChatSummary, EndSessionArgs, MachineArgs, MachineSummary, NoArgs,
    Presence, RegisterWorkerArgs, StartSessionArgs, WorkerSettings, WorkerSummary,
};

use crate::api::{Api, pick};
use crate::cli::ChatArgs;
use crate::exit::{Exit, Failure};
use crate::machine::store::Stored;
use crate::out::{Look, Out, one_line};
use crate::settings::Settings;

/// How many chat sessions are named where one was not understood.
const CANDIDATES_SHOWN: usize = 10;

/// A chat session, and where it is, for a person.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) chat: ChatSessionId,
    pub(super) worker: String,
    pub(super) machine: String,
}

pub(super) async fn find(
    settings: &Settings,
    api: &Api,
    args: &ChatArgs,
    out: Out,
) -> Result<Target, Failure> {
    let machines = api.call::<ListMachines>(&NoArgs {}).await?.machines;
    let (machine, worker, chat) = match &args.session {
        Some(session) => earlier(api, &machines, session).await?,
        None => {
            let before = match &args.continues {
                Some(wanted) => Some(continued(api, &machines, wanted).await?),
                None => None,
            };
            let (machine, worker) = worker(settings, api, args, &machines, out).await?;
            let start = StartSessionArgs {
                worker_id: worker.id.clone(),
                title: None,
                model: args.model.clone(),
                agent: args.agent.clone(),
                own_worktree: args.own_worktree,
                continues: before.as_ref().map(|chat| chat.id.clone()),
            };
            let chat = api.call::<StartSession>(&start).await?.chat_session_id;
            if let Some(before) = before {
                is_handed_over(api, &chat, &before).await?;
                out.say(&format!(
                    "Goes on with {} ({}): what was said there is handed over with the first message, files are not. It works with what {} has in its directory.",
                    one_line(&before.title),
                    before.id,
                    one_line(&machine.name)
                ));
            }
            (machine, worker, chat)
        }
    };
    if !matches!(machine.presence, Presence::Online { .. }) {
        out.say(&format!(
            "{} {} is not online; messages wait for it.",
            out.talk(Look::Warn, "note:"),
            machine.name
        ));
    }
    Ok(Target {
        chat,
        worker: worker.name,
        machine: machine.name,
    })
}

/// The chat session whose conversation is gone on with: by its id, or by a title that is one's only.
async fn continued(
    api: &Api,
    machines: &[MachineSummary],
    wanted: &str,
) -> Result<ChatSummary, Failure> {
    if let Ok(chat_session_id) = wanted.parse() {
        let view = api
            .call::<ViewChat>(&ChatSessionArgs { chat_session_id })
            .await?;
        return Ok(view.chat);
    }
    let mut all = Vec::new();
    for machine in machines {
        let args = MachineArgs {
            machine_id: machine.id.clone(),
        };
        all.extend(api.call::<ViewMachine>(&args).await?.chats);
    }
    let (mut meant, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|chat| chat.title == wanted);
    let (what, mut candidates) = match (meant.pop(), meant.is_empty()) {
        (Some(only), true) => return Ok(only),
        (Some(last), false) => {
            meant.push(last);
            ("There are several chat sessions called", meant)
        }
        (None, _) => ("There is no chat session", others),
    };
    candidates.sort_by_key(|chat| std::cmp::Reverse(chat.active_at));
    let listed: Vec<String> = candidates
        .iter()
        .take(CANDIDATES_SHOWN)
        .map(|chat| format!("{} ({})", one_line(&chat.title), chat.id))
        .collect();
    let message = if listed.is_empty() {
        format!("{what} {wanted:?}; there is none at all.")
    } else {
        format!(
            "{what} {wanted:?}. The latest are: {}. Name the one you mean by its id; `orchestrator sessions list --all` has all of them.",
            listed.join(", ")
        )
    };
    Err(Failure::new(Exit::NotFound, message))
}

/// Sees to it that nobody writes to an agent that knows nothing of the conversation: an older backend starts a chat
/// session all the same.
async fn is_handed_over(
    api: &Api,
    chat: &ChatSessionId,
    before: &ChatSummary,
) -> Result<(), Failure> {
    let args = ChatSessionArgs {
        chat_session_id: chat.clone(),
    };
    let view = api.call::<ViewChat>(&args).await?;
    if view.chat.continues.as_ref() == Some(&before.id) {
        return Ok(());
    }
    api.call::<EndSession>(&EndSessionArgs {
        chat_session_id: chat.clone(),
        discard_worktree: false,
    })
    .await?;
    Err(Failure::new(
        Exit::Upgrade,
        "This backend is too old to hand a conversation over, so no chat session is left running. Update the backend, or start one without --continue.",
    ))
}

async fn earlier(
    api: &Api,
    machines: &[MachineSummary],
    session: &str,
) -> Result<(MachineSummary, WorkerSummary, ChatSessionId), Failure> {
    let chat: ChatSessionId = session.parse().map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("{error}. `orchestrator sessions` lists them."),
        )
    })?;
    let view = api
        .call::<ViewChat>(&ChatSessionArgs {
            chat_session_id: chat.clone(),
        })
        .await?;
    let gone = || {
        Failure::new(
            Exit::NotFound,
            "The machine or the worker of this chat session was removed.",
        )
    };
    let machine = machines
        .iter()
        .find(|machine| machine.id == view.chat.machine_id)
        .ok_or_else(gone)?;
    let worker = workers(api, machine)
        .await?
        .into_iter()
        .find(|worker| worker.id == view.chat.worker_id)
        .ok_or_else(gone)?;
    Ok((machine.clone(), worker, chat))
}

async fn worker(
    settings: &Settings,
    api: &Api,
    args: &ChatArgs,
    machines: &[MachineSummary],
    out: Out,
) -> Result<(MachineSummary, WorkerSummary), Failure> {
    let chosen = match &args.machine {
        Some(wanted) => vec![pick("machine", wanted, machines.to_vec(), |machine| {
            (machine.id.as_str(), &machine.name)
        })?],
        None => machines.to_vec(),
    };
    if let (Some(directory), [machine]) = (&args.dir, chosen.as_slice()) {
        return Ok((machine.clone(), register(api, machine, directory).await?));
    }
    if args.worker.is_none()
        && args.machine.is_none()
        && let Some((machine, directory)) = here(settings, machines)
    {
        let worker = register(api, machine, &directory).await?;
        out.say(&format!(
            "This directory is worker {} of {}.",
            worker.name, machine.name
        ));
        return Ok((machine.clone(), worker));
    }
    let mut all = Vec::new();
    for machine in &chosen {
        all.extend(
            workers(api, machine)
                .await?
                .into_iter()
                .map(|worker| (machine.clone(), worker)),
        );
    }
    if let Some(wanted) = &args.worker {
        return pick("worker", wanted, all, |(_, worker)| {
            (worker.id.as_str(), &worker.name)
        });
    }
    let names: Vec<String> = all
        .iter()
        .map(|(machine, worker)| format!("{} ({})", worker.name, machine.name))
        .collect();
    match (all.pop(), names.len()) {
        (Some(only), 1) => Ok(only),
        (Some(_), _) => Err(Failure::new(
            Exit::Usage,
            format!(
                "There are several workers: {}. Choose one with --worker, or another directory with --machine and --dir.",
                names.join(", ")
            ),
        )),
        (None, _) if chosen.is_empty() => Err(Failure::new(
            Exit::NotFound,
            "There is no machine yet. Start this computer's with `orchestrator up` or `orchestrator machine`.",
        )),
        (None, _) => Err(Failure::new(
            Exit::NotFound,
            "There is no worker yet. Choose a directory with --machine and --dir.",
        )),
    }
}

/// This computer's machine and the current directory below its root, if it is below it.
fn here<'a>(
    settings: &Settings,
    machines: &'a [MachineSummary],
) -> Option<(&'a MachineSummary, String)> {
    let current = std::env::current_dir().ok()?.canonicalize().ok()?;
    let places = [
        settings.machine_dir().ok(),
        settings
            .demo_data_dir()
            .map(|directory| directory.join("machine")),
    ];
    places.into_iter().flatten().find_map(|place| {
        let stored = Stored::read(&place).ok().flatten()?;
        let machine = machines
            .iter()
            .find(|machine| machine.id == stored.machine_id)?;
        Some((machine, below(&stored.root.canonicalize().ok()?, &current)?))
    })
}

/// A directory as seen from the root, with `/` between its parts.
fn below(root: &Path, directory: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = directory
        .strip_prefix(root)
        .ok()?
        .iter()
        .map(|part| part.to_str())
        .collect();
    parts.map(|parts| parts.join("/"))
}

async fn register(
    api: &Api,
    machine: &MachineSummary,
    directory: &str,
) -> Result<WorkerSummary, Failure> {
    let args = RegisterWorkerArgs {
        machine_id: machine.id.clone(),
        directory: directory.to_owned(),
        name: None,
        settings: WorkerSettings::default(),
    };
    api.call::<RegisterWorker>(&args).await
}

async fn workers(api: &Api, machine: &MachineSummary) -> Result<Vec<WorkerSummary>, Failure> {
    Ok(api
        .call::<ViewMachine>(&MachineArgs {
            machine_id: machine.id.clone(),
        })
        .await?
        .workers)
}
