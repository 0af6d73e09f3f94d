mod command;
mod schedule;
mod transcript;
mod worktree;
mod world;

use serde_json::{Value, json};

use super::*;
use crate::ids::PersonId;
use crate::limits::{LEASE_MS, REGISTRATION_KEY_LIFE_MS};

const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);

fn entropy(n: u8) -> Entropy {
    Entropy {
        id: [n; 10],
        secret: [n; 32],
    }
}

fn owner() -> PersonId {
    PersonId::generate(START, [9; 10])
}

fn create_machine(rows: &mut MemoryRows, now: Timestamp) -> Value {
    let request = Request {
        function: CreateMachine::NAME,
        args: json!({ "name": "box" }),
        key: Some(IdempotencyKey::generate(START, [1; 10])),
        caller: Caller::Person(owner()),
    };
    let outcome = Backend::new(rows, now, entropy(3)).call(&request).unwrap();
    rows.commit();
    outcome.reply
}

#[test]
fn a_registration_key_is_nowhere_in_storage_once_it_has_expired() {
    let mut rows = MemoryRows::default();
    let reply = create_machine(&mut rows, START);
    let key = reply["registrationKey"].as_str().unwrap().to_owned();
    assert_eq!(
        create_machine(&mut rows, START.plus_ms(1))["registrationKey"],
        key
    );
    let later = START.plus_ms(REGISTRATION_KEY_LIFE_MS);
    Backend::new(&mut rows, later, entropy(4)).tick().unwrap();
    let holds = |(_, value): &(&str, &[u8])| String::from_utf8_lossy(value).contains(&key);
    assert_eq!(rows.iter().find(holds), None);
}

#[test]
fn a_deadline_that_can_not_be_met_does_not_hold_the_others_up() {
    let mut rows = MemoryRows::default();
    create_machine(&mut rows, START);
    // The row of the machine's key is damaged; its deadline comes first.
    let key = rows
        .iter()
        .map(|(key, _)| key.to_owned())
        .find(|key| key.starts_with("machine.key/"));
    rows.put(&key.unwrap(), b"damaged").unwrap();
    let later = START.plus_ms(2 * IDEMPOTENCY_LIFE_MS);
    let outcome = Backend::new(&mut rows, later, entropy(4)).tick().unwrap();
    assert_eq!(
        outcome.reply.as_array().map(Vec::len),
        Some(1),
        "{:?}",
        outcome.reply
    );
    assert_eq!(
        Backend::new(&mut rows, later, entropy(4))
            .next_deadline()
            .unwrap(),
        None
    );
}

#[test]
fn a_sign_of_life_that_comes_after_the_goodbye_changes_nothing() {
    let mut world = world::World::new();
    world.machine("machine.disconnect", json!({}));
    world.machine("machine.heartbeat", json!({ "draining": true }));
    let list = world.person("machine.list", json!({}));
    assert_eq!(list["machines"][0]["presence"]["state"], "offline");
    world.start_process();
    world.machine("machine.heartbeat", json!({}));
    let list = world.person("machine.list", json!({}));
    assert_eq!(list["machines"][0]["presence"]["state"], "online");
}

#[test]
fn a_lease_of_before_the_clock_was_set_back_is_no_sign_of_life() {
    const HOUR_MS: u64 = 60 * 60 * 1_000;
    let mut world = world::World::new();
    let presence = |world: &mut world::World| {
        let list = world.person("machine.list", json!({}));
        list["machines"][0]["presence"]["state"].clone()
    };
    world.now = Timestamp::from_ms(world.now.as_ms() - HOUR_MS);
    assert_eq!(presence(&mut world), "unknown");
    world.machine("machine.heartbeat", json!({}));
    assert_eq!(presence(&mut world), "online");
    let first = Backend::new(&mut world.rows, world.now, entropy(4)).next_deadline();
    assert_eq!(first.unwrap(), Some(world.now.plus_ms(LEASE_MS)));
    world.wait(LEASE_MS);
    assert_eq!(presence(&mut world), "unknown");
}

