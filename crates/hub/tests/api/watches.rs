//! Watches: level-triggered, scoped, cut when the credential ends, and the sign that a machine is there.

use futures::future::join_all;
use protocol::ErrorCode;
use serde_json::{Value, json};

use crate::support::{Machine, TestHub, encode, text};

#[tokio::test]
async fn the_end_of_an_inbox_watch_shows_at_once() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let mut view = test
        .owner()
        .watch(&[("machine.view", json!({ "machineId": machine.id }))])
        .await
        .expect("a watch");
    let presence =
        |state: &'static str| move |view: &Value| view["machine"]["presence"]["state"] == state;
    view.until(presence("online")).await;
    let mut inbox = machine
        .caller
        .watch(&[("machine.inbox", json!({}))])
        .await
        .expect("a watch");
    inbox.value().await;
    // The clock stands: it is not the lease that ends.
    drop(inbox);
    view.until(presence("unknown")).await;
    let mut back = machine
        .caller
        .watch(&[("machine.inbox", json!({}))])
        .await
        .expect("a watch");
    back.value().await;
    view.until(presence("online")).await;

    let mut second = machine
        .caller
        .watch(&[("machine.inbox", json!({}))])
        .await
        .expect("a watch");
    second.value().await;
    drop(back);
    machine
        .caller
        .call("machine.heartbeat", json!({ "draining": true }))
        .await;
    let next = view.until(|view| !presence("online")(view)).await;
    assert_eq!(
        next["machine"]["presence"]["state"], "draining",
        "one of two is no loss"
    );
    drop(second);
    view.until(presence("unknown")).await;
}

#[tokio::test]
async fn a_slow_reader_gets_the_newest_value_and_not_every_one() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let owner = test.owner();
    let mut view = owner
        .watch(&[("machine.view", json!({ "machineId": machine.id }))])
        .await
        .expect("a watch");
    view.value().await;
    let renames = 300;
    join_all((0..renames).map(|index| {
        let name = format!("{index:03}{}", "x".repeat(60));
        owner.call(
            "machine.rename",
            json!({ "machineId": machine.id, "name": name }),
        )
    }))
    .await;
    owner
        .call(
            "machine.rename",
            json!({ "machineId": machine.id, "name": "last" }),
        )
        .await;
    let mut values = 1;
    while view.value().await["machine"]["name"] != "last" {
        values += 1;
    }
    assert!(values < renames, "{values} values");
}

#[tokio::test]
async fn a_value_is_sent_when_it_differs_only() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let owner = test.owner();
    let list = ("machine.list", json!({}));
    let mut watch = owner.watch(&[list]).await.expect("a watch");
    let name = |name: &str| json!({ "machineId": machine.id, "name": name });
    assert_eq!(watch.value().await["machines"][0]["name"], "a machine");
    // The topic changes three times, the value once.
    owner.call("machine.rename", name("a machine")).await;
    owner.call("machine.rename", name("a machine")).await;
    owner.call("machine.rename", name("b")).await;
    assert_eq!(watch.value().await["machines"][0]["name"], "b");
}

#[tokio::test]
async fn many_watches_share_a_connection() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let chat = test.chat(&machine).await;
    let missing = "cht_00000000000000000000000000";
    let wanted = [
        ("machine.list", json!({})),
        ("machine.view", json!({ "machineId": machine.id })),
        ("worker.chat.view", json!({ "chatSessionId": chat })),
        ("worker.chat.view", json!({ "chatSessionId": missing })),
    ];
    let owner = test.owner();
    let mut events = owner.watch(&wanted).await.expect("a connection");
    let mut seen = Vec::new();
    for _ in 0..wanted.len() {
        let (event, data) = events.next().await.expect("an event");
        seen.push((text(&data["id"]), event));
    }
    seen.sort();
    let expected = [
        ("0", "value"),
        ("1", "value"),
        ("2", "value"),
        ("3", "error"),
    ];
    assert_eq!(
        seen,
        expected.map(|(id, event)| (id.to_owned(), event.to_owned()))
    );
    // The others go on.
    owner
        .call(
            "worker.chat.renameSession",
            json!({ "chatSessionId": chat, "title": "new" }),
        )
        .await;
    loop {
        let (_, data) = events.next().await.expect("an event");
        if data["id"] == "2" && data["value"]["chat"]["title"] == "new" {
            break;
        }
    }
}

