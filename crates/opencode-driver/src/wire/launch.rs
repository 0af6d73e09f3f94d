//! Its command line and environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::secret::Secret;
use serde_json::{Value, json};

/// How opencode is hosted. Both serve the same HTTP paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hosting {
    /// `opencode acp`: ends by itself, tools and all, when its standard input does.
    Acp,
    /// `opencode serve`: the way back for a version whose `acp` does not come up.
    Serve,
}

/// What it is started with.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) port: u16,
    pub(crate) password: &'a Secret,
    /// Its database; one for each chat session, so that sessions can't hurt each other.
    pub(crate) database: &'a Path,
    /// Configuration on top of the person's own.
    pub(crate) config: &'a Value,
    /// Everything of its own below this directory, and no look-ups in the network.
    pub(crate) lean: Option<&'a Path>,
    /// It asks before everything, whatever the person's configuration allows.
    pub(crate) ask_first: bool,
}

/// Variables of the agent's environment that it must not see: ours, and those that would move its server.
const NOT_INHERITED: &[&str] = &[
    "OPENCODE_SERVER_USERNAME",
    "OPENCODE_SERVER_PASSWORD",
    "OPENCODE_DB",
    "OPENCODE_PID",
    "OPENCODE_ROUTE",
];
/// What opencode 1.x asks about; a name that it does not know harms nothing.
const PERMISSIONS: &[&str] = &[
    "*",
    "bash",
    "codesearch",
    "doom_loop",
    "edit",
    "external_directory",
    "glob",
    "grep",
    "list",
    "lsp",
    "read",
    "skill",
    "task",
    "todoread",
    "todowrite",
    "webfetch",
    "websearch",
];
const OUR_PREFIX: &str = "ORCHESTRATOR_";
/// Loopback is reached without a proxy, whatever the person's settings are.
const NO_PROXY: &str = "127.0.0.1,localhost";

impl Hosting {
    /// The arguments. The network ones are given in full because the person's configuration may have others.
    pub(crate) fn arguments(self, setting: &Setting<'_>) -> Vec<OsString> {
        let command = match self {
            Self::Acp => "acp",
            Self::Serve => "serve",
        };
        let port = setting.port.to_string();
        let mut arguments = vec![
            command,
            "--hostname",
            "127.0.0.1",
            "--port",
            &port,
            "--no-mdns",
        ];
        if setting.lean.is_some() {
            arguments.push("--pure");
        }
        arguments.into_iter().map(OsString::from).collect()
    }

    /// What is written to its standard input first.
    pub(crate) fn greeting(self) -> Option<String> {
        match self {
            Self::Acp => {
                let capabilities = json!({ "fs": { "readTextFile": false, "writeTextFile": false }, "terminal": false });
                let client = json!({ "name": "opencode-orchestrator", "version": env!("CARGO_PKG_VERSION") });
                let params = json!({ "protocolVersion": 1, "clientCapabilities": capabilities, "clientInfo": client });
                Some(format!(
                    "{}\n",
                    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })
                ))
            }
            Self::Serve => None,
        }
    }

    /// Whether a line of its standard output says that it takes requests. Before that, a request may be
    /// accepted and never answered.
    pub(crate) fn says_ready(self, line: &str) -> bool {
        match self {
            Self::Acp => serde_json::from_str::<Value>(line)
                .is_ok_and(|message| message["id"] == 1 && message["result"].is_object()),
            Self::Serve => line.contains("server listening on http"),
        }
    }
}

/// Whether it ended because another program has its port.
pub(crate) fn is_port_taken(stderr: &str) -> bool {
    stderr.contains("ServeError") || stderr.contains("EADDRINUSE")
}

