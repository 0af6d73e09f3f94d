//! The first start: a key, a root directory, and the machine's own credentials for them.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::ErrorCode;
use protocol::functions::CreateMachine;
use protocol::secret::Secret;
use protocol::wire::CreateMachineArgs;
use transport::TransportError;

use super::store::Stored;
use super::{Told, info, open_root, suggested_root};
use crate::api::Api;
use crate::exit::{Exit, Failure};
use crate::settings::{Key, Settings};
use crate::way::Way;

/// The pause between two tries to reach the backend.
const PAUSE: Duration = Duration::from_secs(2);

/// Registers this computer and keeps the credentials.
pub(crate) async fn register(
    settings: &Settings,
    place: &Path,
    told: Told,
) -> Result<Stored, Failure> {
    let (settings, talk) = (settings.clone(), told);
    let answers = tokio::task::spawn_blocking(move || {
        Answers::gather(&settings, talk).map(|answers| (answers, settings))
    })
    .await;
    let (answers, settings) = match answers {
        Ok(answers) => answers?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    let Answers {
        backend,
        proof,
        root,
    } = answers;
    open_root(&root)?;
    let way = Way::to(&backend)?;
    // A place that can't be written to must be found out before the key is used up.
    crate::places::create_private_dir(place).map_err(|error| {
        Failure::new(
            Exit::DataDir,
            format!(
                "{} can't be used: {error}. Choose another one with --machine-dir.",
                place.display()
            ),
        )
    })?;
    let key = match proof {
        Proof::Key(key) => key,
        Proof::Person(name) => {
            Api::of(&settings)?
                .call::<CreateMachine>(&CreateMachineArgs { name })
                .await?
                .registration_key
        }
    };
    told.say(&format!("Registering with {} ...", way.address()));
    let credentials = exchange(&way, &key, &root, told).await?;
    let stored = Stored {
        machine_id: credentials.machine_id,
        secret: credentials.secret,
        name: credentials.name,
        backend: way.address().to_owned(),
        root,
    };
    stored.write(place)?;
    told.registered(&stored, place);
    Ok(stored)
}

/// Tries until the backend is there.
async fn exchange(
    way: &Way,
    key: &Secret,
    root: &Path,
    told: Told,
) -> Result<protocol::wire::MachineCredentials, Failure> {
    let mut has_told = false;
    let nonce = transport::new_secret("omn");
    loop {
        match agent::register(way.transport(), key.clone(), nonce.clone(), info(root)).await {
            Ok(credentials) => return Ok(credentials),
            Err(TransportError::Lost(why)) => {
                if !has_told {
                    told.lost(way.address(), &why);
                    has_told = true;
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(TransportError::Refused(error)) => {
                let is_key = matches!(error.code, ErrorCode::Unauthenticated | ErrorCode::Expired);
                return Err(if is_key {
                    Failure::new(Exit::BadKey, error.message)
                } else {
                    error.into()
                });
            }
        }
    }
}

/// What shows that this computer may register.
enum Proof {
    Key(Secret),
    /// The person who is signed in adds the machine under this name.
    Person(String),
}

/// What a person gave, or was asked for.
struct Answers {
    backend: String,
    proof: Proof,
    root: PathBuf,
}

impl Answers {
    fn gather(settings: &Settings, told: Told) -> Result<Self, Failure> {
        let backend = settings.optional(Key::Backend);
        let key = settings.secret(Key::RegistrationKey);
        let name = settings.optional(Key::Name);
        let root = settings.place(Key::Root)?;
        let can_ask = std::io::stdin().is_terminal() && !told.is_supervised;
        if !can_ask {
            let missing = [
                (backend.is_none(), "--backend URL (ORCHESTRATOR_BACKEND)"),
                (
                    key.is_none() && name.is_none(),
                    "--key KEY (ORCHESTRATOR_REGISTRATION_KEY)",
                ),
                (root.is_none(), "--root DIR (ORCHESTRATOR_ROOT)"),
            ];
            let missing: Vec<&str> = missing
                .iter()
                .filter(|(is_missing, _)| *is_missing)
                .map(|(_, what)| *what)
                .collect();
            if !missing.is_empty() {
                let message = format!(
                    "This computer has no MACHINE_ID yet, and there is no terminal to ask on. Missing: {}. The key comes from the page: choose \"Add machine\".",
                    missing.join(", ")
                );
                return Err(Failure::new(Exit::Settings, message));
            }
        } else if backend.is_none() || key.is_none() || root.is_none() {
            told.say("This computer has no MACHINE_ID yet. Add a machine on the page; it shows a registration key.");
        }
        let backend = match backend {
            Some(backend) => backend,
            None => ask(
                told,
                "The backend's address",
                Some(&settings.local_backend()),
            )?,
        };
        let proof = match (key, name) {
            (Some(key), _) => Proof::Key(key),
            (None, Some(name)) => Proof::Person(name),
            (None, None) => Proof::Key(Secret::new(ask(told, "The registration key", None)?)),
        };
        let root = match root {
            Some(root) => root,
            None => ask_root(settings, told)?,
        };
        Ok(Self {
            backend,
            proof,
            root,
        })
    }
}

fn ask_root(settings: &Settings, told: Told) -> Result<PathBuf, Failure> {
    let suggested = suggested_root(settings).map(|path| path.display().to_string());
    loop {
        let answer = ask(
            told,
            "The root directory, which all work on this machine stays below",
            suggested.as_deref(),
        )?;
        let root = settings.path_of(&answer);
        match open_root(&root) {
            Ok(_) => return Ok(root),
            Err(failure) => told.say(&failure.message),
        }
    }
}

/// Asks until there is an answer.
fn ask(told: Told, what: &str, default: Option<&str>) -> Result<String, Failure> {
    loop {
        let hint = default
            .map(|default| format!(" [{default}]"))
            .unwrap_or_default();
        told.out.say_piece(&format!("{what}{hint}: "));
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        if matches!(read, Ok(0) | Err(_)) {
            told.say("");
            return Err(Failure::new(
                Exit::Settings,
                format!("There was no answer to: {what}."),
            ));
        }
        match (line.trim(), default) {
            ("", Some(default)) => return Ok(default.to_owned()),
            ("", None) => {}
            (answer, _) => return Ok(answer.to_owned()),
        }
    }
}
