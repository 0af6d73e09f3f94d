//! `ls`, `clone` and the others, against a real hub and a real machine.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Ended, Home, Started, git, table, until, values};

/// A home whose machine may clone from this very computer.
fn home() -> Home {
    Home::new().with("ORCHESTRATOR_GIT_PROTOCOLS", "https,ssh,http,file")
}

/// Everything on one computer.
fn desk() -> (Home, Started) {
    let home = home();
    let up = home.up(&["--name", "desk"]);
    (home, up)
}

/// A hub, and a machine that has registered and gone.
fn away() -> (Home, Started) {
    let home = home();
    let hub = home.start(&["hub", "--listen", "127.0.0.1:0"]);
    hub.prints("http://");
    let key = home.key("desk");
    let machine = start_machine(&home, &["--key", &key]);
    assert_eq!(home.run(&["mkdir", "before"]).code, 0);
    assert_eq!(home.run(&["ls"]).code, 0);
    machine.stop();
    until("the machine is away", || {
        home.run(&["machines"]).stdout.contains("offline since")
    });
    (home, hub)
}

fn start_machine(home: &Home, more: &[&str]) -> Started {
    let backend = home.backend();
    let mut args = vec!["machine", "--backend", &backend, "--root", "projects"];
    args.extend_from_slice(more);
    let machine = home.start(&args);
    machine.says("Connected to");
    machine
}

/// A repository outside the root, and its address.
fn repository(home: &Home) -> String {
    let place = home.place("team/app.git");
    std::fs::create_dir_all(&place).unwrap();
    git(&place, &["init", "-q", "-b", "trunk"]);
    std::fs::write(place.join("README.md"), "# The app\n").unwrap();
    git(&place, &["add", "."]);
    git(&place, &["commit", "-qm", "Begin"]);
    git(&place, &["branch", "next"]);
    format!("file://{}", place.display())
}

/// A host that has said what is coming and then sends nothing until the gate is there: how quick a clone is says
/// nothing of whether its progress is shown.
fn hold_packs(home: &Home) -> PathBuf {
    let (gate, hook) = (home.place("gate"), home.place("hold-packs"));
    let script = format!(
        "#!/bin/sh\n\"$@\" | {{ until [ -e '{}' ]; do sleep 0.05; done; cat; }}\n",
        gate.display()
    );
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!("[uploadpack]\n\tpackObjectsHook = {}\n", hook.display());
    std::fs::write(home.place(".gitconfig"), config).unwrap();
    gate
}

#[test]
fn directories_are_listed_changed_and_changed_back() {
    let (home, up) = desk();
    let projects = home.place("projects");
    std::fs::write(projects.join(".hidden"), "").unwrap();
    std::fs::write(projects.join("two  blanks:and a colon"), "x".repeat(1536)).unwrap();
    std::fs::write(projects.join("text"), "steer \u{1b}[2J\nme").unwrap();
    std::fs::write(projects.join("binary"), [0, 159, 146, 150]).unwrap();
    std::fs::write(
        projects.join("long"),
        "0123456789abcdef".repeat(8 * 1024 + 1),
    )
    .unwrap();

    table(&home).bind(|| {
        insta::assert_snapshot!("mkdir", home.run(&["mkdir", "desk:repos/app"]).text());
        insta::assert_snapshot!("ls", home.run(&["ls"]).text());
        insta::assert_snapshot!("mv", home.run(&["mv", "desk:repos/app", "desk:"]).text());
        assert!(projects.join("app").is_dir());
        let trashed = home.run(&["rm", "app"]);
        insta::assert_snapshot!("rm", trashed.text());
        assert!(!projects.join("app").exists());
        insta::assert_snapshot!(
            "restore",
            home.run(&["restore", trashed.stdout.trim()]).text()
        );
        assert!(projects.join("app").is_dir());
        insta::assert_snapshot!(
            "ls-filter",
            home.run(&["ls", "desk:.", "--all", "--filter", "HID"])
                .text()
        );
    });
    assert_eq!(home.run(&["mkdir", "repos/app"]).code, 0);
    assert_eq!(home.run(&["mkdir", "repos/app"]).code, 0, "again is fine");

    let listed = values(&home.run(&["ls", "--json", "--all"]));
    let hidden = listed.iter().find(|entry| entry["name"] == ".hidden");
    assert_eq!(hidden.unwrap()["size"], 0);

    let text = home.run(&["cat", "text"]);
    assert_eq!(
        text.stdout, "steer \u{1b}[2J\nme",
        "a pipe gets it as it is"
    );
    let long = home.run(&["cat", "long"]);
    assert_eq!((long.code, long.stdout.len()), (66, 128 * 1024));

    home.settings().bind(|| {
        let cases: &[(&str, i32, &[&str])] = &[
            ("cat-binary", 61, &["cat", "binary"]),
            ("cat-directory", 61, &["cat", "repos"]),
            ("cat-missing", 7, &["cat", "nothing"]),
            ("ls-up", 6, &["ls", "../.."]),
            ("ls-absolute", 6, &["ls", "/etc"]),
            ("ls-no-machine", 7, &["ls", "two  blanks:and a colon"]),
            ("mkdir-root", 6, &["mkdir", "."]),
            ("mv-there", 60, &["mv", "repos", "app"]),
            ("restore-bad-id", 2, &["restore", "app"]),
        ];
        for (name, code, args) in cases {
            let ended = home.run(args);
            assert_eq!(ended.code, *code, "{}", ended.text());
            assert_eq!(ended.stdout, "", "{args:?}: no data without success");
            insta::assert_snapshot!(format!("error-{name}"), ended.stderr);
        }
    });
    let alone = home.run(&["cat", "--machine", "desk", "two  blanks:and a colon"]);
    assert_eq!(alone.stdout.len(), 1536, "{}", alone.stderr);
    let error = home.run(&["mv", "repos", "app", "--json"]);
    let error: Value = serde_json::from_str(&error.stderr).unwrap();
    assert_eq!(error["error"]["code"], "already_exists");

    up.stop();
    home.is_quiet();
}

