//! `machine upgrade`: another program in the service's place, once running turns have finished.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::service::{Installed, State, copy_program, this_program};
use crate::exit::{Exit, Failure};
use crate::lists::done;
use crate::out::Out;
use crate::running::Running;
use crate::settings::Settings;
use crate::signals::Signals;

/// How long a program may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// How much longer than its turns a machine process may take to stop, as in the service's file.
const STOP_MARGIN: Duration = Duration::from_secs(30);
/// The pause between two looks at the service.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often a person is told that it still waits.
const TELL_AGAIN: Duration = Duration::from_secs(10);

pub(super) async fn run(
    settings: &Settings,
    program: Option<&Path>,
    out: Out,
) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    let installed = Installed::of(settings)?;
    if !installed.is_there() || installed.control.state().is_none() {
        let message = format!(
            "No service of this machine can be reached here, so there is nothing to upgrade. Where `orchestrator machine` runs by itself, press Ctrl-C, which lets running turns finish, and start the new program. `orchestrator machine install` makes a service of it.{}",
            if installed.is_there() {
                " (Its file is there: the service manager does not answer.)"
            } else {
                ""
            }
        );
        return Err(Failure::new(Exit::ServiceNotStarted, message));
    }
    let new = match program {
        Some(program) => program.to_path_buf(),
        None => this_program()?,
    };
    let current = installed.program();
    if new.canonicalize().ok() == current.canonicalize().ok() {
        let message = format!(
            "{} is the program that the service runs. Run this with the new program, or name that with --program.",
            new.display()
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let (version, wire) = version_of(&new)?;
    out.say(&format!(
        "The new program is version {version} and speaks version {wire} of the protocol."
    ));
    // Before the service stops: a full disk must not be found out while nothing runs.
    let next = current.with_file_name("orchestrator.next");
    copy_program(&new, &next)?;

    let was_running = installed.control.state() == Some(State::Running);
    if let Stop::Left = stop(&installed, settings, &mut signals, Some(out)).await? {
        let message = format!(
            "Left: the service goes on stopping, and nothing is replaced. Start it again with: {}",
            installed.control.start_command()
        );
        return Err(Failure::new(Exit::Aborted, message));
    }
    let before = current.with_file_name("orchestrator.before");
    rename(&current, &before)?;
    rename(&next, &current)?;
    let why = match come_up(&installed, was_running).await {
        Ok(()) => {
            let text = format!(
                "The machine runs with version {version} now; the earlier program is kept in {}.",
                before.display()
            );
            done(
                out,
                &text,
                &json!({ "version": version, "wireVersion": wire }),
            )?;
            return Ok(Exit::Done);
        }
        Err(why) => why,
    };
    out.say(&format!(
        "The new program did not come up: {why}. Going back to the earlier one."
    ));
    // It has no turns yet.
    stop(&installed, settings, &mut signals, None).await?;
    rename(&before, &current)?;
    let message = match come_up(&installed, was_running).await {
        Ok(()) => format!(
            "The new program did not come up ({why}), and the earlier one runs again. `{} machine` in a terminal says more.",
            new.display()
        ),
        Err(again) => format!(
            "The new program did not come up ({why}), and neither did the earlier one, which is back in its place ({again})."
        ),
    };
    Err(Failure::new(Exit::RolledBack, message))
}

enum Stop {
    Stopped,
    /// The person did not want to wait.
    Left,
}

/// Asks the service to stop, which lets running turns finish, and waits until it has.
async fn stop(
    installed: &Installed,
    settings: &Settings,
    signals: &mut Signals,
    out: Option<Out>,
) -> Result<Stop, Failure> {
    installed.control.begin_stop()?;
    let limit = Duration::from_millis(settings.drain_ms()?) + STOP_MARGIN;
    let until = Instant::now() + limit;
    let mut tell_at = Instant::now();
    loop {
        let now = Instant::now();
        if now >= until {
            let message = format!(
                "The service has not stopped within {} s. Nothing is replaced; see `orchestrator machine status`.",
                limit.as_secs()
            );
            return Err(Failure::new(Exit::Failed, message));
        }
        if let Some(out) = out.filter(|_| now >= tell_at) {
            let left_s = (until - now).as_secs();
            out.say(&format!(
                "Running turns finish; {}:{:02} left. Ctrl-C leaves it stopping.",
                left_s / 60,
                left_s % 60
            ));
            tell_at = now + TELL_AGAIN;
        }
        match installed.control.state() {
            Some(State::Stopped | State::Died) => return Ok(Stop::Stopped),
            Some(State::Running | State::Stopping) | None => {}
        }
        tokio::select! {
            () = signals.next() => return Ok(Stop::Left),
            () = sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Starts the service and waits until it has connected.
async fn come_up(installed: &Installed, was_running: bool) -> Result<(), String> {
    let earlier = Running::read(&installed.place).map(|running| running.pid);
    installed
        .control
        .start()
        .map_err(|failure| failure.message)?;
    if !was_running {
        return Ok(());
    }
    let until = Instant::now() + CONNECT_LIMIT;
    loop {
        let now = Running::read(&installed.place).map(|running| running.pid);
        if now.is_some() && now != earlier {
            return Ok(());
        }
        match installed.control.state() {
            Some(State::Died | State::Stopped) => return Err("it ended at its start".to_owned()),
            Some(State::Running | State::Stopping) | None => {}
        }
        if Instant::now() >= until {
            return Err(format!(
                "it did not connect within {} s",
                CONNECT_LIMIT.as_secs()
            ));
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Its version and that of the protocol it speaks, by its own word.
fn version_of(program: &Path) -> Result<(String, u64), Failure> {
    let output = Command::new(program)
        .args(["version", "--json"])
        .stdin(Stdio::null())
        .output();
    let why = match output {
        Ok(output) => {
            let told: Option<Value> = serde_json::from_slice(&output.stdout).ok();
            let told = told.as_ref().and_then(|told| {
                Some((
                    told["version"].as_str()?.to_owned(),
                    told["wireVersion"].as_u64()?,
                ))
            });
            match told {
                Some(told) if output.status.success() => return Ok(told),
                Some(_) | None => "it does not say its version".to_owned(),
            }
        }
        Err(error) => error.to_string(),
    };
    let message = format!(
        "{} can't be used as the machine's program: {why}. Name an `orchestrator` with --program. Nothing has changed.",
        program.display()
    );
    Err(Failure::new(Exit::Usage, message))
}

fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::rename(from, to).map_err(|error| {
        let message = format!(
            "{} can't be moved to {}: {error}. Move it yourself, then start the service.",
            from.display(),
            to.display()
        );
        Failure::new(Exit::DataDir, message)
    })
}
