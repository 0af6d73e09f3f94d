//! The product as it is shipped, on a computer of its own: a hub, and a machine whose agent reaches the hub
//! through a proxy. Both can be killed and started again where they were.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::functions::{CreateMachine, RegisterWorker};
use protocol::ids::{MachineId, WorkerId};
use protocol::secret::Secret;
use protocol::wire::{CreateMachineArgs, RegisterWorkerArgs, WorkerSettings};
use rustix::process::Signal;
use scripted_model::{ModelConfig, ScriptedModel};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use torture::proxy::Proxy;
use transport::Transport;
use transport_convex::ConvexTransport;
use transport_http::HttpTransport;

use crate::bridge;
use crate::person::{MachineShown, Person, Shown};
use crate::processes::{Handle, Own};
use crate::{Failure, Found};

/// How long any one step of starting may take.
const LIMIT: Duration = Duration::from_secs(120);
/// How long a fenced agent may take to notice.
const FENCED_LIMIT: Duration = Duration::from_secs(60);
/// The directory that chats work in, below the root.
const PROJECT: &str = "project";
/// The variables that the product gets from this program's environment.
const INHERITED: &[&str] = &["PATH", "LANG"];
/// What the repository to clone weighs: enough for a fault to meet a clone.
const REPOSITORY_BYTES: usize = 4 * 1024 * 1024;
/// The end of a log that a failed round shows, in lines.
const LOG_LINES: usize = 60;

/// What stands behind the proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Backend {
    /// The hub.
    Hub,
    /// The Convex functions, behind the bridge, with the official client.
    Convex,
}

impl Backend {
    /// The address that a machine is given.
    fn url(self, way: &str) -> String {
        match self {
            Self::Hub => way.to_owned(),
            Self::Convex => format!("convex+{way}"),
        }
    }

    fn way(self, way: &str) -> Result<Arc<dyn Transport>, Failure> {
        Ok(match self {
            Self::Hub => Arc::new(HttpTransport::new(way)?),
            Self::Convex => Arc::new(ConvexTransport::new(&self.url(way))?),
        })
    }
}

/// A hub, a machine and their computer.
#[derive(Debug)]
pub(crate) struct Product {
    home: TempDir,
    found: Found,
    own: Own,
    backend: Backend,
    pub(crate) model: ScriptedModel,
    pub(crate) hub: Part,
    pub(crate) agent: Part,
    hub_address: SocketAddr,
    pub(crate) agent_way: Proxy,
    pub(crate) person_way: Proxy,
    pub(crate) person: Person,
    pub(crate) machine_id: MachineId,
    pub(crate) worker: WorkerId,
    pub(crate) machine: Shown<MachineShown>,
}

/// One of its processes. Who holds it decides alone whether it runs.
#[derive(Debug, Default)]
pub(crate) struct Part(Mutex<Option<Child>>);

