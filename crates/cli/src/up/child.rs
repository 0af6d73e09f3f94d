//! The machine process as a child: started again when it dies, ended with this process in any case, since it
//! stops when its standard input ends.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use scripted_model::ScriptedModel;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::exit::{Exit, Failure};
use crate::machine::store::Stored;
use crate::machine::{DRAIN, Event};
use crate::settings::{Key, Settings};

/// The first and the longest wait before it is started again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A process that lived this long was well: the next wait is the first one again.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// How long it may take to end once it was told to stop at once: opencode's own grace and some more.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Reports that wait to be taken.
const REPORTS_WAITING: usize = 16;
/// Orders that wait; there are two kinds.
const ORDERS_WAITING: usize = 4;

/// What the child tells a person.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    /// The hub has it.
    Online,
    /// opencode can't be run.
    Problem(String),
    /// It died and is started again after the wait.
    Restarting { why: String, wait: Duration },
    /// It ended for a reason that starting it again does not change.
    Over { exit: Exit, message: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Drain,
    Stop,
}

/// How the machine process is started.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    program: std::path::PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
}

/// Variables that are about this process, or about another machine.
const NOT_HANDED_DOWN: &[Key] = &[
    Key::MachineId,
    Key::MachineSecret,
    Key::RegistrationKey,
    Key::Token,
    Key::Name,
    Key::Backend,
    Key::Convex,
    Key::Root,
    Key::MachineDir,
];
/// What the machine process needs to know as this one knows it.
const HANDED_DOWN: &[Key] = &[
    Key::DataDir,
    Key::Demo,
    Key::Opencode,
    Key::OpencodeDir,
    Key::OpencodeConfig,
    Key::OpencodeLean,
    Key::DrainSeconds,
    Key::HibernateMinutes,
    Key::Spares,
    Key::MaxProcesses,
    Key::MaxMemoryMib,
    Key::Log,
];

/// The command line for this computer's own machine.
pub(super) fn command(
    settings: &Settings,
    own: &Stored,
    model: Option<&ScriptedModel>,
) -> Result<Recipe, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("This program can't find itself: {error}."),
        )
    })?;
    let mut arguments: Vec<OsString> = ["machine", "--supervised", "--backend"]
        .into_iter()
        .map(OsString::from)
        .collect();
    arguments.push(own.backend.clone().into());
    arguments.push("--root".into());
    arguments.push(own.root.clone().into());
    arguments.push("--machine-dir".into());
    arguments.push(settings.machine_dir()?.into());
    let mut variables = Vec::new();
    for key in HANDED_DOWN {
        let value = match settings.place_if_one(*key)? {
            Some(path) => Some(path.into_os_string()),
            None => settings.optional(*key).map(OsString::from),
        };
        if let Some(value) = value {
            variables.push((key.variable(), value));
        }
    }
    if let Some(model) = model {
        variables.push((
            Key::OpencodeConfig.variable(),
            model.opencode_config().to_string().into(),
        ));
        variables.push((Key::OpencodeLean.variable(), "true".into()));
    }
    if let Some(file) = &settings.file {
        variables.push((
            crate::settings::CONFIG_VARIABLE,
            file.clone().into_os_string(),
        ));
    }
    Ok(Recipe {
        program,
        arguments,
        variables,
    })
}

/// The child, as this process holds it.
#[derive(Debug)]
pub(super) struct Child {
    orders: mpsc::Sender<Order>,
    reports: mpsc::Receiver<Told>,
}

impl Child {
    pub(super) fn start(recipe: Recipe) -> Self {
        let (orders, taken) = mpsc::channel(ORDERS_WAITING);
        let (told, reports) = mpsc::channel(REPORTS_WAITING);
        tokio::spawn(keep(recipe, taken, told));
        Self { orders, reports }
    }

    /// The next report; `None` when there is no child any more and none will come.
    pub(super) async fn next(&mut self) -> Option<Told> {
        self.reports.recv().await
    }

    pub(super) async fn drain(&self) {
        // A child that has ended needs no orders.
        let _ = self.orders.send(Order::Drain).await;
    }

    pub(super) async fn stop(&self) {
        let _ = self.orders.send(Order::Stop).await;
    }
}

