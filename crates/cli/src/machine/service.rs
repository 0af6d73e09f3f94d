//! `machine install`, `uninstall` and `status`: a service of the person's that keeps the machine process running.

mod control;
mod unit;

use std::path::{Path, PathBuf};

use serde_json::json;

use super::store::Stored;
use crate::exit::{Exit, Failure};
use crate::lists::done;
use crate::opencode;
use crate::out::Out;
use crate::places;
use crate::running::Running;
use crate::settings::{Key, Settings, Source};
pub(super) use control::{Control, State};
pub(crate) use unit::FINAL;
use unit::Service;

/// The service of the usual machine; another machine's has its directory's mark at the end.
const NAME: &str = "orchestrator-machine";
/// Below the machine's directory: the program that the service runs. A copy, so that a build in the sources that
/// it came from does not change it under a running machine.
const PROGRAM: &str = "program/orchestrator";
const LOG: &str = "service.log";

/// The service of one machine directory, installed or not.
pub(super) struct Installed {
    pub(super) place: PathBuf,
    pub(super) control: Control,
}

impl Installed {
    pub(super) fn of(settings: &Settings) -> Result<Self, Failure> {
        let place = settings.machine_dir()?;
        let name = if place == settings.usual_machine_dir()? {
            NAME.to_owned()
        } else {
            format!("{NAME}-{}", mark(&place))
        };
        let control = Control::new(settings, &name)?;
        Ok(Self { place, control })
    }

    pub(super) fn program(&self) -> PathBuf {
        self.place.join(PROGRAM)
    }

    pub(super) fn is_there(&self) -> bool {
        self.control.file().exists()
    }

    fn text(&self, service: &Service) -> String {
        if cfg!(target_os = "macos") {
            service.launchd(self.control.name(), &self.place.join(LOG))
        } else {
            service.systemd()
        }
    }
}

pub(super) fn install(settings: &Settings, prints: bool, out: Out) -> Result<Exit, Failure> {
    let installed = Installed::of(settings)?;
    let text = installed.text(&service(settings, &installed)?);
    if prints {
        out.piece(&text)?;
        return Ok(Exit::Done);
    }
    let Some(stored) = Stored::read(&installed.place)? else {
        let message = format!(
            "There is no MACHINE_ID in {}: a service can't ask for a key. Run `orchestrator machine` once, which registers this computer, then this again.",
            installed.place.display()
        );
        return Err(Failure::new(Exit::Unregistered, message));
    };
    if settings
        .given(Key::OpencodeConfig)
        .is_some_and(|(_, source)| *source == Source::Environment)
    {
        out.say("note: ORCHESTRATOR_OPENCODE_CONFIG is not passed on, since it may hold keys. Put opencode_config into the configuration file.");
    }
    let file = installed.control.file();
    let before = match std::fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(unusable(file, &error)),
    };
    let outcome = match &before {
        None => "installed",
        Some(before) if *before == text => "unchanged",
        Some(_) => "updated",
    };
    if !installed.program().exists() {
        let program = this_program()?;
        copy_program(&program, &installed.program())?;
    }
    if outcome != "unchanged" {
        let directory = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)
            .and_then(|()| places::write_private(file, &text))
            .map_err(|error| unusable(file, &error))?;
    }
    let reached = installed.control.is_reachable();
    if reached {
        installed.control.enable(outcome == "updated")?;
    }
    let value = json!({
        "service": installed.control.name(), "file": file, "outcome": outcome,
        "machineId": stored.machine_id, "started": reached, "lingers": installed.control.lingers(),
    });
    let mut said = format!(
        "{} ({}) is a service: {} is {outcome}.",
        stored.name,
        stored.machine_id,
        file.display()
    );
    if reached {
        said.push_str(&format!(" It runs, and is started again when it dies. `orchestrator machine status` says how it is; {} shows what it says.", installed.control.log_command()));
    }
    done(out, &said, &value)?;
    if let Some(hint) = installed.control.linger_hint() {
        out.say(&hint);
    }
    if !reached {
        let message = format!(
            "The service's file is written, but {} can't be reached from here, so nothing is started. In a session of yours run: {}",
            installed.control.manager(),
            installed.control.enable_commands()
        );
        return Err(Failure::new(Exit::ServiceNotStarted, message));
    }
    Ok(Exit::Done)
}

pub(super) fn uninstall(settings: &Settings, out: Out) -> Result<Exit, Failure> {
    let installed = Installed::of(settings)?;
    let file = installed.control.file();
    if !installed.is_there() {
        out.say(&format!(
            "There is no {}: nothing to uninstall.",
            file.display()
        ));
        return Ok(Exit::Done);
    }
    let reached = installed.control.is_reachable();
    if reached {
        out.say("Running turns may finish first.");
        installed.control.disable()?;
    }
    std::fs::remove_file(file).map_err(|error| unusable(file, &error))?;
    if reached {
        installed.control.reload()?;
    }
    let programs = installed.place.join("program");
    match std::fs::remove_dir_all(&programs) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(&programs, &error)),
    }
    let text = format!(
        "The service is uninstalled. MACHINE_ID and conversations stay in {}.",
        installed.place.display()
    );
    done(
        out,
        &text,
        &json!({ "service": installed.control.name(), "file": file, "stopped": reached }),
    )?;
    if !reached {
        out.say(&format!(
            "note: {} can't be reached from here; if the service runs, it does so until it is stopped.",
            installed.control.manager()
        ));
    }
    Ok(Exit::Done)
}

