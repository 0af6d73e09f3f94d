//! What the program says of itself, and of what it is given.

use crate::support::{Home, table};

#[test]
fn help_teaches() {
    let home = Home::new();
    let commands: &[&[&str]] = &[
        &[],
        &["up"],
        &["hub"],
        &["machine"],
        &["machine", "install"],
        &["machine", "upgrade"],
        &["machine", "forget"],
        &["chat"],
        &["machines"],
        &["workers"],
        &["workers", "add"],
        &["workers", "configure"],
        &["sessions"],
        &["sessions", "end"],
        &["ls"],
        &["cat"],
        &["mkdir"],
        &["mv"],
        &["rm"],
        &["restore"],
        &["clone"],
        &["activity"],
        &["follow"],
        &["cancel"],
        &["link"],
        &["login"],
        &["password"],
        &["doctor"],
        &["convex"],
        &["convex", "mint-key"],
        &["convex", "auth"],
        &["convex", "token"],
        &["config", "show"],
        &["completions"],
    ];
    home.settings().bind(|| {
        for command in commands {
            let mut args = command.to_vec();
            args.push("--help");
            let ended = home.run(&args);
            assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{args:?}");
            insta::assert_snapshot!(
                format!("help-{}", command.join("-")).trim_end_matches('-'),
                ended.stdout
            );
        }
    });
}

#[test]
fn every_shell_gets_completions() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = home.run(&["completions", shell]);
        assert_eq!(ended.code, 0);
        assert!(ended.stdout.contains("machines"), "{shell}");
        assert!(
            !ended.stdout.contains("supervise -"),
            "{shell} shows what is hidden"
        );
    }
}

#[test]
fn the_version_is_data() {
    let home = Home::new();
    assert_eq!(
        home.run(&["version"]).stdout,
        format!("orchestrator {}\n", env!("CARGO_PKG_VERSION"))
    );
    let json: serde_json::Value =
        serde_json::from_str(&home.run(&["version", "--json"]).stdout).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn settings_are_shown_with_their_sources_and_no_secrets() {
    let home = Home::new()
        .with("ORCHESTRATOR_LISTEN", "127.0.0.1:8123")
        .with("ORCHESTRATOR_TOKEN", "opt_this-is-secret")
        .with("ORCHESTRATOR_MAX_PROCESSES", "2")
        .with(
            "ORCHESTRATOR_OPENCODE_CONFIG",
            r#"{"provider":{"x":{"options":{"apiKey":"this-is-secret"}}}}"#,
        );
    let folder = home.place(".config/opencode-orchestrator");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("config.toml"),
        "listen = \"127.0.0.1:9999\"\nroot = \"~/projects\"\ndrain_seconds = 7\n",
    )
    .unwrap();
    let shown = home.run(&[
        "config",
        "show",
        "--backend",
        "http://example.org",
        "--max-memory-mib",
        "4096",
    ]);
    table(&home).bind(|| insta::assert_snapshot!("config-show", shown.text()));
    let json = home.run(&["config", "show", "--json"]);
    for output in [&shown.text(), &json.text()] {
        assert!(!output.contains("this-is-secret"), "{output}");
    }
    let listen = json
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|line| line["key"] == "listen");
    assert_eq!(
        listen.unwrap()["source"],
        "the variable ORCHESTRATOR_LISTEN"
    );
}

/// One clear line each, with its own exit code.
#[test]
fn what_can_not_be_done_is_said_in_a_line() {
    let home = Home::new();
    std::fs::write(home.place("typo.toml"), "lisen = \"127.0.0.1:1\"\n").unwrap();
    std::fs::write(home.place("secret.toml"), "token = \"opt_x\"\n").unwrap();
    std::fs::write(home.place("broken.toml"), "listen = \n").unwrap();
    std::fs::write(home.place("file"), "").unwrap();
    let cases: &[(&str, i32, &[&str])] = &[
        ("no-such-command", 2, &["upp"]),
        (
            "no-such-setting",
            3,
            &["config", "show", "--config", "typo.toml"],
        ),
        (
            "secret-in-file",
            3,
            &["config", "show", "--config", "secret.toml"],
        ),
        (
            "broken-file",
            3,
            &["config", "show", "--config", "broken.toml"],
        ),
        (
            "missing-file",
            3,
            &["config", "show", "--config", "nowhere.toml"],
        ),
        ("bad-listen", 3, &["hub", "--listen", "here"]),
        ("no-processes", 3, &["machine", "--max-processes", "0"]),
        (
            "bad-public-url",
            3,
            &["hub", "--listen", "127.0.0.1:0", "--public-url", "ftp://x"],
        ),
        ("bad-backend", 3, &["machines", "--backend", "nonsense"]),
        (
            "signed-out",
            5,
            &["machines", "--backend", "http://127.0.0.1:1"],
        ),
        (
            "data-dir-in-file",
            11,
            &["up", "--data-dir", "file/below", "--listen", "127.0.0.1:0"],
        ),
        (
            "root-missing",
            13,
            &["up", "--root", "nowhere", "--listen", "127.0.0.1:0"],
        ),
        (
            "root-is-a-file",
            13,
            &["up", "--root", "file", "--listen", "127.0.0.1:0"],
        ),
        ("unattended-machine", 3, &["machine"]),
        (
            "machine-root-missing",
            13,
            &[
                "machine",
                "--backend",
                "http://127.0.0.1:1",
                "--key",
                "ork_x",
                "--root",
                "nowhere",
            ],
        ),
        ("nothing-to-forget", 0, &["machine", "forget"]),
    ];
    home.settings().bind(|| {
        for (name, code, args) in cases {
            let ended = home.run(args);
            assert_eq!(ended.code, *code, "{args:?}\n{}", ended.stderr);
            assert_eq!(ended.stdout, "", "{args:?}: no data without success");
            insta::assert_snapshot!(format!("error-{name}"), ended.text());
        }
    });
}

#[test]
fn without_a_home_it_says_which_flag_helps() {
    let home = Home::new().with("HOME", "");
    let ended = home.run(&["up"]);
    assert_eq!(ended.code, 3);
    assert!(ended.stderr.contains("--data-dir"), "{}", ended.stderr);
}

#[test]
fn errors_are_json_where_data_is() {
    let ended = Home::new().run(&["machines", "--json", "--backend", "http://127.0.0.1:1"]);
    let error: serde_json::Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(
        (ended.code, &error["error"]["code"], &error["error"]["exit"]),
        (5, &"signed_out".into(), &5.into())
    );
}

#[test]
fn a_backend_that_is_not_there_is_named() {
    let home = Home::new().with("ORCHESTRATOR_TOKEN", "opt_x");
    let ended = home.run(&["machines", "--backend", "http://127.0.0.1:1"]);
    assert_eq!(ended.code, 4);
    assert!(
        ended
            .stderr
            .contains("The backend http://127.0.0.1:1 can't be reached"),
        "{}",
        ended.stderr
    );
}

#[test]
fn output_that_nobody_reads_is_no_error() {
    let home = Home::new();
    let mut started = home.start(&["config", "show"]);
    drop(started.stdin.take());
    assert_eq!(started.end().code, 0);
}
