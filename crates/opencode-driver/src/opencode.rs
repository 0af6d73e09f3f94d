//! The driver for opencode.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use protocol::driver::{DriverEvent, SessionSpec};
use protocol::secret::Secret;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, mpsc};
use tracing::{info, warn};

use crate::confine::{self, Confined};
use crate::driver::{Driver, DriverError, DriverInfo, StartedSession};
use crate::event_stream::EventStream;
use crate::http::Server;
use crate::locate::{LocateConfig, OpencodeBinary, locate};
use crate::process::{Launch, Running, launch};
use crate::session::{Defaults, OpencodeProcess};
use crate::spare::{SpareConfig, Spares};
use crate::storage::Storage;
use crate::wire::launch::{Hosting, Setting, environment, is_port_taken};
use crate::wire::{ACCEPTED_VERSIONS, Api, ModelRef, SERVER_USER, accepts_version};

/// How often another port is tried when somebody else took the one that was free.
const PORT_TRIES: usize = 5;
/// How often it is started again when it was killed while it was starting.
const KILL_TRIES: usize = 3;
/// The usual limits: ten opencodes started together on two cores take 16 s, a turn's messages are read in
/// milliseconds.
const READY_LIMIT: Duration = Duration::from_secs(90);
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// How opencode is run.
#[derive(Debug, Clone, PartialEq)]
pub struct OpencodeConfig {
    /// Where opencode is.
    pub locate: LocateConfig,
    /// Where the chat sessions' databases are kept, below `sessions/`. Made if it is not there.
    pub state_dir: PathBuf,
    /// The command that supervises, up to and without `--`: see [`crate::supervisor`]. Usually the product's
    /// own binary and `supervise`.
    pub supervisor: Vec<OsString>,
    /// Configuration on top of the person's own, in the form of `opencode.json`.
    pub config: Value,
    /// Quiet: opencode keeps everything below the state directory, ignores the person's configuration and
    /// plugins, and looks nothing up in the network. For the demo and for tests.
    pub lean: bool,
    /// The warm spares that are kept; none unless they are asked for.
    pub spares: SpareConfig,
    /// How long it may take to get ready.
    pub ready_limit: Duration,
    /// How long it may take to answer a request.
    pub request_limit: Duration,
}

impl OpencodeConfig {
    /// The usual settings, with this program as the supervisor (`<this program> supervise`).
    #[must_use]
    pub fn new(locate: LocateConfig, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            locate,
            state_dir: state_dir.into(),
            supervisor: vec![this_program(), "supervise".into()],
            config: json!({}),
            lean: false,
            spares: SpareConfig::up_to(0),
            ready_limit: READY_LIMIT,
            request_limit: REQUEST_LIMIT,
        }
    }
}

/// The program that is running, also when its file has been replaced by a newer one since it started.
fn this_program() -> OsString {
    if cfg!(target_os = "linux") {
        return OsString::from("/proc/self/exe");
    }
    std::env::current_exe().map_or_else(|_| OsString::from("orchestrator"), PathBuf::into_os_string)
}

/// Runs one opencode for each chat session.
#[derive(Debug)]
pub struct Opencode {
    launcher: Arc<Launcher>,
    spares: Spares,
}

impl Opencode {
    /// A driver; nothing is started yet.
    #[must_use]
    pub fn new(config: OpencodeConfig) -> Self {
        let spares = config.spares;
        let launcher = Arc::new(Launcher {
            config,
            binary: OnceCell::new(),
        });
        Self {
            spares: Spares::new(Arc::clone(&launcher), spares),
            launcher,
        }
    }
}

/// Starts processes.
#[derive(Debug)]
pub(crate) struct Launcher {
    config: OpencodeConfig,
    binary: OnceCell<OpencodeBinary>,
}

/// A process that takes requests, and where it keeps its conversations.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) running: Running,
    pub(crate) api: Api,
    pub(crate) storage: Storage,
}

impl Launcher {
    /// Where the databases are.
    pub(crate) fn sessions(&self) -> PathBuf {
        absolute(&self.config.state_dir.join("sessions"))
    }

    /// The home of a process that is to be quiet.
    pub(crate) fn lean_home(&self) -> Option<PathBuf> {
        let home = self.config.state_dir.join("lean");
        self.config.lean.then(|| absolute(&home))
    }

    /// Starts a process whose storage is nobody's yet.
    pub(crate) async fn launch_unused(
        &self,
        directory: &Path,
        storage: &Storage,
    ) -> Result<Launched, DriverError> {
        let sessions = self.sessions();
        let marked =
            std::fs::create_dir_all(&sessions).and_then(|()| storage.mark_unused(&sessions));
        marked.map_err(|error| machine(&sessions, &error))?;
        self.launch(directory, storage, None, false).await
    }

