//! Talking to the service manager: systemd's of the person, or launchd.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::exit::{Exit, Failure};
use crate::settings::Settings;

const IS_LAUNCHD: bool = cfg!(target_os = "macos");
/// Where systemd notes whose services run without a session.
const LINGER: &str = "/var/lib/systemd/linger";

/// What the service manager says of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Stopping,
    Stopped,
    /// It has died; it is started again unless its exit code says that this is of no use.
    Died,
}

impl State {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Died => "died",
        }
    }
}

/// The service manager, and one service in it.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    name: String,
    file: PathBuf,
}

impl Control {
    pub(super) fn new(settings: &Settings, name: &str) -> Result<Self, Failure> {
        let file = if IS_LAUNCHD {
            let home = settings.home_dir().ok_or_else(|| {
                Failure::new(
                    Exit::Settings,
                    "HOME is not set, so there is no place for the service's file. Set HOME.",
                )
            })?;
            home.join("Library/LaunchAgents")
                .join(format!("{name}.plist"))
        } else {
            let config = settings.config_dir()?;
            let config = config.parent().unwrap_or(Path::new("/"));
            config.join("systemd/user").join(format!("{name}.service"))
        };
        Ok(Self {
            name: name.to_owned(),
            file,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn manager(&self) -> &'static str {
        if IS_LAUNCHD {
            "launchd"
        } else {
            "systemd's instance for you"
        }
    }

    /// Whether the manager answers; in containers there is often none.
    pub(super) fn is_reachable(&self) -> bool {
        let asked = if IS_LAUNCHD {
            ask("launchctl", &["print", &domain()])
        } else {
            ask("systemctl", &["--user", "show", "--property=Version"])
        };
        asked.is_ok_and(|output| output.status.success())
    }

    /// Has it run from now on, and after each sign-in.
    pub(super) fn enable(&self, restarts: bool) -> Result<(), Failure> {
        if IS_LAUNCHD {
            if restarts {
                // What is not loaded can't be unloaded.
                let _ = self.manage(&["bootout", &self.target()]);
            }
            return match self.state() {
                Some(State::Running) => Ok(()),
                Some(State::Stopping | State::Stopped | State::Died) | None => self.start(),
            };
        }
        self.reload()?;
        self.manage(&["enable", &self.unit()])?;
        if restarts {
            self.manage(&["restart", &self.unit()])
        } else {
            self.start()
        }
    }

    pub(super) fn disable(&self) -> Result<(), Failure> {
        if IS_LAUNCHD {
            self.manage(&["bootout", &self.target()])
        } else {
            self.manage(&["disable", "--now", &self.unit()])
        }
    }

    pub(super) fn reload(&self) -> Result<(), Failure> {
        if IS_LAUNCHD {
            Ok(())
        } else {
            self.manage(&["daemon-reload"])
        }
    }

    pub(crate) fn start(&self) -> Result<(), Failure> {
        if IS_LAUNCHD {
            let file = self.file.display().to_string();
            self.manage(&["bootstrap", &domain(), &file])
        } else {
            self.manage(&["start", &self.unit()])
        }
    }

    /// Asks it to stop; that it has is seen by its state.
    pub(crate) fn begin_stop(&self) -> Result<(), Failure> {
        if IS_LAUNCHD {
            self.manage(&["bootout", &self.target()])
        } else {
            self.manage(&["stop", "--no-block", &self.unit()])
        }
    }

    /// What it is doing; `None` where the manager does not say.
    pub(crate) fn state(&self) -> Option<State> {
        if IS_LAUNCHD {
            let output = ask("launchctl", &["print", &self.target()]).ok()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            return Some(if text.contains("state = running") {
                State::Running
            } else {
                State::Stopped
            });
        }
        let properties = "--property=ActiveState,SubState";
        let output = ask("systemctl", &["--user", "show", properties, &self.unit()]).ok()?;
        if !output.status.success() {
            return None;
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
        };
        match (value("ActiveState="), value("SubState=")) {
            (_, "auto-restart") | ("failed", _) => Some(State::Died),
            ("active" | "activating" | "reloading", _) => Some(State::Running),
            ("deactivating", _) => Some(State::Stopping),
            ("inactive", _) => Some(State::Stopped),
            _ => None,
        }
    }

    /// Whether it runs while the person is not signed in; `None` where that can't be known.
    pub(super) fn lingers(&self) -> Option<bool> {
        let user = person()?;
        (!IS_LAUNCHD).then(|| Path::new(LINGER).join(user).exists())
    }

    pub(super) fn linger_hint(&self) -> Option<String> {
        if IS_LAUNCHD {
            return None;
        }
        let command = person().map_or_else(
            || "loginctl enable-linger".to_owned(),
            |person| format!("loginctl enable-linger {person}"),
        );
        match self.lingers() {
            Some(true) => Some(
                "Lingering is on: it runs from the computer's start, signed in or not.".to_owned(),
            ),
            Some(false) => Some(format!(
                "Lingering is off: it stops when you sign out, and starts when you sign in. To have it run from the computer's start: {command}"
            )),
            None => Some(format!(
                "To have it run from the computer's start, whether or not you are signed in: {command}"
            )),
        }
    }

    pub(super) fn log_command(&self) -> String {
        if IS_LAUNCHD {
            "service.log in the machine's directory".to_owned()
        } else {
            format!("`journalctl --user -u {}`", self.name)
        }
    }

    /// What a person types to have it run.
    pub(crate) fn start_command(&self) -> String {
        if IS_LAUNCHD {
            format!("launchctl bootstrap {} '{}'", domain(), self.file.display())
        } else {
            format!("systemctl --user start {}", self.unit())
        }
    }

    pub(super) fn enable_commands(&self) -> String {
        if IS_LAUNCHD {
            self.start_command()
        } else {
            format!(
                "systemctl --user daemon-reload && systemctl --user enable --now {}",
                self.unit()
            )
        }
    }

    fn unit(&self) -> String {
        format!("{}.service", self.name)
    }

    fn target(&self) -> String {
        format!("{}/{}", domain(), self.name)
    }

    fn manage(&self, args: &[&str]) -> Result<(), Failure> {
        let (program, first) = if IS_LAUNCHD {
            ("launchctl", None)
        } else {
            ("systemctl", Some("--user"))
        };
        let all: Vec<&str> = first.into_iter().chain(args.iter().copied()).collect();
        let shown = format!("{program} {}", all.join(" "));
        let why = match ask(program, &all) {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        let message = format!("`{shown}` failed: {why}. Mend that, then run this again.");
        Err(Failure::new(Exit::ServiceNotStarted, message))
    }
}

fn ask(program: &str, args: &[&str]) -> std::io::Result<Output> {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
}

fn person() -> Option<String> {
    ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|name| !name.is_empty() && !name.contains('/'))
}

/// Where launchd keeps the services of a person's session.
fn domain() -> String {
    #[cfg(unix)]
    let user = rustix::process::getuid().as_raw().to_string();
    #[cfg(not(unix))]
    let user = String::new();
    format!("gui/{user}")
}
