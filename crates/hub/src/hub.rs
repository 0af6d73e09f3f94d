//! A hub from start to stop.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use protocol::{
    CallError, ErrorCode, Timestamp,
    backend::{Caller, Request},
    functions::{Access, Function, Kind},
    ids::{IdempotencyKey, PersonId},
    secret::Secret,
    wire::{CreateMachineArgs, MachineArgs, RegistrationKeyReply},
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    api::{
        self, App, Core, Guard, InvalidPublicUrl, LinkLife, Page, PageBackend, PageSource,
        PrepareError, link_url, local_token_path,
    },
    clock::Clock,
    server,
    store::{OpenError, Store},
    streams::{StreamLimits, Streams},
};

/// How long work in the background may go on once the hub stops.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// The database in the data directory.
const DATABASE: &str = "hub.db";

/// How a hub is to run.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Where the database and the owner's token are; created if it is not there.
    pub data_dir: PathBuf,
    /// The address to listen on; port 0 for any.
    pub listen: SocketAddr,
    /// The address under which others reach the hub, like `https://orchestrator.example.org`.
    pub public_url: Option<String>,
    /// Further hosts to answer to, each as `host` or `host:port`. Pages from a `host:port` may write.
    pub allowed_hosts: Vec<String>,
    /// Where the page comes from.
    pub page: PageSource,
    /// What tells the time.
    pub clock: Clock,
    /// What bounds the streams.
    pub stream_limits: StreamLimits,
}

impl HubConfig {
    /// A hub on a loopback port of its own choosing, with the page built in.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            public_url: None,
            allowed_hosts: Vec::new(),
            page: PageSource::default(),
            clock: Clock::system(),
            stream_limits: StreamLimits::default(),
        }
    }
}

/// Why a hub could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory can't be used.
    #[error("cannot use the data directory {}: {source}; check that it belongs to you", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// The database can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The owner's row or token can't be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The public address is none.
    #[error(transparent)]
    PublicUrl(#[from] InvalidPublicUrl),
    /// The address can't be listened on.
    #[error(
        "cannot listen on {address}: {source}; another program may use the port: stop it, or choose another port"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The embedded backend.
#[derive(Debug)]
pub struct Hub;

impl Hub {
    /// Starts a hub; it serves when this returns. Raises this process's limit of open files.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: HubConfig) -> Result<RunningHub, StartError> {
        // Before anything is made, so that a wrong setting leaves nothing behind.
        let guard_of =
            |listen| Guard::new(listen, config.public_url.as_deref(), &config.allowed_hosts);
        guard_of(config.listen)?;
        let data_dir = config.data_dir.clone();
        let opened = tokio::task::spawn_blocking(move || open(data_dir)).await;
        let store = match opened {
            Ok(store) => store?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let time = config.clock.clone();
        let streams = Streams::start_with_clock(
            store.clone(),
            config.stream_limits,
            Arc::new(move || time.now_ms()),
        );
        let core = Core::new(streams, config.clock);
        // Before any machine can be heard: those that the last process had are not connected to this one.
        let begun = core.change(|_, backend| backend.begin()).await;
        begun.map_err(PrepareError::Store)?;
        let owner = api::prepare(&core, &config.data_dir).await?;
        raise_open_files();
        let listen_error = |source| StartError::Listen {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;

        let deadlines = core.tasks.spawn(api::meet_deadlines(core.clone()));
        drop(deadlines);
        let app = App::new(core.clone(), config.public_url.as_deref());
        let router = api::router(
            app,
            guard_of(address)?,
            Page::new(config.page, PageBackend::Hub),
        );
        let server = tokio::spawn(server::serve(listener, router, core.stop.clone()));
        tracing::info!(%address, "the hub serves");
        Ok(RunningHub {
            core,
            address,
            public_url: config.public_url,
            owner,
            data_dir: config.data_dir,
            server,
        })
    }
}

/// Each connection is an open file, and the usual limit of 1,024 is less than some hundred machines need.
fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        const WANTED: u64 = 65_536;
        let limit = getrlimit(Resource::Nofile);
        let wanted = limit.maximum.map_or(WANTED, |most| most.min(WANTED));
        if limit.current.is_some_and(|current| current < wanted) {
            let raised = Rlimit {
                current: Some(wanted),
                ..limit
            };
            if let Err(error) = setrlimit(Resource::Nofile, raised) {
                tracing::debug!(%error, "the limit of open files stays as it is");
            }
        }
    }
}

