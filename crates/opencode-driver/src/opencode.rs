//! The driver for opencode.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use protocol::driver::{DriverEvent, SessionSpec};
use protocol::secret::Secret;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, mpsc};
use tracing::{info, warn};

use crate::driver::{Driver, DriverError, DriverInfo, StartedSession};
use crate::http::Server;
use crate::locate::{LocateConfig, OpencodeBinary, locate};
use crate::process::{Launch, Running, launch};
use crate::session::{Defaults, EventStream, OpencodeProcess};
use crate::wire::launch::{Hosting, Setting, environment, is_port_taken};
use crate::wire::{ACCEPTED_VERSIONS, Api, ModelRef, SERVER_USER, accepts_version};

/// How often another port is tried when somebody else took the one that was free.
const PORT_TRIES: usize = 5;
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
    config: OpencodeConfig,
    binary: OnceCell<OpencodeBinary>,
}

impl Opencode {
    /// A driver; nothing is started yet.
    #[must_use]
    pub fn new(config: OpencodeConfig) -> Self {
        Self {
            config,
            binary: OnceCell::new(),
        }
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
        binary: &OpencodeBinary,
        spec: &SessionSpec,
    ) -> Result<(Running, Api), DriverError> {
        match self.launch_as(Hosting::Acp, binary, spec).await {
            Err(first @ (DriverError::ExitedAtStart { .. } | DriverError::NeverReady { .. })) => {
                warn!(error = %first, "`opencode acp` did not come up; trying `opencode serve`");
                // What `acp` said is what the person can act on, should this fail too.
                self.launch_as(Hosting::Serve, binary, spec)
                    .await
                    .map_err(|_| first)
            }
            launched => launched,
        }
    }

    async fn launch_as(
        &self,
        hosting: Hosting,
        binary: &OpencodeBinary,
        spec: &SessionSpec,
    ) -> Result<(Running, Api), DriverError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_port(hosting, binary, spec).await {
                Err(DriverError::ExitedAtStart { stderr, .. })
                    if tries < PORT_TRIES && is_port_taken(&stderr) => {}
                launched => return launched,
            }
        }
    }

    async fn try_port(
        &self,
        hosting: Hosting,
        binary: &OpencodeBinary,
        spec: &SessionSpec,
    ) -> Result<(Running, Api), DriverError> {
        let port = free_port()?;
        let password = password()?;
        let sessions = self.config.state_dir.join("sessions");
        std::fs::create_dir_all(&sessions).map_err(|error| machine(&sessions, &error))?;
        let database = absolute(&sessions)?.join(format!("{}.db", spec.chat_session_id));
        let lean = if self.config.lean {
            Some(absolute(&self.config.state_dir)?.join("lean"))
        } else {
            None
        };
        let setting = Setting {
            port,
            password: &password,
            database: &database,
            config: &self.config.config,
            lean: lean.as_deref(),
        };
        let running = launch(Launch {
            supervisor: &self.config.supervisor,
            program: &binary.path,
            hosting,
            arguments: hosting.arguments(&setting),
            environment: environment(&setting, std::env::vars_os())
                .map_err(|error| machine(&self.config.state_dir, &error))?,
            directory: Path::new(&spec.directory),
            ready_limit: self.config.ready_limit,
        })
        .await?;
        Ok((
            running,
            Api::new(Server::new(
                port,
                SERVER_USER,
                &password,
                self.config.request_limit,
            )),
        ))
    }
}

#[async_trait]
impl Driver for Opencode {
    async fn check(&self) -> Result<DriverInfo, DriverError> {
        let binary = self.binary().await?;
        Ok(DriverInfo {
            program: "opencode".to_owned(),
            version: binary.version.clone(),
            path: Some(binary.path.clone()),
        })
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
        let binary = self.binary().await?;
        let (running, api) = self.launch(binary, &spec).await?;
        let opened = async {
            let version = api.version().await?;
            if !accepts_version(&version) {
                return Err(wrong_version(binary, version));
            }
            let stream = EventStream::open(&api, self.config.request_limit);
            let (stream, conversation, defaults) =
                tokio::try_join!(stream, conversation(&api, &spec), defaults(&api, &spec))?;
            Ok((stream, conversation, defaults))
        };
        match opened.await {
            Ok((stream, (session, is_new), defaults)) => {
                info!(chat = %spec.chat_session_id, session, model = ?defaults.model, agent = ?defaults.agent, "opencode is ready");
                let (model, agent) = (
                    defaults.model.as_ref().map(ModelRef::to_string),
                    defaults.agent.clone(),
                );
                let process = OpencodeProcess::follow(
                    api,
                    session.clone(),
                    defaults,
                    running,
                    is_new,
                    stream,
                    events,
                );
                Ok(StartedSession {
                    agent_session_id: session,
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
async fn conversation(api: &Api, spec: &SessionSpec) -> Result<(String, bool), DriverError> {
    if let Some(session) = &spec.agent_session_id {
        if api.has_session(session).await? {
            return Ok((session.clone(), false));
        }
        warn!(chat = %spec.chat_session_id, session, "opencode has lost this conversation; it begins anew");
    }
    Ok((api.create_session(&spec.title).await?, true))
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

fn absolute(path: &Path) -> Result<PathBuf, DriverError> {
    std::path::absolute(path).map_err(|error| machine(path, &error))
}

fn machine(path: &Path, error: &std::io::Error) -> DriverError {
    DriverError::Machine {
        what: format!("{} can't be used", path.display()),
        reason: error.to_string(),
    }
}
