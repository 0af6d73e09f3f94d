//! One turn from the message to the complete answer, as every client sees it.

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::support::{TestHub, hash_of_nothing, text};

#[tokio::test]
async fn a_turn_from_message_to_answer() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let owner = test.owner();
    let mut inbox = machine
        .caller
        .watch(&[("machine.inbox", json!({}))])
        .await
        .expect("a watch");
    assert_eq!(inbox.value().await["chats"], json!([]));

    let chat = test.chat(&machine).await;
    let mut view = owner
        .watch(&[("worker.chat.view", json!({ "chatSessionId": chat }))])
        .await
        .expect("a watch");
    assert_eq!(view.value().await["chat"]["state"], "ready");

    let sent = json!({ "chatSessionId": chat, "message": "Hello" });
    let turn = text(&owner.call("worker.chat.sendMessage", sent).await["turn"]["id"]);
    inbox
        .until(|inbox| inbox["chats"][0]["turn"]["id"] == turn.as_str())
        .await;
    let taken = machine
        .caller
        .call("worker.chat.takeTurn", json!({ "turnId": turn }))
        .await;
    assert_eq!(taken["message"], "Hello");
    let path = text(&view.until(|view| view["stream"].is_string()).await["stream"]);

    let mut chunks = owner
        .events(&format!("{path}?offset=-1&live=sse"))
        .await
        .expect("a stream");
    let append = machine
        .caller
        .with("content-type", "application/json")
        .with("producer-id", &turn)
        .with("producer-epoch", &machine.epoch.to_string())
        .with("producer-seq", "0");
    let appended = append.send(Method::POST, &path, r#"[{"seq":0}]"#).await;
    assert_eq!(appended.status, StatusCode::OK, "{}", appended.body);
    loop {
        let (event, data) = chunks.next().await.expect("an event");
        if event == "data" {
            assert_eq!(data, json!([{ "seq": 0 }]));
            break;
        }
    }
    view.until(|view| view["turns"][0]["state"] == "streaming")
        .await;

    let answer = json!({ "parts": [], "hash": hash_of_nothing() });
    let written = json!({ "turnId": turn, "outcome": "completed", "answer": answer });
    machine
        .caller
        .call("worker.chat.writeMessage", written)
        .await;
    view.until(|view| view["turns"][0]["state"] == "completed")
        .await;
    let page = owner
        .call("worker.chat.transcript", json!({ "chatSessionId": chat }))
        .await;
    assert_eq!(page["turns"][0]["message"], "Hello");
    let late = append
        .with("producer-seq", "1")
        .send(Method::POST, &path, "[1]")
        .await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.body);
    test.hub.shutdown().await;
}
