//! `orchestrator machine`: this computer as a machine of a backend.

mod control;
pub(crate) use control::DRAIN;
mod register;
mod service;
pub(crate) mod store;
mod upgrade;

use std::path::PathBuf;
use std::sync::Arc;

use agent::{Agent, DirectorySettings, Root, RootError};
use opencode_driver::{Driver, Opencode};
use protocol::agent::ExitReason;
use protocol::wire::{MachineCredentials, MachineInfo};
use serde::{Deserialize, Serialize};

use crate::cli::{MachineArgs, MachineCommand};
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out};
use crate::running::{Announced, Running};
use crate::settings::{Key, Settings};
use crate::signals::Signals;
use crate::way::Way;
use crate::{opencode, places};
use control::Control;
use store::Stored;

/// What a machine process tells whoever started it, as lines of JSON on standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// It has registered.
    #[serde(rename_all = "camelCase")]
    Registered { machine_id: String, name: String },
    /// opencode can't be run; chat sessions will fail until it can.
    Problem { message: String },
    /// The backend has it.
    Connected,
    /// The backend can't be reached; it tries again.
    Lost { reason: String },
    /// It takes nothing new.
    Draining,
    /// It ends.
    Ended { code: u8, message: String },
}

pub(crate) async fn run(
    settings: &Settings,
    args: &MachineArgs,
    out: Out,
) -> Result<Exit, Failure> {
    match &args.command {
        Some(MachineCommand::Forget { .. }) => return forget(settings, out),
        Some(MachineCommand::Install { print, .. }) => {
            return service::install(settings, *print, out);
        }
        Some(MachineCommand::Uninstall { .. }) => return service::uninstall(settings, out),
        Some(MachineCommand::Status { .. }) => return service::status(settings, out),
        Some(MachineCommand::Upgrade { program, .. }) => {
            return upgrade::run(settings, program.as_deref(), out).await;
        }
        None => {}
    }
    let told = Told {
        out,
        is_supervised: args.supervised,
    };
    let ended = work(settings, args, told).await;
    if args.supervised {
        let (code, message) = match &ended {
            Ok(exit) => (exit.code(), String::new()),
            Err(failure) => (failure.exit.code(), failure.message.clone()),
        };
        told.event(&Event::Ended { code, message });
        // Whoever started it has read why.
        return Ok(ended.unwrap_or_else(|failure| failure.exit));
    }
    match ended {
        Err(failure) if args.final_is_done && service::FINAL.contains(&failure.exit) => {
            out.fail(&failure);
            Ok(Exit::Done)
        }
        ended => ended,
    }
}

async fn work(settings: &Settings, args: &MachineArgs, told: Told) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    let mut control = Control::new(args.supervised);
    let place = settings.machine_dir()?;
    let given = given(settings)?;
    let keeps_files = given.is_none();
    let known = match given {
        Some(given) => Some(given),
        None => Stored::read(&place)?,
    };
    if let Some(other) = Running::read(&place).filter(|_| keeps_files) {
        told.say(&format!(
            "{} process {} is this machine already. The newer one goes on: it will stop.",
            told.out.talk(Look::Warn, "note:"),
            other.pid
        ));
    }
    let known = match known {
        Some(stored) => moved(settings, &place, stored, told)?,
        None => tokio::select! {
            registered = register::register(settings, &place, told) => registered?,
            () = signals.next() => return Ok(Exit::Aborted),
            _ = control.next() => return Ok(Exit::Done),
        },
    };

    open_root(&known.root)?;
    let transport = Way::to(&known.backend)?.shared();
    let config = opencode::config(settings)?;
    let mut directories = DirectorySettings::new(config.supervisor.clone());
    directories.protocols = settings.git_protocols()?;
    let driver = Arc::new(Opencode::new(config));
    let credentials = MachineCredentials {
        machine_id: known.machine_id.clone(),
        secret: known.secret.clone(),
        name: known.name.clone(),
    };
    let mut builder = Agent::builder(credentials, &known.root)
        .transport(transport)
        .driver(Arc::clone(&driver) as Arc<dyn Driver>)
        .directories(directories)
        .drain_ms(settings.drain_ms()?)
        .hibernate_after_ms(settings.hibernate_ms()?)
        .version(env!("CARGO_PKG_VERSION"));
    if let Some(processes) = settings.max_processes()? {
        builder = builder.process_limit(processes);
    }
    if let Some(bytes) = settings.max_memory_bytes()? {
        builder = builder.memory_limit_bytes(bytes);
    }
    let mut agent = builder
        .start()
        .map_err(|error| Failure::new(Exit::Root, error.to_string()))?;
    told.say(&format!(
        "Machine {} ({}): root {}, backend {}. Ctrl-C stops it.",
        known.name,
        known.machine_id,
        known.root.display(),
        known.backend
    ));

    let checked = tokio::spawn(async move { driver.check().await });
    let mut checked = Some(checked);
    let mut status = agent.status();
    let mut link = Link::default();
    let mut announced = None;
    let mut asked_to_end = 0_u32;
    let reason = loop {
        tokio::select! {
            reason = agent.ended() => break reason,
            Ok(()) = status.changed() => {
                link.follow(&status.borrow_and_update().clone(), &known, told);
                if link.is_connected && keeps_files && announced.is_none() {
                    announced = announce(&known, &place, told);
                }
            }
            checked = async { match checked.as_mut() { Some(task) => task.await, None => std::future::pending().await } }, if checked.is_some() => {
                if let Ok(Err(problem)) = checked {
                    told.problem(&problem.to_string());
                }
            }
            () = signals.next() => {
                asked_to_end += 1;
                if asked_to_end == 1 {
                    told.draining(agent.status().borrow().process_count, settings.drain_ms()?);
                    agent.drain().await;
                } else {
                    agent.stop().await;
                }
            }
            order = control.next() => match order {
                control::Order::Drain => {
                    told.event(&Event::Draining);
                    agent.drain().await;
                }
                control::Order::Stop => agent.stop().await,
            },
        }
        if checked
            .as_ref()
            .is_some_and(tokio::task::JoinHandle::is_finished)
        {
            checked = None;
        }
    };
    ended(reason, asked_to_end, told)
}

