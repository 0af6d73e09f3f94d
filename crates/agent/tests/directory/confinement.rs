//! What git, and what it is made to start, can't do.

use std::fs;
use std::net::TcpListener;

use opencode_driver::supervisor::{Enforcement, enforcement};
use protocol::wire::{CommandErrorCode, CommandResult, Operation, Repository};

use crate::hosts::{Host, Manner};
use crate::stage::{Stage, clone, git};

fn inspect(directories: &[&str]) -> Operation {
    Operation::InspectRepositories {
        directories: directories
            .iter()
            .map(|directory| (*directory).to_owned())
            .collect(),
    }
}

async fn repositories(stage: &Stage, directories: &[&str]) -> Vec<Repository> {
    match stage.perform(inspect(directories)).await.unwrap() {
        CommandResult::Repositories { repositories } => repositories,
        other => panic!("{other:?}"),
    }
}

/// Whether the tests below can hold here; they say so when not.
fn is_enforced() -> bool {
    let enforced = enforcement();
    println!("confinement is {enforced}");
    enforced == Enforcement::Full
}

#[tokio::test]
async fn what_git_says_of_repositories_is_counted() {
    let stage = Stage::new();
    git(&stage.path(""), &["init", "-q", "-b", "main", "repo"]);
    fs::write(stage.path("repo/a"), "x").unwrap();
    fs::write(stage.path("repo/b"), "x").unwrap();
    git(&stage.path("repo"), &["add", "a"]);
    fs::create_dir_all(stage.path("repo/plain")).unwrap();
    git(&stage.path(""), &["init", "-q", "-b", "main", "clean"]);
    let found = repositories(&stage, &["repo", "repo/plain", "missing", "clean"]).await;
    let said: Vec<_> = found
        .iter()
        .map(|repository| {
            (
                repository.directory.as_str(),
                repository.branch.as_deref(),
                repository.changed_files,
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("repo", Some("main"), Some(2)),
            ("clean", Some("main"), Some(0))
        ]
    );
    let many = vec!["x"; protocol::limits::INSPECTED_MAX + 1];
    assert_eq!(
        stage.refusal(inspect(&many)).await,
        CommandErrorCode::TooLarge
    );
}

/// A repository whose own settings name programs: each leaves a mark outside, and one calls a host.
fn hostile(stage: &Stage, port: u16) {
    git(&stage.path(""), &["init", "-q", "-b", "main", "repo"]);
    let repo = stage.path("repo");
    let mark = |name: &str| format!("touch {}; cat", stage.outside(name).display());
    let call = format!(
        "bash -c 'echo x > /dev/tcp/127.0.0.1/{port}'; {}",
        mark("filtered")
    );
    fs::write(repo.join(".gitattributes"), "* filter=evil\n").unwrap();
    fs::write(repo.join("file"), "x").unwrap();
    git(&repo, &["add", "-A"]);
    for (key, value) in [
        ("filter.evil.clean", call.as_str()),
        ("filter.evil.required", "false"),
        ("core.fsmonitor", &mark("monitored")),
        ("core.sshCommand", &mark("ssh")),
        ("core.pager", &mark("paged")),
        ("core.hooksPath", stage.outside("hooks").to_str().unwrap()),
    ] {
        git(&repo, &["config", key, value]);
    }
    // Of the same size but changed, so that git asks the filter what it is.
    fs::write(repo.join("file"), "y").unwrap();
}

#[tokio::test]
async fn a_hostile_repository_writes_nothing_and_calls_nobody_when_it_is_looked_at() {
    if !is_enforced() {
        return;
    }
    for is_confined in [true, false] {
        let stage = Stage::with(|settings| settings.is_confined = is_confined);
        let host = TcpListener::bind("127.0.0.1:0").unwrap();
        host.set_nonblocking(true).unwrap();
        hostile(&stage, host.local_addr().unwrap().port());
        assert_eq!(repositories(&stage, &["repo"]).await.len(), 1);
        for never in ["monitored", "ssh", "paged"] {
            assert!(!stage.outside(never).exists(), "{never}");
        }
        // Without the confinement the filter does both, so the test can fail.
        assert_eq!(stage.outside("filtered").exists(), !is_confined);
        assert_eq!(host.accept().is_ok(), !is_confined);
    }
}

#[tokio::test]
async fn what_a_clone_starts_writes_nothing_but_into_the_clone() {
    if !is_enforced() {
        return;
    }
    for is_confined in [true, false] {
        let home = tempfile::tempdir().unwrap();
        let beside = tempfile::tempdir().unwrap();
        let [outside, home_mark] = [beside.path().join("mark"), home.path().join("mark")];
        let helper = format!(
            "[credential]\nhelper = \"!touch {} {} ../in-the-root .git/inside; echo #\"\n",
            outside.display(),
            home_mark.display()
        );
        fs::write(home.path().join(".gitconfig"), helper).unwrap();
        let stage = Stage::with(|settings| {
            settings.is_confined = is_confined;
            settings.environment = vec![("HOME".into(), home.path().into())];
        });
        let host = Host::start(Manner::AsksWho).await;
        let code = stage.refusal(clone(&host.url, "new")).await;
        assert_eq!(code, CommandErrorCode::AuthenticationNeeded);
        for mark in [outside, home_mark, stage.path("in-the-root")] {
            assert_eq!(mark.exists(), !is_confined, "{}", mark.display());
        }
    }
}

#[tokio::test]
async fn a_host_that_is_not_known_over_ssh_is_said_so_or_not_reached() {
    let stage = Stage::new();
    let code = stage
        .refusal(clone("ssh://nobody@127.0.0.1:1/x", "new"))
        .await;
    assert_eq!(code, CommandErrorCode::Unreachable);
}

#[test]
fn what_is_confined_looks_into_no_other_process_and_signals_none() {
    if !is_enforced() {
        return;
    }
    let own = std::process::id();
    let succeeds = |options: &[&str], program: &str| {
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_agent-supervise"))
            .args(options)
            .args(["--", "sh", "-c", program])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .and_then(|mut child| {
                // Held until it has ended: the end of its input would end it.
                let _stdin = child.stdin.take();
                child.wait()
            });
        status.unwrap().success()
    };
    // The environment stands behind the same check, but newer kernels let root pass there.
    for program in [
        format!("readlink /proc/{own}/cwd"),
        format!("kill -0 {own}"),
    ] {
        assert!(succeeds(&[], &program), "{program}");
        assert!(!succeeds(&["--read-only"], &program), "{program}");
        assert!(!succeeds(&["--write", "/tmp"], &program), "{program}");
    }
    // What is not asked of it is left alone.
    assert!(succeeds(
        &["--read-only"],
        "cat /etc/passwd && echo x > /dev/null"
    ));
}
