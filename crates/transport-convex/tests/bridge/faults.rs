//! What a network does to calls and watches. The official client sends a mutation again whose answer is lost; what
//! is in the tables afterwards must be there once.

use std::time::{Duration, Instant};

use futures::StreamExt;
use protocol::functions::{Connect, CreateMachine, RegisterMachine};
use protocol::secret::Secret;
use protocol::wire::{
    ConnectArgs, ConnectReply, CreateMachineArgs, MachineCredentials, MachineList,
    RegisterMachineArgs, WIRE_VERSION,
};
use serde_json::{Value, json};
use transport::{Transport, TransportError, new_secret};

use crate::support::{Bridge, ask, call, until, within};

async fn create(transport: &dyn Transport, bridge: &Bridge, name: &str) -> Secret {
    let args = CreateMachineArgs {
        name: name.to_owned(),
    };
    let owner = bridge.owner();
    ask::<CreateMachine>(transport, args, Some(&owner))
        .await
        .registration_key
}

async fn register(transport: &dyn Transport, registration_key: Secret) -> MachineCredentials {
    let args = RegisterMachineArgs {
        registration_key,
        nonce: Some(new_secret("omn")),
        info: Default::default(),
    };
    ask::<RegisterMachine>(transport, args, None).await
}

async fn connect(transport: &dyn Transport, machine: &MachineCredentials) -> ConnectReply {
    let args = ConnectArgs {
        machine_id: machine.machine_id.clone(),
        secret: machine.secret.clone(),
        wire_version: WIRE_VERSION,
        nonce: Some(new_secret("omn")),
        info: Default::default(),
    };
    ask::<Connect>(transport, args, None).await
}

fn names(list: &MachineList) -> Vec<&str> {
    let mut names: Vec<&str> = list
        .machines
        .iter()
        .map(|machine| machine.name.as_str())
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_there_once() {
    let bridge = Bridge::start().await;
    let transport = bridge.transport();
    for when in ["after", "before"] {
        let drop = |function: &str| {
            bridge.control(
                "drop",
                json!({ "when": when, "function": function, "times": 2 }),
            )
        };
        drop("machine:create").await;
        let key = create(transport.as_ref(), &bridge, when).await;
        drop("machine:register").await;
        let machine = register(transport.as_ref(), key).await;
        drop("machine:connect").await;
        let connection = connect(transport.as_ref(), &machine).await;
        assert_eq!(
            connection.epoch, 1,
            "{when}: the same connection, not another one"
        );
        // The credentials that came are those that hold.
        let inbox = call(
            "machine.inbox",
            json!({}),
            Some(connection.connection_token),
        );
        within(transport.call(inbox)).await.unwrap();
    }
    assert_eq!(bridge.table("machines").await.len(), 2);
    assert_eq!(bridge.table("credentials").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_after_cuts_and_restarts() {
    let bridge = Bridge::start().await;
    let transport = bridge.transport();
    let mut machines = transport.watch("machine.list", json!({}), Some(bridge.owner()));
    until(&mut machines, |list: &MachineList| list.machines.is_empty()).await;
    bridge.control("cut", json!({})).await;
    // By somebody else, so that only the watch can tell.
    let other = bridge.transport();
    create(other.as_ref(), &bridge, "a").await;
    until(&mut machines, |list| names(list) == ["a"]).await;
    bridge.control("restart", json!({ "ms": 300 })).await;
    create(other.as_ref(), &bridge, "b").await;
    until(&mut machines, |list| names(list) == ["a", "b"]).await;
    assert_eq!(bridge.table("machines").await.len(), 2);
}

/// The client says every value again when it connects anew; the watch does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_changes_and_nothing_else() {
    let bridge = Bridge::start().await;
    let transport = bridge.transport();
    create(transport.as_ref(), &bridge, "a").await;
    let mut machines = transport.watch("machine.list", json!({}), Some(bridge.owner()));
    until(&mut machines, |list| names(list) == ["a"]).await;
    for _ in 0..3 {
        bridge.control("cut", json!({})).await;
        // Answered on the connection that came after the cut.
        let list = call("machine.list", json!({}), Some(bridge.owner()));
        while within(transport.call(list.clone())).await.is_err() {}
    }
    create(transport.as_ref(), &bridge, "b").await;
    let next: Value = within(machines.next()).await.unwrap().unwrap();
    let next: MachineList = serde_json::from_value(next).unwrap();
    assert_eq!(names(&next), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_gets_through_calls_and_watches_are_lost_and_later_they_work() {
    let bridge = Bridge::start().await;
    let transport = bridge.transport();
    let list = || call("machine.list", json!({}), Some(bridge.owner()));
    transport.call(list()).await.unwrap();
    let mut machines = transport.watch("machine.list", json!({}), Some(bridge.owner()));
    until(&mut machines, |_: &MachineList| true).await;
    bridge.control("refuse", json!({})).await;
    let begun = Instant::now();
    let create = call(
        "machine.create",
        json!({ "name": "box" }),
        Some(bridge.owner()),
    );
    let (called, watched) = tokio::join!(within(transport.call(create)), within(machines.next()));
    assert!(matches!(called, Err(TransportError::Lost(_))), "{called:?}");
    assert!(
        matches!(watched, Some(Err(TransportError::Lost(_)))),
        "{watched:?}"
    );
    assert!(
        within(machines.next()).await.is_none(),
        "a watch ends with its first error"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "each call has a limit"
    );
    bridge.control("clear", json!({})).await;
    // The client with the unanswered call is gone, and the call with it.
    let found: MachineList =
        serde_json::from_value(within(transport.call(list())).await.unwrap()).unwrap();
    assert!(found.machines.is_empty(), "{found:?}");
}

/// The one slow test: a call's limit has to pass.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_an_answer_ends_and_what_ran_beside_it_goes_on() {
    let bridge = Bridge::start().await;
    let transport = bridge.transport();
    let mut machines = transport.watch("machine.list", json!({}), Some(bridge.owner()));
    until(&mut machines, |_: &MachineList| true).await;
    bridge
        .control(
            "delay",
            json!({ "ms": 600_000, "function": "machine:create" }),
        )
        .await;
    let held = call(
        "machine.create",
        json!({ "name": "a" }),
        Some(bridge.owner()),
    );
    let lost = within(transport.call(held.clone())).await.unwrap_err();
    assert!(
        matches!(&lost, TransportError::Lost(why) if why.contains("15 s")),
        "{lost}"
    );
    bridge.control("clear", json!({})).await;
    // The watch has moved to a new connection.
    within(transport.call(held)).await.unwrap();
    let other = bridge.transport();
    create(other.as_ref(), &bridge, "b").await;
    until(&mut machines, |list| names(list) == ["a", "b"]).await;
}