impl Product {
    /// Starts it with a worker.
    pub(crate) async fn start(
        found: &Found,
        own: &Own,
        backend: Backend,
        seed: u64,
    ) -> Result<Self, Failure> {
        let home = tempfile::Builder::new().prefix("torture-").tempdir()?;
        for directory in ["home", "root/project", "root/made"] {
            std::fs::create_dir_all(home.path().join(directory))?;
        }
        make_repository(home.path(), own).await?;
        let model = ScriptedModel::start(ModelConfig::demo()).await?;
        model.record();

        let started = match backend {
            Backend::Hub => hub_started(found, own, home.path()).await?,
            Backend::Convex => bridge::start(found, own, home.path()).await?,
        };
        let Started {
            process: hub,
            address: hub_address,
            token,
        } = started;
        let agent_way = Proxy::start(hub_address, seed).await?;
        let person_way = Proxy::start(hub_address, !seed).await?;
        let person = Person::new(backend.way(&person_way.url())?, token);
        let name = "here".to_owned();
        let key = person
            .call::<CreateMachine>(&CreateMachineArgs { name })
            .await?;
        let machine = person.show_machine(&key.machine_id)?;
        let mut product = Self {
            home,
            found: found.clone(),
            own: own.clone(),
            backend,
            model,
            hub: Part(Mutex::new(Some(hub))),
            agent: Part::default(),
            hub_address,
            agent_way,
            person_way,
            person,
            machine_id: key.machine_id,
            worker: WorkerId::generate(transport::now(), [0; 10]),
            machine,
        };
        let agent = product.agent_process(Some(&key.registration_key))?;
        product.agent = Part(Mutex::new(Some(agent)));
        let args = RegisterWorkerArgs {
            machine_id: product.machine_id.clone(),
            directory: PROJECT.to_owned(),
            name: None,
            settings: WorkerSettings::default(),
        };
        product.worker = product.person.call::<RegisterWorker>(&args).await?.id;
        let mut shown = product.machine.shown.clone();
        let online = shown.wait_for(|machine| machine.online.is_some());
        tokio::time::timeout(LIMIT, online)
            .await
            .map_err(|_| "the machine does not come online")??;
        Ok(product)
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A place below the machine's root.
    pub(crate) fn place(&self, path: &str) -> PathBuf {
        self.home.path().join("root").join(path)
    }

    /// The address of the repository that is cloned.
    pub(crate) fn repository(&self) -> String {
        format!(
            "file://{}",
            self.home.path().join("repository.git").display()
        )
    }

    /// Kills the hub and starts it again where it was. Convex keeps what it has committed: the bridge ends every
    /// connection and takes none for a while.
    pub(crate) async fn restart_hub(&self, down: Duration) -> Result<(), Failure> {
        if self.backend == Backend::Convex {
            let held = self.hub.0.lock().await;
            bridge::restart(self.hub_address, down).await?;
            drop(held);
            return Ok(());
        }
        let mut hub = self.hub.0.lock().await;
        self.kill(&mut hub).await?;
        tokio::time::sleep(down).await;
        let mut started = hub_process(
            &self.found,
            &self.own,
            self.home(),
            &self.hub_address.to_string(),
        )?;
        address_of(&mut started).await?;
        *hub = Some(started);
        Ok(())
    }

    /// Kills the agent and starts it again with what it has kept.
    pub(crate) async fn restart_agent(&self, down: Duration) -> Result<(), Failure> {
        let mut agent = self.agent.0.lock().await;
        self.kill(&mut agent).await?;
        tokio::time::sleep(down).await;
        *agent = Some(self.agent_process(None)?);
        Ok(())
    }

    /// Stops the agent, starts a second one, lets the first one go on and waits until it has ended by itself.
    pub(crate) async fn twin(&self, time: Duration) -> Result<(), Failure> {
        let mut agent = self.agent.0.lock().await;
        let mut first = agent.take().ok_or("there is no agent")?;
        let handle = first.id().and_then(Handle::of).ok_or("no agent")?;
        handle.signal(Signal::STOP);
        *agent = Some(self.agent_process(None)?);
        let begun = Instant::now();
        // The newer one is to be the later one to connect.
        let mut shown = self.machine.shown.clone();
        let before = shown.borrow().online.map(|(epoch, _)| epoch);
        let newer = shown.wait_for(|machine| {
            machine
                .online
                .is_some_and(|(epoch, _)| before.is_none_or(|before| epoch > before))
        });
        let connected = tokio::time::timeout(LIMIT, newer).await.is_ok();
        tokio::time::sleep(time.saturating_sub(begun.elapsed())).await;
        handle.signal(Signal::CONT);
        if !connected {
            return Err("the second agent does not connect".into());
        }
        let pid = first.id();
        let ended = tokio::time::timeout(FENCED_LIMIT, first.wait()).await;
        pid.inspect(|pid| self.own.forget(*pid));
        let status = ended.map_err(|_| "the older of two agents does not end")??;
        if status.code() == Some(0) {
            return Err("the older of two agents ended as if it had been told to".into());
        }
        Ok(())
    }

    /// Stops one of the two for a while.
    pub(crate) async fn pause(&self, part: &Part, time: Duration) {
        let held = part.0.lock().await;
        let handle = held.as_ref().and_then(Child::id).and_then(Handle::of);
        if let Some(handle) = handle {
            handle.signal(Signal::STOP);
            tokio::time::sleep(time).await;
            handle.signal(Signal::CONT);
        }
        drop(held);
    }

    /// Holds the agent as it is, so that it is not started or killed meanwhile.
    pub(crate) async fn agent_held(&self) -> tokio::sync::MutexGuard<'_, Option<Child>> {
        self.agent.0.lock().await
    }

    /// The number of a part's process.
    pub(crate) async fn pid(&self, part: &Part) -> Option<u32> {
        part.0.lock().await.as_ref().and_then(Child::id)
    }

    /// Fails if the hub or the agent has ended by itself.
    pub(crate) async fn runs(&self) -> Result<(), Failure> {
        for (name, part) in [("hub", &self.hub), ("agent", &self.agent)] {
            let mut held = part.0.lock().await;
            let child = held.as_mut().ok_or_else(|| format!("there is no {name}"))?;
            if let Some(status) = child.try_wait()? {
                return Err(format!("the {name} ended by itself: {status}").into());
            }
        }
        Ok(())
    }

