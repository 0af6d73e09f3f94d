//! `orchestrator up`: the hub in this process, or the page for a Convex deployment; this computer's machine in a child
//! process; one link.

mod browser;
mod child;
mod convex;
mod own_machine;
mod port;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hub::{Hub, HubConfig, PrepareError, RunningHub, StartError};
use protocol::secret::Secret;
use scripted_model::{ModelConfig, ScriptedModel};

use crate::cli::UpArgs;
use crate::exit::{Exit, Failure};
use crate::machine::store::Stored;
use crate::out::{Look, Out};
use crate::places;
use crate::running::{Announced, Running};
use crate::settings::{Key, Settings};
use crate::signals::Signals;
use child::{Child, Told};
pub(crate) use convex::link as convex_link;
use own_machine::Owner;
pub(crate) use port::explain as explain_port;

/// How long the link waits for this computer to be online; it is printed in any case.
const ONLINE_WAIT: Duration = Duration::from_secs(5);

/// Everything on this computer.
pub(crate) async fn run(settings: &Settings, args: &UpArgs, out: Out) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    let data_dir = settings.data_dir()?;
    places::create_private_dir(&data_dir).map_err(|error| unusable(&data_dir, &error))?;
    let root = own_machine::root(settings)?;
    let served = match settings.convex()? {
        None => Served::Hub(ServedHub::start(settings, out).await?),
        Some(deployment) => {
            Served::Convex(convex::Served::start(settings, &deployment, out).await?)
        }
    };
    let model = match settings.is_demo() {
        true => Some(start_model().await?),
        false => None,
    };
    let own = own_machine::ensure(settings, served.owner(), root, out).await;
    let (own, mut child) = match own {
        Ok(own) => {
            let child = Child::start(child::command(settings, &own, model.as_ref())?);
            (own, child)
        }
        Err(failure) => {
            served.stop().await;
            return Err(failure);
        }
    };

    let mut link = None;
    let deadline = tokio::time::sleep(ONLINE_WAIT);
    tokio::pin!(deadline);
    let mut asked_to_end = 0_u32;
    let mut is_over = false;
    while !(is_over && asked_to_end > 0) {
        tokio::select! {
            told = child.next(), if !is_over => match told {
                Some(told) => {
                    report(&told, &own, out);
                    if link.is_none() && matches!(told, Told::Online | Told::Over { .. }) {
                        link = Some(served.link(settings, args.open, out).await?);
                    }
                }
                // The hub goes on: other machines may be using it.
                None => is_over = true,
            },
            () = &mut deadline, if link.is_none() => link = Some(served.link(settings, args.open, out).await?),
            () = signals.next() => {
                asked_to_end += 1;
                if asked_to_end == 1 {
                    out.say(&format!("Stopping. Running turns may finish, for {} s at most; Ctrl-C again stops at once.", settings.drain_ms()? / 1_000));
                    child.drain().await;
                } else {
                    child.stop().await;
                }
            }
        }
    }
    served.stop().await;
    if let Some(model) = model {
        model.stop().await;
    }
    out.say("Stopped.");
    Ok(if asked_to_end > 1 {
        Exit::Aborted
    } else {
        Exit::Done
    })
}

/// Only the hub.
pub(crate) async fn hub_only(settings: &Settings, out: Out) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    let served = Served::Hub(ServedHub::start(settings, out).await?);
    served.link(settings, false, out).await?;
    signals.next().await;
    out.say("Stopping. Ctrl-C again stops at once.");
    tokio::select! {
        () = served.stop() => Ok(Exit::Done),
        () = signals.next() => Ok(Exit::Aborted),
    }
}

async fn start_model() -> Result<ScriptedModel, Failure> {
    ScriptedModel::start(ModelConfig::demo())
        .await
        .map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("The scripted model found no free port on loopback: {error}."),
            )
        })
}

/// What a person should know of this computer's machine.
fn report(told: &Told, own: &Stored, out: Out) {
    match told {
        Told::Online => out.say(&format!(
            "{} this computer is online as {}; work stays below {}.",
            out.talk(Look::Good, "ready:"),
            own.name,
            own.root.display()
        )),
        Told::Problem(message) => out.say(&format!(
            "{} chat sessions will not start: {message}",
            out.talk(Look::Warn, "warning:")
        )),
        Told::Restarting { why, wait } => out.say(&format!(
            "{} this computer's machine process has ended ({why}); it starts again in {} s.",
            out.talk(Look::Warn, "warning:"),
            wait.as_secs_f32().ceil()
        )),
        Told::Over { exit, message } => {
            let advice = if *exit == Exit::Unregistered {
                " It was removed from the page; start again to add it anew."
            } else if *exit == Exit::Fenced {
                " Another process runs with this computer's MACHINE_ID."
            } else {
                ""
            };
            out.say(&format!(
                "{} this computer takes no work: {message}{advice} The page goes on.",
                out.talk(Look::Bad, "error:")
            ));
        }
    }
}

