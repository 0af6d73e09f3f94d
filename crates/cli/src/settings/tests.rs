//! Where settings come from, and what is said of those that can't be read.

use super::*;

fn read(flags: Flags, variables: &[(&str, &str)]) -> Result<Settings, Failure> {
    let variables: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Settings::read(flags, move |name| variables.get(name).map(OsString::from))
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:1\"\nroot = \"projects\"\nallow_hosts = [\"a\", \"b:1\"]\ndrain_seconds = 5\n").unwrap();
    let mut flags = Flags {
        config: Some(file.clone()),
        ..Flags::default()
    };
    let home = folder.path().to_str().unwrap();

    let settings = read(flags.clone(), &[("HOME", home)]).unwrap();
    assert_eq!(settings.listen().unwrap().port(), 1);
    assert_eq!(
        settings.place(Key::Root).unwrap().unwrap(),
        folder.path().join("projects")
    );
    assert_eq!(settings.allow_hosts(), ["a", "b:1"]);
    assert_eq!(settings.drain_ms(), Ok(5_000));
    assert_eq!(settings.shown(Key::Listen).unwrap().1, Source::File(file));

    let settings = read(
        flags.clone(),
        &[("HOME", home), ("ORCHESTRATOR_LISTEN", "127.0.0.1:2")],
    )
    .unwrap();
    assert_eq!(settings.listen().unwrap().port(), 2);

    flags.set(Key::Listen, Some("3"));
    let settings = read(
        flags,
        &[("HOME", home), ("ORCHESTRATOR_LISTEN", "127.0.0.1:2")],
    )
    .unwrap();
    assert_eq!(settings.listen().unwrap().to_string(), "127.0.0.1:3");
    assert_eq!(
        settings.shown(Key::Demo).unwrap(),
        ("false".to_owned(), Source::Default)
    );
}

#[test]
fn limits_of_the_machine_are_those_that_are_set_or_the_computers() {
    let home = ("HOME", "/nowhere");
    let settings = read(
        Flags::default(),
        &[
            home,
            ("ORCHESTRATOR_MAX_PROCESSES", "3"),
            ("ORCHESTRATOR_MAX_MEMORY_MIB", "2048"),
        ],
    )
    .unwrap();
    assert_eq!(settings.max_processes().unwrap(), Some(3));
    assert_eq!(settings.max_memory_bytes().unwrap(), Some(2 << 30));
    let settings = read(Flags::default(), &[home]).unwrap();
    assert_eq!(settings.max_processes().unwrap(), None);
    assert_eq!(
        settings.shown(Key::MaxProcesses).unwrap(),
        (agent::limits::processes().to_string(), Source::Default)
    );
}

#[test]
fn a_secret_is_never_shown() {
    let settings = read(
        Flags::default(),
        &[("HOME", "/nowhere"), ("ORCHESTRATOR_TOKEN", "opt_secret")],
    )
    .unwrap();
    assert_eq!(settings.shown(Key::Token).unwrap().0, "(set, not shown)");
    assert!(
        !settings
            .wrong(Key::Token, "x")
            .message
            .contains("opt_secret")
    );
}

#[test]
fn what_is_not_understood_is_refused_with_its_source() {
    for (variable, value, expected) in [
        (
            "ORCHESTRATOR_DRAIN_SECONDS",
            "soon",
            "drain_seconds is set to \"soon\" by the variable ORCHESTRATOR_DRAIN_SECONDS, but it is not a whole number.",
        ),
        (
            "ORCHESTRATOR_MAX_PROCESSES",
            "0",
            "max_processes is set to \"0\" by the variable ORCHESTRATOR_MAX_PROCESSES, but it has to be at least 1. Without it, what this computer has decides.",
        ),
        (
            "ORCHESTRATOR_MAX_MEMORY_MIB",
            "8GB",
            "max_memory_mib is set to \"8GB\" by the variable ORCHESTRATOR_MAX_MEMORY_MIB, but it is not a whole number.",
        ),
        (
            "ORCHESTRATOR_DEMO",
            "maybe",
            "demo is set to \"maybe\" by the variable ORCHESTRATOR_DEMO, but it is neither true nor false.",
        ),
    ] {
        let failure =
            read(Flags::default(), &[("HOME", "/nowhere"), (variable, value)]).unwrap_err();
        assert_eq!(failure, Failure::new(Exit::Settings, expected));
    }
    let settings = read(
        Flags::default(),
        &[("HOME", "/nowhere"), ("ORCHESTRATOR_LISTEN", "here")],
    )
    .unwrap();
    assert!(
        settings
            .listen()
            .unwrap_err()
            .message
            .contains("127.0.0.1:7777")
    );
}
