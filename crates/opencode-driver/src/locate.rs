//! Finds the opencode to run.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::driver::DriverError;
use crate::wire::{ACCEPTED_VERSIONS, accepts_version};

/// The version that the product installs.
pub const PINNED_VERSION: &str = "1.18.33";
/// How long `opencode --version` may take: 0.4 s on a quick machine, much more on a busy one.
const VERSION_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a strange answer is quoted, in characters.
const QUOTE_MAX_CHARS: usize = 80;

/// Where to look, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocateConfig {
    /// The program itself. If it is given, nothing else is looked at.
    pub explicit: Option<PathBuf>,
    /// The directory in which the product has installed the pinned version: the one that holds `node_modules`.
    pub pinned: Option<PathBuf>,
    /// Whether the person's own `opencode` on the `PATH` will do, if its version does.
    pub search_path: bool,
}

/// An opencode that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpencodeBinary {
    /// The program.
    pub path: PathBuf,
    /// Its version, one of those that this driver knows.
    pub version: String,
}

/// Finds an opencode of a version that this driver knows.
///
/// # Errors
/// [`DriverError::Missing`] when there is none at all, [`DriverError::WrongVersion`] when there is one that
/// can't be used.
pub async fn locate(config: &LocateConfig) -> Result<OpencodeBinary, DriverError> {
    let mut looked_in = Vec::new();
    let mut refused = None;
    for path in candidates(config) {
        // It is run in the directories of chat sessions: a relative path would mean another file there.
        let path = std::path::absolute(&path).unwrap_or(path);
        if !path.is_file() {
            looked_in.push(path.display().to_string());
            continue;
        }
        let checked = match packaged_version(&path) {
            Some(version) => Ok(version),
            None => check(&path).await,
        };
        match checked {
            Ok(version) => return Ok(OpencodeBinary { path, version }),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    if config.search_path && config.explicit.is_none() {
        looked_in.push("the PATH".to_owned());
    }
    Err(refused.unwrap_or_else(|| DriverError::Missing {
        program: "opencode".to_owned(),
        looked_in,
        advice: advice(config),
    }))
}

fn candidates(config: &LocateConfig) -> Vec<PathBuf> {
    if let Some(explicit) = &config.explicit {
        return vec![explicit.clone()];
    }
    let pinned = config
        .pinned
        .iter()
        .flat_map(|directory| pinned_programs(directory));
    let on_path = config.search_path.then(|| env::var_os("PATH")).flatten();
    let on_path = on_path
        .iter()
        .flat_map(|path| env::split_paths(path).map(|directory| directory.join(program_name())))
        .filter(|path| path.is_file());
    pinned.chain(on_path).collect()
}

/// The programs of the packages that fit this machine, best first.
fn pinned_programs(directory: &Path) -> Vec<PathBuf> {
    let system = match env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    // The plain build needs AVX2; a machine without it has the baseline one.
    let plain = if has_avx2() {
        ["", "-baseline"]
    } else {
        ["-baseline", ""]
    };
    let libraries = if cfg!(target_env = "musl") {
        ["-musl", ""]
    } else {
        ["", "-musl"]
    };
    let variants = libraries.into_iter().flat_map(|library| {
        plain
            .into_iter()
            .map(move |build| format!("{build}{library}"))
    });
    variants
        .map(|variant| {
            directory
                .join("node_modules")
                .join(format!("opencode-{system}-{machine}{variant}"))
                .join("bin")
                .join(program_name())
        })
        .collect()
}

fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    return true;
}

fn program_name() -> &'static str {
    if cfg!(windows) {
        "opencode.exe"
    } else {
        "opencode"
    }
}

/// The version that the npm package of the program itself states, if it is one that this driver knows. It spares
/// running the program, which costs half a second at each start of a machine; a process that then turns out to be
/// of another version is refused when it starts.
fn packaged_version(program: &Path) -> Option<String> {
    let program = program.canonicalize().ok()?;
    let package = program.parent()?.parent()?;
    let stated = std::fs::read(package.join("package.json")).ok()?;
    let stated: serde_json::Value = serde_json::from_slice(&stated).ok()?;
    let name = stated["name"].as_str()?;
    // The package that people install holds a script, which is of no use without the program's own package.
    let is_program = name.starts_with("opencode-")
        && name != "opencode-ai"
        && package.file_name()? == name
        && is_executable(&program);
    let version = stated["version"].as_str()?;
    (is_program && accepts_version(version)).then(|| version.to_owned())
}

