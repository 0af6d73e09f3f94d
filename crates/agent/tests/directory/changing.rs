//! Making, renaming, trashing, restoring; again, and where it can't be done.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use protocol::wire::{CommandErrorCode, CommandResult};

use crate::stage::{Stage, clone, command, list, make, read, rename, restore, trash};

#[tokio::test]
async fn a_directory_is_made_with_those_above_it_and_again() {
    let stage = Stage::new();
    for _ in 0..2 {
        assert_eq!(stage.perform(make("a/b/c")).await, Ok(CommandResult::Done));
    }
    assert!(stage.path("a/b/c").is_dir());
    fs::write(stage.path("file"), "kept").unwrap();
    assert_eq!(
        stage.refusal(make("file")).await,
        CommandErrorCode::AlreadyExists
    );
    assert_eq!(
        stage.refusal(make("file/below")).await,
        CommandErrorCode::WrongKind
    );
    assert_eq!(stage.refusal(make("")).await, CommandErrorCode::Invalid);
    assert_eq!(
        stage.refusal(make(".orchestrator-x")).await,
        CommandErrorCode::Invalid
    );
    symlink("a", stage.path("link")).unwrap();
    stage.perform(make("link/d")).await.unwrap();
    assert!(stage.path("a/d").is_dir());
}