#[test]
fn a_backend_that_begins_anew_waits_for_each_machines_sign_of_life() {
    const HOUR_MS: u64 = 60 * 60 * 1_000;
    let mut world = world::World::new();
    let presence = |world: &mut world::World| {
        let list = world.person("machine.list", json!({}));
        list["machines"][0]["presence"].clone()
    };
    assert_eq!(presence(&mut world)["state"], "online");
    world.now = Timestamp::from_ms(world.now.as_ms() - HOUR_MS);
    let begun = Backend::new(&mut world.rows, world.now, entropy(4))
        .begin()
        .unwrap();
    world.rows.commit();
    assert!(
        begun
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Changed(Topic::Machines(_)))),
        "watchers are told"
    );
    let lost = json!({ "state": "unknown", "since": world.now.as_ms() });
    assert_eq!(presence(&mut world), lost, "and never since a time to come");
    // Also when the time in which the lease was given comes again.
    world.now = world.now.plus_ms(HOUR_MS);
    assert_eq!(presence(&mut world), lost);
    world.machine("machine.heartbeat", json!({}));
    assert_eq!(presence(&mut world)["state"], "online");
}

#[test]
fn no_chat_session_starts_on_a_revoked_machine() {
    let mut world = world::World::new();
    let args = json!({ "machineId": world.machine, "directory": "repo" });
    let worker = world.person("worker.register", args);
    let machine = json!({ "machineId": world.machine });
    world.person("machine.revoke", machine);
    let start = json!({ "workerId": worker["id"] });
    let error = world
        .try_person("worker.chat.startSession", start)
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Revoked);
}

#[test]
fn the_order_of_members_does_not_make_another_request() {
    let one = serde_json::from_str(r#"{"a":[{"x":1,"y":2}],"b":null}"#).unwrap();
    let other = serde_json::from_str(r#"{"b":null,"a":[{"y":2,"x":1}]}"#).unwrap();
    assert_eq!(request_hash("f", &one), request_hash("f", &other));
    let swapped = serde_json::from_str(r#"{"b":null,"a":[{"y":1,"x":2}]}"#).unwrap();
    assert_ne!(request_hash("f", &one), request_hash("f", &swapped));
}

#[test]
fn registering_again_with_the_same_nonce_gives_the_same_credentials_until_the_first_connection() {
    let mut world = world::World::new();
    let created = world.person("machine.create", json!({ "name": "second" }));
    let key = &created["registrationKey"];
    let args = json!({ "registrationKey": key, "nonce": "mine" });
    let first = world
        .call(Caller::Anyone, "machine.register", args.clone())
        .unwrap();
    let again = world
        .call(Caller::Anyone, "machine.register", args.clone())
        .unwrap();
    assert_eq!(first, again);
    let secret = first["secret"].as_str().unwrap();
    let holds = |(_, value): &(&str, &[u8])| String::from_utf8_lossy(value).contains(secret);
    assert_eq!(world.rows.iter().find(holds), None);
    for other in [
        json!({ "registrationKey": key, "nonce": "another" }),
        json!({ "registrationKey": key }),
    ] {
        let error = world
            .call(Caller::Anyone, "machine.register", other)
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::Expired);
    }
    let connect =
        json!({ "machineId": first["machineId"], "secret": first["secret"], "wireVersion": 1 });
    world
        .call(Caller::Anyone, "machine.connect", connect)
        .unwrap();
    let error = world
        .call(Caller::Anyone, "machine.register", args)
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Expired);
}

#[test]
fn one_call_makes_as_many_ids_as_it_needs() {
    let mut rows = MemoryRows::default();
    let mut backend = Backend::new(&mut rows, START, entropy(255));
    let ids: std::collections::BTreeSet<CommandId> = (0..70_000)
        .map(|_| CommandId::generate(START, backend.next_id_entropy()))
        .collect();
    assert_eq!(ids.len(), 70_000);
}
