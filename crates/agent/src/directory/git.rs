//! Runs git below a supervisor, with an environment of ours, confined.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use cap_std::fs::Dir;
use opencode_driver::supervisor::Sandbox;
use protocol::wire::{CommandError, CommandErrorCode};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::DirectorySettings;
use super::root::held_path;

/// What git and what it starts may see of this program's environment: where programs, the user's settings,
/// keys and helpers are, and the way to the network. Tokens in variables are not among it.
const PASSED_ON: [&str; 23] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_EXEC_PATH",
    "SYSTEMROOT",
    "GNUPGHOME",
];
/// What it is told: ask nobody, speak English, take no locks that it can do without.
const TOLD: [(&str, &str); 9] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", ""),
    ("SSH_ASKPASS", ""),
    ("SSH_ASKPASS_REQUIRE", "never"),
    ("GCM_INTERACTIVE", "never"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_PAGER", "cat"),
    ("LC_ALL", "C"),
    (
        "GIT_SSH_COMMAND",
        "ssh -oBatchMode=yes -oControlMaster=no -oPermitLocalCommand=no",
    ),
];
/// Settings that hold whatever the user, the system or the repository say.
const CONFIGURED: [&str; 7] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "credential.interactive=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
];
/// How long a supervisor may take to end everything, before it is killed itself.
const END_LIMIT: Duration = Duration::from_secs(20);

/// How git is to be run.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) settings: &'a DirectorySettings,
    /// The directory that it runs in.
    pub(super) directory: &'a Dir,
    pub(super) sandbox: Sandbox,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(&'static str, OsString)>,
}

/// A git that runs. When it is dropped, its supervisor ends it.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    /// Its end is what the supervisor takes this program's end from.
    _stdin: Option<ChildStdin>,
}

pub(super) struct Started {
    pub(super) running: Running,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// Starts git.
pub(super) fn start(launch: Launch<'_>) -> Result<Started, CommandError> {
    let failed = |why: String| {
        CommandError::new(
            CommandErrorCode::Other,
            format!("git can't be started on the machine: {why}."),
        )
    };
    let (supervisor, options) = launch
        .settings
        .supervisor
        .split_first()
        .ok_or_else(|| failed("there is no supervisor".to_owned()))?;
    let confined = if launch.settings.is_confined {
        launch.sandbox.options()
    } else {
        Vec::new()
    };
    let configured = CONFIGURED.iter().flat_map(|setting| ["-c", setting]);
    let mut child = Command::new(supervisor)
        .args(options)
        .args(confined)
        .arg("--")
        .arg(&launch.settings.git)
        .args(configured)
        .args(&launch.arguments)
        .env_clear()
        .envs(
            PASSED_ON
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .envs(
            launch
                .settings
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .envs(TOLD)
        .env("GIT_ALLOW_PROTOCOL", protocols(launch.settings))
        .envs(launch.environment)
        .current_dir(held_path(launch.directory))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let (stdout, stderr) = child
        .stdout
        .take()
        .zip(child.stderr.take())
        .ok_or_else(|| failed("it has no standard streams".to_owned()))?;
    let running = Running {
        _stdin: child.stdin.take(),
        child,
    };
    Ok(Started {
        running,
        stdout,
        stderr,
    })
}

impl Running {
    /// Waits until it has ended by itself, and all that it started.
    pub(super) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends it and all that it started; returns when that is done.
    pub(super) async fn end(&mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            // It has not been waited for, so the number is still its own.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(END_LIMIT, self.child.wait())
            .await
            .is_err()
        {
            tracing::error!("git's supervisor did not end; it is killed");
            let _ = self.child.kill().await;
        }
    }
}

fn protocols(settings: &DirectorySettings) -> OsString {
    let names: Vec<_> = settings
        .protocols
        .iter()
        .map(|protocol| protocol.name())
        .collect();
    names.join(":").into()
}

/// An argument made of two parts.
pub(super) fn joined(option: &str, value: &OsStr) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(value);
    argument
}

/// What may be written by a git that makes a repository in the directory that it runs in.
pub(super) fn writes_here() -> Sandbox {
    Sandbox {
        write: vec![PathBuf::from(".")],
        no_network: false,
    }
}

/// What may be done by a git that only looks.
pub(super) fn only_looks() -> Sandbox {
    Sandbox {
        write: Vec::new(),
        no_network: true,
    }
}
