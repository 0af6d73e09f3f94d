//! The product as it is shipped: a hub and a machine, each a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use protocol::functions::{CreateMachine, ListMachines, RegisterWorker};
use protocol::ids::{MachineId, WorkerId};
use protocol::secret::Secret;
use protocol::wire::{
    CreateMachineArgs, MachineList, NoArgs, Presence, RegisterWorkerArgs, WorkerSettings,
};
use scripted_model::{ModelConfig, ScriptedModel};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::person::Person;
use crate::processes::{Tap, opencodes};
use crate::{Failure, Found};

/// How long any one step may take.
const LIMIT: Duration = Duration::from_secs(120);
/// The pause between two looks at the processes.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// The directory that chats work in, below the root.
const PROJECT: &str = "project";
/// The variables that plain opencode and the product get from this program's environment.
const INHERITED: &[&str] = &["PATH", "TMPDIR", "LANG"];

/// A person's computer: a home directory, a project, and a model. Plain opencode and the product share it.
#[derive(Debug)]
pub(crate) struct Home {
    directory: TempDir,
    model: ScriptedModel,
    lean: bool,
}

impl Home {
    /// A computer on which opencode has been used before.
    pub(crate) async fn new(lean: bool) -> Result<Self, Failure> {
        let model = ScriptedModel::start(ModelConfig::demo()).await?;
        let home = Self {
            directory: tempfile::tempdir()?,
            model,
            lean,
        };
        let project = home.project();
        std::fs::create_dir_all(&project)?;
        std::fs::write(project.join("README.md"), "# A project\n")?;
        home.make_repository(&project).await?;
        home.seed_plugin()?;
        Ok(home)
    }

    /// Makes a git repository of all that is in a directory.
    pub(crate) async fn make_repository(&self, directory: &Path) -> Result<(), Failure> {
        const COMMIT: &[&str] = &[
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.org",
            "commit",
            "--quiet",
            "-m",
            "Begin",
        ];
        for words in [&["init", "--quiet"][..], &["add", "--all"], COMMIT] {
            let mut command = self.command(Path::new("git"));
            let status = command.args(words).current_dir(directory).status().await?;
            if !status.success() {
                return Err("git could not make a repository".into());
            }
        }
        Ok(())
    }

    /// What opencode's own installer leaves in the configuration directory the first time. Without it each
    /// start here would try the network anew.
    fn seed_plugin(&self) -> Result<(), Failure> {
        let config = self.path("home").join(".config/opencode");
        std::fs::create_dir_all(config.join("node_modules"))?;
        let wants = json!({ "@opencode-ai/plugin": "1.18.33" });
        let lock = json!({ "name": "opencode", "lockfileVersion": 3, "requires": true, "packages": { "": { "dependencies": wants } } });
        std::fs::write(
            config.join("package.json"),
            json!({ "dependencies": wants }).to_string(),
        )?;
        std::fs::write(config.join("package-lock.json"), lock.to_string())?;
        Ok(())
    }

    /// The directory that chats work in.
    pub(crate) fn project(&self) -> PathBuf {
        self.path("root").join(PROJECT)
    }

    /// The machine's root.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A program with this home, and without anything else of this program's environment.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let inherited = INHERITED
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        command
            .env_clear()
            .envs(inherited)
            .env("HOME", self.path("home"))
            .kill_on_drop(true);
        command
    }

    /// What plain opencode is told: the model, and how to be lean if it is to be.
    pub(crate) fn opencode_variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![(
            "OPENCODE_CONFIG_CONTENT",
            self.model.opencode_config().to_string(),
        )];
        if self.lean {
            let models = self.path("models.json");
            // It is written anew each time with the same content.
            let _ = std::fs::write(&models, "{}");
            variables.push(("OPENCODE_MODELS_PATH", models.display().to_string()));
            variables.extend(
                [
                    "OPENCODE_DISABLE_MODELS_FETCH",
                    "OPENCODE_DISABLE_LSP_DOWNLOAD",
                    "OPENCODE_DISABLE_DEFAULT_PLUGINS",
                    "OPENCODE_DISABLE_EXTERNAL_SKILLS",
                    "OPENCODE_DISABLE_CLAUDE_CODE",
                    "OPENCODE_DISABLE_PROJECT_CONFIG",
                    "OPENCODE_EXPERIMENTAL_DISABLE_FILEWATCHER",
                ]
                .map(|name| (name, "1".to_owned())),
            );
        }
        variables
    }
}