fn open(data_dir: PathBuf) -> Result<Store, StartError> {
    create_private(&data_dir).map_err(|source| StartError::DataDir {
        path: data_dir.clone(),
        source,
    })?;
    Ok(Store::open(data_dir.join(DATABASE))?)
}

fn create_private(path: &std::path::Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Where programs on this computer reach an address that is listened on.
pub(crate) fn local_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// Where people reach it.
pub(crate) fn people_url(address: SocketAddr, public_url: Option<&str>) -> String {
    public_url.map_or_else(
        || local_url(address),
        |url| url.trim_end_matches('/').to_owned(),
    )
}

/// A hub that serves. Dropping it leaves it serving; [`RunningHub::shutdown`] ends it.
#[derive(Debug)]
pub struct RunningHub {
    core: Core,
    address: SocketAddr,
    public_url: Option<String>,
    owner: PersonId,
    data_dir: PathBuf,
    server: JoinHandle<()>,
}

impl RunningHub {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where programs on this computer reach it: `http://127.0.0.1:8080`.
    #[must_use]
    pub fn local_url(&self) -> String {
        local_url(self.address)
    }

    /// Where people reach it: the public address if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        people_url(self.address, self.public_url.as_deref())
    }

    /// The file with the token for programs on this computer.
    #[must_use]
    pub fn owner_token_path(&self) -> PathBuf {
        local_token_path(&self.data_dir)
    }

    /// A new link that signs the owner in, once; it can be used until the hub stops, for a day at most.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn sign_in_link(&self) -> Result<Secret, CallError> {
        let link = api::new_link(&self.core, self.owner.clone(), LinkLife::Process).await?;
        Ok(Secret::new(link_url(&self.url(), &link.token)))
    }

    /// Adds a machine of the owner's and gives the key with which its process registers.
    ///
    /// # Errors
    /// As the call `machine.create`.
    pub async fn issue_registration_key(
        &self,
        machine_name: &str,
    ) -> Result<RegistrationKeyReply, CallError> {
        let args = CreateMachineArgs {
            name: machine_name.to_owned(),
        };
        self.call_as_owner::<protocol::functions::CreateMachine>(&args)
            .await
    }

    /// Replaces the key of a machine of the owner's that has never connected.
    ///
    /// # Errors
    /// As the call `machine.reissueKey`.
    pub async fn reissue_registration_key(
        &self,
        machine: &MachineArgs,
    ) -> Result<RegistrationKeyReply, CallError> {
        self.call_as_owner::<protocol::functions::ReissueKey>(machine)
            .await
    }

    /// Calls a function of people as the owner, from within the process.
    ///
    /// # Errors
    /// As the call.
    pub async fn call_as_owner<F: Function>(&self, args: &F::Args) -> Result<F::Reply, CallError> {
        let invalid =
            |error: serde_json::Error| CallError::new(ErrorCode::Internal, error.to_string());
        let args = serde_json::to_value(args).map_err(invalid)?;
        let caller = match F::ACCESS {
            Access::Person => Caller::Person(self.owner.clone()),
            Access::Anyone | Access::Machine => Caller::Anyone,
        };
        let reply = match F::KIND {
            Kind::Query => {
                self.core
                    .look(move |_, backend| backend.query(F::NAME, &args, &caller))
                    .await??
            }
            Kind::Mutation => {
                let key = IdempotencyKey::generate(self.core.now(), api::entropy()?.id);
                self.core
                    .change(move |_, backend| {
                        backend.call(&Request {
                            function: F::NAME,
                            args,
                            key: Some(key),
                            caller,
                        })
                    })
                    .await?
            }
        };
        serde_json::from_value(reply).map_err(invalid)
    }

    /// Waits until all that was due has happened, and tells when something happens by itself next. With a clock
    /// that is moved by hand, a test meets each deadline at its own time.
    pub async fn next_deadline(&self) -> Option<Timestamp> {
        let clock = &self.core.clock;
        let mut next = self.core.next_deadline.subscribe();
        let settled = next.wait_for(|next| next.is_none_or(|at_ms| at_ms > clock.now_ms()));
        let at_ms = settled.await.ok().and_then(|next| *next);
        at_ms.map(Timestamp::from_ms)
    }

    /// Stops: takes no new connections, ends live ones, lets running requests end, and closes the database.
    pub async fn shutdown(self) {
        let Self { core, server, .. } = self;
        core.stop.cancel();
        if let Err(error) = server.await {
            tracing::warn!(%error, "the server did not end well");
        }
        core.tasks.close();
        if tokio::time::timeout(STOP_WAIT, core.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("work was still under way when the hub stopped");
        }
        core.store().close().await;
    }
}
