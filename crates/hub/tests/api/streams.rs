//! The chunk streams through the hub: fenced by connection, read by the owner, cut with the credential.

use hyper::{Method, StatusCode};
use protocol::ErrorCode;
use serde_json::{Value, json};

use crate::support::{Answer, Machine, TestHub, hash_of_nothing};

async fn append(machine: &Machine, turn: &str, epoch: u64, seq: u64) -> Answer {
    machine
        .caller
        .with("content-type", "application/json")
        .with("producer-id", turn)
        .with("producer-epoch", &epoch.to_string())
        .with("producer-seq", &seq.to_string())
        .send(Method::POST, &path(turn), format!("[{seq}]"))
        .await
}

fn path(turn: &str) -> String {
    format!("/v1/streams/turn/{turn}")
}

#[tokio::test]
async fn appends_are_fenced_by_the_machines_connection() {
    let test = TestHub::start().await;
    let old = test.connected().await;
    let chat = test.chat(&old).await;
    let turn = test.turn(&old, &chat).await;
    assert_eq!(
        append(&old, &turn, old.epoch, 0).await.status,
        StatusCode::OK
    );
    assert_eq!(
        append(&old, &turn, old.epoch, 0).await.status,
        StatusCode::NO_CONTENT,
        "again"
    );
    let gap = append(&old, &turn, old.epoch, 2).await;
    assert_eq!(
        (gap.status, &gap.headers["producer-expected-seq"]),
        (StatusCode::CONFLICT, &"1".parse().unwrap())
    );
    let ahead = append(&old, &turn, old.epoch + 1, 0).await;
    assert_eq!(
        ahead.error().code,
        ErrorCode::StaleEpoch,
        "an epoch that is not the connection's"
    );
    let without = old
        .caller
        .with("content-type", "application/json")
        .send(Method::POST, &path(&turn), "[1]")
        .await;
    assert_eq!(without.error().code, ErrorCode::Invalid);

    let new = test.connect(&old.id, &old.secret).await;
    let late = append(&old, &turn, old.epoch, 1).await;
    assert_eq!(
        (late.status, late.error().code),
        (StatusCode::FORBIDDEN, ErrorCode::StaleEpoch)
    );
    assert_eq!(
        append(&new, &turn, new.epoch, 0).await.status,
        StatusCode::OK
    );
    let read = test.owner().get(&path(&turn)).await;
    assert_eq!(read.json(), json!([0, 0]), "the refused ones left nothing");

    let end = json!({ "turnId": turn, "outcome": "completed", "answer": { "parts": [], "hash": hash_of_nothing() } });
    new.caller.call("worker.chat.writeMessage", end).await;
    assert_eq!(
        append(&new, &turn, new.epoch, 1).await.error().code,
        ErrorCode::Conflict,
        "the turn has ended"
    );
    let never = append(&new, "trn_00000000000000000000000000", new.epoch, 0).await;
    assert_eq!(never.error().code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_live_read_ends_with_its_sign_in() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let chat = test.chat(&machine).await;
    let turn = test.turn(&machine, &chat).await;
    append(&machine, &turn, machine.epoch, 0).await;
    let browser = test.browser().await;
    let mut events = browser
        .events(&format!("{}?offset=-1&live=sse", path(&turn)))
        .await
        .expect("a stream");
    assert_eq!(
        events.next().await.expect("an event"),
        ("data".to_owned(), json!([0]))
    );
    browser.post("/v1/auth/sign-out", Value::Null).await;
    while let Some((event, _)) = events.next().await {
        assert_eq!(event, "control");
    }
    let mut events = machine
        .caller
        .events(&format!("{}?offset=-1&live=sse", path(&turn)))
        .await
        .expect("a stream");
    assert_eq!(events.next().await.expect("an event").0, "data");
    test.connect(&machine.id, &machine.secret).await;
    while let Some((event, _)) = events.next().await {
        assert_eq!(event, "control");
    }
}

#[tokio::test]
async fn chunks_go_an_hour_after_the_answer() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let chat = test.chat(&machine).await;
    let turn = test.turn(&machine, &chat).await;
    append(&machine, &turn, machine.epoch, 0).await;
    let end = json!({ "turnId": turn, "outcome": "completed", "answer": { "parts": [], "hash": hash_of_nothing() } });
    machine.caller.call("worker.chat.writeMessage", end).await;
    let owner = test.owner();
    let mut events = owner
        .events(&format!("{}?offset=-1&live=sse", path(&turn)))
        .await
        .expect("a stream");
    assert_eq!(events.next().await.expect("an event").0, "data");
    test.clock.advance(std::time::Duration::from_secs(60 * 60));
    // The reader is ended by the removal itself.
    while let Some((event, _)) = events.next().await {
        assert_eq!(event, "control");
    }
    assert_eq!(owner.get(&path(&turn)).await.status, StatusCode::NOT_FOUND);
}
