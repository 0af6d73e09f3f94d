//! Commands: the rules of their whole life.

use serde_json::{Value, json};

use crate::backend::{Backend, Caller, Entropy, MemoryRows, Request};
use crate::error::{CallError, ErrorCode};
use crate::ids::{IdempotencyKey, PersonId};
use crate::limits::{
    ACTIVITY_PAGE_COMMANDS, CHANGE_ACTIVITY_KEPT_MS, CHANGE_COMMAND_LIFE_MS, COMMAND_ATTEMPTS_MAX,
    KEPT_LISTINGS_MAX, OPEN_COMMANDS_MAX, READ_COMMAND_LIFE_MS, RESULT_KEPT_MS,
};
use crate::secret::Secret;
use crate::time::Timestamp;

const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);

/// A backend with a person, a machine and its process.
struct World {
    rows: MemoryRows,
    now: Timestamp,
    calls: u64,
    processes: u32,
    machine: String,
    secret: String,
    token: Secret,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            rows: MemoryRows::default(),
            now: START,
            calls: 0,
            processes: 0,
            machine: String::new(),
            secret: String::new(),
            token: Secret::new(""),
        };
        let created = world.person("machine.create", json!({ "name": "box" }));
        let register = json!({ "registrationKey": created["registrationKey"] });
        let credentials = world
            .call(Caller::Anyone, "machine.register", register)
            .unwrap();
        world.machine = credentials["machineId"].as_str().unwrap().to_owned();
        world.secret = credentials["secret"].as_str().unwrap().to_owned();
        world.start_process();
        world
    }

    /// A new process connects, which fences the one before.
    fn start_process(&mut self) {
        self.processes += 1;
        let nonce = format!("process-{}", self.processes);
        let args = json!({ "machineId": self.machine, "secret": self.secret, "wireVersion": 1, "nonce": nonce });
        let reply = self.call(Caller::Anyone, "machine.connect", args).unwrap();
        self.token = Secret::new(reply["connectionToken"].as_str().unwrap());
    }

    fn call(&mut self, caller: Caller, function: &str, args: Value) -> Result<Value, CallError> {
        self.calls += 1;
        let mut id = [0; 10];
        id[2..].copy_from_slice(&self.calls.to_be_bytes());
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&self.calls.to_be_bytes());
        let request = Request {
            function,
            args,
            key: Some(IdempotencyKey::generate(self.now, id)),
            caller,
        };
        let entropy = Entropy { id, secret };
        let result = Backend::new(&mut self.rows, self.now, entropy).call(&request);
        match &result {
            Ok(_) => self.rows.commit(),
            Err(_) => self.rows.roll_back(),
        }
        result.map(|outcome| outcome.reply)
    }

    fn try_person(&mut self, function: &str, args: Value) -> Result<Value, CallError> {
        let person = PersonId::generate(START, [9; 10]);
        self.call(Caller::Person(person), function, args)
    }

    fn person(&mut self, function: &str, args: Value) -> Value {
        self.try_person(function, args).unwrap()
    }

    fn try_machine(&mut self, function: &str, args: Value) -> Result<Value, CallError> {
        self.call(Caller::Machine(self.token.clone()), function, args)
    }

    fn machine(&mut self, function: &str, args: Value) -> Value {
        self.try_machine(function, args).unwrap()
    }

    fn request(&mut self, operation: Value) -> String {
        let args = json!({ "machineId": self.machine, "operation": operation });
        let view = self.person("machine.command.request", args);
        view["command"]["id"].as_str().unwrap().to_owned()
    }

    fn refused(&mut self, operation: Value) -> CallError {
        let args = json!({ "machineId": self.machine, "operation": operation });
        self.try_person("machine.command.request", args)
            .unwrap_err()
    }

    fn make_directory(&mut self, path: &str) -> String {
        self.request(json!({ "kind": "make_directory", "path": path }))
    }

    fn list(&mut self, directory: &str) -> String {
        self.request(json!({ "kind": "list", "directory": directory }))
    }

    fn take(&mut self, id: &str) -> Value {
        self.machine("machine.command.take", json!({ "commandId": id }))
    }

    fn finish(&mut self, id: &str, outcome: &str, result: Value) {
        let args = json!({ "commandId": id, "outcome": outcome, "result": result });
        self.machine("machine.command.finish", args);
    }

    fn view(&mut self, id: &str) -> Value {
        self.person("machine.command.view", json!({ "commandId": id }))
    }

    fn state(&mut self, id: &str) -> String {
        self.view(id)["command"]["state"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn open(&mut self) -> Vec<Value> {
        let inbox = self.machine("machine.inbox", json!({}));
        inbox["commands"].as_array().unwrap().clone()
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        let entropy = Entropy {
            id: [0; 10],
            secret: [0; 32],
        };
        Backend::new(&mut self.rows, self.now, entropy)
            .tick()
            .unwrap();
        self.rows.commit();
    }
}

#[test]
fn a_command_goes_from_the_person_to_the_machine_and_back() {
    let mut world = World::new();
    let id = world.make_directory("a//b/./c");
    assert_eq!(world.state(&id), "queued");
    assert_eq!(world.open().len(), 1);

    let taken = world.take(&id);
    assert_eq!(taken["operation"]["path"], "a/b/c");
    assert_eq!(taken["attempt"], 1);
    assert_eq!(world.state(&id), "leased");
    assert_eq!(world.take(&id)["attempt"], 1, "taken once, heard twice");

    let progress =
        json!({ "commandId": id, "seq": 2, "progress": { "phase": "Now", "percent": 200 } });
    world.machine("machine.command.report", progress);
    let late = json!({ "commandId": id, "seq": 1, "progress": { "phase": "Before" } });
    world.machine("machine.command.report", late);
    let view = world.view(&id);
    assert_eq!(view["command"]["state"], "running");
    assert_eq!(view["command"]["progress"]["phase"], "Now");
    assert_eq!(view["command"]["progress"]["percent"], 100);

    world.finish(&id, "succeeded", json!({ "kind": "done" }));
    world.finish(&id, "failed", Value::Null);
    let view = world.view(&id);
    assert_eq!(view["command"]["state"], "succeeded");
    assert_eq!(view["result"]["kind"], "done");
    assert!(world.open().is_empty());

    world.wait(RESULT_KEPT_MS);
    assert_eq!(world.view(&id)["result"], Value::Null);
    world.wait(CHANGE_ACTIVITY_KEPT_MS);
    let gone = world.try_person("machine.command.view", json!({ "commandId": id }));
    assert_eq!(gone.unwrap_err().code, ErrorCode::NotFound);
    let left: Vec<String> = world
        .rows
        .iter()
        .map(|(key, _)| key.to_owned())
        .filter(|key| key.contains(&id))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn what_a_dead_process_had_taken_begins_again_and_the_dead_one_is_not_heard() {
    let mut world = World::new();
    let id = world.make_directory("a");
    world.take(&id);
    let dead = world.token.clone();
    world.start_process();
    let late = json!({ "commandId": id, "outcome": "succeeded" });
    let error = world
        .call(
            Caller::Machine(dead),
            "machine.command.finish",
            late.clone(),
        )
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::StaleEpoch);
    let untaken = world
        .try_machine("machine.command.finish", late)
        .unwrap_err();
    assert_eq!(untaken.code, ErrorCode::Conflict);
    assert_eq!(world.take(&id)["attempt"], 2);
    world.finish(&id, "succeeded", Value::Null);
    assert_eq!(world.state(&id), "succeeded");
}

#[test]
fn after_too_many_attempts_it_is_only_cleaned_up() {
    let mut world = World::new();
    let id = world.make_directory("a");
    for attempt in 1..=COMMAND_ATTEMPTS_MAX {
        let taken = world.take(&id);
        assert_eq!(taken["attempt"], attempt);
        assert_eq!(taken["cancelRequested"], false);
        world.start_process();
    }
    assert_eq!(world.take(&id)["cancelRequested"], true);
    world.finish(&id, "cancelled", Value::Null);
    let view = world.view(&id);
    assert_eq!(view["command"]["state"], "failed");
    assert_eq!(view["command"]["error"]["code"], "interrupted");
}

#[test]
fn a_waiting_command_is_cancelled_at_once_and_a_running_one_through_its_machine() {
    let mut world = World::new();
    let waiting = world.make_directory("a");
    world.person("machine.command.cancel", json!({ "commandId": waiting }));
    assert_eq!(world.state(&waiting), "cancelled");

    let running = world.make_directory("b");
    world.take(&running);
    world.person("machine.command.cancel", json!({ "commandId": running }));
    assert_eq!(world.state(&running), "leased");
    assert_eq!(world.open()[0]["cancelRequested"], true);
    // It was faster.
    world.finish(&running, "succeeded", Value::Null);
    world.person("machine.command.cancel", json!({ "commandId": running }));
    assert_eq!(world.state(&running), "succeeded");
}

#[test]
fn what_no_machine_comes_for_expires_and_what_was_begun_does_not() {
    let mut world = World::new();
    let (read, change) = (world.list(""), world.make_directory("a"));
    let begun = world.make_directory("b");
    world.take(&begun);
    world.wait(READ_COMMAND_LIFE_MS);
    assert_eq!(world.state(&read), "expired");
    assert_eq!(world.state(&change), "queued");
    world.wait(CHANGE_COMMAND_LIFE_MS);
    assert_eq!(world.state(&change), "expired");
    assert_eq!(world.state(&begun), "leased");
    assert_eq!(world.take(&change)["state"], "expired");
}

#[test]
fn whoever_reads_the_same_waits_for_the_same_command() {
    let mut world = World::new();
    let first = world.list("a");
    assert_eq!(world.list("a"), first);
    assert_ne!(world.list("b"), first);
    assert_ne!(world.make_directory("a"), world.make_directory("a"));
    world.take(&first);
    world.finish(
        &first,
        "succeeded",
        json!({ "kind": "listing", "entries": [], "total": 0 }),
    );
    assert_ne!(world.list("a"), first);
}

#[test]
fn too_many_waiting_commands_are_refused() {
    let mut world = World::new();
    for n in 0..OPEN_COMMANDS_MAX {
        world.make_directory(&format!("d{n}"));
    }
    let error = world.refused(json!({ "kind": "make_directory", "path": "more" }));
    assert_eq!(error.code, ErrorCode::LimitReached);
}

#[test]
fn the_last_listing_is_kept_and_the_oldest_are_forgotten() {
    let mut world = World::new();
    let directory = |world: &mut World, directory: &str| {
        let args = json!({ "machineId": world.machine, "directory": directory });
        world.person("machine.directory", args)
    };
    assert_eq!(directory(&mut world, "")["asOf"], Value::Null);
    let listing = json!({ "kind": "listing", "entries": [{ "name": "src", "kind": "directory" }], "total": 1 });
    let id = world.list("");
    assert_eq!(directory(&mut world, "")["command"]["state"], "queued");
    world.take(&id);
    world.finish(&id, "succeeded", listing.clone());
    let view = directory(&mut world, "");
    assert_eq!(view["listing"]["entries"][0]["name"], "src");
    assert_eq!(view["asOf"], world.now.as_ms());

    // A later one that fails does not take away what is known.
    let failing = world.list("");
    world.take(&failing);
    world.finish(&failing, "failed", Value::Null);
    let view = directory(&mut world, "");
    assert_eq!(view["listing"]["total"], 1);
    assert_eq!(view["command"]["state"], "failed");

    for n in 0..KEPT_LISTINGS_MAX {
        world.wait(1);
        let id = world.list(&format!("d{n}"));
        world.take(&id);
        world.finish(&id, "succeeded", listing.clone());
    }
    assert_eq!(directory(&mut world, "")["listing"], Value::Null);
    assert_eq!(directory(&mut world, "d0")["listing"]["total"], 1);
    let kept = world.rows.iter();
    let kept = kept.filter(|(key, _)| key.starts_with("directory/"));
    assert_eq!(kept.count(), KEPT_LISTINGS_MAX);
}

#[test]
fn the_activity_has_changes_by_itself_and_everything_on_demand() {
    let mut world = World::new();
    for n in 0..=ACTIVITY_PAGE_COMMANDS {
        world.wait(1);
        world.make_directory(&format!("d{n}"));
        world.list(&format!("d{n}"));
        if n == ACTIVITY_PAGE_COMMANDS / 2 {
            // Make room for more.
            for open in world.open() {
                let id = open["id"].as_str().unwrap().to_owned();
                world.take(&id);
                world.finish(&id, "succeeded", json!({ "kind": "done" }));
            }
        }
    }
    let args = json!({ "machineId": world.machine });
    let first = world.person("machine.activity", args);
    let commands = first["commands"].as_array().unwrap();
    assert_eq!(commands.len(), ACTIVITY_PAGE_COMMANDS);
    assert_eq!(first["hasEarlier"], true);
    assert!(
        commands
            .iter()
            .all(|command| command["operation"]["kind"] == "make_directory")
    );
    let last = &commands[ACTIVITY_PAGE_COMMANDS - 1]["id"];
    let args = json!({ "machineId": world.machine, "before": last });
    let second = world.person("machine.activity", args);
    assert_eq!(second["commands"].as_array().unwrap().len(), 1);
    assert_eq!(second["commands"][0]["operation"]["path"], "d0");
    assert_eq!(second["hasEarlier"], false);
    let args = json!({ "machineId": world.machine, "reads": true });
    let all = world.person("machine.activity", args);
    assert_eq!(all["commands"][0]["operation"]["kind"], "list");
}

#[test]
fn only_what_was_trashed_here_can_be_restored() {
    let mut world = World::new();
    let trashed = world.request(json!({ "kind": "trash", "path": "a/b" }));
    let restore = json!({ "kind": "restore", "trashed": trashed });
    assert_eq!(world.refused(restore.clone()).code, ErrorCode::NotFound);
    world.take(&trashed);
    world.finish(&trashed, "succeeded", Value::Null);
    let id = world.request(restore);
    assert_eq!(world.view(&id)["command"]["operation"]["path"], "a/b");
    let other = world.make_directory("x");
    let wrong = json!({ "kind": "restore", "trashed": other });
    assert_eq!(world.refused(wrong).code, ErrorCode::NotFound);
}

#[test]
fn bad_operations_are_refused_before_anybody_sees_them() {
    let mut world = World::new();
    for (operation, says) in [
        (
            json!({ "kind": "list", "directory": "../.." }),
            "leads upwards",
        ),
        (json!({ "kind": "list", "directory": "/etc" }), "absolute"),
        (
            json!({ "kind": "read_file", "path": "a\u{0}b" }),
            "control characters",
        ),
        (json!({ "kind": "trash", "path": "./" }), "root itself"),
        (
            json!({ "kind": "make_directory", "path": "a/".repeat(2_100) }),
            "is the limit",
        ),
        (json!({ "kind": "format_disk" }), "does not know"),
        (
            json!({ "kind": "clone", "url": "--upload-pack=x", "path": "a" }),
            "dash",
        ),
        (
            json!({ "kind": "clone", "url": "https://a.b/c\nd", "path": "a" }),
            "line break",
        ),
        (
            json!({ "kind": "clone", "url": "https://me:secret@a.b/c", "path": "a" }),
            "password",
        ),
        (
            json!({ "kind": "clone", "url": "x".repeat(3_000), "path": "a" }),
            "longer than",
        ),
    ] {
        let error = world.refused(operation.clone());
        assert!(error.message.contains(says), "{operation}: {error}");
    }
    for url in [
        "https://me@a.b/c",
        "git@a.b:c.git",
        "ssh://git@a.b:22/c",
        "https://a.b:443/c@d:e",
    ] {
        world.request(json!({ "kind": "clone", "url": url, "path": "a" }));
    }
}

#[test]
fn a_revoked_machine_leaves_nothing_waiting() {
    let mut world = World::new();
    let (waiting, running) = (world.make_directory("a"), world.make_directory("b"));
    world.take(&running);
    let machine = world.machine.clone();
    world.person("machine.revoke", json!({ "machineId": machine }));
    for id in [waiting, running] {
        assert_eq!(world.state(&id), "cancelled");
    }
    let error = world.refused(json!({ "kind": "make_directory", "path": "c" }));
    assert_eq!(error.code, ErrorCode::Revoked);
}