    /// The opencode to run, looked for once; a failure is not kept.
    async fn binary(&self) -> Result<&OpencodeBinary, DriverError> {
        self.binary
            .get_or_try_init(|| locate(&self.config.locate))
            .await
    }

    /// Starts a process that takes requests: `acp` if it comes up, else `serve`.
    async fn launch(
        &self,
        directory: &Path,
        storage: &Storage,
        confined: Option<Confined<'_>>,
        ask_first: bool,
    ) -> Result<Launched, DriverError> {
        match self
            .launch_as(Hosting::Acp, directory, storage, confined, ask_first)
            .await
        {
            Err(first @ (DriverError::ExitedAtStart { .. } | DriverError::NeverReady { .. })) => {
                warn!(error = %first, "`opencode acp` did not come up; trying `opencode serve`");
                // What `acp` said is what the person can act on, should this fail too.
                self.launch_as(Hosting::Serve, directory, storage, confined, ask_first)
                    .await
                    .map_err(|_| first)
            }
            launched => launched,
        }
    }

    async fn launch_as(
        &self,
        hosting: Hosting,
        directory: &Path,
        storage: &Storage,
        confined: Option<Confined<'_>>,
        ask_first: bool,
    ) -> Result<Launched, DriverError> {
        let mut tries = 0;
        let mut kills = 0;
        loop {
            tries += 1;
            match self
                .try_port(hosting, directory, storage, confined, ask_first)
                .await
            {
                Err(DriverError::ExitedAtStart { stderr, .. })
                    if tries < PORT_TRIES && is_port_taken(&stderr) => {}
                // That says nothing about what this opencode can do: the same again.
                Err(DriverError::KilledAtStart { status, stderr, .. }) => {
                    kills += 1;
                    if kills == KILL_TRIES {
                        return Err(DriverError::KilledAtStart {
                            status,
                            tries: kills,
                            stderr,
                        });
                    }
                    warn!(%status, "opencode was killed while it was starting; starting it again");
                }
                launched => return launched,
            }
        }
    }

    async fn try_port(
        &self,
        hosting: Hosting,
        directory: &Path,
        storage: &Storage,
        confined: Option<Confined<'_>>,
        ask_first: bool,
    ) -> Result<Launched, DriverError> {
        let binary = self.binary().await?;
        let port = free_port()?;
        let password = password()?;
        let sessions = self.sessions();
        std::fs::create_dir_all(&sessions).map_err(|error| machine(&sessions, &error))?;
        let database = storage.database(&sessions);
        let alone = absolute(&storage.lock(&sessions));
        if let Some(locks) = alone.parent() {
            std::fs::create_dir_all(locks).map_err(|error| machine(locks, &error))?;
        }
        let lean = self.lean_home();
        let setting = Setting {
            port,
            password: &password,
            database: &database,
            config: &self.config.config,
            lean: lean.as_deref(),
            ask_first,
        };
        let unusable = |error| machine(&self.config.state_dir, &error);
        let mut environment = environment(&setting, std::env::vars_os()).map_err(unusable)?;
        let sandbox = confined.map(|confined| {
            let temporary = absolute(&self.config.state_dir.join("tmp"));
            confined.give_temporary(&temporary, &mut environment)?;
            confined.sandbox(&sessions, &environment)
        });
        let running = launch(Launch {
            supervisor: &self.config.supervisor,
            alone,
            sandbox: sandbox.transpose().map_err(unusable)?,
            program: &binary.path,
            hosting,
            arguments: hosting.arguments(&setting),
            environment,
            directory,
            ready_limit: self.config.ready_limit,
        })
        .await?;
        let server = Server::new(port, SERVER_USER, &password, self.config.request_limit);
        Ok(Launched {
            running,
            api: Api::new(server),
            storage: storage.clone(),
        })
    }
}

#[async_trait]
impl Driver for Opencode {
    async fn check(&self) -> Result<DriverInfo, DriverError> {
        let binary = self.launcher.binary().await?;
        Ok(DriverInfo {
            program: "opencode".to_owned(),
            version: binary.version.clone(),
            path: Some(binary.path.clone()),
        })
    }

    fn keep_spares(&self, most: usize) {
        self.spares.keep_at_most(most);
    }