/// A hub.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) person: Person,
    /// Where it is.
    pub(crate) backend: String,
    data_dir: PathBuf,
    child: Child,
}

impl Hub {
    /// Starts one on a free port. `name` tells several on one computer apart.
    pub(crate) async fn start(found: &Found, home: &Home, name: &str) -> Result<Self, Failure> {
        let data_dir = home.path(&format!("hub-{name}"));
        let mut child = Self::process(found, home, &data_dir, "127.0.0.1:0")?;
        let backend = Self::address(&mut child).await?;
        let token = std::fs::read_to_string(data_dir.join("owner-token"))?;
        Ok(Self {
            person: Person::new(&backend, Secret::new(token.trim()))?,
            backend,
            data_dir,
            child,
        })
    }

    /// kill -9, and a new one in its place. Returns when it listens, with the time at which it was started.
    pub(crate) async fn restart(
        &mut self,
        found: &Found,
        home: &Home,
        away: Duration,
    ) -> Result<Instant, Failure> {
        self.child.kill().await?;
        tokio::time::sleep(away).await;
        let begun = Instant::now();
        self.child = Self::process(found, home, &self.data_dir, self.address_text()?)?;
        Self::address(&mut self.child).await?;
        Ok(begun)
    }

    /// The person over a connection of its own.
    pub(crate) fn new_person(&self) -> Result<Person, Failure> {
        self.person.elsewhere(&self.backend)
    }

    /// Its address and port.
    pub(crate) fn address_text(&self) -> Result<&str, Failure> {
        let address = self.backend.strip_prefix("http://");
        address.ok_or_else(|| "the hub's address is no address".into())
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        self.child.kill().await?;
        Ok(())
    }

    fn process(
        found: &Found,
        home: &Home,
        data_dir: &Path,
        listen: &str,
    ) -> Result<Child, Failure> {
        let mut command = home.command(&found.orchestrator);
        command
            .args(["--json", "hub", "--listen", listen, "--data-dir"])
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Ok(command.spawn()?)
    }

    async fn address(child: &mut Child) -> Result<String, Failure> {
        let mut lines = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
        let line = tokio::time::timeout(LIMIT, lines.next_line())
            .await??
            .ok_or("the hub did not start")?;
        let started: Value = serde_json::from_str(&line)?;
        let backend = started["backend"].as_str();
        Ok(backend.ok_or("the hub told no address")?.to_owned())
    }
}

/// A hub and a machine that is online.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) person: Person,
    pub(crate) machine_id: MachineId,
    pub(crate) worker: WorkerId,
    hub: Hub,
    machine: Child,
    /// The end of this is what ends the machine.
    machine_input: Option<ChildStdin>,
    machine_dir: PathBuf,
}

impl Product {
    /// Starts it with a worker for the project. `name` tells several products on one computer apart;
    /// `variables` are given to the machine.
    pub(crate) async fn start(
        found: &Found,
        home: &Home,
        name: &str,
        variables: &[(&str, &str)],
    ) -> Result<Self, Failure> {
        let hub = Hub::start(found, home, name).await?;
        let backend = hub.backend.clone();
        Self::join(found, home, hub, name, &backend, variables).await
    }

