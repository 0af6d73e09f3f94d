//! `up`: one process tree, one link, and nothing left behind.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::support::{Home, program, table, until, values};

#[test]
fn one_link_and_everything_listed() {
    let home = Home::new();
    let up = home.up(&["--name", "desk"]);
    table(&home).bind(|| {
        insta::assert_snapshot!("machines", home.run(&["machines"]).text());
        insta::assert_snapshot!("workers-none", home.run(&["workers"]).text());
        std::fs::create_dir(home.place("projects/app")).unwrap();
        insta::assert_snapshot!(
            "workers-add",
            home.run(&["workers", "add", "app", "--name", "App"]).text()
        );
        until("the worker is ready", || {
            home.run(&["workers"]).stdout.contains("ready")
        });
        insta::assert_snapshot!("workers", home.run(&["workers"]).text());
        insta::assert_snapshot!(
            "workers-configure",
            home.run(&[
                "workers",
                "configure",
                "App",
                "--model",
                "a/b",
                "--sandbox",
                "workspace"
            ])
            .text()
        );
        let kept = ["workers", "configure", "App", "--agent", "plan"];
        assert_eq!(home.run(&kept).code, 0);
        insta::assert_snapshot!("workers-configured", home.run(&["workers"]).text());
        insta::assert_snapshot!(
            "workers-add-again",
            home.run(&["workers", "add", "desk:app", "--agent", "build"])
                .text()
        );
        insta::assert_snapshot!(
            "workers-unknown",
            home.run(&["workers", "rename", "ap", "x"]).text()
        );
        insta::assert_snapshot!(
            "workers-remove",
            home.run(&["workers", "remove", "App"]).text()
        );
        insta::assert_snapshot!(
            "machines-add",
            home.run(&["machines", "add", "build-2"]).text()
        );
        insta::assert_snapshot!(
            "machines-rename",
            home.run(&["machines", "rename", "build-2", "build-3"])
                .text()
        );
        insta::assert_snapshot!(
            "machines-revoke",
            home.run(&["machines", "revoke", "build-3"]).text()
        );
        insta::assert_snapshot!("sessions-none", home.run(&["sessions"]).text());
        insta::assert_snapshot!("link", home.run(&["link"]).text());
    });
    let machine: serde_json::Value =
        serde_json::from_str(&home.run(&["machines", "--json"]).stdout).unwrap();
    assert_eq!(
        (&machine["name"], &machine["presence"]["state"]),
        (&"desk".into(), &"online".into())
    );

    let files = home.place(".local/share/opencode-orchestrator");
    for (name, mode) in [
        ("", 0o700),
        ("hub.db", 0o600),
        ("owner-token", 0o600),
        ("machine", 0o700),
        ("machine/machine.toml", 0o600),
    ] {
        let found = std::fs::metadata(files.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(found, mode, "{name}: {found:o}");
    }

    let ended = up.stop();
    home.settings()
        .bind(|| insta::assert_snapshot!("up", ended.text()));
    assert_eq!(ended.stdout.lines().count(), 1, "one line of data");
    home.is_quiet();
    assert!(
        !files.join("running.json").exists(),
        "the note is taken away"
    );

    let again = home.up(&[]);
    assert_eq!(
        home.run(&["machines", "--json"]).stdout.lines().count(),
        1,
        "it comes back as the machine it was"
    );
    assert_eq!(again.stop().code, 0);
    home.is_quiet();
}

#[test]
fn a_taken_port_is_told_with_its_owner() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = home.run(&[
        "up",
        "--root",
        "projects",
        "--listen",
        &listener.local_addr().unwrap().to_string(),
    ]);
    assert_eq!((taken.code, taken.stdout.as_str()), (10, ""));
    assert!(
        taken
            .stderr
            .contains(&format!("process {} (", std::process::id())),
        "{}",
        taken.stderr
    );
    assert!(taken.stderr.contains("--listen"), "{}", taken.stderr);

    let up = home.up(&[]);
    let other = Home::new();
    let address = home.backend().replace("http://", "");
    let taken = other.run(&["up", "--root", "projects", "--listen", &address]);
    assert_eq!(taken.code, 10);
    other
        .settings()
        .bind(|| insta::assert_snapshot!("error-port-of-another-hub", taken.text()));
    up.stop();
}

