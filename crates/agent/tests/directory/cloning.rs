//! Cloning: what a person sees of it, again after every kind of end, and from bad hosts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use agent::directory::Ended;
use protocol::ids::CommandId;
use protocol::limits::PROGRESS_EVERY_MS;
use protocol::wire::{CommandErrorCode, CommandResult, Operation, Progress};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::hosts::{Host, Manner};
use crate::stage::{Stage, clone, command, directories, git};

/// A hang is a failure of the test; nothing is measured by it.
const HANG: Duration = Duration::from_secs(60);

fn branch(name: &str) -> Result<CommandResult, protocol::wire::CommandError> {
    Ok(CommandResult::Cloned {
        branch: Some(name.to_owned()),
    })
}

#[tokio::test]
async fn a_repository_is_cloned_with_progress_and_nothing_is_left_beside_it() {
    let stage = Stage::new();
    let noise: Vec<u8> = (0..4_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let url = stage.repository("origin", &[("a/file", b"hello"), ("noise", &noise)]);
    stage.perform(crate::stage::make("below")).await.unwrap();
    let (progress, mut told) = mpsc::channel(1_000);
    let result = stage
        .directories
        .perform(
            &command(),
            clone(&url, "below/new"),
            progress,
            CancellationToken::new(),
        )
        .await;
    assert_eq!(result.unwrap(), branch("main").unwrap());
    assert_eq!(fs::read(stage.path("below/new/a/file")).unwrap(), b"hello");
    assert_eq!(stage.names(), ["below"]);
    assert_eq!(fs::read_dir(stage.path("below")).unwrap().count(), 1);
    let mut all: Vec<Progress> = Vec::new();
    while let Some(progress) = told.recv().await {
        all.push(progress);
    }
    assert!(
        all.iter().any(|progress| !progress.phase.is_empty()),
        "{all:?}"
    );
    // The mode is what the person's other directories have.
    use std::os::unix::fs::MetadataExt as _;
    let mode = |path: &str| fs::metadata(stage.path(path)).unwrap().mode();
    assert_eq!(mode("below"), mode("below/new"));
}

#[tokio::test]
async fn progress_comes_at_most_five_times_a_second_and_says_what_was_received() {
    let stage = Stage::new();
    let host = Host::start(Manner::Endless(Duration::from_millis(1))).await;
    let (progress, mut told) = mpsc::channel(1_000);
    let cancel = CancellationToken::new();
    let (directories, id, stop) = (stage.directories.clone(), command(), cancel.clone());
    let operation = clone(&host.url, "new");
    let running =
        tokio::spawn(async move { directories.perform(&id, operation, progress, stop).await });
    let began = Instant::now();
    let mut count = 0;
    while let Some(progress) = told.recv().await {
        count += 1;
        if progress.bytes.is_some_and(|bytes| bytes > 1 << 20) {
            assert_eq!(progress.phase, "Receiving objects");
            break;
        }
    }
    let most = began.elapsed().as_millis() as u64 / PROGRESS_EVERY_MS + 2;
    assert!(count <= most, "{count} reports where {most} are allowed");
    cancel.cancel();
    assert_eq!(running.await.unwrap(), Err(Ended::Cancelled));
    assert_eq!(stage.names(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_branch_can_be_chosen_and_one_that_is_not_there_is_said_so() {
    let stage = Stage::new();
    let url = stage.repository("origin", &[]);
    git(&stage.outside("origin"), &["branch", "other"]);
    git(&stage.outside("origin"), &["tag", "v1"]);
    let with = |name: &str, path: &str| Operation::Clone {
        url: url.clone(),
        branch: Some(name.to_owned()),
        path: path.to_owned(),
    };
    assert_eq!(stage.perform(with("other", "a")).await, branch("other"));
    assert_eq!(
        stage.perform(with("v1", "b")).await,
        Ok(CommandResult::Cloned { branch: None })
    );
    let error = stage.perform(with("missing", "c")).await.unwrap_err();
    assert_eq!(error.code, CommandErrorCode::NotFound);
    assert!(error.message.contains("no branch"), "{error}");
    for name in ["--upload-pack=x", "-u", "", "a b", "a\nb"] {
        assert_eq!(
            stage.refusal(with(name, "c")).await,
            CommandErrorCode::Invalid,
            "{name}"
        );
    }
    assert_eq!(stage.names(), ["a", "b"]);
}

#[tokio::test]
async fn an_empty_repository_is_cloned() {
    let stage = Stage::new();
    git(stage.folder.path(), &["init", "-q", "--bare", "empty"]);
    let url = format!("file://{}", stage.outside("empty").display());
    assert_eq!(
        stage.perform(clone(&url, "new")).await,
        Ok(CommandResult::Cloned { branch: None })
    );
}

#[tokio::test]
async fn addresses_that_would_run_something_are_refused_and_nothing_runs() {
    let stage = Stage::with(|settings| settings.is_confined = false);
    let touched = stage.outside("touched");
    let touch = format!("touch {}", touched.display());
    for url in [
        format!("--upload-pack={touch}"),
        "-u".to_owned(),
        format!("-u{touch}"),
        format!("ext::{touch}"),
        format!("ext::sh -c {}", touch.replace(' ', "% ")),
        format!("ssh://-oProxyCommand={}/x", touch.replace(' ', "${IFS}")),
        format!("-oProxyCommand={touch}:x"),
        "https://localhost/a\nb".to_owned(),
        "https://localhost/a%0ab".to_owned(),
        "git://localhost/a".to_owned(),
        "/etc".to_owned(),
    ] {
        assert_eq!(
            stage.refusal(clone(&url, "new")).await,
            CommandErrorCode::Invalid,
            "{url}"
        );
    }
    assert!(!touched.exists());
    let error = stage
        .perform(clone("https://me:hunter2@localhost/a", "new"))
        .await
        .unwrap_err();
    assert!(
        error.message.contains("credential helper") && !error.message.contains("hunter2"),
        "{error}"
    );
    let strict = Stage::with(|settings| {
        settings.protocols = protocol::git_url::GitProtocol::DEFAULT.to_vec()
    });
    for url in ["file:///etc", "http://localhost/x"] {
        assert_eq!(
            strict.refusal(clone(url, "new")).await,
            CommandErrorCode::Invalid,
            "{url}"
        );
    }
    assert_eq!(stage.names(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn hooks_and_templates_of_the_users_settings_do_not_run() {
    let home = tempfile::tempdir().unwrap();
    let ran = home.path().join("ran");
    for hooks in ["template/hooks", "hooks"] {
        fs::create_dir_all(home.path().join(hooks)).unwrap();
        let hook = home.path().join(hooks).join("post-checkout");
        executable(&hook, &format!("#!/bin/sh\ntouch {}\n", ran.display()));
    }
    let settings = format!(
        "[init]\ntemplateDir = {0}/template\n[core]\nhooksPath = {0}/hooks\nfsmonitor = {0}/hooks/post-checkout\n",
        home.path().display()
    );
    fs::write(home.path().join(".gitconfig"), settings).unwrap();
    let stage = Stage::with(|settings| {
        settings.is_confined = false;
        settings.environment = vec![("HOME".into(), home.path().into())];
    });
    let url = stage.repository("origin", &[("file", b"x")]);
    assert_eq!(stage.perform(clone(&url, "new")).await, branch("main"));
    assert!(!ran.exists());
    assert!(!stage.path("new/.git/hooks").exists());
    // The settings do have an effect where git is run without care, so the test can fail.
    let status = Command::new("git")
        .args(["clone", "-q", &url, "careless"])
        .current_dir(stage.folder.path())
        .env("HOME", home.path())
        .status();
    assert!(status.unwrap().success() && ran.exists());
}

#[tokio::test]
async fn a_destination_that_exists_is_not_touched() {
    let stage = Stage::new();
    let url = stage.repository("origin", &[]);
    fs::create_dir(stage.path("empty")).unwrap();
    fs::write(stage.path("file"), "kept").unwrap();
    for path in ["empty", "file"] {
        assert_eq!(
            stage.refusal(clone(&url, path)).await,
            CommandErrorCode::AlreadyExists
        );
    }
    assert_eq!(
        stage.refusal(clone(&url, "missing/new")).await,
        CommandErrorCode::NotFound
    );
    assert_eq!(stage.names(), ["empty", "file"]);
    assert_eq!(fs::read(stage.path("file")).unwrap(), b"kept");
    assert_eq!(fs::read_dir(stage.path("empty")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_destination_that_appears_meanwhile_is_not_replaced() {
    let stage = Stage::new();
    let (url, wrapper) = (stage.repository("origin", &[]), stage.outside("slow-git"));
    executable(
        &wrapper,
        &format!(
            "#!/bin/sh\nmkdir {}\nexec git \"$@\"\n",
            stage.path("new").display()
        ),
    );
    let slow = directories(&stage.path(""), |settings| {
        settings.git = wrapper.clone();
        settings.is_confined = false;
    });
    let (progress, _told) = mpsc::channel(100);
    match slow
        .perform(
            &command(),
            clone(&url, "new"),
            progress,
            CancellationToken::new(),
        )
        .await
    {
        Err(Ended::Failed(error)) => assert_eq!(error.code, CommandErrorCode::AlreadyExists),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_dir(stage.path("new")).unwrap().count(), 0);
    assert_eq!(stage.names(), ["new"]);
}

#[tokio::test]
async fn a_folder_that_is_moved_away_meanwhile_takes_no_clone_with_it() {
    let stage = Stage::new();
    let (url, wrapper) = (stage.repository("origin", &[]), stage.outside("slow-git"));
    fs::create_dir(stage.path("folder")).unwrap();
    let moves = format!(
        "#!/bin/sh\nmv {} {}\nexec git \"$@\"\n",
        stage.path("folder").display(),
        stage.outside("away").display()
    );
    executable(&wrapper, &moves);
    let slow = directories(&stage.path(""), |settings| {
        settings.git = wrapper.clone();
        settings.is_confined = false;
    });
    let (progress, _told) = mpsc::channel(100);
    let ended = slow
        .perform(
            &command(),
            clone(&url, "folder/new"),
            progress,
            CancellationToken::new(),
        )
        .await;
    assert!(matches!(ended, Err(Ended::Failed(_))), "{ended:?}");
    assert_eq!(fs::read_dir(stage.outside("away")).unwrap().count(), 0);
    assert_eq!(stage.names(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn the_same_clone_again_is_the_same_and_another_is_refused() {
    let stage = Stage::new();
    let url = stage.repository("origin", &[("file", b"x")]);
    let id = command();
    assert_eq!(
        stage.perform_as(&id, clone(&url, "new")).await,
        branch("main")
    );
    fs::write(stage.path("new/mine"), "kept").unwrap();
    assert_eq!(
        stage.perform_as(&id, clone(&url, "new")).await,
        branch("main")
    );
    assert_eq!(fs::read(stage.path("new/mine")).unwrap(), b"kept");
    assert_eq!(
        stage.refusal(clone(&url, "new")).await,
        CommandErrorCode::AlreadyExists
    );
}

#[tokio::test]
async fn the_same_clone_twice_at_once_makes_one_repository() {
    let stage = Stage::new();
    let url = stage.repository("origin", &[("file", b"x")]);
    for round in 0..5 {
        let (id, path) = (command(), format!("new-{round}"));
        let one = stage.perform_as(&id, clone(&url, &path));
        let other = stage.perform_as(&id, clone(&url, &path));
        let (one, other) = tokio::join!(one, other);
        assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
        assert_eq!(
            stage.perform_as(&id, clone(&url, &path)).await,
            branch("main")
        );
    }
    assert_eq!(stage.names().len(), 5);
}

#[tokio::test]
async fn a_repository_that_asks_for_credentials_is_said_so_at_once() {
    let stage = Stage::new();
    let host = Host::start(Manner::AsksWho).await;
    let asked = tokio::time::timeout(HANG, stage.perform(clone(&host.url, "new")));
    let error = asked.await.unwrap().unwrap_err();
    assert_eq!(
        error.code,
        CommandErrorCode::AuthenticationNeeded,
        "{error}"
    );
    assert_eq!(stage.names(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_host_that_is_not_there_or_leads_to_the_disk_is_said_so() {
    let stage = Stage::new();
    for (url, code) in [
        ("http://127.0.0.1:1/x", CommandErrorCode::Unreachable),
        ("http://nowhere.invalid/x", CommandErrorCode::Unreachable),
        ("file:///nowhere/at/all", CommandErrorCode::NotFound),
    ] {
        assert_eq!(stage.refusal(clone(url, "new")).await, code, "{url}");
    }
    let host = Host::start(Manner::SendsToDisk).await;
    assert_ne!(
        stage.refusal(clone(&host.url, "new")).await,
        CommandErrorCode::Other
    );
    assert_eq!(stage.names(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn an_endless_repository_is_given_up_at_the_limit() {
    let stage = Stage::with(|settings| settings.clone_disk_limit_bytes = 4 << 20);
    let host = Host::start(Manner::Endless(Duration::ZERO)).await;
    assert_eq!(
        stage.refusal(clone(&host.url, "new")).await,
        CommandErrorCode::TooLarge
    );
    assert_eq!(stage.names(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_silent_host_and_one_without_end_are_given_up_in_time() {
    let silent = Stage::with(|settings| settings.clone_idle_limit = Duration::from_millis(700));
    let host = Host::start(Manner::Silent).await;
    assert_eq!(
        silent.refusal(clone(&host.url, "new")).await,
        CommandErrorCode::TimedOut
    );
    assert_eq!(silent.names(), Vec::<PathBuf>::new());
    let slow = Stage::with(|settings| settings.clone_time_limit = Duration::from_millis(700));
    let host = Host::start(Manner::Endless(Duration::from_millis(20))).await;
    assert_eq!(
        slow.refusal(clone(&host.url, "new")).await,
        CommandErrorCode::TimedOut
    );
    assert_eq!(slow.names(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn cancelling_at_any_time_leaves_all_or_nothing() {
    let stage = Stage::new();
    let url = stage.repository("origin", &[("file", b"x")]);
    let mut outcomes = [0; 2];
    for round in 0..40_u32 {
        let (id, path, cancel) = (command(), format!("new-{round}"), CancellationToken::new());
        let (progress, _told) = mpsc::channel(100);
        let performed =
            stage
                .directories
                .perform(&id, clone(&url, &path), progress, cancel.clone());
        let cancelled = async {
            tokio::time::sleep(Duration::from_millis(u64::from(round) * 3)).await;
            cancel.cancel();
        };
        let (ended, ()) = tokio::join!(performed, cancelled);
        let is_whole = stage.path(&path).join("file").exists();
        match ended {
            Ok(_) => assert!(is_whole),
            Err(Ended::Cancelled) => assert!(!stage.path(&path).exists()),
            Err(Ended::Failed(error)) => panic!("{error}"),
        }
        outcomes[usize::from(is_whole)] += 1;
        assert!(
            stage
                .names()
                .iter()
                .all(|name| name.to_str().unwrap().starts_with("new-"))
        );
    }
    println!("cancelled {}, finished {}", outcomes[0], outcomes[1]);
}

const KILLED_ROOT: &str = "TEST_KILLED_ROOT";
const KILLED_URL: &str = "TEST_KILLED_URL";
const KILLED_ID: &str = "TEST_KILLED_ID";

/// Not a test by itself: the program that the next test kills.
#[tokio::test]
async fn the_machine_that_is_killed() {
    let (Some(root), Ok(url), Ok(id)) = (
        std::env::var_os(KILLED_ROOT),
        std::env::var(KILLED_URL),
        std::env::var(KILLED_ID),
    ) else {
        return;
    };
    let (progress, _told) = mpsc::channel(1);
    let id = CommandId::parse(&id).unwrap();
    let _ = directories(Path::new(&root), |_| {})
        .perform(&id, clone(&url, "new"), progress, CancellationToken::new())
        .await;
}

async fn kill_mid_clone(stage: &Stage, host: &mut Host, id: &CommandId) {
    host.sent.mark_unchanged();
    let mut machine = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "cloning::the_machine_that_is_killed",
            "--nocapture",
        ])
        .env(KILLED_ROOT, stage.path(""))
        .env(KILLED_URL, &host.url)
        .env(KILLED_ID, id.as_str())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    tokio::time::timeout(HANG, host.sent.changed())
        .await
        .unwrap()
        .unwrap();
    machine.kill().unwrap();
    machine.wait().unwrap();
}

#[tokio::test]
async fn a_clone_that_was_killed_leaves_no_process_and_can_be_retried_at_once() {
    let stage = Stage::new();
    let url = stage.repository("origin", &[("file", b"x")]);
    let mut host = Host::start(Manner::Endless(Duration::from_millis(5))).await;
    let id = command();
    kill_mid_clone(&stage, &mut host, &id).await;
    assert!(
        stage
            .names()
            .iter()
            .any(|name| name.to_str().unwrap().starts_with(".orchestrator-clone-"))
    );
    // Without waiting for the git of before: it may still be about to end.
    assert_eq!(
        stage.perform_as(&id, clone(&url, "new")).await,
        branch("main")
    );
    assert_eq!(fs::read(stage.path("new/file")).unwrap(), b"x");
    let deadline = Instant::now() + HANG;
    while is_used(&stage.path("")) {
        assert!(
            Instant::now() < deadline,
            "a process of the killed machine lives on"
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.names(), ["new"]);
}

#[tokio::test]
async fn what_a_killed_clone_left_is_removed_when_its_command_never_runs_again() {
    let stage = Stage::new();
    let mut host = Host::start(Manner::Endless(Duration::from_millis(5))).await;
    let id = command();
    kill_mid_clone(&stage, &mut host, &id).await;
    assert!(!stage.names().is_empty());
    let deadline = Instant::now() + HANG;
    while is_used(&stage.path("")) {
        assert!(
            Instant::now() < deadline,
            "a process of the killed machine lives on"
        );
        tokio::task::yield_now().await;
    }
    stage.directories.clear_leftovers().await;
    assert_eq!(stage.names(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_clone_that_runs_is_not_taken_for_a_leftover() {
    let stage = Stage::new();
    let mut host = Host::start(Manner::Endless(Duration::from_millis(5))).await;
    let (progress, cancel) = (mpsc::channel(1).0, CancellationToken::new());
    let (directories, stop) = (stage.directories.clone(), cancel.clone());
    let (id, operation) = (command(), clone(&host.url, "new"));
    let running =
        tokio::spawn(async move { directories.perform(&id, operation, progress, stop).await });
    host.sent.changed().await.unwrap();
    let before = stage.names();
    stage.directories.clear_leftovers().await;
    assert_eq!((stage.names(), before.len()), (before, 2));
    cancel.cancel();
    assert_eq!(running.await.unwrap(), Err(Ended::Cancelled));
    assert_eq!(stage.names(), Vec::<PathBuf>::new());
}

/// Whether a process works in a directory or below it.
fn is_used(directory: &Path) -> bool {
    let directory = directory.canonicalize().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path().join("cwd")).ok())
        .any(|cwd| cwd.starts_with(&directory))
}

fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
