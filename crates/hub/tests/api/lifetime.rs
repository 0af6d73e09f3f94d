//! Starting, stopping, and what happens by itself in between.

use std::time::Duration;

use hub::{Hub, HubConfig, StartError};
use protocol::{
    ErrorCode,
    limits::{ASK_LIFE_MS, LEASE_MS},
};
use serde_json::{Value, json};

use crate::support::{TestHub, text};

#[tokio::test]
async fn a_restart_keeps_everything() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let chat = test.chat(&machine).await;
    let turn = test.turn(&machine, &chat).await;
    let browser = test.browser().await;
    let view = json!({ "chatSessionId": chat });
    let before = test.owner().call("worker.chat.view", view.clone()).await;
    let cookie = browser
        .header("cookie")
        .split_once('=')
        .expect("a value")
        .1
        .to_owned();

    let test = test.restart().await;
    assert_eq!(test.owner().call("worker.chat.view", view).await, before);
    let name = format!("orchestrator_session_{}", test.hub.addr().port());
    let me = test
        .cookie(&format!("{name}={cookie}"))
        .get("/v1/auth/me")
        .await;
    assert_eq!(me.status, 200, "{}", me.body);
    let connection = test.bearer(
        machine
            .caller
            .header("authorization")
            .trim_start_matches("Bearer "),
    );
    connection.call("machine.heartbeat", json!({})).await;
    let taken = connection
        .call("worker.chat.takeTurn", json!({ "turnId": turn }))
        .await;
    assert_eq!(taken["message"], "Hello");
    let again = test.connect(&machine.id, &machine.secret).await;
    assert_eq!(again.epoch, machine.epoch + 1);
}

#[tokio::test]
async fn a_lease_ends_by_itself() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let mut list = test
        .owner()
        .watch(&[("machine.list", json!({}))])
        .await
        .expect("a watch");
    let state = |list: &Value| text(&list["machines"][0]["presence"]["state"]);
    list.until(|list| state(list) == "online").await;
    test.clock.advance(Duration::from_millis(LEASE_MS - 1));
    machine.caller.call("machine.heartbeat", json!({})).await;
    test.clock.advance(Duration::from_millis(LEASE_MS - 1));
    // Both moments of the first lease have passed; the heartbeat holds.
    let now = test.owner().call("machine.list", json!({})).await;
    assert_eq!(state(&now), "online");
    test.clock.advance(Duration::from_millis(1));
    list.until(|list| state(list) == "unknown").await;
}

#[tokio::test]
async fn a_jump_over_several_deadlines_meets_them_all() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let chat = test.chat(&machine).await;
    let turn = test.turn(&machine, &chat).await;
    for agent_ask in 0..50 {
        let body = json!({ "kind": "permission", "permission": "bash", "patterns": [] });
        let ask = json!({ "turnId": turn, "agentAskId": agent_ask.to_string(), "body": body });
        machine.caller.call("worker.chat.openAsk", ask).await;
    }
    let mut view = test
        .owner()
        .watch(&[("worker.chat.view", json!({ "chatSessionId": chat }))])
        .await
        .expect("a watch");
    view.until(|view| view["asks"].as_array().map(Vec::len) == Some(50))
        .await;
    test.clock.advance(Duration::from_millis(10 * ASK_LIFE_MS));
    view.until(|view| view["asks"].as_array().map(Vec::len) == Some(0))
        .await;
}

#[tokio::test]
async fn a_deadline_that_passed_while_the_hub_was_down_is_met_when_it_starts() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let chat = test.chat(&machine).await;
    let turn = test.turn(&machine, &chat).await;
    let body = json!({ "kind": "permission", "permission": "bash", "patterns": [] });
    machine
        .caller
        .call(
            "worker.chat.openAsk",
            json!({ "turnId": turn, "agentAskId": "a", "body": body }),
        )
        .await;
    test.hub.shutdown().await;
    test.clock.advance(Duration::from_millis(2 * ASK_LIFE_MS));
    let hub = Hub::start(HubConfig {
        clock: test.clock.clock(),
        ..HubConfig::new(test.directory.path().join("data"))
    })
    .await
    .expect("starts");
    let test = TestHub { hub, ..test };
    let mut view = test
        .owner()
        .watch(&[("worker.chat.view", json!({ "chatSessionId": chat }))])
        .await
        .expect("a watch");
    view.until(|view| view["asks"] == json!([])).await;
}