/// What this process serves.
enum Served {
    Hub(ServedHub),
    /// Only the page.
    Convex(convex::Served),
}

impl Served {
    fn owner(&self) -> Owner<'_> {
        match self {
            Self::Hub(served) => Owner::Hub(&served.hub),
            Self::Convex(served) => Owner::Convex(&served.api),
        }
    }

    /// Prints the link; the only line of data.
    async fn link(&self, settings: &Settings, open: bool, out: Out) -> Result<Secret, Failure> {
        let (link, note, facts) = match self {
            Self::Hub(served) => {
                let link = served.hub.sign_in_link().await?;
                let facts = serde_json::json!({ "link": link.expose(), "backend": served.hub.local_url(), "dataDir": served.data_dir });
                (
                    link,
                    "It works once; `orchestrator link` prints another one.".to_owned(),
                    facts,
                )
            }
            Self::Convex(served) => {
                let (link, note) = served.sign_in_link(settings)?;
                let facts = serde_json::json!({ "link": link.expose(), "backend": served.api.address(), "page": served.page_url(), "dataDir": served.place() });
                (link, note, facts)
            }
        };
        if out.is_json() {
            out.value(&facts)?;
        } else {
            out.say(&format!(
                "Open this link to sign in. {note} Ctrl-C stops everything."
            ));
            out.line(link.expose())?;
        }
        if open {
            browser::open(link.expose(), out);
        }
        Ok(link)
    }

    async fn stop(self) {
        match self {
            Self::Hub(served) => served.hub.shutdown().await,
            Self::Convex(served) => served.stop().await,
        }
    }
}

/// A hub that serves, and the note of it.
struct ServedHub {
    hub: RunningHub,
    data_dir: PathBuf,
    _announced: Option<Announced>,
}

impl ServedHub {
    async fn start(settings: &Settings, out: Out) -> Result<Self, Failure> {
        let data_dir = settings.data_dir()?;
        let mut config = HubConfig::new(&data_dir);
        config.listen = settings.listen()?;
        config.public_url = settings.optional(Key::PublicUrl);
        config.allowed_hosts = settings.allow_hosts();
        let hub = match Hub::start(config).await {
            Ok(hub) => hub,
            Err(error) => return Err(not_started(settings, &data_dir, error).await),
        };
        let announced = Running::hub(hub.local_url())
            .announce(&data_dir)
            .inspect_err(|error| {
                out.say(&format!(
                    "{} other commands will not find this hub by themselves: {error}",
                    out.talk(Look::Warn, "warning:")
                ))
            });
        out.say(&format!(
            "The hub serves at {}; its files are in {}.",
            hub.url(),
            data_dir.display()
        ));
        Ok(Self {
            hub,
            data_dir,
            _announced: announced.ok(),
        })
    }
}

/// Says why the hub did not start, and what to do.
async fn not_started(settings: &Settings, data_dir: &Path, error: StartError) -> Failure {
    match error {
        StartError::Listen { address, source } => port::explain(address, &source).await,
        StartError::Open(hub::store::OpenError::Locked { .. }) => {
            let running = Running::read(data_dir);
            let whose = running.map_or_else(String::new, |running| {
                format!(
                    ": it is process {} and serves at {}",
                    running.pid, running.url
                )
            });
            let message = format!(
                "A hub runs already with the data directory {}{whose}. Use that one (`orchestrator link` prints a sign-in link), stop it, or choose another directory with --data-dir.",
                data_dir.display()
            );
            Failure::new(Exit::AlreadyRunning, message)
        }
        StartError::DataDir { path, source } => unusable(&path, &source),
        StartError::Open(error) => Failure::new(
            Exit::DataDir,
            format!("The hub's database can't be used: {error}."),
        ),
        StartError::Prepare(PrepareError::Store(error)) => error.into(),
        StartError::Prepare(error @ PrepareError::TokenFile { .. }) => {
            Failure::new(Exit::DataDir, format!("{error}."))
        }
        StartError::PublicUrl(error) => settings.wrong(Key::PublicUrl, &error.to_string()),
    }
}

fn unusable(data_dir: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::DataDir,
        format!(
            "The data directory {} can't be used: {error}. Make it yours and writable, or choose another one with --data-dir.",
            data_dir.display()
        ),
    )
}