    /// Ends it in order; everything of it ends.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        if let Some(mut agent) = self.agent.0.lock().await.take() {
            drop(agent.stdin.take());
            tokio::time::timeout(LIMIT, agent.wait()).await??;
        }
        let mut hub = self.hub.0.lock().await;
        self.kill(&mut hub).await
    }

    /// Kills what of it runs, and leaves the files.
    pub(crate) async fn abandon(mut self) -> PathBuf {
        for part in [&self.agent, &self.hub] {
            let _ = self.kill(&mut *part.0.lock().await).await;
        }
        self.home.disable_cleanup(true);
        self.home.path().to_owned()
    }

    /// The end of what the hub and the agent said.
    pub(crate) fn logs(&self) -> String {
        ["hub.log", "agent.log"]
            .map(|name| {
                let text = std::fs::read_to_string(self.home().join(name)).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                let from = lines.len().saturating_sub(LOG_LINES);
                format!("--- {name}\n{}\n", lines[from..].join("\n"))
            })
            .concat()
    }

    async fn kill(&self, part: &mut Option<Child>) -> Result<(), Failure> {
        if let Some(mut child) = part.take() {
            let pid = child.id();
            child.kill().await?;
            pid.inspect(|pid| self.own.forget(*pid));
        }
        Ok(())
    }

    fn agent_process(&self, key: Option<&Secret>) -> Result<Child, Failure> {
        let mut command = command(&self.found.orchestrator, self.home());
        command
            .args(["machine", "--supervised", "--backend"])
            .arg(self.backend.url(&self.agent_way.url()))
            .arg("--machine-dir")
            .arg(self.home().join("machine"))
            .arg("--root")
            .arg(self.home().join("root"))
            .arg("--opencode")
            .arg(&self.found.opencode)
            .env(
                "ORCHESTRATOR_OPENCODE_CONFIG",
                self.model.opencode_config().to_string(),
            )
            .env("ORCHESTRATOR_OPENCODE_LEAN", "true")
            .env("ORCHESTRATOR_SPARES", "0")
            .env("ORCHESTRATOR_GIT_PROTOCOLS", "file")
            .env("ORCHESTRATOR_DRAIN_SECONDS", "1")
            .stdin(Stdio::piped())
            .stdout(log(self.home(), "agent.log")?)
            .stderr(log(self.home(), "agent.log")?);
        if let Some(key) = key {
            command.env("ORCHESTRATOR_REGISTRATION_KEY", key.expose());
        }
        Ok(self.own.spawn(|| command.spawn(), Child::id)?)
    }
}

/// A backend that has been started.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
    /// The person's credential.
    pub(crate) token: Secret,
}

async fn hub_started(found: &Found, own: &Own, home: &Path) -> Result<Started, Failure> {
    let mut process = hub_process(found, own, home, "127.0.0.1:0")?;
    let address = address_of(&mut process).await?;
    let address = address.strip_prefix("http://");
    let token = std::fs::read_to_string(home.join("hub/owner-token"))?;
    Ok(Started {
        process,
        address: address.ok_or("the hub told no address")?.parse()?,
        token: Secret::new(token.trim()),
    })
}

fn hub_process(found: &Found, own: &Own, home: &Path, listen: &str) -> Result<Child, Failure> {
    let mut command = command(&found.orchestrator, home);
    command
        .args(["--json", "hub", "--listen", listen, "--data-dir"])
        .arg(home.join("hub"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log(home, "hub.log")?);
    Ok(own.spawn(|| command.spawn(), Child::id)?)
}

/// Waits until the hub says where it is.
async fn address_of(hub: &mut Child) -> Result<String, Failure> {
    let mut lines = BufReader::new(hub.stdout.take().ok_or("no standard output")?).lines();
    let line = tokio::time::timeout(LIMIT, lines.next_line())
        .await??
        .ok_or("the hub did not start")?;
    let started: Value = serde_json::from_str(&line)?;
    let backend = started["backend"]
        .as_str()
        .ok_or("the hub told no address")?;
    Ok(backend.to_owned())
}

pub(crate) fn log(home: &Path, name: &str) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(home.join(name))
}

/// A program with this home, and without anything else of this program's environment.
pub(crate) fn command(program: &Path, home: &Path) -> Command {
    let inherited = INHERITED
        .iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(inherited)
        .env("HOME", home.join("home"))
        .env("ORCHESTRATOR_LOG", "info")
        .current_dir(home)
        .kill_on_drop(true);
    command
}

/// A repository with a file that no packing makes smaller, and the project's own.
async fn make_repository(home: &Path, own: &Own) -> Result<(), Failure> {
    let work = home.join("work");
    std::fs::create_dir(&work)?;
    let mut random = torture::random::Random::new(0, 0);
    let bytes: Vec<u8> = (0..REPOSITORY_BYTES / 8)
        .flat_map(|_| random.bits().to_le_bytes())
        .collect();
    std::fs::write(work.join("data.bin"), bytes)?;
    std::fs::write(work.join("README.md"), "# All of it\n")?;
    let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    for words in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "--all"],
        &["commit", "--quiet", "-m", "Begin"],
        &["clone", "--quiet", "--bare", ".", "../repository.git"],
    ] {
        let mut command = command(Path::new("git"), home);
        command.args(identity).args(words).current_dir(&work);
        let mut git = own.spawn(|| command.spawn(), Child::id)?;
        let pid = git.id();
        let status = git.wait().await?;
        pid.inspect(|pid| own.forget(*pid));
        if !status.success() {
            return Err("git could not make a repository".into());
        }
    }
    Ok(())
}
