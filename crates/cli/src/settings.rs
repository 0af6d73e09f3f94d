//! What a person can set, and where each value comes from: a flag, else the environment, else the one
//! configuration file, else a default.

mod file;
mod key;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use hub::IdentityProvider;
use protocol::git_url::GitProtocol;
use protocol::secret::Secret;
use transport_convex::Deployment;

use crate::exit::{Exit, Failure};
use crate::places;
use crate::running::Running;

use key::Kind;
pub(crate) use key::{Key, Source};

/// The variable that names the configuration file.
pub(crate) const CONFIG_VARIABLE: &str = "ORCHESTRATOR_CONFIG";

/// What was given on the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    values: BTreeMap<Key, String>,
    /// The configuration file to read.
    pub(crate) config: Option<PathBuf>,
}

impl Flags {
    pub(crate) fn set(&mut self, key: Key, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.values.insert(key, value.into());
        }
    }

    pub(crate) fn set_place(&mut self, key: Key, value: Option<&Path>) -> Result<(), Failure> {
        match value.map(Path::to_str) {
            None => {}
            Some(Some(text)) => self.set(key, Some(text)),
            Some(None) => {
                let message = format!(
                    "--{} has to be UTF-8. Choose another directory.",
                    key.name().replace('_', "-")
                );
                return Err(Failure::new(Exit::Usage, message));
            }
        }
        Ok(())
    }
}

/// The values that hold.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    values: BTreeMap<Key, (String, Source)>,
    /// The configuration file, if there is one.
    pub(crate) file: Option<PathBuf>,
    home: places::Home,
}

impl Settings {
    /// Reads all sources.
    ///
    /// # Errors
    /// When one of them holds something that is not understood; nothing is guessed.
    pub(crate) fn read(
        flags: Flags,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Failure> {
        let home = places::Home::of(&variable);
        let mut values = BTreeMap::new();
        let (file, entries) = file::read(flags.config.as_deref(), &variable, &home)?;
        for (key, value) in entries {
            let source = Source::File(file.clone().unwrap_or_default());
            values.insert(key, (value, source));
        }
        for key in Key::ALL {
            let Some(value) = variable(key.variable()).filter(|value| !value.is_empty()) else {
                continue;
            };
            let value = value.into_string().map_err(|_| {
                Failure::new(
                    Exit::Settings,
                    format!(
                        "The variable {} has to be UTF-8. Set it again, or take it away.",
                        key.variable()
                    ),
                )
            })?;
            values.insert(*key, (value, Source::Environment));
        }
        for (key, value) in flags.values {
            values.insert(key, (value, Source::Flag));
        }
        let settings = Self { values, file, home };
        settings.check()?;
        settings.convex()?;
        Ok(settings)
    }

    /// The value as it was given, and where; `None` where there is only a default.
    pub(crate) fn given(&self, key: Key) -> Option<(&str, &Source)> {
        self.values
            .get(&key)
            .map(|(value, source)| (value.as_str(), source))
    }

    /// The value that holds and where it comes from, for a person; `None` if it is not set and has no default.
    pub(crate) fn shown(&self, key: Key) -> Option<(String, Source)> {
        let place = |path: PathBuf| path.display().to_string();
        let value = match key {
            Key::DataDir => self.data_dir().ok().map(place),
            Key::MachineDir => self.machine_dir().ok().map(place),
            Key::Listen => Some(self.text(Key::Listen).unwrap_or(DEFAULT_LISTEN).to_owned()),
            Key::Backend => Some(
                self.text(Key::Backend)
                    .map_or_else(|| self.local_backend(), str::to_owned),
            ),
            Key::DrainSeconds => Some(self.drain_ms().map_or(0, |ms| ms / 1_000).to_string()),
            Key::HibernateMinutes => {
                Some(self.hibernate_ms().map_or(0, |ms| ms / 60_000).to_string())
            }
            Key::GitProtocols => Some(names(&self.git_protocols().unwrap_or_default())),
            Key::Spares => Some(self.spares().unwrap_or(0).to_string()),
            Key::MaxProcesses => {
                let set = self.max_processes().unwrap_or_default();
                Some(set.unwrap_or_else(agent::limits::processes).to_string())
            }
            Key::MaxMemoryMib => {
                let set = self.max_memory_bytes().unwrap_or_default();
                let bytes = set.or_else(agent::limits::memory_bytes);
                bytes.map(|bytes| (bytes / MIB).to_string())
            }
            Key::Demo | Key::OpencodeLean => Some(self.is_on(key).to_string()),
            Key::Log => Some(self.text(Key::Log).unwrap_or(DEFAULT_LOG).to_owned()),
            Key::Root | Key::Opencode | Key::OpencodeDir => {
                self.place(key).ok().flatten().map(place)
            }
            Key::PublicUrl
            | Key::AllowHosts
            | Key::Convex
            | Key::ConvexIssuer
            | Key::ConvexClientId
            | Key::Name
            | Key::MachineId => self.text(key).map(str::to_owned),
            Key::MachineSecret | Key::RegistrationKey | Key::Token | Key::OpencodeConfig => {
                self.text(key).map(|_| "(set, not shown)".to_owned())
            }
        };
        let source = match self.given(key) {
            Some((_, source)) => source.clone(),
            None if key == Key::Backend && self.running_hub().is_some() => Source::Running,
            None => Source::Default,
        };
        value.map(|value| (value, source))
    }

    fn text(&self, key: Key) -> Option<&str> {
        self.given(key).map(|(value, _)| value)
    }

    /// An optional text.
    pub(crate) fn optional(&self, key: Key) -> Option<String> {
        self.text(key).map(str::to_owned)
    }

    /// A secret.
    pub(crate) fn secret(&self, key: Key) -> Option<Secret> {
        self.text(key).map(|text| Secret::new(text.trim()))
    }

    /// A directory or a file, absolute.
    pub(crate) fn place(&self, key: Key) -> Result<Option<PathBuf>, Failure> {
        let Some((value, source)) = self.given(key) else {
            return Ok(None);
        };
        let path = self.home.expand(value);
        let path = match source {
            Source::File(file) => file
                .parent()
                .map(|parent| parent.join(&path))
                .unwrap_or(path),
            Source::Flag | Source::Environment | Source::Running | Source::Default => path,
        };
        std::path::absolute(&path)
            .map(Some)
            .map_err(|error| self.wrong(key, &error.to_string()))
    }

    /// The same where the setting is a place at all.
    pub(crate) fn place_if_one(&self, key: Key) -> Result<Option<PathBuf>, Failure> {
        if key.kind() == Kind::Place {
            self.place(key)
        } else {
            Ok(None)
        }
    }

    /// Whether this is the demo.
    pub(crate) fn is_demo(&self) -> bool {
        self.is_on(Key::Demo)
    }

    /// Whether something that is true or false is true.
    pub(crate) fn is_on(&self, key: Key) -> bool {
        self.text(key).is_some_and(is_on)
    }

    /// Where the hub's files are.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, Failure> {
        match self.place(Key::DataDir)? {
            Some(path) => Ok(path),
            None => self.home.data_dir(self.is_demo()),
        }
    }

