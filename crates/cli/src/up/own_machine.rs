//! This computer as the owner's machine: registered without anybody typing anything.

use std::path::{Path, PathBuf};

use hub::RunningHub;
use protocol::functions::{
    CreateMachine, Function, ListMachines, RegisterMachine, RegisterWorker, ReissueKey,
};
use protocol::limits::NAME_MAX_BYTES;
use protocol::state::MachineState;
use protocol::wire::{
    CreateMachineArgs, MachineArgs, MachineSummary, NoArgs, Presence, RegisterMachineArgs,
    RegisterWorkerArgs, WorkerSettings,
};

use crate::api::Api;
use crate::exit::{Exit, Failure};
use crate::machine::store::Stored;
use crate::machine::{info, open_root};
use crate::out::Out;
use crate::places;
use crate::settings::{Key, Settings};

/// The demo's directory to play in, and the worker for it.
const PLAYGROUND: &str = "playground";
const PLAYGROUND_README: &str = "# Playground\n\nThe demo's worker works here. Ask it to `write hello.txt hi`, then to `read hello.txt`.\n";

/// This computer's root directory: as said, else as stored, else the home directory; the demo has its own.
pub(super) fn root(settings: &Settings) -> Result<PathBuf, Failure> {
    let root = match (settings.place(Key::Root)?, Stored::read(&settings.machine_dir()?)?) {
        (Some(given), _) => given,
        (None, Some(stored)) => stored.root,
        (None, None) if settings.is_demo() => {
            let root = settings.data_dir()?.join("projects");
            make_playground(&root).map_err(|error| data_dir(&root, &error))?;
            root
        }
        (None, None) => settings.home_dir().map(PathBuf::from).ok_or_else(|| {
            Failure::new(Exit::Settings, "HOME is not set, so there is no root directory for this computer's work. Give one with --root.")
        })?,
    };
    open_root(&root)?;
    Ok(root)
}

fn make_playground(root: &Path) -> std::io::Result<()> {
    let playground = root.join(PLAYGROUND);
    places::create_private_dir(&playground)?;
    let readme = playground.join("README.md");
    if readme.exists() {
        Ok(())
    } else {
        std::fs::write(readme, PLAYGROUND_README)
    }
}

fn data_dir(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!(
        "The directory {} can't be used: {error}. Make it yours and writable, or choose another one with --data-dir.",
        path.display()
    );
    Failure::new(Exit::DataDir, message)
}

/// Who adds this computer to a backend.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner<'a> {
    /// The owner of the hub in this process.
    Hub(&'a RunningHub),
    /// A person who is signed in to a deployment.
    Convex(&'a Api),
}

impl Owner<'_> {
    async fn call<F: Function>(self, args: &F::Args) -> Result<F::Reply, Failure> {
        match self {
            Self::Hub(hub) => Ok(hub.call_as_owner::<F>(args).await?),
            Self::Convex(api) => api.call::<F>(args).await,
        }
    }

    /// Where this computer's machine process reaches the backend.
    fn backend(self) -> String {
        match self {
            Self::Hub(hub) => hub.local_url(),
            Self::Convex(api) => api.address().to_owned(),
        }
    }
}

/// Sees to it that this computer is registered and has its credentials.
pub(super) async fn ensure(
    settings: &Settings,
    owner: Owner<'_>,
    root: PathBuf,
    out: Out,
) -> Result<Stored, Failure> {
    let place = settings.machine_dir()?;
    let machines = owner.call::<ListMachines>(&NoArgs {}).await?.machines;
    if let Some(stored) = Stored::read(&place)? {
        if machines
            .iter()
            .any(|machine| machine.id == stored.machine_id)
        {
            let current = Stored {
                backend: owner.backend(),
                root,
                ..stored.clone()
            };
            if current != stored {
                current.write(&place)?;
            }
            return Ok(current);
        }
        out.say(&format!(
            "{} is not a machine of this backend any more; this computer is added anew.",
            stored.name
        ));
    }
    let name = settings
        .optional(Key::Name)
        .unwrap_or_else(|| cut(&places::hostname()));
    let key = match machines.iter().find(|machine| is_left_over(machine, &name)) {
        Some(machine) => {
            let machine_id = machine.id.clone();
            owner
                .call::<ReissueKey>(&MachineArgs { machine_id })
                .await?
        }
        None => {
            owner
                .call::<CreateMachine>(&CreateMachineArgs { name })
                .await?
        }
    };
    let args = RegisterMachineArgs {
        registration_key: key.registration_key,
        nonce: Some(transport::new_secret("omn")),
        info: info(&root),
    };
    let credentials = owner.call::<RegisterMachine>(&args).await?;
    let stored = Stored {
        machine_id: credentials.machine_id,
        secret: credentials.secret,
        name: credentials.name,
        backend: owner.backend(),
        root,
    };
    stored.write(&place)?;
    out.say(&format!(
        "This computer is registered as {} ({}).",
        stored.name, stored.machine_id
    ));
    if settings.is_demo() && stored.root.join(PLAYGROUND).is_dir() {
        let args = RegisterWorkerArgs {
            machine_id: stored.machine_id.clone(),
            directory: PLAYGROUND.to_owned(),
            name: None,
            settings: WorkerSettings::default(),
        };
        owner.call::<RegisterWorker>(&args).await?;
    }
    Ok(stored)
}

/// Whether an earlier start added this machine and was killed before it kept the credentials.
fn is_left_over(machine: &MachineSummary, name: &str) -> bool {
    machine.name == name
        && machine.presence == Presence::Never
        && matches!(
            machine.state,
            MachineState::Created | MachineState::Registered
        )
}

/// As much of a name as a machine may have.
fn cut(name: &str) -> String {
    let mut end = NAME_MAX_BYTES.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}
