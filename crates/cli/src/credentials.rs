//! A person's credentials: of the environment, of a login, of the hub on this computer, or made with the owner's key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::convex::key::OwnerKey;
use crate::exit::{Exit, Failure};
use crate::places;
use crate::running::Running;
use crate::settings::{Key, Settings};
use crate::way::Way;

/// The hub writes its owner's token here, for programs of the same person on the same computer.
const OWNER_TOKEN: &str = "owner-token";
/// How long a token is good that a command makes for itself.
const COMMAND_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The tokens of logins, by the backend's address.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Logins {
    #[serde(default)]
    tokens: BTreeMap<String, Secret>,
}

/// The person's credential for a backend, and where it is from.
pub(crate) fn find(settings: &Settings, way: &Way) -> Result<Option<(Secret, String)>, Failure> {
    let address = way.address();
    if let Some(token) = settings.secret(Key::Token) {
        return Ok(Some((
            token,
            format!("the variable {}", Key::Token.variable()),
        )));
    }
    if let Some(token) = read_logins(settings)?.tokens.remove(address) {
        return Ok(Some((token, logins_path(settings)?.display().to_string())));
    }
    if way.is_convex() {
        return of_key(settings, address);
    }
    for directory in settings.local_data_dirs() {
        // Only to the hub that wrote it: another backend must not learn it.
        if Running::read(&directory).is_some_and(|running| is_same_hub(&running.url, address))
            && let Some(token) = read_owner_token(&directory)
        {
            return Ok(Some((
                token,
                directory.join(OWNER_TOKEN).display().to_string(),
            )));
        }
    }
    Ok(None)
}

/// A token of the owner's key, for a deployment that is to have it.
fn of_key(settings: &Settings, address: &str) -> Result<Option<(Secret, String)>, Failure> {
    match OwnerKey::read(settings)? {
        Some(key) if key.is_for(address) => {
            let source = OwnerKey::path(settings)?.display().to_string();
            Ok(Some((key.token(COMMAND_LIFE)?, source)))
        }
        Some(_) | None => Ok(None),
    }
}

/// Whether two addresses are of the same hub, where the first is one on this computer.
fn is_same_hub(own: &str, address: &str) -> bool {
    let loopback = |address: &str| {
        let rest = address.strip_prefix("http://")?;
        let (host, port) = rest.rsplit_once(':')?;
        matches!(host, "127.0.0.1" | "localhost" | "[::1]").then(|| port.to_owned())
    };
    own == address || loopback(own).is_some_and(|port| loopback(address) == Some(port))
}

/// The token that the hub with this data directory wrote for its owner.
pub(crate) fn read_owner_token(data_dir: &Path) -> Option<Secret> {
    let text = std::fs::read_to_string(data_dir.join(OWNER_TOKEN)).ok()?;
    Some(Secret::new(text.trim()))
}

/// Keeps a login's token; gives the file.
pub(crate) fn keep(settings: &Settings, address: &str, token: Secret) -> Result<PathBuf, Failure> {
    let mut logins = read_logins(settings)?;
    logins.tokens.insert(address.to_owned(), token);
    let path = logins_path(settings)?;
    let text =
        toml::to_string(&logins).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let written = path
        .parent()
        .map_or(Ok(()), places::create_private_dir)
        .and_then(|()| places::write_private(&path, &text));
    written.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!(
                "The token can't be kept in {}: {error}. Check that the directory belongs to you.",
                path.display()
            ),
        )
    })?;
    Ok(path)
}

fn logins_path(settings: &Settings) -> Result<PathBuf, Failure> {
    Ok(settings.config_dir()?.join("logins.toml"))
}

fn read_logins(settings: &Settings) -> Result<Logins, Failure> {
    // Without a home there are no logins.
    let Ok(path) = logins_path(settings) else {
        return Ok(Logins::default());
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).map_err(|_| {
            Failure::new(
                Exit::Settings,
                format!(
                    "{} can't be understood. Take it away and run `orchestrator login` again.",
                    path.display()
                ),
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Logins::default()),
        Err(error) => Err(Failure::new(
            Exit::Settings,
            format!(
                "{} can't be read: {error}. Check that it belongs to you.",
                path.display()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_token_goes_to_the_own_hub_only() {
        let own = "http://127.0.0.1:7777";
        for same in [own, "http://localhost:7777", "http://[::1]:7777"] {
            assert!(is_same_hub(own, same), "{same}");
        }
        for other in [
            "http://127.0.0.1:7778",
            "https://127.0.0.1:7777",
            "http://127.0.0.1.example.org:7777",
            "http://localhost:7777/path",
            "http://example.org:7777",
        ] {
            assert!(!is_same_hub(own, other), "{other}");
        }
    }
}