#[test]
fn a_second_one_with_the_same_data_is_told_of_the_first() {
    let home = Home::new();
    let up = home.up(&[]);
    let second = home.run(&["up", "--root", "projects", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 12);
    assert!(
        second.stderr.contains(&format!(
            "process {} and serves at {}",
            up.pid(),
            home.backend()
        )),
        "{}",
        second.stderr
    );
    home.settings()
        .bind(|| insta::assert_snapshot!("error-already-running", second.text()));
    assert!(
        home.run(&["machines"]).stdout.contains("online"),
        "the first one goes on"
    );
    up.stop();
}

#[test]
fn nothing_outlives_it_when_it_is_killed() {
    let home = Home::new().with("ORCHESTRATOR_OPENCODE", &program("stubborn-opencode"));
    let up = home.up(&[]);
    let chat = home.start(&["chat", "--machine", &hostname(), "--dir", "", "hello"]);
    home.runs("sleep 1001");
    home.runs("sleep 1002");
    assert!(
        home.living()
            .iter()
            .any(|command| command.contains("machine --supervised")),
        "{:?}",
        home.living()
    );
    up.signal(Signal::KILL);
    drop(chat);
    home.is_quiet();
}

#[test]
fn a_machine_process_that_dies_is_started_again() {
    let home = Home::new();
    let up = home.up(&[]);
    let machines = pids(&home, "machine --supervised");
    assert_eq!(machines.len(), 1);
    rustix::process::kill_process(machines[0], Signal::KILL).unwrap();
    up.says("this computer's machine process has ended");
    until("it runs again", || {
        home.run(&["machines", "--json"])
            .stdout
            .contains("\"epoch\":2")
    });
    assert_eq!(up.stop().code, 0);
    home.is_quiet();
}

#[test]
fn a_machine_that_was_removed_is_not_fought_over() {
    let home = Home::new();
    let up = home.up(&["--name", "desk"]);
    assert_eq!(home.run(&["machines", "revoke", "desk"]).code, 0);
    up.says("It was removed from the page; start again to add it anew.");
    assert_eq!(home.run(&["machines"]).code, 0, "the hub goes on");
    up.stop();
    let again = home.up(&["--name", "desk"]);
    assert!(home.run(&["machines"]).stdout.contains("online"));
    let ended = again.stop();
    assert!(
        ended.stderr.contains("this computer is added anew"),
        "{}",
        ended.stderr
    );
}

#[test]
fn opencode_that_is_missing_is_told_at_once() {
    let home = Home::new().with("ORCHESTRATOR_OPENCODE", "/nowhere/opencode");
    let up = home.up(&[]);
    up.says("warning: chat sessions will not start: opencode was not found");
    up.stop();
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let home = Home::new().with("ORCHESTRATOR_DRAIN_SECONDS", "100000");
    let up = home.up(&[]);
    let chat = home.start(&["chat", "--machine", &hostname(), "--dir", "", "hello"]);
    home.runs("supervise");
    up.signal(Signal::INT);
    up.says("Stopping.");
    up.signal(Signal::INT);
    assert!(matches!(up.end().code, 0 | 130));
    drop(chat);
    home.is_quiet();
}

#[test]
fn the_hub_alone_serves_and_stops() {
    let home = Home::new();
    let hub = home.start(&["hub", "--listen", "127.0.0.1:0"]);
    hub.prints("/sign-in#token=opl_");
    assert_eq!(home.run(&["machines", "--json"]).stdout, "");
    let ended = hub.stop();
    assert_eq!((ended.code, ended.stdout.lines().count()), (0, 1));
}

#[test]
fn the_password_signs_other_computers_in() {
    let home = Home::new();
    let hub = home.start(&["hub", "--listen", "127.0.0.1:0"]);
    hub.prints("http://");
    assert_eq!(
        home.run_with(&["password"], "correct horse battery\n").code,
        0
    );

    let backend = home.backend();
    let other = Home::new();
    let wrong = other.run_with(&["login", "--backend", &backend], "wrong\n");
    assert_eq!(wrong.code, 5, "{}", wrong.stderr);
    assert_eq!(other.run(&["machines", "--backend", &backend]).code, 5);
    let right = other.run_with(&["login", "--backend", &backend], "correct horse battery\n");
    assert_eq!(right.code, 0, "{}", right.stderr);
    assert_eq!(other.run(&["machines", "--backend", &backend]).code, 0);
    let logins =
        std::fs::metadata(other.place(".config/opencode-orchestrator/logins.toml")).unwrap();
    assert_eq!(logins.permissions().mode() & 0o777, 0o600);
    hub.stop();
}

#[test]
fn doctor_finds_what_is_wrong() {
    let home = Home::new().with("ORCHESTRATOR_OPENCODE", "/nowhere/opencode");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let found = home.run(&[
        "doctor",
        "--root",
        "nowhere",
        "--listen",
        &listener.local_addr().unwrap().to_string(),
    ]);
    assert_eq!(found.code, 40);
    for (check, what) in [
        ("opencode", "was not found"),
        ("root", "does not exist"),
        ("port", "is taken"),
    ] {
        let line = found.stdout.lines().find(|line| line.contains(check));
        assert!(
            line.is_some_and(|line| line.starts_with('✗') && line.contains(what)),
            "{check}: {}",
            found.stdout
        );
    }
    let json = home
        .run(&["doctor", "--json", "--listen", "127.0.0.1:0"])
        .stdout;
    let checks: Vec<String> = json
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["check"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        checks,
        [
            "opencode", "root", "data", "port", "backend", "page", "node"
        ]
    );
}

#[test]
fn doctor_says_how_machines_are() {
    let home = Home::new();
    let up = home.up(&["--max-processes", "3", "--max-memory-mib", "512"]);
    let mut findings = Vec::new();
    until("the machine tells how it is", || {
        findings = values(&home.run(&["doctor", "--json"]));
        findings.retain(|finding| finding["check"] == "health");
        findings[0]["health"]["status"].is_object()
    });
    assert_eq!(findings.len(), 1, "{findings:?}");
    let (finding, health) = (&findings[0], &findings[0]["health"]);
    assert_eq!(finding["verdict"], "good", "{finding}");
    assert_eq!(health["presence"]["state"], "online");
    assert_eq!(health["epoch"], 1);
    let lease_ms = health["leaseUntil"].as_u64().unwrap() - health["seenAt"].as_u64().unwrap();
    assert_eq!(lease_ms, protocol::limits::LEASE_MS);
    for nothing in ["openTurnCount", "openCommandCount", "pendingAskCount"] {
        assert_eq!(health[nothing], 0, "{nothing}");
    }
    let status = &health["status"];
    assert_eq!(status["processes"], 0);
    assert_eq!(status["processLimit"], 3, "as was said");
    assert_eq!(status["memoryLimitBytes"], 512 * 1024 * 1024, "as was said");
    assert_eq!(status["reconnects"], 0);
    assert_eq!(status["spooledBytes"], 0);
    assert_eq!(status["waiting"], serde_json::json!([]));
    assert_eq!(status["errors"], serde_json::json!([]));
    let started_at = status["startedAt"].as_u64().unwrap();
    assert!(
        started_at <= health["statusAt"].as_u64().unwrap(),
        "{health}"
    );
    let nobody = home.run(&["doctor", "--machine", "nobody"]);
    assert_eq!(nobody.code, 7, "{}", nobody.text());
    assert!(nobody.stderr.contains(&hostname()), "{}", nobody.stderr);
    assert_eq!(up.stop().code, 0);
}

/// What this computer is called when nobody says otherwise.
fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap()
        .trim()
        .to_owned()
}

fn pids(home: &Home, what: &str) -> Vec<rustix::process::Pid> {
    let of = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        (command.contains(what) && command.contains(home.path().to_str()?))
            .then(|| rustix::process::Pid::from_raw(pid))?
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(of)
        .collect()
}