pub(super) fn status(settings: &Settings, out: Out) -> Result<Exit, Failure> {
    let installed = Installed::of(settings)?;
    let is_there = installed.is_there();
    let state = is_there.then(|| installed.control.state()).flatten();
    let connected = Running::read(&installed.place);
    if out.is_json() {
        out.value(&json!({
            "service": installed.control.name(), "file": installed.control.file(), "installed": is_there,
            "state": state.as_ref().map(State::name), "process": connected.as_ref().map(|running| running.pid),
            "version": connected.as_ref().map(|running| &running.version), "lingers": installed.control.lingers(),
        }))?;
        return Ok(Exit::Done);
    }
    let service = match (is_there, &state) {
        (false, _) => "is not installed".to_owned(),
        (true, None) => format!(
            "is installed; {} can't be reached from here",
            installed.control.manager()
        ),
        (true, Some(state)) => format!("is installed and {}", state.name()),
    };
    out.line(&format!("service  {} {service}", installed.control.name()))?;
    out.line(&match &connected {
        Some(running) => format!(
            "machine  process {} (version {}) has connected to {}",
            running.pid, running.version, running.url
        ),
        None => "machine  no process here has connected".to_owned(),
    })?;
    Ok(Exit::Done)
}

/// How the machine of these settings runs where there is no terminal.
fn service(settings: &Settings, installed: &Installed) -> Result<Service, Failure> {
    let text = |path: PathBuf| path.display().to_string();
    let mut args = vec![
        "machine".to_owned(),
        "--data-dir".to_owned(),
        text(settings.data_dir()?),
        "--machine-dir".to_owned(),
        text(installed.place.clone()),
    ];
    if let Some(file) = &settings.file {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        args.extend(["--config".to_owned(), text(file)]);
    }
    let mut variables = Vec::new();
    // Tools that opencode runs are found where the person has them; a service starts with next to nothing.
    for name in [
        "PATH",
        "LANG",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "XDG_CACHE_HOME",
    ] {
        if let Some(value) = std::env::var(name).ok().filter(|value| !value.is_empty()) {
            variables.push((name.to_owned(), value));
        }
    }
    const PASSED: &[Key] = &[
        Key::Opencode,
        Key::OpencodeLean,
        Key::DrainSeconds,
        Key::HibernateMinutes,
        Key::Spares,
        Key::MaxProcesses,
        Key::MaxMemoryMib,
        Key::GitProtocols,
        Key::Log,
        Key::Demo,
    ];
    for key in PASSED {
        let Some((value, Source::Flag | Source::Environment)) = settings.given(*key) else {
            continue;
        };
        let value = match settings.place_if_one(*key)? {
            Some(place) => text(place),
            None => value.to_owned(),
        };
        variables.push((key.variable().to_owned(), value));
    }
    // The copied program no longer lies beside the pinned opencode.
    if let Some(pinned) = opencode::locate(settings)?.pinned {
        variables.push((Key::OpencodeDir.variable().to_owned(), text(pinned)));
    }
    let program = text(installed.program());
    if !cfg!(target_os = "macos") && program.contains(['"', '\'', '\\']) {
        let message = format!(
            "systemd runs no program with quotes or backslashes in its path, and this would be {program}. Choose another directory with --machine-dir."
        );
        return Err(Failure::new(Exit::Settings, message));
    }
    Ok(Service {
        program: installed.program(),
        args,
        variables,
        drain_s: settings.drain_ms()? / 1_000,
    })
}

/// A mark by which services of several machine directories are told apart.
fn mark(place: &Path) -> String {
    const BYTES: usize = 4;
    let digest = ring::digest::digest(&ring::digest::SHA256, place.as_os_str().as_encoded_bytes());
    let bytes = digest.as_ref().iter().take(BYTES);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("It can't be found out where this program is: {error}."),
        )
    })
}

/// Puts a program where a service runs it, as a whole or not at all.
pub(super) fn copy_program(from: &Path, to: &Path) -> Result<(), Failure> {
    let unfinished = to.with_extension("new");
    let copied = places::create_private_dir(to.parent().unwrap_or(Path::new(".")))
        .and_then(|()| std::fs::copy(from, &unfinished))
        .and_then(|_| std::fs::File::open(&unfinished)?.sync_all())
        .and_then(|()| std::fs::rename(&unfinished, to));
    copied.map_err(|error| {
        let message = format!(
            "{} can't be copied to {}: {error}. Check that there is space, and that it belongs to you.",
            from.display(),
            to.display()
        );
        Failure::new(Exit::DataDir, message)
    })
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!(
        "{} can't be used: {error}. Check that it belongs to you.",
        path.display()
    );
    Failure::new(Exit::DataDir, message)
}