#[test]
fn every_page_is_listed_and_exported() {
    let (home, up) = desk();
    for number in 0..600 {
        std::fs::create_dir(home.place(&format!("projects/d{number:04}"))).unwrap();
    }
    let listed = values(&home.run(&["ls", "--json"]));
    assert_eq!(listed.len(), 600, "two pages");
    assert_eq!(listed[599]["name"], "d0599");

    for number in 0..60 {
        let ended = home.run(&["mkdir", &format!("new{number:02}")]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    let latest = home.run(&["activity"]);
    assert_eq!(latest.stdout.lines().count(), 51, "a page and its headings");
    assert!(latest.stderr.contains("--all"), "{}", latest.stderr);
    let all = home.run(&["activity", "--all", "--reads"]);
    assert_eq!(all.stdout.lines().count(), 63, "two listings too");
    let exported = values(&home.run(&["activity", "desk", "--json"]));
    assert_eq!(exported.len(), 60);
    assert_eq!(exported[59]["operation"]["path"], "new00");
    up.stop();
}

#[test]
fn a_clone_shows_its_progress_and_its_end() {
    let (home, up) = desk();
    let url = repository(&home);
    let mut settings = table(&home);
    settings.add_filter(r"\(\d+\.\d s\)|\d+\.\d s", "[DURATION]");
    // How often it tells in between depends on how quick it is.
    let last = |ended: &Ended| {
        ended
            .stderr
            .lines()
            .rev()
            .take(2)
            .collect::<Vec<_>>()
            .join("\n")
    };
    settings.bind(|| {
        let gate = hold_packs(&home);
        let cloning = home.start(&["clone", &url]);
        cloning.says("objects");
        std::fs::write(&gate, "").unwrap();
        let cloned = cloning.end();
        assert_eq!(cloned.code, 0, "{}", cloned.text());
        insta::assert_snapshot!("clone", last(&cloned));
        insta::assert_snapshot!("error-clone-again", home.run(&["clone", &url]).text());
        let password = home.run(&["clone", "https://user:secret@example.org/x.git"]);
        assert_eq!(password.code, 2);
        insta::assert_snapshot!("error-clone-password", password.text());
        let nowhere = home.run(&["clone", "file:///nowhere/at/all.git"]);
        assert_eq!(nowhere.code, 7, "{}", nowhere.stderr);
        home.run(&["mkdir", "repos"]);
        std::fs::remove_file(&gate).unwrap();
        let cloning = home.start(&["clone", &url, "desk:repos/", "--branch", "next", "--json"]);
        cloning.prints("\"progress\"");
        std::fs::write(&gate, "").unwrap();
        let events = values(&cloning.end());
        let end = events.last().unwrap();
        assert_eq!(events[0]["event"], "command");
        assert_eq!(
            (
                &end["event"],
                &end["command"]["state"],
                &end["result"]["branch"]
            ),
            (&"end".into(), &"succeeded".into(), &"next".into())
        );
        assert!(events.iter().any(|event| event["event"] == "progress"));
        assert!(home.place("projects/repos/app/README.md").exists());
        insta::assert_snapshot!("ls-repository", home.run(&["ls", "repos"]).text());
        insta::assert_snapshot!("activity", home.run(&["activity"]).text());
    });
    up.stop();
    home.is_quiet();
}

/// A server that takes connections and never answers.
#[test]
fn a_clone_is_cancelled_left_and_taken_up_again() {
    let (home, up) = desk();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/app.git", silent.local_addr().unwrap());

    let clone = home.start(&["clone", &url, "--json"]);
    clone.prints("\"state\":\"leased\"");
    clone.signal(Signal::INT);
    let cancelled = clone.end();
    assert_eq!(cancelled.code, 51, "{}", cancelled.text());
    assert_eq!(
        values(&cancelled).last().unwrap()["command"]["state"],
        "cancelled"
    );

    let detached = home.run(&["clone", &url, "--detach"]);
    assert_eq!(detached.code, 0, "{}", detached.stderr);
    let id = detached.stdout.trim();
    let follow = home.start(&["follow", id, "--json"]);
    follow.prints("\"event\":\"command\"");
    follow.signal(Signal::INT);
    let left = follow.end();
    assert_eq!(left.code, 130, "following leaves it alone");
    assert!(
        left.stderr.contains(&format!("orchestrator follow {id}")),
        "{}",
        left.stderr
    );
    let stopped = home.run(&["cancel", id]);
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    assert_eq!(home.run(&["follow", id]).code, 51);
    assert_eq!(home.run(&["cancel", id]).code, 0, "cancelled is cancelled");
    let entries = home.run(&["ls", "--all", "--filter", "app"]);
    assert_eq!(
        entries.stdout.lines().count(),
        1,
        "nothing is left: {}",
        entries.stdout
    );
    up.stop();
    home.is_quiet();
}

#[test]
fn a_machine_that_is_away_is_waited_for_or_not() {
    let (home, _hub) = away();
    let same_words = |mut settings: insta::Settings| {
        settings.add_filter("was last heard of at", "is away since");
        settings
    };
    same_words(home.settings()).bind(|| {
        let left = home.run(&["mkdir", "--no-wait", "later"]);
        assert_eq!(left.code, 53);
        insta::assert_snapshot!("waiting", left.text());
    });
    same_words(table(&home)).bind(|| {
        let known = home.run(&["ls", "--no-wait"]);
        assert_eq!(known.code, 53);
        insta::assert_snapshot!("ls-last-known", known.text());
    });

    let waits = home.start(&["mkdir", "never"]);
    waits.says("Ctrl-C cancels it");
    waits.signal(Signal::INT);
    let cancelled = waits.end();
    assert_eq!(cancelled.code, 51, "{}", cancelled.stderr);

    let waits = home.start(&["mkdir", "soon"]);
    waits.says("Ctrl-C cancels it");
    let machine = start_machine(&home, &[]);
    let done = waits.end();
    assert_eq!(done.code, 0, "{}", done.stderr);
    for (name, is_there) in [("later", true), ("never", false), ("soon", true)] {
        until(name, || {
            home.place("projects").join(name).is_dir() == is_there
        });
    }

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/app.git", silent.local_addr().unwrap());
    let clone = home.start(&["clone", &url, "--json"]);
    clone.prints("\"state\":\"leased\"");
    machine.signal(Signal::KILL);
    machine.end();
    until("the machine is away", || {
        home.run(&["machines"]).stdout.contains("unknown since")
    });
    clone.signal(Signal::INT);
    let cancelled = clone.end();
    assert_eq!(cancelled.code, 51, "{}", cancelled.text());
    let id = values(&cancelled).last().unwrap()["command"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for (args, code) in [(["follow", &id], 51), (["cancel", &id], 0)] {
        let told = home.run(&args);
        assert_eq!(told.code, code, "{}", told.text());
        assert!(
            told.stderr
                .contains("cancelled. Stopped while the machine was away"),
            "{}",
            told.stderr
        );
    }
}

#[test]
fn of_several_machines_one_is_to_be_named() {
    let (home, up) = desk();
    home.key("build-2");
    home.settings().bind(|| {
        let ended = home.run(&["ls"]);
        assert_eq!(ended.code, 2);
        insta::assert_snapshot!("error-which-machine", ended.text());
        let across = home.run(&["mv", "desk:a", "build-2:a"]);
        assert_eq!(across.code, 2);
        insta::assert_snapshot!("error-mv-across", across.text());
    });
    assert_eq!(home.run(&["ls", "desk:"]).code, 0);
    let never = home.run(&["mkdir", "--no-wait", "build-2:x"]);
    assert_eq!(never.code, 53);
    assert!(
        never.stderr.contains("has never connected"),
        "{}",
        never.stderr
    );
    up.stop();
}
