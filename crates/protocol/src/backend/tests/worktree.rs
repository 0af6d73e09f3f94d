//! Worktrees of chat sessions, from the wish to the end.

use serde_json::{Value, json};

use super::world::World;
use crate::error::ErrorCode;
use crate::limits::OPEN_COMMANDS_MAX;

struct Session {
    world: World,
    worker: String,
    chat: String,
}

impl Session {
    fn new() -> Self {
        let mut world = World::new();
        let args = json!({ "machineId": world.machine, "directory": "repo", "settings": { "model": "a/b", "sandbox": "workspace" } });
        let worker = world.person("worker.register", args);
        let worker = worker["id"].as_str().unwrap().to_owned();
        let args = json!({ "workerId": worker, "ownWorktree": true });
        let started = world.person("worker.chat.startSession", args);
        let chat = started["chatSessionId"].as_str().unwrap().to_owned();
        Self {
            world,
            worker,
            chat,
        }
    }

    fn report(&mut self, state: &str, seq: u64) {
        let args = json!({ "chatSessionId": self.chat, "state": state, "seq": seq });
        self.world.machine("worker.chat.reportSession", args);
    }

    fn end(&mut self, discard: bool) {
        let args = json!({ "chatSessionId": self.chat, "discardWorktree": discard });
        self.world.person("worker.chat.endSession", args);
    }

    fn worktree(&mut self) -> Value {
        let args = json!({ "chatSessionId": self.chat });
        self.world.person("worker.chat.view", args)["chat"]["worktree"].clone()
    }

    /// The one command that waits.
    fn removal(&mut self) -> String {
        let open = self.world.open();
        assert_eq!(open.len(), 1, "{open:?}");
        open[0]["id"].as_str().unwrap().to_owned()
    }
}

#[test]
fn it_is_told_to_the_machine_and_goes_with_its_session() {
    let mut session = Session::new();
    let inbox = session.world.machine("machine.inbox", json!({}));
    let chat = &inbox["chats"][0];
    assert_eq!(chat["sandbox"], "workspace");
    assert_eq!(chat["model"], "a/b");
    let directory = format!(".orchestrator-worktrees/{}", session.chat);
    assert_eq!(chat["worktree"]["directory"], directory.as_str());
    assert_eq!(session.worktree()["state"], "wanted");
    session.report("starting", 1);
    session.report("ready", 2);
    assert_eq!(session.worktree()["state"], "present");

    session.end(false);
    let id = session.removal();
    let taken = session.world.take(&id);
    let operation = &taken["operation"];
    assert_eq!(operation["kind"], "remove_worktree");
    assert_eq!(operation["directory"], directory.as_str());
    assert_eq!(operation["repository"], "repo");
    assert_eq!(operation["force"], false);
    session.world.finish(&id, "succeeded", Value::Null);
    assert_eq!(session.worktree()["state"], "removed");
}

#[test]
fn it_is_kept_with_the_reason_until_a_person_lets_it_go() {
    let mut session = Session::new();
    let too_early =
        json!({ "kind": "remove_worktree", "chatSessionId": session.chat, "force": true });
    assert_eq!(
        session.world.refused(too_early.clone()).code,
        ErrorCode::Conflict
    );
    session.end(false);
    let id = session.removal();
    session.world.take(&id);
    let error = json!({ "code": "unsaved_work", "message": "There is work in it." });
    let args = json!({ "commandId": id, "outcome": "failed", "error": error });
    session.world.machine("machine.command.finish", args);
    let worktree = session.worktree();
    assert_eq!(worktree["state"], "kept");
    assert_eq!(worktree["reason"], "There is work in it.");

    let id = session.world.request(too_early);
    assert_eq!(session.world.take(&id)["operation"]["force"], true);
    session.world.finish(&id, "succeeded", Value::Null);
    assert_eq!(session.worktree()["state"], "removed");
}

#[test]
fn ending_all_sessions_of_a_worker_asks_for_each_worktree() {
    let mut session = Session::new();
    let args = json!({ "workerId": session.worker, "ownWorktree": true });
    session.world.person("worker.chat.startSession", args);
    let args = json!({ "workerId": session.worker });
    session.world.person("worker.remove", args);
    let open = session.world.open();
    assert_eq!(open.len(), 2, "{open:?}");
    assert_ne!(open[0]["id"], open[1]["id"]);
}

#[test]
fn settings_that_can_not_be_are_refused() {
    let mut session = Session::new();
    for settings in [
        json!({ "model": "no-provider" }),
        json!({ "agent": "" }),
        json!({ "sandbox": "vault" }),
    ] {
        let args = json!({ "workerId": session.worker, "settings": settings });
        let error = session.world.try_person("worker.configure", args);
        assert_eq!(error.unwrap_err().code, ErrorCode::Invalid, "{settings}");
    }
    let settings = json!({ "model": "c/d" });
    let args = json!({ "workerId": session.worker, "settings": settings });
    let worker = session.world.person("worker.configure", args);
    assert_eq!(worker["settings"]["model"], "c/d");
    assert_eq!(worker["settings"]["sandbox"], "off");
}

#[test]
fn a_revoked_machine_leaves_no_removal_waiting_however_many_there_were() {
    let mut session = Session::new();
    for _ in 0..OPEN_COMMANDS_MAX {
        let args = json!({ "workerId": session.worker, "ownWorktree": true });
        session.world.person("worker.chat.startSession", args);
    }
    let machine = session.world.machine.clone();
    session
        .world
        .person("machine.revoke", json!({ "machineId": machine }));
    let waiting = session.world.rows.iter();
    let waiting = waiting.filter(|(key, _)| key.starts_with("command.open/"));
    assert_eq!(waiting.count(), 0);
    assert_eq!(session.worktree()["state"], "kept");
}