    async fn start(
        &self,
        spec: SessionSpec,
        events: mpsc::Sender<DriverEvent>,
    ) -> Result<StartedSession, DriverError> {
        let directory = std::fs::metadata(&spec.directory).map_err(|error| error.to_string());
        let directory = directory.and_then(|found| {
            if found.is_dir() {
                Ok(())
            } else {
                Err("it is not a directory".to_owned())
            }
        });
        directory.map_err(|reason| DriverError::Directory {
            directory: spec.directory.clone(),
            reason,
        })?;
        let directory = Path::new(&spec.directory);
        let confined = confine::wanted(&spec)?;
        let (storage, known) = Storage::of(&spec);
        // A spare is held to nothing.
        let is_free = confined.is_none() && !spec.ask_first;
        let spare = if known.is_none() && is_free {
            self.spares.take(directory).await
        } else {
            None
        };
        if let Some(spare) = spare {
            match self.begin(spare, &spec, None, events.clone()).await {
                Ok(started) => {
                    self.spares.keep(directory);
                    return Ok(started);
                }
                Err(error) => {
                    warn!(%error, "a spare opencode was of no use; another one starts");
                }
            }
        }
        let launched = self
            .launcher
            .launch(directory, &storage, confined, spec.ask_first)
            .await?;
        let started = self.begin(launched, &spec, known, events).await?;
        if is_free && !spec.is_own_directory {
            self.spares.keep(directory);
        }
        Ok(started)
    }
}

impl Opencode {
    /// Begins or takes up the conversation in a process that takes requests.
    async fn begin(
        &self,
        launched: Launched,
        spec: &SessionSpec,
        known: Option<&str>,
        events: mpsc::Sender<DriverEvent>,
    ) -> Result<StartedSession, DriverError> {
        let Launched {
            running,
            api,
            storage,
        } = launched;
        let binary = self.launcher.binary().await?;
        let opened = async {
            let version = api.version().await?;
            if !accepts_version(&version) {
                return Err(wrong_version(binary, version));
            }
            let stream = EventStream::open(&api, self.launcher.config.request_limit);
            let (stream, conversation, defaults) = tokio::try_join!(
                stream,
                conversation(&api, spec, known),
                defaults(&api, spec)
            )?;
            Ok((stream, conversation, defaults))
        };
        match opened.await {
            Ok((stream, (session, is_new), defaults)) => {
                info!(chat = %spec.chat_session_id, session, %storage, model = ?defaults.model, agent = ?defaults.agent, "opencode is ready");
                let (model, agent) = (
                    defaults.model.as_ref().map(ModelRef::to_string),
                    defaults.agent.clone(),
                );
                let agent_session_id = storage.name(&session);
                let process = OpencodeProcess::follow(
                    api, session, defaults, running, is_new, stream, events,
                );
                Ok(StartedSession {
                    agent_session_id,
                    model,
                    agent,
                    process: Box::new(process),
                })
            }
            Err(error) => {
                let status = running.exit_status();
                running.end().await;
                Err(status.map_or(error, |status| DriverError::ExitedAtStart {
                    status,
                    stderr: running.last_words(),
                }))
            }
        }
    }
}

/// The conversation to go on with, and whether it is a new one.
async fn conversation(
    api: &Api,
    spec: &SessionSpec,
    known: Option<&str>,
) -> Result<(String, bool), DriverError> {
    if let Some(session) = known {
        if api.has_session(session).await? {
            return Ok((session.to_owned(), false));
        }
        warn!(chat = %spec.chat_session_id, session, "opencode has lost this conversation; it begins anew");
    }
    let session = api.create_session(&spec.title, spec.ask_first).await?;
    Ok((session, true))
}

/// The model and agent of every turn: as asked for, else opencode's own. They are always given, because a
/// conversation keeps the last ones it was given.
async fn defaults(api: &Api, spec: &SessionSpec) -> Result<Defaults, DriverError> {
    let model = match spec.model.as_deref() {
        None => None,
        Some(text) => Some(ModelRef::parse(text).ok_or_else(|| DriverError::Refused {
            operation: "choosing the model",
            status: 400,
            message: format!("{text:?} is not of the form provider/model"),
        })?),
    };
    if model.is_some() && spec.agent.is_some() {
        return Ok(Defaults {
            model,
            agent: spec.agent.clone(),
        });
    }
    let (agent, model) = api.defaults(spec.agent.as_deref(), model).await?;
    Ok(Defaults { model, agent })
}

fn wrong_version(binary: &OpencodeBinary, found: String) -> DriverError {
    DriverError::WrongVersion {
        path: binary.path.display().to_string(),
        found,
        accepted: ACCEPTED_VERSIONS.to_owned(),
        advice: "Its file was changed while this program ran: start this program again.".to_owned(),
    }
}

fn free_port() -> Result<u16, DriverError> {
    let port =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    port.map(|address| address.port())
        .map_err(|error| DriverError::Machine {
            what: "no free port on loopback".to_owned(),
            reason: error.to_string(),
        })
}

fn password() -> Result<Secret, DriverError> {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).map_err(|error| DriverError::Machine {
        what: "no random bytes".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Secret::generate("ocp", entropy))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn machine(path: &Path, error: &std::io::Error) -> DriverError {
    DriverError::Machine {
        what: format!("{} can't be used", path.display()),
        reason: error.to_string(),
    }
}