#[tokio::test]
async fn what_is_no_list_of_watches_is_refused() {
    let test = TestHub::start().await;
    let owner = test.owner();
    let watch = |id: &str| json!({ "id": id, "function": "machine.list", "args": {} });
    let many: Vec<_> = (0..33).map(|id| watch(&id.to_string())).collect();
    let bad = [
        String::new(),
        "?watches=".to_owned(),
        "?watches=%7B".to_owned(),
        format!("?watches={}", encode(&Value::from(many).to_string())),
        format!(
            "?watches={}",
            encode(&json!([watch("a"), watch("a")]).to_string())
        ),
        format!("?watches={}", encode(&json!([watch("")]).to_string())),
        "?watches=[]".to_owned(),
        format!("?watches={}", "[".repeat(5_000)),
    ];
    for query in bad {
        let refused = owner
            .events(&format!("/v1/watch{query}"))
            .await
            .err()
            .expect("refused");
        assert_eq!(refused.error().code, ErrorCode::Invalid, "{query}");
    }
}

#[tokio::test]
async fn a_connection_that_nobody_uses_cuts_no_inbox_and_one_that_takes_effect_keeps_its_own() {
    let test = TestHub::start().await;
    let old = test.connected().await;
    let inbox_of = async |machine: &Machine| {
        let inbox = [("machine.inbox", json!({}))];
        machine.caller.watch(&inbox).await.expect("a watch")
    };
    let mut inbox = inbox_of(&old).await;
    assert_eq!(inbox.value().await["epoch"], 1);
    let new = test.hand_out(&old.id, &old.secret).await;
    let mut waiting = inbox_of(&new).await;
    assert_eq!(waiting.value().await["epoch"], 2);
    // Neither its watch nor the end of one says anything of the machine.
    drop(inbox_of(&new).await);
    old.caller.call("machine.heartbeat", json!({})).await;
    let worker = |directory| json!({ "machineId": old.id, "directory": directory });
    let owner = test.owner();
    owner.call("worker.register", worker("a")).await;
    assert_eq!(inbox.value().await["workers"][0]["directory"], "a");
    assert_eq!(waiting.value().await["workers"][0]["directory"], "a");

    new.caller.call("machine.heartbeat", json!({})).await;
    assert_eq!(inbox.error().await, "stale_epoch");
    assert!(inbox.next().await.is_none(), "the connection ends");
    owner.call("worker.register", worker("b")).await;
    let workers = waiting.value().await["workers"].as_array().map(Vec::len);
    assert_eq!(workers, Some(2));
    let mut list = owner
        .watch(&[("machine.list", json!({}))])
        .await
        .expect("a watch");
    let state = |list: &Value| text(&list["machines"][0]["presence"]["state"]);
    list.until(|list| state(list) == "online").await;
    drop(waiting);
    list.until(|list| state(list) == "unknown").await;
}

#[tokio::test]
async fn a_newer_connection_and_a_revocation_cut_the_inbox() {
    let test = TestHub::start().await;
    let old = test.connected().await;
    let mut inbox = old
        .caller
        .watch(&[("machine.inbox", json!({}))])
        .await
        .expect("a watch");
    inbox.value().await;
    let new = test.connect(&old.id, &old.secret).await;
    assert_eq!(inbox.error().await, "stale_epoch");
    assert!(inbox.next().await.is_none(), "the connection ends");
    let mut inbox = new
        .caller
        .watch(&[("machine.inbox", json!({}))])
        .await
        .expect("a watch");
    inbox.value().await;
    test.owner()
        .call("machine.revoke", json!({ "machineId": new.id }))
        .await;
    assert_eq!(inbox.error().await, "revoked");
    assert!(inbox.next().await.is_none(), "the connection ends");
    let refused = new
        .caller
        .watch(&[("machine.inbox", json!({}))])
        .await
        .err()
        .expect("refused");
    assert_eq!(refused.error().code, ErrorCode::Revoked);
}

#[tokio::test]
async fn a_person_who_is_signed_out_sees_no_more() {
    let test = TestHub::start().await;
    let browser = test.browser().await;
    let mut watch = browser
        .watch(&[("machine.list", json!({}))])
        .await
        .expect("a watch");
    watch.value().await;
    let list = browser.get("/v1/auth/sign-ins").await.json();
    let own = list["signIns"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|known| known["isCurrent"] == true)
        .expect("itself");
    test.owner()
        .post("/v1/auth/revoke", json!({ "id": own["id"] }))
        .await;
    assert_eq!(watch.error().await, "unauthenticated");
    assert!(watch.next().await.is_none(), "the connection ends");
}

#[tokio::test]
async fn a_sign_in_that_has_run_out_sees_no_next_value() {
    let test = TestHub::start().await;
    let browser = test.browser().await;
    let mut watch = browser
        .watch(&[("machine.list", json!({}))])
        .await
        .expect("a watch");
    watch.value().await;
    test.clock
        .advance(std::time::Duration::from_secs(31 * 24 * 60 * 60));
    test.owner()
        .call("machine.create", json!({ "name": "a" }))
        .await;
    assert_eq!(watch.error().await, "unauthenticated");
    assert!(watch.next().await.is_none(), "the connection ends");
}