/// Leaves the note that this process is the machine. Without it only `status` and `upgrade` know less.
fn announce(known: &Stored, place: &std::path::Path, told: Told) -> Option<Announced> {
    match Running::machine(&known.backend).announce(place) {
        Ok(announced) => Some(announced),
        Err(error) => {
            told.say(&format!(
                "{} no note could be left in {}: {error}.",
                told.out.talk(Look::Warn, "warning:"),
                place.display()
            ));
            None
        }
    }
}

fn ended(reason: ExitReason, asked_to_end: u32, told: Told) -> Result<Exit, Failure> {
    match reason {
        ExitReason::Stopped if asked_to_end > 1 => Ok(Exit::Aborted),
        ExitReason::Stopped => {
            told.say("Stopped.");
            Ok(Exit::Done)
        }
        ExitReason::Fenced(error) => Err(Failure::new(Exit::Fenced, error.message)),
        ExitReason::Unregistered(error) => {
            let message = format!(
                "{} Run `orchestrator machine forget`, then `orchestrator machine` with a new key.",
                error.message
            );
            Err(Failure::new(Exit::Unregistered, message))
        }
        ExitReason::Refused(error) => Err(error.into()),
    }
}

/// Machine credentials of the environment, for machines that keep no files.
fn given(settings: &Settings) -> Result<Option<Stored>, Failure> {
    let (id, secret) = (
        settings.optional(Key::MachineId),
        settings.secret(Key::MachineSecret),
    );
    let (id, secret) = match (id, secret) {
        (None, None) => return Ok(None),
        (Some(id), Some(secret)) => (id, secret),
        (Some(_), None) => {
            return Err(settings.wrong(
                Key::MachineId,
                "there is no secret with it. Set ORCHESTRATOR_MACHINE_SECRET too",
            ));
        }
        (None, Some(_)) => {
            return Err(settings.wrong(
                Key::MachineSecret,
                "there is no id with it. Set ORCHESTRATOR_MACHINE_ID too",
            ));
        }
    };
    let machine_id = id.parse().map_err(|error: protocol::ids::InvalidId| {
        settings.wrong(Key::MachineId, &error.to_string())
    })?;
    let missing = |key: Key| {
        Failure::new(
            Exit::Settings,
            format!("{} is missing. Set {}.", key.name(), key.variable()),
        )
    };
    Ok(Some(Stored {
        machine_id,
        secret,
        name: settings
            .optional(Key::Name)
            .unwrap_or_else(places::hostname),
        backend: settings
            .optional(Key::Backend)
            .ok_or_else(|| missing(Key::Backend))?,
        root: settings
            .place(Key::Root)?
            .ok_or_else(|| missing(Key::Root))?,
    }))
}

/// What is stored, with the backend and the root directory that are given now; those are stored in turn.
fn moved(
    settings: &Settings,
    place: &std::path::Path,
    stored: Stored,
    told: Told,
) -> Result<Stored, Failure> {
    let mut next = stored.clone();
    if let Some(root) = settings.place(Key::Root)? {
        next.root = root;
    }
    if let Some(backend) = settings.optional(Key::Backend) {
        next.backend = backend;
    }
    let is_stored = settings.optional(Key::MachineId).is_none();
    if next != stored && is_stored {
        open_root(&next.root)?;
        if next.root != stored.root {
            told.say(&format!(
                "The root directory is {} from now on; it was {}.",
                next.root.display(),
                stored.root.display()
            ));
        }
        next.write(place)?;
    }
    Ok(next)
}