#[tokio::test]
async fn stopping_ends_live_connections_and_notes_the_machines_as_unknown() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let mut inbox = machine
        .caller
        .watch(&[("machine.inbox", json!({}))])
        .await
        .expect("a watch");
    inbox.value().await;
    let mut list = test
        .owner()
        .watch(&[("machine.list", json!({}))])
        .await
        .expect("a watch");
    list.value().await;
    let test = test.restart().await;
    assert!(inbox.next().await.is_none() && list.next().await.is_none());
    let list = test.owner().call("machine.list", json!({})).await;
    assert_eq!(list["machines"][0]["presence"]["state"], "unknown");
}

#[tokio::test]
async fn a_machine_that_the_last_process_knew_counts_as_lost_until_it_is_heard() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    machine.caller.call("machine.heartbeat", json!({})).await;
    let list = test.owner().call("machine.list", json!({})).await;
    assert_eq!(list["machines"][0]["presence"]["state"], "online");
    let test = test.restart().await;
    let list = test.owner().call("machine.list", json!({})).await;
    assert_eq!(list["machines"][0]["presence"]["state"], "unknown");
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_start_is_said() {
    let test = TestHub::start().await;
    let second = Hub::start(HubConfig::new(test.directory.path().join("data"))).await;
    assert!(matches!(second, Err(StartError::Open(_))), "{second:?}");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let taken = Hub::start(HubConfig {
        listen: test.hub.addr(),
        ..HubConfig::new(elsewhere.path().join("data"))
    });
    let taken = taken.await.expect_err("taken");
    assert!(taken.to_string().contains("choose another port"), "{taken}");
    let public = Hub::start(HubConfig {
        public_url: Some("hub.example.org".to_owned()),
        ..HubConfig::new(elsewhere.path().join("other"))
    });
    assert!(matches!(public.await, Err(StartError::PublicUrl(_))));
    assert!(
        !elsewhere.path().join("other").exists(),
        "a wrong setting leaves nothing behind"
    );
    let error = test
        .owner()
        .refused(
            "machine.view",
            json!({ "machineId": "mch_00000000000000000000000000" }),
        )
        .await;
    assert_eq!(error, ErrorCode::NotFound, "the first one goes on");
}

#[tokio::test]
async fn a_schedule_fires_by_itself_and_after_a_restart_catches_up_with_what_it_missed() {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let owner = test.owner();
    let worker = json!({ "machineId": machine.id, "directory": "a" });
    let worker = owner.call("worker.register", worker).await;
    let when = json!({ "kind": "cron", "expression": "30 * * * *", "zone": "UTC" });
    let spec = json!({ "name": "s", "when": when, "prompt": "Look.", "overlap": "parallel" });
    let create = json!({ "workerId": worker["id"], "spec": spec });
    let made = owner.call("schedule.create", create).await;
    let id = json!({ "scheduleId": made["schedule"]["id"] });
    let mut view = owner
        .watch(&[("schedule.view", id.clone())])
        .await
        .expect("a watch");
    let ran = |count: usize| {
        move |view: &Value| {
            let runs = view["runs"].as_array().map_or(0, Vec::len);
            runs == count && view["runs"][0]["state"] == "queued"
        }
    };
    // Nobody asks for anything: the timer does it.
    test.clock.advance(HOUR);
    let fired = view.until(ran(1)).await;
    let due = fired["runs"][0]["dueAt"].as_u64().expect("an instant");
    assert_eq!(due % 3_600_000, 1_800_000);
    let mut inbox = machine
        .caller
        .watch(&[("machine.inbox", json!({}))])
        .await
        .expect("a watch");
    let chats = inbox.value().await["chats"].clone();
    assert_eq!(chats[0]["turn"]["id"], fired["runs"][0]["turnId"]);

    let test = test.restart_after(3 * HOUR).await;
    let mut view = test
        .owner()
        .watch(&[("schedule.view", id)])
        .await
        .expect("a watch");
    let view = view.until(ran(4)).await;
    let states: Vec<_> = view["runs"]
        .as_array()
        .expect("runs")
        .iter()
        .map(|run| (run["dueAt"].as_u64(), text(&run["state"])))
        .collect();
    let at = |hours: u64, state: &str| (Some(due + hours * 3_600_000), state.to_owned());
    assert_eq!(
        states,
        [
            at(3, "queued"),
            at(2, "missed"),
            at(1, "missed"),
            at(0, "queued")
        ]
    );
}
