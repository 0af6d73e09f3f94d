//! Commands: the rules of their whole life.

use serde_json::{Value, json};

use super::world::World;
use crate::backend::Caller;
use crate::error::ErrorCode;
use crate::limits::{
    ACTIVITY_PAGE_COMMANDS, CHANGE_ACTIVITY_KEPT_MS, CHANGE_COMMAND_LIFE_MS, COMMAND_ATTEMPTS_MAX,
    KEPT_LISTINGS_MAX, OPEN_COMMANDS_MAX, READ_COMMAND_LIFE_MS, RESULT_KEPT_MS,
};

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
            json!({ "kind": "clone", "url": "nonsense", "path": "a" }),
            "begins with https:// or ssh://.",
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
