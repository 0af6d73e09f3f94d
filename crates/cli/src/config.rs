//! `config show`: what holds, and why.

use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::out::Out;
use crate::settings::{Key, Settings};

pub(crate) fn show(settings: &Settings, out: Out) -> Result<Exit, Failure> {
    let mut rows = Vec::new();
    for key in Key::ALL {
        let shown = settings.shown(*key);
        if out.is_json() {
            let (value, source) = shown
                .map(|(value, source)| (value, source.describe(*key)))
                .unzip();
            let variable = key.variable();
            out.value(&json!({ "key": key.name(), "value": value, "source": source, "variable": variable, "about": key.doc().trim() }))?;
        } else {
            let (value, source) = shown.map_or_else(
                || ("-".to_owned(), String::new()),
                |(value, source)| (value, source.describe(*key)),
            );
            rows.push(vec![key.name().to_owned(), value, source]);
        }
    }
    if !out.is_json() {
        out.table(&["SETTING", "VALUE", "FROM"], &rows)?;
        let file = settings.file.as_ref().map_or_else(
            || {
                let place = settings.config_dir().map_or_else(
                    |_| "the configuration directory".to_owned(),
                    |directory| directory.display().to_string(),
                );
                format!("There is no configuration file; it would be {place}/config.toml.")
            },
            |file| format!("The configuration file is {}.", file.display()),
        );
        out.say(&file);
    }
    Ok(Exit::Done)
}
