//! `doctor`: what is wrong with an installation, and what to do.

mod machines;

use std::path::{Path, PathBuf};
use std::time::Duration;

use opencode_driver::{PINNED_VERSION, locate};
use protocol::functions::ListMachines;
use protocol::ids::MachineId;
use protocol::wire::{MachineHealth, NoArgs, WIRE_VERSION, WIRE_VERSION_MIN};
use serde::Serialize;

use crate::api::Api;
use crate::exit::{Exit, Failure};
use crate::machine::{open_root, store::Stored};
use crate::out::{Look, Out};
use crate::running::Running;
use crate::settings::{Key, Settings};
use crate::way::Way;
use crate::{credentials, health, opencode, up};

/// How long the backend may take to say that it is there.
const BACKEND_LIMIT: Duration = Duration::from_secs(5);
/// Beyond this, times on the page are misleading and short-lived keys may look expired.
const CLOCK_LIMIT_S: i64 = 30;

const SIGN_IN: &str = "sign-in";

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Good,
    /// Works, with less than there could be.
    Note,
    /// Does not work until somebody does something.
    Bad,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<MachineId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<MachineHealth>,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, message: String) -> Self {
        Self {
            check,
            verdict,
            message,
            machine: None,
            health: None,
        }
    }

    fn good(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Verdict::Good, message.into())
    }

    fn note(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Verdict::Note, message.into())
    }

    fn bad(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Verdict::Bad, message.into())
    }
}

pub(crate) async fn run(
    settings: &Settings,
    wanted: Option<&str>,
    out: Out,
) -> Result<Exit, Failure> {
    let mut findings = vec![opencode(settings).await, root(settings), data_dir(settings)];
    findings.extend(machine(settings));
    findings.push(port(settings).await);
    let backend = backend(settings).await;
    let is_there = backend
        .iter()
        .all(|finding| finding.verdict == Verdict::Good || finding.check == "clock");
    findings.extend(backend);
    if is_there {
        findings.extend(machines::findings(&Api::of(settings)?, wanted).await?);
    } else if let Some(wanted) = wanted {
        findings.push(Finding::bad(
            "health",
            format!("how {wanted} is can't be asked: see backend and sign-in above"),
        ));
    }
    findings.push(page());
    findings.push(node());
    for finding in &findings {
        if out.is_json() {
            out.value(finding)?;
        } else {
            let mark = match finding.verdict {
                Verdict::Good => out.paint(Look::Good, "✓"),
                Verdict::Note => out.paint(Look::Warn, "-"),
                Verdict::Bad => out.paint(Look::Bad, "✗"),
            };
            out.line(&format!("{mark} {:<9} {}", finding.check, finding.message))?;
        }
    }
    let bad = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Bad)
        .count();
    if bad == 0 {
        out.say("All is well.");
        return Ok(Exit::Done);
    }
    out.say(&format!(
        "{bad} of {} checks found something to mend.",
        findings.len()
    ));
    Ok(Exit::Unwell)
}

async fn opencode(settings: &Settings) -> Finding {
    const CHECK: &str = "opencode";
    let config = match opencode::locate(settings) {
        Ok(config) => config,
        Err(failure) => return Finding::bad(CHECK, failure.message),
    };
    match locate(&config).await {
        Ok(found) => {
            let pinned = if found.version == PINNED_VERSION {
                "the version this product is tested with"
            } else {
                "another version than the pinned one"
            };
            Finding::good(
                CHECK,
                format!("{} at {}, {pinned}", found.version, found.path.display()),
            )
        }
        Err(error) => Finding::bad(CHECK, error.to_string()),
    }
}

fn root(settings: &Settings) -> Finding {
    const CHECK: &str = "root";
    let stored = settings
        .machine_dir()
        .and_then(|place| Stored::read(&place));
    let root = match (settings.place(Key::Root), stored) {
        (Err(failure), _) | (Ok(None), Err(failure)) => {
            return Finding::bad(CHECK, failure.message);
        }
        (Ok(Some(root)), _) => Some(root),
        (Ok(None), Ok(stored)) => stored.map(|stored| stored.root).or_else(|| {
            (!settings.is_demo())
                .then(|| settings.home_dir().map(PathBuf::from))
                .flatten()
        }),
    };
    match root {
        None if settings.is_demo() => Finding::good(CHECK, "made by the demo when it starts"),
        None => Finding::bad(CHECK, "There is none. Give one with --root."),
        Some(root) => match open_root(&root) {
            Ok(_) if !is_writable(&root) => Finding::note(
                CHECK,
                format!("{} can be read but not written to", root.display()),
            ),
            Ok(_) => Finding::good(CHECK, root.display().to_string()),
            Err(failure) => Finding::bad(CHECK, failure.message),
        },
    }
}