fn is_executable(program: &Path) -> bool {
    let Ok(found) = std::fs::metadata(program) else {
        return false;
    };
    #[cfg(unix)]
    let may_run = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let may_run = true;
    may_run && found.len() > 0
}

/// Runs a program for its version.
async fn check(path: &Path) -> Result<String, DriverError> {
    let wrong = |found: String| DriverError::WrongVersion {
        path: path.display().to_string(),
        found,
        accepted: ACCEPTED_VERSIONS.to_owned(),
        advice: format!(
            "Install opencode {PINNED_VERSION} (npm install -g opencode-ai@{PINNED_VERSION}), or name another program by ORCHESTRATOR_OPENCODE."
        ),
    };
    let run = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(VERSION_TIMEOUT, run).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            return Err(DriverError::Machine {
                what: format!("{} could not be run", path.display()),
                reason: error.to_string(),
            });
        }
        Err(_) => {
            return Err(wrong(format!(
                "unknown: it did not say within {} s",
                VERSION_TIMEOUT.as_secs()
            )));
        }
    };
    let said: String = String::from_utf8_lossy(&output.stdout)
        .trim()
        .chars()
        .take(QUOTE_MAX_CHARS)
        .collect();
    if output.status.success() && accepts_version(&said) {
        return Ok(said);
    }
    Err(wrong(if said.is_empty() {
        format!("unknown: --version ended with {}", output.status)
    } else {
        said
    }))
}

fn advice(config: &LocateConfig) -> String {
    match (&config.explicit, &config.pinned) {
        (Some(_), _) => {
            "Correct the path, or leave it out to use the one that this product installs."
                .to_owned()
        }
        (None, Some(directory)) => {
            format!(
                "Run ./start, which installs it, or `npm ci --ignore-scripts` in {}.",
                directory.display()
            )
        }
        (None, None) => format!("Install it with `npm install -g opencode-ai@{PINNED_VERSION}`."),
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn package(directory: &Path, name: &str, version: &str, mode: u32) -> PathBuf {
        let package = directory.join(name);
        let program = package.join("bin").join("opencode");
        std::fs::create_dir_all(package.join("bin")).unwrap();
        let stated = serde_json::json!({ "name": name, "version": version });
        std::fs::write(package.join("package.json"), stated.to_string()).unwrap();
        std::fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).unwrap();
        program
    }

    #[tokio::test]
    async fn a_program_in_its_own_package_is_not_run_for_its_version() {
        let home = tempfile::tempdir().unwrap();
        let path = package(home.path(), "opencode-linux-x64", PINNED_VERSION, 0o755);
        let linked = home.path().join("opencode");
        std::os::unix::fs::symlink(&path, &linked).unwrap();
        for explicit in [path, linked] {
            let config = LocateConfig {
                explicit: Some(explicit.clone()),
                ..LocateConfig::default()
            };
            let found = locate(&config).await.unwrap();
            assert_eq!(found.version, PINNED_VERSION);
            assert_eq!(found.path, explicit);
        }
    }

    #[tokio::test]
    async fn any_other_program_is_asked_itself() {
        for (name, version, mode) in [
            ("opencode-ai", PINNED_VERSION, 0o755),
            ("somebody-else", PINNED_VERSION, 0o755),
            ("opencode-linux-x64", "1.2.0", 0o755),
            ("opencode-linux-x64", PINNED_VERSION, 0o644),
        ] {
            let home = tempfile::tempdir().unwrap();
            let config = LocateConfig {
                explicit: Some(package(home.path(), name, version, mode)),
                ..LocateConfig::default()
            };
            assert!(locate(&config).await.is_err(), "{name} {version} {mode:o}");
        }
    }
}
