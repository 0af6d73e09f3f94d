//! Commands and worktrees through the whole agent, with a real disk and a real git.

use std::process::Command;

use futures::StreamExt as _;
use protocol::functions::{CancelCommand, EndSession, RequestCommand, StartSession, ViewMachine};
use protocol::ids::CommandId;
use protocol::state::{CommandState, WorkerState};
use protocol::wire::{
    CommandArgs, CommandErrorCode, CommandResult, CommandView, EndSessionArgs, MachineArgs,
    Operation, RequestCommandArgs, StartSessionArgs, WorktreeState,
};
use transport::Transport as _;

use crate::double::{Double, Stage, ask};

impl Stage {
    async fn request(&self, operation: Operation) -> CommandId {
        let args = RequestCommandArgs {
            machine_id: self.credentials.machine_id.clone(),
            operation,
        };
        let view = ask::<RequestCommand>(&self.backend, args).await;
        view.command.id
    }

    async fn ended_command(&self, id: &CommandId) -> CommandView {
        let args = serde_json::json!({ "commandId": id });
        let owner = Some(self.backend.owner_token());
        let mut views = self.backend.watch("machine.command.view", args, owner);
        loop {
            let view = views.next().await.unwrap().unwrap();
            let view: CommandView = serde_json::from_value(view).unwrap();
            if view.command.state.is_terminal() {
                return view;
            }
        }
    }

    async fn perform(&self, operation: Operation) -> CommandView {
        let id = self.request(operation).await;
        self.ended_command(&id).await
    }

    fn git(&self, arguments: &[&str]) {
        let status = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(arguments)
            .current_dir(self.root.path().join("repo"))
            .status();
        assert!(status.unwrap().success());
    }
}

fn list(directory: &str) -> Operation {
    Operation::List {
        directory: directory.to_owned(),
        hidden: false,
        filter: None,
        after: None,
    }
}

#[tokio::test]
async fn what_waited_for_the_machine_is_done_when_it_comes() {
    let (stage, (double, _heard)) = (Stage::new().await, Double::new());
    let path = "made".to_owned();
    let waiting = stage.request(Operation::MakeDirectory { path }).await;
    let _agent = stage.agent(&double);
    let made = stage.ended_command(&waiting).await;
    assert_eq!(made.command.state, CommandState::Succeeded, "{made:?}");
    let listed = stage.perform(list("")).await;
    let Some(CommandResult::Listing(listing)) = listed.result else {
        panic!("{listed:?}");
    };
    let names: Vec<_> = listing.entries.iter().map(|entry| &entry.name).collect();
    assert_eq!(names, ["made", "repo"]);

    let failed = stage.perform(list("missing")).await;
    assert_eq!(failed.command.state, CommandState::Failed);
    let code = failed.command.error.map(|error| error.code);
    assert_eq!(code, Some(CommandErrorCode::NotFound));
}

#[tokio::test]
async fn a_worker_whose_directory_is_renamed_is_unavailable_at_once() {
    let (stage, (double, _heard)) = (Stage::new().await, Double::new());
    let _agent = stage.agent(&double);
    let (from, to) = ("repo".to_owned(), "moved".to_owned());
    stage.perform(Operation::Rename { from, to }).await;
    let args = serde_json::json!({ "machineId": stage.credentials.machine_id });
    let owner = Some(stage.backend.owner_token());
    let mut views = stage.backend.watch("machine.view", args, owner);
    loop {
        let view = views.next().await.unwrap().unwrap();
        if view["workers"][0]["state"] == WorkerState::Unavailable.as_str() {
            break;
        }
    }
}

#[tokio::test]
async fn a_clone_is_cancelled_while_its_machine_works_on_it() {
    let (stage, (double, _heard)) = (Stage::new().await, Double::new());
    let _agent = stage.agent(&double);
    // Nobody answers there: whoever connects waits.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/endless.git", listener.local_addr().unwrap());
    let id = stage
        .request(Operation::Clone {
            url,
            branch: None,
            path: "clone".to_owned(),
        })
        .await;
    let (_connection, _) = listener.accept().await.unwrap();
    let args = CommandArgs {
        command_id: id.clone(),
    };
    ask::<CancelCommand>(&stage.backend, args).await;
    let ended = stage.ended_command(&id).await;
    assert_eq!(ended.command.state, CommandState::Cancelled);
    let left: Vec<_> = std::fs::read_dir(stage.root.path()).unwrap().collect();
    assert!(
        !left.iter().any(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name == "clone" || name.to_string_lossy().starts_with(".orchestrator-clone-")
        }),
        "{left:?}"
    );
}

#[tokio::test]
async fn a_session_works_in_its_own_worktree_which_goes_with_it() {
    let (stage, (double, mut heard)) = (Stage::new().await, Double::new());
    stage.git(&["init", "-q"]);
    stage.git(&["commit", "-q", "--allow-empty", "-m", "Begin"]);
    let _agent = stage.agent(&double);
    let args = MachineArgs {
        machine_id: stage.credentials.machine_id.clone(),
    };
    let view = ask::<ViewMachine>(&stage.backend, args).await;
    let start = StartSessionArgs {
        worker_id: view.workers[0].id.clone(),
        title: None,
        model: None,
        agent: None,
        own_worktree: true,
        continues: None,
    };
    let chat = ask::<StartSession>(&stage.backend, start)
        .await
        .chat_session_id;
    let stage = Stage { chat, ..stage };
    let ready = |state| {
        move |view: &protocol::wire::ChatView| {
            view.chat
                .worktree
                .as_ref()
                .is_some_and(|worktree| worktree.state == state)
        }
    };
    let view = stage.until(ready(WorktreeState::Present)).await;
    let directory = view.chat.worktree.unwrap().directory;
    let tree = stage.root.path().join(&directory);
    assert!(tree.join(".git").exists());
    let started = double.directory_of(&stage.chat);
    assert_eq!(started, tree.canonicalize().unwrap().display().to_string());

    let args = EndSessionArgs {
        chat_session_id: stage.chat.clone(),
        discard_worktree: false,
    };
    ask::<EndSession>(&stage.backend, args).await;
    stage.until(ready(WorktreeState::Removed)).await;
    assert!(!tree.exists());
    // It went only when its process had ended.
    while let Ok(told) = heard.try_recv() {
        if matches!(told, crate::double::Told::Stopped) {
            return;
        }
    }
    panic!("the process was not stopped first");
}