#[tokio::test]
async fn nothing_outside_of_the_root_is_changed() {
    let stage = Stage::new();
    fs::create_dir(stage.outside("secret")).unwrap();
    fs::write(stage.outside("secret/file"), "").unwrap();
    fs::write(stage.path("mine"), "").unwrap();
    symlink("../secret", stage.path("out")).unwrap();
    for path in ["../new", "/tmp/new", "out/new", "../..", "out/../new"] {
        assert_eq!(
            stage.refusal(make(path)).await,
            CommandErrorCode::OutsideRoot,
            "{path}"
        );
        assert_eq!(
            stage.refusal(rename("mine", path)).await,
            CommandErrorCode::OutsideRoot,
            "{path}"
        );
        let url = "https://localhost/x";
        assert_eq!(
            stage.refusal(clone(url, path)).await,
            CommandErrorCode::OutsideRoot,
            "{path}"
        );
    }
    for path in ["../secret/file", "out/file"] {
        assert_eq!(
            stage.refusal(trash(path)).await,
            CommandErrorCode::OutsideRoot,
            "{path}"
        );
        assert_eq!(
            stage.refusal(rename(path, "here")).await,
            CommandErrorCode::OutsideRoot,
            "{path}"
        );
        assert_eq!(
            stage.refusal(restore(&command(), path)).await,
            CommandErrorCode::OutsideRoot,
            "{path}"
        );
    }
    for path in ["a\0b", "a//b"] {
        assert_eq!(stage.refusal(make(path)).await, CommandErrorCode::Invalid);
    }
    assert_eq!(fs::read_dir(stage.outside("secret")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(stage.folder.path()).unwrap().count(), 2);
    // The link itself is the person's, and may be moved.
    stage.perform(rename("out", "away")).await.unwrap();
    stage.perform(trash("away")).await.unwrap();
    assert!(stage.outside("secret/file").exists());
}

#[tokio::test]
async fn a_rename_refuses_to_replace_and_may_be_repeated() {
    let stage = Stage::new();
    for name in ["a", "b"] {
        fs::create_dir(stage.path(name)).unwrap();
        fs::write(stage.path(name).join("file"), name).unwrap();
    }
    assert_eq!(
        stage.refusal(rename("a", "b")).await,
        CommandErrorCode::AlreadyExists
    );
    assert_eq!(fs::read(stage.path("b/file")).unwrap(), b"b");
    let id = command();
    for _ in 0..2 {
        assert_eq!(
            stage.perform_as(&id, rename("a", "b/c")).await,
            Ok(CommandResult::Done)
        );
    }
    assert_eq!(fs::read(stage.path("b/c/file")).unwrap(), b"a");
    assert_eq!(
        stage.refusal(rename("missing", "x")).await,
        CommandErrorCode::NotFound
    );
    assert_eq!(
        stage.refusal(rename("b", "missing/x")).await,
        CommandErrorCode::NotFound
    );
    assert_eq!(
        stage.refusal(rename("b", "b/c/d")).await,
        CommandErrorCode::Invalid
    );
    assert_eq!(
        stage.perform(rename("b", "b")).await,
        Ok(CommandResult::Done)
    );
    for own in ["", ".orchestrator-trash"] {
        assert_eq!(
            stage.refusal(rename(own, "x")).await,
            CommandErrorCode::Invalid
        );
        assert_eq!(
            stage.refusal(rename("b", own)).await,
            CommandErrorCode::Invalid
        );
        assert_eq!(stage.refusal(trash(own)).await, CommandErrorCode::Invalid);
    }
}

#[tokio::test]
async fn what_is_trashed_can_be_restored_and_both_may_be_repeated() {
    let stage = Stage::new();
    fs::create_dir(stage.path("a")).unwrap();
    fs::write(stage.path("a/file"), "first").unwrap();
    let id = command();
    stage.perform_as(&id, trash("a/file")).await.unwrap();
    let mode = fs::metadata(stage.path(".orchestrator-trash"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    // Something new by that name is not touched by the repetition.
    fs::write(stage.path("a/file"), "second").unwrap();
    stage.perform_as(&id, trash("a/file")).await.unwrap();
    assert_eq!(fs::read(stage.path("a/file")).unwrap(), b"second");
    assert_eq!(
        stage.refusal(restore(&id, "a/file")).await,
        CommandErrorCode::AlreadyExists
    );
    fs::remove_file(stage.path("a/file")).unwrap();
    for _ in 0..2 {
        stage.perform(restore(&id, "a/file")).await.unwrap();
        assert_eq!(fs::read(stage.path("a/file")).unwrap(), b"first");
    }
    assert_eq!(
        fs::read_dir(stage.path(".orchestrator-trash"))
            .unwrap()
            .count(),
        0
    );
    assert_eq!(
        stage.refusal(restore(&command(), "b")).await,
        CommandErrorCode::NotFound
    );
    assert_eq!(
        stage.refusal(trash("missing")).await,
        CommandErrorCode::NotFound
    );
}

#[tokio::test]
async fn restoring_says_so_when_the_folder_is_gone() {
    let stage = Stage::new();
    fs::create_dir(stage.path("a")).unwrap();
    fs::write(stage.path("a/file"), "kept").unwrap();
    let id = command();
    stage.perform_as(&id, trash("a/file")).await.unwrap();
    fs::remove_dir(stage.path("a")).unwrap();
    assert_eq!(
        stage.refusal(restore(&id, "a/file")).await,
        CommandErrorCode::NotFound
    );
    stage.perform(make("a")).await.unwrap();
    stage.perform(restore(&id, "a/file")).await.unwrap();
    assert_eq!(fs::read(stage.path("a/file")).unwrap(), b"kept");
}

#[tokio::test]
async fn a_link_in_the_trashs_place_leads_nowhere() {
    let stage = Stage::new();
    fs::create_dir(stage.outside("secret")).unwrap();
    fs::create_dir(stage.path("inside")).unwrap();
    fs::write(stage.path("file"), "").unwrap();
    for target in [stage.outside("secret"), "inside".into()] {
        symlink(&target, stage.path(".orchestrator-trash")).unwrap();
        stage.refusal(trash("file")).await;
        assert!(stage.path("file").exists());
        assert_eq!(fs::read_dir(stage.path("inside")).unwrap().count(), 0);
        fs::remove_file(stage.path(".orchestrator-trash")).unwrap();
    }
    assert_eq!(fs::read_dir(stage.outside("secret")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_path_2000_deep_is_made_listed_moved_and_trashed() {
    let stage = Stage::new();
    let deep = vec!["d"; 2_000].join("/");
    stage.perform(make(&deep)).await.unwrap();
    stage.perform(make(&deep)).await.unwrap();
    assert_eq!(stage.list(&deep).await.total, 0);
    stage.perform(rename(&deep, "up")).await.unwrap();
    stage.perform(trash("d")).await.unwrap();
    assert_eq!(stage.names(), [".orchestrator-trash", "up"]);
    let longer = format!("{deep}/{}", "x".repeat(200));
    assert_eq!(
        stage.refusal(make(&longer)).await,
        CommandErrorCode::TooLarge
    );
}

/// Set for the run of this program that has mounts of its own.
const CRAMPED: &str = "TEST_CRAMPED";

#[test]
fn a_full_disk_a_read_only_folder_and_another_file_system_are_said_so() {
    let started = Command::new("unshare")
        .args(["--mount", "--map-root-user", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "changing::in_a_cramped_place", "--nocapture"])
        .env(CRAMPED, "1")
        .output();
    let output = started.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.starts_with("unshare:") {
        println!("NOT TESTED: this system allows no mounts of one's own: {said}");
        return;
    }
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// Not a test by itself: the one above runs it where it may mount.
#[tokio::test]
async fn in_a_cramped_place() {
    if std::env::var_os(CRAMPED).is_none() {
        return;
    }
    let stage = Stage::new();
    let url = stage.repository("origin", &[("large", &[7; 3 << 20])]);
    for (name, options) in [("full", "size=1m,nr_inodes=40"), ("fixed", "ro")] {
        fs::create_dir(stage.path(name)).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(stage.path(name))
            .status();
        assert!(status.unwrap().success());
    }
    // Another file system below the root: the trash can't take things from it, and a move says why.
    fs::write(stage.path("full/file"), "x").unwrap();
    fs::write(stage.path("mine"), "x").unwrap();
    for operation in [
        trash("full/file"),
        rename("full/file", "file"),
        rename("mine", "full/mine"),
    ] {
        let error = stage.perform(operation).await.unwrap_err();
        assert!(error.message.contains("another disk"), "{error}");
    }
    // Full: a clone that does not fit leaves nothing.
    let error = stage.perform(clone(&url, "full/new")).await.unwrap_err();
    assert_eq!(error.code, CommandErrorCode::NoSpace, "{error}");
    assert_eq!(fs::read_dir(stage.path("full")).unwrap().count(), 1);
    for n in 0.. {
        if fs::write(stage.path(format!("full/{n}")), "x").is_err() {
            break;
        }
    }
    assert_eq!(
        stage.refusal(make("full/folder")).await,
        CommandErrorCode::NoSpace
    );
    assert_eq!(
        stage.refusal(clone(&url, "full/new")).await,
        CommandErrorCode::NoSpace
    );
    // Read-only: looking works, changing says why.
    assert_eq!(stage.list("fixed").await.total, 0);
    for operation in [make("fixed/a"), clone(&url, "fixed/a")] {
        let error = stage.perform(operation).await.unwrap_err();
        assert!(error.message.contains("read-only"), "{error}");
        assert_eq!(error.code, CommandErrorCode::PermissionDenied);
    }
    assert!(stage.perform(list("full")).await.is_ok());
    assert!(stage.perform(read("full/file")).await.is_ok());
}