    /// The same with a hub that is there, which the machine reaches as `backend`.
    pub(crate) async fn join(
        found: &Found,
        home: &Home,
        hub: Hub,
        name: &str,
        backend: &str,
        variables: &[(&str, &str)],
    ) -> Result<Self, Failure> {
        let person = hub.person.clone();
        let key = person
            .call::<CreateMachine>(&CreateMachineArgs {
                name: "here".to_owned(),
            })
            .await?;
        let machine_dir = home.path(&format!("machine-{name}"));
        let key = key.registration_key.expose();
        let mut machine = machine_command(found, home, backend, &machine_dir, variables)
            .env("ORCHESTRATOR_REGISTRATION_KEY", key)
            .spawn()?;
        let machine_input = machine.stdin.take();
        let machine_id = online(&person).await?;
        let args = RegisterWorkerArgs {
            machine_id: machine_id.clone(),
            directory: PROJECT.to_owned(),
            name: None,
            settings: WorkerSettings::default(),
        };
        let worker = person.call::<RegisterWorker>(&args).await?.id;
        Ok(Self {
            person,
            machine_id,
            worker,
            hub,
            machine,
            machine_input,
            machine_dir,
        })
    }

    /// kill -9 of the agent.
    pub(crate) async fn kill_machine(&mut self) -> Result<(), Failure> {
        self.machine.kill().await?;
        Ok(())
    }

    /// Starts the agent again with what it has kept. Gives the time at which it was started.
    pub(crate) fn start_machine(
        &mut self,
        found: &Found,
        home: &Home,
        variables: &[(&str, &str)],
    ) -> Result<Instant, Failure> {
        let begun = Instant::now();
        let mut command =
            machine_command(found, home, &self.hub.backend, &self.machine_dir, variables);
        self.machine = command.spawn()?;
        self.machine_input = self.machine.stdin.take();
        Ok(begun)
    }

    pub(crate) fn hub_pid(&self) -> Option<u32> {
        self.hub.pid()
    }

    pub(crate) fn machine_pid(&self) -> Option<u32> {
        self.machine.id()
    }

    /// The opencodes that its machine runs, oldest first.
    pub(crate) fn opencodes(&self) -> Vec<Tap> {
        opencodes(&self.machine_dir)
    }

    /// Waits until its machine runs that many opencodes.
    pub(crate) async fn until_opencodes(&self, count: usize) -> Result<Vec<Tap>, Failure> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let found = self.opencodes();
            if found.len() == count {
                return Ok(found);
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "the machine runs {} opencodes instead of {count}",
                    found.len()
                )
                .into());
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    /// Stops it; returns when nothing of it runs.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        self.machine_input = None;
        tokio::time::timeout(LIMIT, self.machine.wait()).await??;
        self.hub.stop().await
    }
}

/// A machine's program, which ends with its standard input.
pub(crate) fn machine_command(
    found: &Found,
    home: &Home,
    backend: &str,
    machine_dir: &Path,
    variables: &[(&str, &str)],
) -> Command {
    let mut command = home.command(&found.orchestrator);
    command
        .args(["machine", "--supervised", "--backend", backend])
        .arg("--machine-dir")
        .arg(machine_dir)
        .arg("--root")
        .arg(home.root())
        .arg("--opencode")
        .arg(&found.opencode)
        .env(
            "ORCHESTRATOR_OPENCODE_CONFIG",
            home.model.opencode_config().to_string(),
        )
        .env("ORCHESTRATOR_OPENCODE_LEAN", home.lean.to_string())
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Waits until the person's machine is online.
async fn online(person: &Person) -> Result<MachineId, Failure> {
    let mut lists = person.watch::<ListMachines>(&NoArgs {})?;
    loop {
        let value = tokio::time::timeout(LIMIT, lists.next())
            .await?
            .ok_or("the watch ended")??;
        let list: MachineList = serde_json::from_value(value)?;
        if let Some(machine) = list
            .machines
            .into_iter()
            .find(|machine| matches!(machine.presence, Presence::Online { .. }))
        {
            return Ok(machine.id);
        }
    }
}