fn data_dir(settings: &Settings) -> Finding {
    const CHECK: &str = "data";
    let path = match settings.data_dir() {
        Ok(path) => path,
        Err(failure) => return Finding::bad(CHECK, failure.message),
    };
    if let Some(problem) = directory_problem(&path) {
        return Finding::bad(CHECK, problem);
    }
    match Running::read(&path) {
        Some(running) => Finding::good(
            CHECK,
            format!(
                "{}; a hub runs with it: process {} at {}",
                path.display(),
                running.pid,
                running.url
            ),
        ),
        None if path.is_dir() => Finding::good(CHECK, path.display().to_string()),
        None => Finding::good(
            CHECK,
            format!("{}; made at the first start", path.display()),
        ),
    }
}

/// What keeps a directory from being used by its owner alone; nothing if it can be made.
fn directory_problem(path: &Path) -> Option<String> {
    if !path.exists() {
        let parent = path.ancestors().skip(1).find(|parent| parent.exists())?;
        if !parent.is_dir() {
            return Some(format!(
                "{} can't be made: {} is a file. Take it away, or choose another directory.",
                path.display(),
                parent.display()
            ));
        }
        return (!is_writable(parent)).then(|| {
            format!(
                "{} can't be made: {} is not writable. Choose another directory with --data-dir.",
                path.display(),
                parent.display()
            )
        });
    }
    if !path.is_dir() {
        return Some(format!(
            "{} is a file. Take it away, or choose another directory with --data-dir.",
            path.display()
        ));
    }
    if !is_writable(path) {
        return Some(format!(
            "{} is not writable. Make it yours, or choose another directory with --data-dir.",
            path.display()
        ));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        if mode & 0o077 != 0 {
            return Some(format!(
                "{} can be read by others (mode {:o}). Run: chmod 700 '{}'",
                path.display(),
                mode & 0o777,
                path.display()
            ));
        }
    }
    None
}

#[cfg(unix)]
fn is_writable(path: &Path) -> bool {
    rustix::fs::access(
        path,
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
    )
    .is_ok()
}

#[cfg(not(unix))]
fn is_writable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| !found.permissions().readonly())
}

fn machine(settings: &Settings) -> Option<Finding> {
    const CHECK: &str = "machine";
    match settings
        .machine_dir()
        .and_then(|place| Stored::read(&place))
    {
        Ok(Some(stored)) => Some(Finding::good(
            CHECK,
            format!(
                "{} ({}) of {}",
                stored.name, stored.machine_id, stored.backend
            ),
        )),
        // `up` registers by itself, and a hub alone needs none.
        Ok(None) => None,
        Err(failure) => Some(Finding::bad(CHECK, failure.message)),
    }
}

async fn port(settings: &Settings) -> Finding {
    const CHECK: &str = "port";
    let address = match settings.listen() {
        Ok(address) => address,
        Err(failure) => return Finding::bad(CHECK, failure.message),
    };
    let ends = |url: &str| url.ends_with(&format!(":{}", address.port()));
    let own = settings
        .local_data_dirs()
        .iter()
        .filter_map(|directory| Running::read(directory))
        .any(|running| ends(running.page.as_deref().unwrap_or(&running.url)));
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => Finding::good(CHECK, format!("{address} is free")),
        Err(_) if own => Finding::good(CHECK, format!("{address} is that of what runs here")),
        Err(error) => Finding::bad(CHECK, up::explain_port(address, &error).await.message),
    }
}

