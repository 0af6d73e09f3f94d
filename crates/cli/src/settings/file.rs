//! The one configuration file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{CONFIG_VARIABLE, Key, Kind};
use crate::exit::{Exit, Failure};
use crate::places::Home;

/// How alike a word must be to a known one to be taken for a slip of it.
const ALIKE: f64 = 0.7;

/// What a file sets.
type Entries = Vec<(Key, String)>;

/// The file that was read and what is in it. A file that was asked for must be there; the usual one may be
/// missing.
pub(super) fn read(
    flag: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    home: &Home,
) -> Result<(Option<PathBuf>, Entries), Failure> {
    let asked = flag.map(Path::to_owned).or_else(|| {
        variable(CONFIG_VARIABLE)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    });
    let is_asked = asked.is_some();
    let Some(path) = asked.or_else(|| {
        home.config_dir()
            .ok()
            .map(|directory| directory.join("config.toml"))
    }) else {
        return Ok((None, Vec::new()));
    };
    let path = std::path::absolute(&path).unwrap_or(path);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_asked => {
            return Ok((None, Vec::new()));
        }
        Err(error) => {
            let message = format!(
                "The configuration file {} can't be read: {error}. Correct the path, or take the file away.",
                path.display()
            );
            return Err(Failure::new(Exit::Settings, message));
        }
    };
    let entries = parse(&text)
        .map_err(|why| Failure::new(Exit::Settings, format!("{}: {why}", path.display())))?;
    Ok((Some(path), entries))
}

fn parse(text: &str) -> Result<Entries, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| {
            text[..span.start.min(text.len())].matches('\n').count() + 1
        });
        format!("line {line} is not TOML: {}.", error.message())
    })?;
    table
        .into_iter()
        .map(|(name, value)| entry(&name, &value))
        .collect()
}

fn entry(name: &str, value: &Value) -> Result<(Key, String), String> {
    let key = Key::ALL
        .iter()
        .copied()
        .find(|key| key.name() == name)
        .ok_or_else(|| unknown(name))?;
    let expected = match key.kind() {
        Kind::Secret => {
            return Err(format!(
                "{name} is a secret and does not belong into this file. Give it by the variable {}.",
                key.variable()
            ));
        }
        Kind::Text | Kind::Place => "a text in quotes",
        Kind::Number => "a whole number",
        Kind::Flag => "true or false",
        Kind::List => "a list of texts, as [\"a\", \"b\"]",
    };
    let text = match (key.kind(), value) {
        (Kind::Text | Kind::Place, Value::String(text)) => Some(text.clone()),
        (Kind::Number, Value::Integer(number)) => Some(number.to_string()),
        (Kind::Flag, Value::Boolean(is_on)) => Some(is_on.to_string()),
        (Kind::List, Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .map(|items| items.join(",")),
        _ => None,
    };
    text.map(|text| (key, text))
        .ok_or_else(|| format!("{name} has to be {expected}."))
}

fn unknown(name: &str) -> String {
    let alike = Key::ALL
        .iter()
        .map(|key| (strsim::jaro_winkler(key.name(), name), key.name()));
    let nearest = alike
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    match nearest {
        Some((_, nearest)) => format!("there is no setting {name:?}. Did you mean {nearest:?}?"),
        None => {
            let known: Vec<_> = Key::ALL
                .iter()
                .filter(|key| key.kind() != Kind::Secret)
                .map(|key| key.name())
                .collect();
            format!(
                "there is no setting {name:?}. There are: {}.",
                known.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_with_the_nearest_known_name() {
        assert_eq!(
            parse("lisen = \"x\"").unwrap_err(),
            "there is no setting \"lisen\". Did you mean \"listen\"?"
        );
        assert_eq!(
            parse("data-dir = \"x\"").unwrap_err(),
            "there is no setting \"data-dir\". Did you mean \"data_dir\"?"
        );
        assert!(
            parse("zzz = 1")
                .unwrap_err()
                .contains("There are: listen, data_dir")
        );
    }

    #[test]
    fn wrong_types_broken_files_and_secrets_are_refused() {
        assert_eq!(
            parse("listen = 7777").unwrap_err(),
            "listen has to be a text in quotes."
        );
        assert_eq!(
            parse("drain_seconds = \"5\"").unwrap_err(),
            "drain_seconds has to be a whole number."
        );
        assert_eq!(
            parse("allow_hosts = [1]").unwrap_err(),
            "allow_hosts has to be a list of texts, as [\"a\", \"b\"]."
        );
        assert!(
            parse("a = 1\nb = \n")
                .unwrap_err()
                .starts_with("line 2 is not TOML")
        );
        assert!(
            parse("token = \"opt_x\"")
                .unwrap_err()
                .contains("ORCHESTRATOR_TOKEN")
        );
    }
}
