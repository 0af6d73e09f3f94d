//! Nothing of opencode outlives the program that drives it, however that program ends.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests may panic"
)]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use opencode_driver::{Opencode, supervisor};
use protocol::driver::DriverEvent;
use scripted_model::{ModelConfig, ScriptedModel};
use serde_json::json;
use support::{Chat, HANG, processes_of, spec, turn_id};
use tempfile::TempDir;

const PARENT_HOME: &str = "TEST_PARENT_HOME";
const PARENT_CONFIG: &str = "TEST_PARENT_CONFIG";
/// A tool that leaves a child in a session of its own, and one below that.
const ESCAPE: &str = "setsid sh -c 'sleep 4321 & sleep 4322' & sleep 4323";

/// Not a test by itself: the program that the tests kill. They start this file again for it.
#[tokio::test(flavor = "multi_thread")]
async fn parent() {
    let (Ok(home), Ok(config)) = (std::env::var(PARENT_HOME), std::env::var(PARENT_CONFIG)) else {
        return;
    };
    let home = Path::new(&home);
    let mut settings = support::config(support::real_opencode(), &home.join("state"));
    settings.config = serde_json::from_str(&config).unwrap();
    let mut chat = Chat::start(&Opencode::new(settings), spec(home, 1)).await;
    chat.session
        .process
        .prompt(&turn_id(1), &format!("run {ESCAPE}"))
        .await
        .unwrap();
    loop {
        chat.next().await;
    }
}

async fn start_parent(home: &Path, model: &ScriptedModel) -> Child {
    let mut config = model.opencode_config();
    config["permission"] = json!({ "bash": "allow" });
    let parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "parent", "--nocapture"])
        .env(PARENT_HOME, home)
        .env(PARENT_CONFIG, config.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    support::until(|| {
        ["4321", "4322", "4323"]
            .iter()
            .all(|number| sleeps(home, number))
    })
    .await;
    parent
}

