//! `machine install`, `upgrade` and `uninstall`, with a stand-in for systemd that really starts and stops the program.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Home, Started, program, until, values};

const UNIT: &str = ".config/systemd/user/orchestrator-machine.service";

/// A home with a registered machine, and the hub that it belongs to.
fn registered() -> (Home, Started, Home) {
    let owner = Home::new();
    let hub = owner.start(&["hub", "--listen", "127.0.0.1:0"]);
    hub.prints("http://");
    let home = Home::new().with("PATH", &format!("{}:/usr/bin:/bin", program("service")));
    let machine = home.start(&[
        "machine",
        "--backend",
        &owner.backend(),
        "--key",
        &owner.key("build-2"),
        "--root",
        "projects",
    ]);
    machine.says("Connected to");
    machine.stop();
    (owner, hub, home)
}

/// Ends the service that a test leaves behind when it fails.
struct Cleared<'a>(&'a Home);

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.0.place(".service/pid"))
            .ok()
            .and_then(|pid| Pid::from_raw(pid.trim().parse().ok()?));
        if let Some(pid) = pid {
            // It may have ended.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn status(home: &Home) -> serde_json::Value {
    values(&home.run(&["machine", "status", "--json"])).remove(0)
}

#[test]
fn a_service_is_installed_upgraded_and_goes_back_when_the_new_program_is_broken() {
    let (_owner, _hub, home) = registered();
    let _cleared = Cleared(&home);
    let settings = || {
        let mut settings = home.settings();
        settings.add_filter(r#"PATH=[^"]*"#, "PATH=[PATH]");
        settings.add_filter(r#"(OPENCODE|OPENCODE_DIR)=[^"]*"#, "${1}=[OPENCODE]");
        settings.add_filter(r"\d+:\d\d left", "[TIME] left");
        settings.add_filter(r"version \d+\.\d+\.\d+", "version [VERSION]");
        settings
    };

    let printed = home.run(&["machine", "install", "--print"]);
    assert!(!home.place(UNIT).exists(), "printing writes nothing");
    settings().bind(|| insta::assert_snapshot!("machine-install-print", printed.text()));

    let installed = home.run(&["machine", "install"]);
    settings().bind(|| insta::assert_snapshot!("machine-install", installed.text()));
    let unit = std::fs::read_to_string(home.place(UNIT)).unwrap();
    assert_eq!(unit, printed.stdout);
    assert!(!unit.contains("oms_"), "a secret is in the unit");
    verify(&home, UNIT);
    until("the service connects", || status(&home)["process"].is_u64());
    assert_eq!(status(&home)["state"], "running");

    let again = values(&home.run(&["machine", "install", "--json"])).remove(0);
    assert_eq!(again["outcome"], "unchanged");

    let same = home.run(&[
        "machine",
        "upgrade",
        "--program",
        ".local/share/opencode-orchestrator/machine/program/orchestrator",
    ]);
    assert_eq!(same.code, 2, "{}", same.text());
    let nonsense = home.run(&["machine", "upgrade", "--program", "/bin/true"]);
    assert_eq!(nonsense.code, 2, "{}", nonsense.text());

    let before = status(&home)["process"].clone();
    let upgraded = home.run(&["machine", "upgrade"]);
    settings().bind(|| insta::assert_snapshot!("machine-upgrade", upgraded.text()));
    let after = status(&home)["process"].clone();
    assert!(after.is_u64() && after != before, "{before} {after}");

    let broken = home.run(&[
        "machine",
        "upgrade",
        "--program",
        &program("broken-orchestrator"),
    ]);
    settings().bind(|| {
        insta::assert_snapshot!(
            "machine-upgrade-rolled-back",
            broken.text().replace(&program(""), "[PROGRAMS]/")
        );
    });
    assert_eq!(broken.code, 15);
    assert!(status(&home)["process"].is_u64(), "the earlier one runs");

    let gone = home.run(&["machine", "uninstall"]);
    settings().bind(|| insta::assert_snapshot!("machine-uninstall", gone.text()));
    assert!(!home.place(UNIT).exists());
    assert_eq!(home.run(&["machine", "uninstall"]).code, 0);
    home.is_quiet();
    let calls = std::fs::read_to_string(home.place("calls")).unwrap();
    assert!(
        calls.contains("stop --no-block orchestrator-machine.service"),
        "{calls}"
    );
}

/// systemd's own opinion of the unit.
fn verify(home: &Home, unit: &str) {
    let verified = Command::new("systemd-analyze")
        .args(["--user", "verify"])
        .arg(home.place(unit))
        .env("XDG_RUNTIME_DIR", home.path())
        .output();
    match verified {
        Err(error) => {
            eprintln!("SKIPPED: systemd-analyze can't be run ({error}); the unit is not verified")
        }
        Ok(verified) => {
            let said = String::from_utf8_lossy(&verified.stderr);
            assert!(!said.contains(".service"), "{said}");
        }
    }
}

#[test]
fn without_a_machine_id_it_says_what_to_do() {
    let home = Home::new();
    let refused = home.run(&["machine", "install"]);
    assert_eq!(refused.code, 21);
    home.settings()
        .bind(|| insta::assert_snapshot!("error-install-unregistered", refused.text()));
    let refused = home.run(&["machine", "upgrade"]);
    assert_eq!(refused.code, 14, "{}", refused.text());
}

#[test]
fn where_systemd_does_not_answer_the_file_is_written_and_the_rest_said() {
    let (_owner, _hub, home) = registered();
    let empty = home.place("nothing");
    std::fs::create_dir(&empty).unwrap();
    let home = home.with("PATH", empty.to_str().unwrap());
    let written = home.run(&["machine", "install"]);
    home.settings()
        .bind(|| insta::assert_snapshot!("error-install-no-systemd", written.text()));
    assert_eq!(written.code, 14);
    assert!(home.place(UNIT).exists());
    assert_eq!(status(&home)["installed"], true);
}

#[test]
fn places_with_blanks_and_signs_are_systemds_too() {
    let home = Home::new();
    let place = "50% of $HOME's";
    let refused = home.run(&["machine", "install", "--print", "--machine-dir", place]);
    assert_eq!(refused.code, 3, "{}", refused.text());
    assert!(
        refused.stderr.contains("--machine-dir"),
        "{}",
        refused.stderr
    );

    let place = "50% of $HOME/a b";
    let printed = home.run(&["machine", "install", "--print", "--machine-dir", place]);
    assert_eq!(printed.code, 0, "{}", printed.text());
    let program = home.place(place).join("program");
    std::fs::create_dir_all(&program).unwrap();
    std::fs::copy("/bin/true", program.join("orchestrator")).unwrap();
    std::fs::write(home.place("odd.service"), printed.stdout).unwrap();
    verify(&home, "odd.service");
}