/// Its whole environment, from the agent's.
pub(crate) fn environment(
    setting: &Setting<'_>,
    inherited: impl Iterator<Item = (OsString, OsString)>,
) -> io::Result<Vec<(OsString, OsString)>> {
    let mut theirs_config = None;
    let mut no_proxy = String::new();
    let mut variables: Vec<(OsString, OsString)> = Vec::new();
    for (name, value) in inherited {
        match name.to_str() {
            Some("OPENCODE_CONFIG_CONTENT") => theirs_config = value.to_str().map(str::to_owned),
            Some("NO_PROXY" | "no_proxy") => no_proxy = value.to_string_lossy().into_owned(),
            Some(known) if NOT_INHERITED.contains(&known) || known.starts_with(OUR_PREFIX) => {}
            Some(_) | None => variables.push((name, value)),
        }
    }
    let no_proxy = if no_proxy.is_empty() {
        NO_PROXY.to_owned()
    } else {
        format!("{no_proxy},{NO_PROXY}")
    };
    let mut set = |name: &str, value: OsString| {
        variables.retain(|(known, _)| known != name);
        variables.push((name.into(), value));
    };
    set("NO_PROXY", no_proxy.clone().into());
    set("no_proxy", no_proxy.into());
    set("OPENCODE_SERVER_PASSWORD", setting.password.expose().into());
    set("OPENCODE_DB", setting.database.into());
    set(
        "OPENCODE_CONFIG_CONTENT",
        config(theirs_config.as_deref(), setting.config)
            .to_string()
            .into(),
    );
    set("OPENCODE_ENABLE_QUESTION_TOOL", "1".into());
    set("OPENCODE_DISABLE_AUTOUPDATE", "1".into());
    set("OPENCODE_DISABLE_SHARE", "1".into());
    if setting.ask_first {
        set("OPENCODE_PERMISSION", ask_first().to_string().into());
    }
    if let Some(home) = setting.lean {
        for (name, value) in lean(home)? {
            set(name, value);
        }
    }
    Ok(variables)
}

/// The permissions by name, because `*` alone says nothing of those that the person's configuration names. For
/// sub-agents too, which know nothing of the conversation's own rules.
fn ask_first() -> Value {
    let names = PERMISSIONS.iter().map(|name| (*name, "ask"));
    names.collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// The person's inline configuration, with ours on top.
fn config(theirs: Option<&str>, ours: &Value) -> Value {
    let mut merged = theirs
        .and_then(|text| serde_json::from_str(text).ok())
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({}));
    merge(
        &mut merged,
        &json!({ "autoupdate": false, "share": "disabled" }),
    );
    merge(&mut merged, ours);
    merged
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, Value::Null) if !into.is_null() => {}
        (into, from) => *into = from.clone(),
    }
}

/// Makes a home of its own and the settings with which it looks up nothing in the network: no model list, no
/// updates, no plugins, no language servers. Its package installer finds what it wants already listed.
fn lean(home: &Path) -> io::Result<Vec<(&'static str, OsString)>> {
    let config = home.join("config");
    let own = config.join("opencode");
    fs::create_dir_all(own.join("node_modules"))?;
    let version = "1.18.33";
    let wants = json!({ "@opencode-ai/plugin": version });
    write_once(&own.join("package.json"), &json!({ "dependencies": wants }))?;
    let lock = json!({ "name": "opencode", "lockfileVersion": 3, "requires": true, "packages": { "": { "dependencies": wants } } });
    write_once(&own.join("package-lock.json"), &lock)?;
    let models = home.join("models.json");
    write_once(&models, &json!({}))?;
    let below = |name: &str| -> io::Result<OsString> {
        let path: PathBuf = home.join(name);
        fs::create_dir_all(&path)?;
        Ok(path.into())
    };
    let on = || OsString::from("1");
    Ok(vec![
        ("XDG_CONFIG_HOME", config.into()),
        ("XDG_DATA_HOME", below("data")?),
        ("XDG_CACHE_HOME", below("cache")?),
        ("XDG_STATE_HOME", below("state")?),
        ("OPENCODE_MODELS_PATH", models.into()),
        ("OPENCODE_DISABLE_MODELS_FETCH", on()),
        ("OPENCODE_DISABLE_LSP_DOWNLOAD", on()),
        ("OPENCODE_DISABLE_DEFAULT_PLUGINS", on()),
        ("OPENCODE_DISABLE_EXTERNAL_SKILLS", on()),
        ("OPENCODE_DISABLE_CLAUDE_CODE", on()),
        ("OPENCODE_DISABLE_PROJECT_CONFIG", on()),
        ("OPENCODE_EXPERIMENTAL_DISABLE_FILEWATCHER", on()),
    ])
}

