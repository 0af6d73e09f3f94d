//! Reading files, and what is none.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use protocol::limits::FILE_TEXT_MAX_BYTES;
use protocol::wire::{CommandErrorCode, CommandResult, FileText};
use rustix::fs::{CWD, FileType, Mode, mkfifoat, mknodat};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::stage::{Stage, command, directories, read};

async fn text(stage: &Stage, path: &str) -> FileText {
    match stage.perform(read(path)).await.unwrap() {
        CommandResult::File(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn text_is_read_to_its_limit_and_binary_is_told_apart() {
    let stage = Stage::new();
    fs::write(stage.path("small"), "héllo\n").unwrap();
    fs::write(stage.path("large"), "x".repeat(FILE_TEXT_MAX_BYTES + 1)).unwrap();
    fs::write(stage.path("binary"), b"\x7fELF\0").unwrap();
    fs::write(stage.path("old"), b"n\xe9 au lait, s'il vous pla\xeet").unwrap();
    symlink("small", stage.path("link")).unwrap();
    let small = text(&stage, "small").await;
    assert_eq!(
        (
            small.text.as_str(),
            small.size,
            small.truncated,
            small.is_binary
        ),
        ("héllo\n", 7, false, false)
    );
    assert_eq!(text(&stage, "link").await, small);
    let large = text(&stage, "large").await;
    assert_eq!(
        (large.text.len(), large.truncated),
        (FILE_TEXT_MAX_BYTES, true)
    );
    assert!(text(&stage, "binary").await.is_binary);
    assert!(text(&stage, "old").await.text.starts_with("n\u{fffd} au"));
}

#[tokio::test]
async fn pipes_sockets_devices_and_folders_are_refused_and_never_waited_for() {
    let stage = Stage::new();
    mkfifoat(CWD, stage.path("pipe"), Mode::RWXU).unwrap();
    let _socket = UnixListener::bind(stage.path("socket")).unwrap();
    fs::create_dir(stage.path("folder")).unwrap();
    symlink("pipe", stage.path("link")).unwrap();
    for path in ["pipe", "socket", "folder", "link"] {
        assert_eq!(
            stage.refusal(read(path)).await,
            CommandErrorCode::WrongKind,
            "{path}"
        );
    }
    if rustix::process::geteuid().is_root() {
        let zero = rustix::fs::makedev(1, 5);
        mknodat(
            CWD,
            stage.path("zero"),
            FileType::CharacterDevice,
            Mode::RWXU,
            zero,
        )
        .unwrap();
        assert_eq!(
            stage.refusal(read("zero")).await,
            CommandErrorCode::WrongKind
        );
    }
}

#[tokio::test]
async fn devices_and_the_kernels_own_files_are_no_endless_reading() {
    let top = directories(Path::new("/"), |_| {});
    let perform = async |path: &str| {
        let (progress, _told) = mpsc::channel(1);
        top.perform(&command(), read(path), progress, CancellationToken::new())
            .await
    };
    for path in ["dev/zero", "dev/tty", "dev/random", "dev/null"] {
        assert!(perform(path).await.is_err(), "{path}");
    }
    match perform("proc/self/status").await {
        Ok(CommandResult::File(text)) => assert!(text.size > 0 && text.text.starts_with("Name:")),
        // `self` is a link of the system's own on some kernels' view.
        other => panic!("{other:?}"),
    }
    assert!(perform("proc/self/exe").await.is_err());
}

#[tokio::test]
async fn what_does_not_stay_below_the_root_is_not_read() {
    let stage = Stage::new();
    fs::write(stage.outside("secret"), "secret").unwrap();
    symlink("../secret", stage.path("relative")).unwrap();
    symlink(stage.outside("secret"), stage.path("absolute")).unwrap();
    symlink("..", stage.path("up")).unwrap();
    for path in [
        "../secret",
        "/etc/passwd",
        "relative",
        "absolute",
        "up/secret",
        r"\x2e\x2e/secret",
    ] {
        assert_eq!(
            stage.refusal(read(path)).await,
            CommandErrorCode::OutsideRoot,
            "{path}"
        );
    }
    assert_eq!(stage.refusal(read("a\0")).await, CommandErrorCode::Invalid);
    assert_eq!(
        stage.refusal(read("missing")).await,
        CommandErrorCode::NotFound
    );
    assert_eq!(stage.refusal(read("")).await, CommandErrorCode::WrongKind);
}
