//! A chat session's own worktree: made, found again, kept while there is work in it, removed.

use std::path::Path;

use protocol::ids::ChatSessionId;
use protocol::time::Timestamp;
use protocol::wire::{CommandErrorCode, CommandResult, Operation, Worktree, WorktreeState};

use crate::stage::{Stage, commit, git};

fn wanted() -> Worktree {
    Worktree {
        directory: ".orchestrator-worktrees/cht_1".to_owned(),
        branch: "orchestrator/one".to_owned(),
        state: WorktreeState::Wanted,
        reason: None,
    }
}

fn removal(force: bool) -> Operation {
    let Worktree {
        directory, branch, ..
    } = wanted();
    Operation::RemoveWorktree {
        chat_session_id: ChatSessionId::generate(Timestamp::from_ms(1), [1; 10]),
        force,
        repository: "repo".to_owned(),
        directory,
        branch,
    }
}

/// A stage with a repository below its root.
fn stage() -> Stage {
    let stage = Stage::new();
    let repo = stage.path("repo");
    git(&stage.path(""), &["init", "-q", "-b", "main", "repo"]);
    std::fs::create_dir(repo.join("sub")).unwrap();
    std::fs::write(repo.join("sub/file"), "one\n").unwrap();
    git(&repo, &["add", "-A"]);
    commit(&repo);
    stage
}

fn branches(stage: &Stage) -> String {
    let out = std::process::Command::new("git")
        .args(["branch", "--format=%(refname:short)"])
        .current_dir(stage.path("repo"))
        .output();
    String::from_utf8(out.unwrap().stdout).unwrap()
}

#[tokio::test]
async fn it_is_made_once_and_found_again_and_goes_when_nothing_is_lost() {
    let stage = stage();
    let made = stage.directories.worktree("repo/sub", &wanted()).await;
    let made = made.unwrap();
    assert_eq!(made.directory, ".orchestrator-worktrees/cht_1/sub");
    assert_eq!(
        made.repository,
        stage.path("repo/.git").canonicalize().unwrap()
    );
    let file = stage.path(&made.directory).join("file");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\n");
    std::fs::write(&file, "mine\n").unwrap();

    let again = stage.directories.worktree("repo/sub", &wanted()).await;
    assert_eq!(again.unwrap(), made);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine\n");
    assert_eq!(
        std::fs::read_to_string(stage.path("repo/sub/file")).unwrap(),
        "one\n"
    );

    git(&stage.path("repo/sub"), &["checkout", "-q", "-b", "other"]);
    std::fs::write(&file, "one\n").unwrap();
    assert_eq!(
        stage.perform(removal(false)).await.unwrap(),
        CommandResult::Done
    );
    assert!(!stage.path(wanted().directory).exists());
    assert_eq!(branches(&stage), "main\nother\n");
    // The same command again, as after a crash.
    assert_eq!(
        stage.perform(removal(false)).await.unwrap(),
        CommandResult::Done
    );
}

#[tokio::test]
async fn work_that_is_nowhere_else_keeps_it_until_a_person_says_otherwise() {
    let stage = stage();
    stage.directories.worktree("repo", &wanted()).await.unwrap();
    let tree = stage.path(wanted().directory);

    std::fs::write(tree.join("new"), "not known to git\n").unwrap();
    let error = stage.perform(removal(false)).await.unwrap_err();
    assert_eq!(error.code, CommandErrorCode::UnsavedWork);
    assert!(
        error.message.contains("a changed file is not committed"),
        "{error}"
    );

    git(&tree, &["add", "-A"]);
    commit(&tree);
    let error = stage.perform(removal(false)).await.unwrap_err();
    assert_eq!(error.code, CommandErrorCode::UnsavedWork);
    assert!(
        error
            .message
            .contains("a commit is only on its branch orchestrator/one"),
        "{error}"
    );
    assert!(tree.join("new").exists());

    // Also when somebody has deleted the folder: the commits are still there.
    std::fs::rename(&tree, stage.outside("moved")).unwrap();
    let error = stage.perform(removal(false)).await.unwrap_err();
    assert_eq!(error.code, CommandErrorCode::UnsavedWork);
    std::fs::rename(stage.outside("moved"), &tree).unwrap();

    // Merged, nothing is lost.
    git(
        &stage.path("repo"),
        &["merge", "-q", "--ff-only", "orchestrator/one"],
    );
    stage.perform(removal(false)).await.unwrap();
    assert_eq!(branches(&stage), "main\n");

    stage.directories.worktree("repo", &wanted()).await.unwrap();
    std::fs::write(tree.join("other"), "").unwrap();
    stage.perform(removal(true)).await.unwrap();
    assert!(!tree.exists());
    assert_eq!(branches(&stage), "main\n");
}

#[tokio::test]
async fn what_a_crash_left_half_made_is_made_anew() {
    let stage = stage();
    stage.directories.worktree("repo", &wanted()).await.unwrap();
    let tree = stage.path(wanted().directory);
    // As git leaves it when it is killed: locked, and not all there.
    let data = stage.path("repo/.git/worktrees/cht_1");
    std::fs::write(data.join("locked"), "initializing").unwrap();
    std::fs::remove_dir_all(tree.join("sub")).unwrap();
    stage.directories.worktree("repo", &wanted()).await.unwrap();
    assert!(tree.join("sub/file").exists());

    // Somebody has deleted the folder: a new one, on the same branch.
    std::fs::remove_dir_all(&tree).unwrap();
    stage.directories.worktree("repo", &wanted()).await.unwrap();
    assert!(tree.join("sub/file").exists());
}

#[tokio::test]
async fn where_there_is_no_repository_below_the_root_there_is_no_worktree() {
    let stage = stage();
    std::fs::create_dir(stage.path("plain")).unwrap();
    let refused = |directory: &'static str| {
        let directories = stage.directories.clone();
        async move {
            directories
                .worktree(directory, &wanted())
                .await
                .unwrap_err()
        }
    };
    assert!(refused("plain").await.contains("no git repository"));
    assert!(refused("missing").await.contains("does not exist"));
    // The root itself is in a repository: git finds it, and it is not ours to write to.
    git(stage.folder.path(), &["init", "-q", "."]);
    commit_empty(stage.folder.path());
    assert!(
        refused("plain")
            .await
            .contains("not below the machine's root")
    );
}

fn commit_empty(repository: &Path) {
    git(
        repository,
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "Begin",
        ],
    );
}