/// Several processes share these files, and several starts in one process: each writes the same, none sees half of
/// one, and none takes another's away before it has its name.
fn write_once(path: &Path, content: &Value) -> io::Result<()> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    if path.exists() {
        return Ok(());
    }
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
    fs::write(&temporary, content.to_string())?;
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment_of(inherited: &[(&str, &str)], config: &Value) -> Vec<(String, String)> {
        environment_with(inherited, config, false)
    }

    fn environment_with(
        inherited: &[(&str, &str)],
        config: &Value,
        ask_first: bool,
    ) -> Vec<(String, String)> {
        let password = Secret::new("pw");
        let setting = Setting {
            port: 1,
            password: &password,
            database: Path::new("/s/c.db"),
            config,
            lean: None,
            ask_first,
        };
        let inherited = inherited
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let text = |text: OsString| text.into_string().unwrap();
        environment(&setting, inherited)
            .unwrap()
            .into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    fn value<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
        variables
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    #[test]
    fn several_may_start_at_once_in_a_new_home() {
        for _ in 0..20 {
            let home = tempfile::tempdir().unwrap();
            let begin = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        begin.wait();
                        lean(home.path()).unwrap();
                    });
                }
            });
            let own = home.path().join("config/opencode");
            assert_eq!(
                fs::read_dir(own).unwrap().count(),
                3,
                "no file is left over"
            );
        }
    }

    #[test]
    fn our_own_secrets_are_not_handed_down_and_the_rest_is() {
        let variables = environment_of(
            &[
                ("PATH", "/bin"),
                ("ORCHESTRATOR_MACHINE_SECRET", "x"),
                ("OPENCODE_SERVER_PASSWORD", "old"),
                ("ANTHROPIC_API_KEY", "k"),
                ("NO_PROXY", "corp"),
            ],
            &json!({}),
        );
        assert_eq!(value(&variables, "PATH"), Some("/bin"));
        assert_eq!(value(&variables, "ANTHROPIC_API_KEY"), Some("k"));
        assert_eq!(value(&variables, "ORCHESTRATOR_MACHINE_SECRET"), None);
        assert_eq!(value(&variables, "OPENCODE_SERVER_PASSWORD"), Some("pw"));
        assert_eq!(
            value(&variables, "no_proxy"),
            Some("corp,127.0.0.1,localhost")
        );
        assert_eq!(value(&variables, "OPENCODE_DB"), Some("/s/c.db"));
    }

    #[test]
    fn the_persons_inline_configuration_stays_below_ours() {
        let theirs = r#"{"share":"auto","provider":{"mine":{"name":"Mine"}}}"#;
        let variables = environment_of(
            &[("OPENCODE_CONFIG_CONTENT", theirs)],
            &json!({ "provider": { "demo": {} }, "model": "demo/x" }),
        );
        let config: Value =
            serde_json::from_str(value(&variables, "OPENCODE_CONFIG_CONTENT").unwrap()).unwrap();
        assert_eq!(config["share"], "disabled");
        assert_eq!(
            config["provider"],
            json!({ "mine": { "name": "Mine" }, "demo": {} })
        );
        assert_eq!(
            (&config["model"], &config["autoupdate"]),
            (&json!("demo/x"), &json!(false))
        );
    }

    #[test]
    fn one_that_has_to_ask_is_allowed_nothing_by_the_persons_settings() {
        let theirs = [("OPENCODE_PERMISSION", r#"{"bash":"allow"}"#)];
        let variables = environment_with(&theirs, &json!({}), true);
        let permission: Value =
            serde_json::from_str(value(&variables, "OPENCODE_PERMISSION").unwrap()).unwrap();
        for name in ["*", "bash", "edit", "read"] {
            assert_eq!(permission[name], "ask", "{name}");
        }
        let variables = environment_of(&theirs, &json!({}));
        assert_eq!(
            value(&variables, "OPENCODE_PERMISSION"),
            Some(r#"{"bash":"allow"}"#)
        );
    }

    #[test]
    fn readiness_is_the_answer_to_the_greeting_and_nothing_else() {
        assert!(
            Hosting::Acp.says_ready(r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1}}"#)
        );
        assert!(!Hosting::Acp.says_ready(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1}}"#));
        assert!(!Hosting::Acp.says_ready("opencode server listening on http://127.0.0.1:1"));
        assert!(Hosting::Serve.says_ready("opencode server listening on http://127.0.0.1:1"));
    }
}