    /// Where the demo's hub has its files, unless it was told otherwise.
    pub(crate) fn demo_data_dir(&self) -> Option<PathBuf> {
        self.home.data_dir(true).ok()
    }

    /// Where the machine's files are.
    pub(crate) fn machine_dir(&self) -> Result<PathBuf, Failure> {
        match self.place(Key::MachineDir)? {
            Some(path) => Ok(path),
            None => match self.convex()? {
                Some(deployment) => Ok(self.convex_dir(&deployment)?.join(MACHINE)),
                None => Ok(self.data_dir()?.join(MACHINE)),
            },
        }
    }

    /// Where the usual machine's files are, whatever is set.
    pub(crate) fn usual_machine_dir(&self) -> Result<PathBuf, Failure> {
        Ok(self.home.data_dir(false)?.join(MACHINE))
    }

    /// The deployment that takes the hub's place, if one does.
    pub(crate) fn convex(&self) -> Result<Option<Deployment>, Failure> {
        let Some(address) = self.text(Key::Convex) else {
            return Ok(None);
        };
        Deployment::parse(address)
            .map(Some)
            .map_err(|error| self.wrong(Key::Convex, error.to_string().trim_end_matches('.')))
    }

    /// The identity provider with which the page signs people in to the deployment, if there is one.
    pub(crate) fn identity_provider(&self) -> Result<Option<IdentityProvider>, Failure> {
        match (self.text(Key::ConvexIssuer), self.text(Key::ConvexClientId)) {
            (Some(issuer), Some(client_id)) => {
                let is_web = reqwest::Url::parse(issuer)
                    .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
                if !is_web {
                    return Err(self.wrong(
                        Key::ConvexIssuer,
                        "it is no web address, like https://login.example.org",
                    ));
                }
                Ok(Some(IdentityProvider {
                    issuer: issuer.to_owned(),
                    client_id: client_id.to_owned(),
                }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(self.wrong(
                Key::ConvexIssuer,
                "it needs convex_client_id beside it, which is what the provider calls the page",
            )),
            (None, Some(_)) => Err(self.wrong(
                Key::ConvexClientId,
                "it needs convex_issuer beside it, which is the provider's address",
            )),
        }
    }

    /// Where this computer's files for a deployment are: apart from the hub's and from those for other deployments.
    pub(crate) fn convex_dir(&self, deployment: &Deployment) -> Result<PathBuf, Failure> {
        let host = deployment
            .url()
            .trim_start_matches("https://")
            .replace("http://", "");
        let name: String = host
            .chars()
            .map(|character| match character {
                'a'..='z' | '0'..='9' | '.' | '-' => character,
                _ => '_',
            })
            .collect();
        Ok(self.data_dir()?.join(CONVEX).join(name))
    }

    /// Where the owner's key is: the demo has the same one, since a deployment knows one.
    pub(crate) fn owner_dir(&self) -> Result<PathBuf, Failure> {
        match self.place(Key::DataDir)? {
            Some(path) => Ok(path),
            None => self.home.data_dir(false),
        }
    }

    /// The directory of the configuration file.
    pub(crate) fn config_dir(&self) -> Result<PathBuf, Failure> {
        self.home.config_dir()
    }

    /// A path as a person typed it, absolute.
    pub(crate) fn path_of(&self, text: &str) -> PathBuf {
        let path = self.home.expand(text);
        std::path::absolute(&path).unwrap_or(path)
    }

    /// The person's home directory.
    pub(crate) fn home_dir(&self) -> Option<&Path> {
        self.home.path()
    }

    /// The address to listen on.
    pub(crate) fn listen(&self) -> Result<SocketAddr, Failure> {
        let text = self.text(Key::Listen).unwrap_or(DEFAULT_LISTEN);
        let text = if text.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("127.0.0.1:{text}")
        } else {
            text.to_owned()
        };
        let found = text
            .to_socket_addrs()
            .ok()
            .and_then(|mut addresses| addresses.next());
        found.ok_or_else(|| {
            self.wrong(
                Key::Listen,
                "it is not an address and a port. It looks like 127.0.0.1:7777",
            )
        })
    }

    /// Further hosts that the hub answers to.
    pub(crate) fn allow_hosts(&self) -> Vec<String> {
        let hosts = self.text(Key::AllowHosts).unwrap_or_default().split(',');
        hosts
            .map(|host| host.trim().to_owned())
            .filter(|host| !host.is_empty())
            .collect()
    }

    /// The backend that commands talk to when nothing else is said: the hub that runs on this computer, or
    /// else the usual address.
    pub(crate) fn local_backend(&self) -> String {
        if let Ok(Some(deployment)) = self.convex() {
            return deployment.address();
        }
        self.running_hub()
            .map_or_else(|| format!("http://{DEFAULT_LISTEN}"), |running| running.url)
    }

    /// The hub that runs with this data directory, or else the demo's.
    fn running_hub(&self) -> Option<Running> {
        self.local_data_dirs()
            .iter()
            .find_map(|directory| Running::read(directory))
    }

    /// The directories that a hub of this person's on this computer may have, then those of deployments.
    pub(crate) fn local_data_dirs(&self) -> Vec<PathBuf> {
        let data_dirs = [self.data_dir().ok(), self.demo_data_dir()];
        let mut all: Vec<PathBuf> = data_dirs.into_iter().flatten().collect();
        for data_dir in all.clone() {
            let Ok(entries) = std::fs::read_dir(data_dir.join(CONVEX)) else {
                continue;
            };
            let mut deployments: Vec<PathBuf> =
                entries.flatten().map(|entry| entry.path()).collect();
            deployments.sort();
            all.extend(deployments);
        }
        all
    }

    /// How long running turns may go on, in milliseconds.
    pub(crate) fn drain_ms(&self) -> Result<u64, Failure> {
        Ok(self
            .number(Key::DrainSeconds)?
            .unwrap_or(DEFAULT_DRAIN_SECONDS)
            .saturating_mul(1_000))
    }

    /// How long an opencode may sit without work, in milliseconds.
    pub(crate) fn hibernate_ms(&self) -> Result<u64, Failure> {
        let minutes = self
            .number(Key::HibernateMinutes)?
            .map(|minutes| minutes.saturating_mul(60_000));
        Ok(minutes.unwrap_or(protocol::limits::HIBERNATE_AFTER_MS))
    }

    /// How git repositories may be cloned.
    pub(crate) fn git_protocols(&self) -> Result<Vec<GitProtocol>, Failure> {
        let Some(text) = self.text(Key::GitProtocols) else {
            return Ok(GitProtocol::DEFAULT.to_vec());
        };
        text.split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(|name| {
                GitProtocol::named(name).ok_or_else(|| {
                    let known = names(&GitProtocol::ALL);
                    self.wrong(Key::GitProtocols, &format!("{name} is not one of {known}"))
                })
            })
            .collect()
    }

    /// How many warm spares are kept.
    pub(crate) fn spares(&self) -> Result<usize, Failure> {
        let spares = self.number(Key::Spares)?;
        Ok(spares.map_or(DEFAULT_SPARES, |spares| {
            usize::try_from(spares).unwrap_or(usize::MAX)
        }))
    }

    /// How many opencodes may run at once, if it is set.
    pub(crate) fn max_processes(&self) -> Result<Option<usize>, Failure> {
        let most = self.at_least_one(Key::MaxProcesses)?;
        Ok(most.map(|most| usize::try_from(most).unwrap_or(usize::MAX)))
    }

    /// How much memory they may take before no further one is started, in bytes, if it is set.
    pub(crate) fn max_memory_bytes(&self) -> Result<Option<u64>, Failure> {
        let most = self.at_least_one(Key::MaxMemoryMib)?;
        Ok(most.map(|mib| mib.saturating_mul(MIB)))
    }

    /// What is logged.
    pub(crate) fn log(&self) -> &str {
        self.text(Key::Log).unwrap_or(DEFAULT_LOG)
    }

    fn number(&self, key: Key) -> Result<Option<u64>, Failure> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        text.trim()
            .parse()
            .map(Some)
            .map_err(|_| self.wrong(key, "it is not a whole number"))
    }

    fn at_least_one(&self, key: Key) -> Result<Option<u64>, Failure> {
        match self.number(key)? {
            Some(0) => Err(self.wrong(
                key,
                "it has to be at least 1. Without it, what this computer has decides",
            )),
            number => Ok(number),
        }
    }

    /// Says what is wrong with a value, and where it was set.
    pub(crate) fn wrong(&self, key: Key, why: &str) -> Failure {
        let (value, source) = self.given(key).unwrap_or(("", &Source::Default));
        let shown = if key.kind() == Kind::Secret || key == Key::OpencodeConfig {
            "(not shown)".to_owned()
        } else {
            format!("{value:?}")
        };
        Failure::new(
            Exit::Settings,
            format!(
                "{} is set to {shown} by {}, but {why}.",
                key.name(),
                source.describe(key)
            ),
        )
    }

    /// Values that can't be read must not wait for their use to be found out.
    fn check(&self) -> Result<(), Failure> {
        self.max_processes()?;
        self.max_memory_bytes()?;
        for key in Key::ALL {
            match key.kind() {
                Kind::Number => {
                    self.number(*key)?;
                }
                Kind::Flag => {
                    if self
                        .text(*key)
                        .is_some_and(|text| !is_on(text) && !is_off(text))
                    {
                        return Err(self.wrong(*key, "it is neither true nor false"));
                    }
                }
                Kind::Text | Kind::Place | Kind::List | Kind::Secret => {}
            }
        }
        Ok(())
    }
}

/// Below the data directory, or below a deployment's: what this computer keeps as a machine.
const MACHINE: &str = "machine";
/// Below the data directory: a directory for each Convex deployment.
const CONVEX: &str = "convex";
const DEFAULT_LISTEN: &str = "127.0.0.1:7777";
const DEFAULT_LOG: &str = "error";
const DEFAULT_DRAIN_SECONDS: u64 = 60;
const MIB: u64 = 1024 * 1024;
/// A spare takes some 300 MiB.
const DEFAULT_SPARES: usize = 1;

fn is_on(text: &str) -> bool {
    matches!(text, "1" | "true" | "yes" | "on")
}

fn is_off(text: &str) -> bool {
    matches!(text, "0" | "false" | "no" | "off")
}

fn names(protocols: &[GitProtocol]) -> String {
    let names: Vec<_> = protocols.iter().map(|protocol| protocol.name()).collect();
    names.join(",")
}

#[cfg(test)]
mod tests;