async fn backend(settings: &Settings) -> Vec<Finding> {
    const CHECK: &str = "backend";
    let way = match Way::of(settings) {
        Ok(way) => way,
        Err(failure) => return vec![Finding::bad(CHECK, failure.message)],
    };
    if way.is_convex() {
        return deployment(settings, way).await;
    }
    let address = way.address();
    let is_own = settings.given(Key::Backend).is_none();
    let health = match health::ask(address, BACKEND_LIMIT).await {
        Ok(health) => health,
        Err(_) if is_own => {
            return vec![Finding::note(
                CHECK,
                "no hub runs on this computer; `orchestrator up` starts one",
            )];
        }
        Err(why) => return vec![Finding::bad(CHECK, way.unreachable(&why).message)],
    };
    if health.wire_version_min > WIRE_VERSION || health.wire_version < WIRE_VERSION_MIN {
        let message = format!(
            "{address} runs version {}, which does not fit to this one ({}). Use the same version on both sides.",
            health.version,
            env!("CARGO_PKG_VERSION")
        );
        return vec![Finding::bad(CHECK, message)];
    }
    let mut findings = vec![Finding::good(
        CHECK,
        format!("{address} answers (version {})", health.version),
    )];
    findings.push(match credentials::find(settings, &way) {
        Ok(Some((_, source))) => Finding::good(SIGN_IN, format!("a token for it is in {source}")),
        Ok(None) => Finding::note(
            SIGN_IN,
            format!("no token for it; `orchestrator login --backend {address}` gets one"),
        ),
        Err(failure) => Finding::bad(SIGN_IN, failure.message),
    });
    findings.extend(health.clock_ahead_s.map(|ahead_s| {
        if ahead_s.abs() <= CLOCK_LIMIT_S {
            Finding::good("clock", "agrees with the backend's")
        } else {
            let direction = if ahead_s > 0 { "behind" } else { "ahead of" };
            Finding::bad("clock", format!("this computer's clock is {} s {direction} the backend's. Set it, as with `timedatectl set-ntp true`.", ahead_s.abs()))
        }
    }));
    findings
}

/// A Convex deployment: there at all, with functions that fit, and a person it takes.
async fn deployment(settings: &Settings, way: Way) -> Vec<Finding> {
    const CHECK: &str = "backend";
    let address = way.address().to_owned();
    let versions = match health::of_deployment(&way).await {
        Ok(versions) => versions,
        Err(failure) => return vec![Finding::bad(CHECK, failure.message)],
    };
    if let Err(failure) = versions.check(&address) {
        return vec![Finding::bad(CHECK, failure.message)];
    }
    let version = versions.wire_version;
    let there = Finding::good(
        CHECK,
        format!("{address} answers, its functions speak version {version} of the protocol"),
    );
    let signed_in = match credentials::find(settings, &way) {
        Err(failure) => Finding::bad(SIGN_IN, failure.message),
        Ok(None) => Finding::note(SIGN_IN, way.signed_out().message),
        Ok(Some((token, source))) => {
            let until = transport_convex::expires_at(&token);
            let until = until.map_or_else(String::new, |until| {
                format!(", until {}", crate::lists::time(until))
            });
            let good = format!("the deployment takes a token of {source}{until}");
            match Api::new(way, token, source)
                .call::<ListMachines>(&NoArgs {})
                .await
            {
                Ok(_) => Finding::good(SIGN_IN, good),
                Err(failure) => Finding::bad(SIGN_IN, failure.message),
            }
        }
    };
    vec![there, signed_in]
}

fn page() -> Finding {
    if hub::has_page() {
        Finding::good("page", "is built in")
    } else {
        Finding::bad(
            "page",
            "is not in this build. Run ./start, which builds it, or `npm ci && npm run build` in webapp/ and build again.",
        )
    }
}

/// Only ./start needs it.
fn node() -> Finding {
    const CHECK: &str = "node";
    const OLDEST: u32 = 20;
    let output = std::process::Command::new("node")
        .arg("--version")
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .output();
    let version = output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let major = version.as_deref().and_then(|version| {
        version
            .trim_start_matches('v')
            .split('.')
            .next()?
            .parse::<u32>()
            .ok()
    });
    match (version, major) {
        (Some(version), Some(major)) if major >= OLDEST => {
            Finding::good(CHECK, format!("{version} (only ./start needs it)"))
        }
        (Some(version), _) => Finding::note(
            CHECK,
            format!("{version} is older than {OLDEST}, which ./start needs to build the page"),
        ),
        (None, _) => Finding::note(
            CHECK,
            format!("was not found; ./start needs Node.js {OLDEST} or later to build the page"),
        ),
    }
}
