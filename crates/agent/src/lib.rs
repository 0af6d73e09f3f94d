//! Runs chat sessions on one machine: the loop that carries bytes, clocks and processes for the agent core,
//! which decides everything. A library first: give it a transport and a driver, and it is part of your
//! program.
//!
//! ```no_run
//! # async fn example(
//! #     transport: std::sync::Arc<dyn transport::Transport>,
//! #     driver: std::sync::Arc<dyn opencode_driver::Driver>,
//! #     credentials: protocol::wire::MachineCredentials,
//! # ) -> Result<(), agent::StartError> {
//! let mut agent = agent::Agent::builder(credentials, "/home/me/projects")
//!     .transport(transport)
//!     .driver(driver)
//!     .start()?;
//! let why = agent.ended().await;
//! # Ok(()) }
//! ```

mod command;
pub mod directory;
pub mod limits;
mod register;
mod run;
mod session;

use std::path::PathBuf;
use std::sync::Arc;

use opencode_driver::Driver;
use protocol::agent::{AgentConfig, ExitReason};
use protocol::limits::HIBERNATE_AFTER_MS;
use protocol::wire::{MachineCredentials, MachineInfo};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use transport::Transport;

pub use directory::{Directories, DirectorySettings, Root, RootError};
pub use register::register;

/// How long running turns may go on once the agent is told to drain.
const DRAIN_MS: u64 = 60_000;

/// Why an agent could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The root directory can't be used.
    #[error(transparent)]
    Root(#[from] RootError),
    /// No transport was given.
    #[error("an agent needs a transport: call .transport(…)")]
    NoTransport,
    /// No driver was given.
    #[error("an agent needs a driver: call .driver(…)")]
    NoDriver,
}

/// What an agent is made of.
#[must_use]
pub struct Builder {
    credentials: MachineCredentials,
    root: PathBuf,
    transport: Option<Arc<dyn Transport>>,
    driver: Option<Arc<dyn Driver>>,
    directories: Option<DirectorySettings>,
    hibernate_after_ms: u64,
    drain_ms: u64,
    process_limit: Option<usize>,
    memory_limit_bytes: Option<u64>,
    version: String,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("credentials", &self.credentials)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// The way to the backend.
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// What runs the chat sessions.
    pub fn driver(mut self, driver: Arc<dyn Driver>) -> Self {
        self.driver = Some(driver);
        self
    }

    /// How directory operations are done; without this, none are.
    pub fn directories(mut self, settings: DirectorySettings) -> Self {
        self.directories = Some(settings);
        self
    }

    /// How long a chat session's process may sit without work before it is stopped, in milliseconds.
    pub fn hibernate_after_ms(mut self, ms: u64) -> Self {
        self.hibernate_after_ms = ms;
        self
    }

    /// How long running turns may go on once the agent drains, in milliseconds.
    pub fn drain_ms(mut self, ms: u64) -> Self {
        self.drain_ms = ms;
        self
    }

    /// How many chat sessions' processes there may be at once; by default as many as this computer has memory for.
    pub fn process_limit(mut self, processes: usize) -> Self {
        self.process_limit = Some(processes);
        self
    }

    /// How much memory those processes and all that they have started may take before no further one is started, in
    /// bytes; most of this computer's memory by default. Where memory can't be measured, it is not limited.
    pub fn memory_limit_bytes(mut self, bytes: u64) -> Self {
        self.memory_limit_bytes = Some(bytes);
        self
    }

    /// The version that people are shown; this library's own by default.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Starts the agent on the current runtime.
    ///
    /// # Errors
    /// [`StartError`] when something is missing or the root directory can't be used.
    pub fn start(self) -> Result<Agent, StartError> {
        let transport = self.transport.ok_or(StartError::NoTransport)?;
        let driver = self.driver.ok_or(StartError::NoDriver)?;
        let root = Root::open(&self.root)?;
        let info = machine_info(&self.root, &self.version);
        let config = AgentConfig {
            machine_id: self.credentials.machine_id,
            secret: self.credentials.secret,
            nonce: transport::new_secret("omn"),
            info,
            hibernate_after_ms: self.hibernate_after_ms,
            drain_ms: self.drain_ms,
            process_limit: self.process_limit.unwrap_or_else(limits::processes),
            memory_limit_bytes: self.memory_limit_bytes.or_else(limits::memory_bytes),
            backoff_seed: transport::random(),
        };
        let (control, orders) = mpsc::channel(CONTROL_QUEUE);
        let status = watch::Sender::new(Status::default());
        let seen = status.subscribe();
        let task = tokio::spawn(run::run(run::Parts {
            config,
            directories: self
                .directories
                .map(|settings| Directories::new(root.clone(), settings)),
            root,
            transport,
            driver,
            orders,
            status,
        }));
        Ok(Agent {
            control,
            status: seen,
            task,
        })
    }
}

const CONTROL_QUEUE: usize = 4;

/// How an agent is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the backend can be reached as far as is known.
    pub connected: bool,
    /// How many processes run, start or stop.
    pub process_count: usize,
    /// Why the backend could not be reached the last time.
    pub last_error: Option<String>,
}

pub(crate) enum Order {
    Drain,
    Stop,
}

/// A running agent. Dropping it lets it run on; [`Agent::stop`] ends it.
#[derive(Debug)]
pub struct Agent {
    control: mpsc::Sender<Order>,
    status: watch::Receiver<Status>,
    task: JoinHandle<ExitReason>,
}

impl Agent {
    /// An agent for the machine with these credentials, whose work happens below this root directory.
    pub fn builder(credentials: MachineCredentials, root: impl Into<PathBuf>) -> Builder {
        Builder {
            credentials,
            root: root.into(),
            transport: None,
            driver: None,
            directories: None,
            hibernate_after_ms: HIBERNATE_AFTER_MS,
            drain_ms: DRAIN_MS,
            process_limit: None,
            memory_limit_bytes: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Takes nothing new, lets running turns finish within the time for it, then ends. Asked again: ends at
    /// once.
    pub async fn drain(&self) {
        // An agent that has ended needs no orders.
        let _ = self.control.send(Order::Drain).await;
    }

    /// Ends now: processes are stopped, turns that ran are interrupted when the machine comes back.
    pub async fn stop(&self) {
        let _ = self.control.send(Order::Stop).await;
    }

    /// How the agent is, and how it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until the agent has ended, and says why.
    ///
    /// # Panics
    /// When the agent itself panicked.
    pub async fn ended(&mut self) -> ExitReason {
        match (&mut self.task).await {
            Ok(reason) => reason,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => ExitReason::Stopped,
        }
    }
}

/// What a machine tells about itself.
#[must_use]
pub fn machine_info(root: &std::path::Path, version: &str) -> MachineInfo {
    MachineInfo {
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        hostname: hostname(),
        root: root.display().to_string(),
        agent_version: version.to_owned(),
        opencode_version: None,
        enforcement: Some(opencode_driver::supervisor::enforcement().to_string()),
        problem: None,
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_default()
}