/// Keeps a machine process running until it is told otherwise.
async fn keep(recipe: Recipe, mut orders: mpsc::Receiver<Order>, told: mpsc::Sender<Told>) {
    let mut wait = FIRST_WAIT;
    loop {
        let started = Instant::now();
        let why = match Process::spawn(&recipe) {
            Ok(process) => match process.follow(&mut orders, &told).await {
                Ended::AsTold => return,
                Ended::ForGood(exit, message) => {
                    let _ = told.send(Told::Over { exit, message }).await;
                    return;
                }
                Ended::Died(why) => why,
            },
            Err(error) => format!("it could not be started: {error}"),
        };
        if started.elapsed() >= WELL_AFTER {
            wait = FIRST_WAIT;
        }
        if told.send(Told::Restarting { why, wait }).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // Nothing runs, so that any order is done.
            _ = orders.recv() => return,
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

enum Ended {
    /// As it was told.
    AsTold,
    /// For a reason that stays.
    ForGood(Exit, String),
    /// By itself; another one may fare better.
    Died(String),
}

/// One run of the machine process.
struct Process {
    child: tokio::process::Child,
    stdin: Option<ChildStdin>,
    events: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn spawn(recipe: &Recipe) -> std::io::Result<Self> {
        let mut command = Command::new(&recipe.program);
        command
            .args(&recipe.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        for key in NOT_HANDED_DOWN {
            command.env_remove(key.variable());
        }
        command.envs(recipe.variables.iter().map(|(name, value)| (*name, value)));
        // A Ctrl-C in the terminal is for this process, which ends the child in order.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        let pipe = || std::io::Error::other("it has no pipes");
        let stdin = child.stdin.take().ok_or_else(pipe)?;
        let events = BufReader::new(child.stdout.take().ok_or_else(pipe)?).lines();
        Ok(Self {
            child,
            stdin: Some(stdin),
            events,
        })
    }

    async fn follow(
        mut self,
        orders: &mut mpsc::Receiver<Order>,
        told: &mpsc::Sender<Told>,
    ) -> Ended {
        let mut last = None;
        let mut was_told = false;
        let mut has_events = true;
        let status = loop {
            tokio::select! {
                line = self.events.next_line(), if has_events => match line {
                    Ok(Some(line)) => match serde_json::from_str(&line) {
                        Ok(Event::Connected) => drop(told.send(Told::Online).await),
                        Ok(Event::Problem { message }) => drop(told.send(Told::Problem(message)).await),
                        Ok(Event::Ended { code, message }) => last = Some((code, message)),
                        Ok(Event::Registered { .. } | Event::Lost { .. } | Event::Draining) | Err(_) => {}
                    },
                    Ok(None) | Err(_) => has_events = false,
                },
                order = orders.recv() => {
                    was_told = true;
                    match order {
                        Some(Order::Drain) => self.tell(DRAIN).await,
                        Some(Order::Stop) | None => return self.stop().await,
                    }
                }
                status = self.child.wait(), if !has_events => break status,
            }
        };
        if was_told {
            return Ended::AsTold;
        }
        match last {
            Some((code, message)) => match Exit::of_code(code) {
                Some(exit) if is_for_good(exit) => Ended::ForGood(exit, message),
                _ if message.is_empty() => Ended::Died(describe(status)),
                _ => Ended::Died(message),
            },
            None => Ended::Died(describe(status)),
        }
    }

    async fn tell(&mut self, order: &str) {
        if let Some(stdin) = &mut self.stdin {
            // A child that has gone has nothing left to do.
            let _ = stdin.write_all(format!("{order}\n").as_bytes()).await;
            let _ = stdin.flush().await;
        }
    }

    /// Ends it at once, by the end of its input; by force if it does not listen.
    async fn stop(mut self) -> Ended {
        self.stdin = None;
        let ended = async {
            // Its output is read to the end, so that it is not held up by a full pipe.
            while matches!(self.events.next_line().await, Ok(Some(_))) {}
            self.child.wait().await
        };
        if tokio::time::timeout(STOP_LIMIT, ended).await.is_err() {
            tracing::error!(
                "the machine process did not stop in {} s and was killed",
                STOP_LIMIT.as_secs()
            );
            let _ = self.child.kill().await;
        }
        Ended::AsTold
    }
}

/// Whether starting it again would end the same way.
fn is_for_good(exit: Exit) -> bool {
    match exit {
        Exit::Usage
        | Exit::Settings
        | Exit::Refused
        | Exit::NotFound
        | Exit::Upgrade
        | Exit::Root
        | Exit::Fenced
        | Exit::Unregistered
        | Exit::BadKey => true,
        Exit::Done
        | Exit::Failed
        | Exit::Unreachable
        | Exit::SignedOut
        | Exit::AddressTaken
        | Exit::DataDir
        | Exit::AlreadyRunning
        | Exit::ServiceNotStarted
        | Exit::RolledBack
        | Exit::TurnFailed
        | Exit::TurnInterrupted
        | Exit::TurnCancelled
        | Exit::Unwell
        | Exit::CommandFailed
        | Exit::CommandCancelled
        | Exit::CommandExpired
        | Exit::Waiting
        | Exit::AlreadyExists
        | Exit::WrongKind
        | Exit::OutsideRoot
        | Exit::Invalid
        | Exit::PermissionDenied
        | Exit::NoSpace
        | Exit::TooLarge
        | Exit::AuthenticationNeeded
        | Exit::HostUnknown
        | Exit::RepositoryUnreachable
        | Exit::UnsavedWork
        | Exit::TimedOut
        | Exit::CommandInterrupted
        | Exit::Aborted => false,
    }
}

fn describe(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}