fn forget(settings: &Settings, out: Out) -> Result<Exit, Failure> {
    let place = settings.machine_dir()?;
    let stored = match Stored::read(&place) {
        Ok(Some(stored)) => stored,
        Ok(None) => {
            out.say(&format!(
                "There is no MACHINE_ID in {}: nothing to forget.",
                place.display()
            ));
            return Ok(Exit::Done);
        }
        Err(unreadable) if unreadable.exit == Exit::Settings => {
            Stored::forget(&place)?;
            out.say("Forgotten: what was stored could not be understood. The machine may still stand on the page: revoke it there.");
            return Ok(Exit::Done);
        }
        Err(failure) => return Err(failure),
    };
    Stored::forget(&place)?;
    if out.is_json() {
        out.value(&serde_json::json!({ "machineId": stored.machine_id, "name": stored.name, "backend": stored.backend }))?;
    }
    out.say(&format!(
        "Forgotten: {} ({}) of {}. The machine still stands on the page: revoke it there, or with `orchestrator machines revoke {}`.",
        stored.name, stored.machine_id, stored.backend, stored.machine_id
    ));
    Ok(Exit::Done)
}

/// Opens the root directory to see that it can be used.
pub(crate) fn open_root(root: &std::path::Path) -> Result<Root, Failure> {
    Root::open(root).map_err(|error: RootError| Failure::new(Exit::Root, error.to_string()))
}

/// What this machine tells about itself when it registers.
pub(crate) fn info(root: &std::path::Path) -> MachineInfo {
    agent::machine_info(root, env!("CARGO_PKG_VERSION"))
}

/// Where talk goes: to a person, or as events to whoever supervises.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    out: Out,
    is_supervised: bool,
}

impl Told {
    fn say(self, text: &str) {
        if !self.is_supervised {
            self.out.say(text);
        }
    }

    fn event(self, event: &Event) {
        if self.is_supervised || self.out.is_json() {
            // Nobody reading is noticed by the end of standard input.
            let _ = self.out.value(event);
        }
    }

    fn registered(self, stored: &Stored, place: &std::path::Path) {
        self.event(&Event::Registered {
            machine_id: stored.machine_id.to_string(),
            name: stored.name.clone(),
        });
        self.say(&format!(
            "Registered as {} ({}). MACHINE_ID and secret are in {}.",
            stored.name,
            stored.machine_id,
            store::path(place).display()
        ));
    }

    fn problem(self, message: &str) {
        self.event(&Event::Problem {
            message: message.to_owned(),
        });
        self.say(&format!(
            "{} chat sessions will not start: {message}",
            self.out.talk(Look::Warn, "warning:")
        ));
    }

    fn lost(self, backend: &str, reason: &str) {
        self.event(&Event::Lost {
            reason: reason.to_owned(),
        });
        self.say(&format!(
            "{} the backend {backend} can't be reached ({reason}); trying again.",
            self.out.talk(Look::Warn, "lost:")
        ));
    }

    fn draining(self, process_count: usize, drain_ms: u64) {
        self.event(&Event::Draining);
        let what = if process_count == 0 {
            String::new()
        } else {
            format!(
                " Running turns may finish, for {} s at most.",
                drain_ms / 1_000
            )
        };
        self.say(&format!("Stopping.{what} Ctrl-C again stops at once."));
    }
}

/// The link to the backend as a person has been told of it.
#[derive(Debug, Default)]
struct Link {
    was_connected: bool,
    is_connected: bool,
    last_loss: Option<String>,
}

impl Link {
    fn follow(&mut self, status: &agent::Status, known: &Stored, told: Told) {
        if status.connected && !self.is_connected {
            told.event(&Event::Connected);
            let word = if self.was_connected {
                "Reconnected"
            } else {
                "Connected"
            };
            told.say(&format!("{word} to {}.", known.backend));
            self.was_connected = true;
            self.last_loss = None;
        }
        if !status.connected
            && let Some(reason) = &status.last_error
            && self.last_loss.is_none()
        {
            told.lost(&known.backend, reason);
            self.last_loss = Some(reason.clone());
        }
        self.is_connected = status.connected;
    }
}

/// The default place of a machine's root directory when a person is asked.
pub(crate) fn suggested_root(settings: &Settings) -> Option<PathBuf> {
    settings.home_dir().map(PathBuf::from)
}