fn sleeps(home: &Path, number: &str) -> bool {
    let has = |id: &u32| {
        std::fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| line == format!("sleep\0{number}\0").as_bytes())
    };
    processes_of(home).iter().any(has)
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_the_program_leaves_nothing() {
    let (home, model) = (
        TempDir::new().unwrap(),
        ScriptedModel::start(ModelConfig::fast()).await.unwrap(),
    );
    let mut parent = start_parent(home.path(), &model).await;
    parent.kill().unwrap();
    parent.wait().unwrap();
    support::until(|| processes_of(home.path()).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_and_kill_9_of_opencode_leave_nothing() {
    let (home, model) = (
        TempDir::new().unwrap(),
        ScriptedModel::start(ModelConfig::fast()).await.unwrap(),
    );
    let mut settings = support::config(support::real_opencode(), &home.path().join("state"));
    settings.config = model.opencode_config();
    settings.config["permission"] = json!({ "bash": "allow" });
    let driver = Opencode::new(settings);
    for is_killed in [true, false] {
        let mut chat = Chat::start(&driver, spec(home.path(), u8::from(is_killed))).await;
        chat.session
            .process
            .prompt(&turn_id(1), &format!("run {ESCAPE}"))
            .await
            .unwrap();
        let began = support::until(|| sleeps(home.path(), "4321"));
        tokio::pin!(began);
        loop {
            tokio::select! {
                _ = chat.next() => {}
                () = &mut began => break,
            }
        }
        if is_killed {
            support::kill(support::process_called(home.path(), "/opencode"));
            while !matches!(chat.next().await, DriverEvent::Exited { .. }) {}
        } else {
            chat.session.process.stop().await;
        }
        assert_eq!(
            processes_of(home.path()),
            Vec::<u32>::new(),
            "killed: {is_killed}"
        );
    }
}

fn supervise(home: &Path, script: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_opencode-supervise"))
        .args(["--", "sh", "-c", script])
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait(mut child: Child) -> Option<i32> {
    let began = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(began.elapsed() < HANG, "the supervisor hangs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_end_of_the_pipe_at_any_moment_leaves_nothing() {
    let ended_at = |moment| {
        let home = TempDir::new().unwrap();
        let mut child = supervise(home.path(), &format!("{ESCAPE} & {ESCAPE} & wait"));
        std::thread::sleep(Duration::from_millis(moment));
        drop(child.stdin.take());
        wait(child);
        assert_eq!(
            processes_of(home.path()),
            Vec::<u32>::new(),
            "after {moment} ms"
        );
    };
    std::thread::scope(|scope| {
        (0..20).for_each(|moment| drop(scope.spawn(move || ended_at(moment))))
    });
}

#[test]
fn what_ignores_every_request_to_end_is_killed() {
    let home = TempDir::new().unwrap();
    let mut child = supervise(
        home.path(),
        "trap '' TERM INT HUP; exec 0</dev/null; while :; do sleep 1; done",
    );
    drop(child.stdin.take());
    assert_eq!(wait(child), Some(128 + 9));
    assert_eq!(processes_of(home.path()), Vec::<u32>::new());
}

#[test]
fn a_signal_to_the_supervisor_ends_the_program_in_order() {
    let home = TempDir::new().unwrap();
    let mut child = supervise(home.path(), "trap 'exit 5' TERM; cat; sleep 4321 & wait");
    // An echo means that the supervisor is all set up.
    let (stdin, stdout) = (
        child.stdin.as_mut().unwrap(),
        child.stdout.as_mut().unwrap(),
    );
    std::io::Write::write_all(stdin, b"x").unwrap();
    std::io::Read::read_exact(stdout, &mut [0]).unwrap();
    assert!(
        Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(wait(child), Some(5));
    assert_eq!(processes_of(home.path()), Vec::<u32>::new());
}

fn supervise_alone(home: &Path, script: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_opencode-supervise"))
        .args(["--alone", "lock", "--", "sh", "-c", script])
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the program has said a letter.
fn has_begun(child: &mut Child) {
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
}

#[test]
fn one_that_is_to_be_alone_waits_until_nothing_is_left_of_the_one_before() {
    let home = TempDir::new().unwrap();
    let stubborn = "trap '' TERM INT HUP; echo x; exec 0</dev/null; while :; do sleep 1; done";
    let mut first = supervise_alone(home.path(), stubborn);
    has_begun(&mut first);
    let alive = processes_of(home.path());
    // The agent dies and is started again at once.
    drop(first.stdin.take());
    let mut second = supervise_alone(home.path(), "echo x; read line");
    has_begun(&mut second);
    let left = processes_of(home.path());
    assert!(
        !alive
            .iter()
            .any(|process| *process != first.id() && left.contains(process)),
        "{left:?} have some of {alive:?}"
    );
    wait(first);
    drop(second.stdin.take());
    assert!(wait(second).is_some());
}

#[test]
fn what_a_killed_supervisor_left_is_ended_by_the_next_one() {
    let home = TempDir::new().unwrap();
    // It does not end when its standard input does.
    let stubborn = "trap '' TERM INT HUP; echo x; exec 0</dev/null; while :; do sleep 1; done";
    let mut first = supervise_alone(home.path(), stubborn);
    has_begun(&mut first);
    first.kill().unwrap();
    first.wait().unwrap();
    let orphans = processes_of(home.path());
    assert!(!orphans.is_empty());
    let mut second = supervise_alone(home.path(), "echo x; read line");
    has_begun(&mut second);
    let left = processes_of(home.path());
    assert!(!orphans.iter().any(|process| left.contains(process)));
    drop(second.stdin.take());
    assert!(wait(second).is_some());
    assert_eq!(processes_of(home.path()), Vec::<u32>::new());
}

#[test]
fn input_output_and_exit_code_pass_through() {
    let home = TempDir::new().unwrap();
    let mut child = supervise(home.path(), "read line; echo \"got $line\"; exit 3");
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"a line\n").unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!((said.as_str(), wait(child)), ("got a line\n", Some(3)));
    let missing = Command::new(env!("CARGO_BIN_EXE_opencode-supervise"))
        .args(["--", "/nowhere/program"])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(
        missing.code(),
        Some(i32::from(supervisor::EXIT_CANNOT_START))
    );
}
