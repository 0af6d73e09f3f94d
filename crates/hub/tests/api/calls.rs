//! Calls: registration, fencing, idempotency, limits, bad input.

use futures::future::join_all;
use hyper::{Method, StatusCode};
use protocol::{
    ErrorCode,
    limits::{CALL_MAX_BYTES, MESSAGE_MAX_BYTES, REGISTRATION_KEY_LIFE_MS},
};
use serde_json::{Value, json};
use std::time::Duration;

use crate::support::{TestHub, hash_of_nothing, key, text};

#[tokio::test]
async fn of_a_hundred_uses_of_one_key_one_wins() {
    let test = TestHub::start().await;
    let key = test.hub.issue_registration_key("a").await.expect("a key");
    let args = json!({ "registrationKey": key.registration_key });
    let uses = (0..100).map(|_| {
        let (caller, args) = (test.anybody(), args.clone());
        async move { caller.try_call("machine.register", args).await }
    });
    let answers = join_all(uses).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|answer| answer.status == StatusCode::OK);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_eq!(
            (answer.status, answer.error().code),
            (StatusCode::GONE, ErrorCode::Expired)
        );
        assert!(
            answer.error().message.contains("has been used"),
            "{}",
            answer.body
        );
    }
    let credentials = won[0].json();
    test.connect(
        &text(&credentials["machineId"]),
        &text(&credentials["secret"]),
    )
    .await;
}

#[tokio::test]
async fn wrong_and_expired_keys_are_told_apart() {
    let test = TestHub::start().await;
    let (anybody, owner) = (test.anybody(), test.owner());
    let register =
        |key: Value| anybody.refused("machine.register", json!({ "registrationKey": key }));
    let unknown = protocol::secret::Secret::generate("ork", [5; 32]);
    assert_eq!(
        register(json!("ork_mistyped")).await,
        ErrorCode::Unauthenticated
    );
    assert_eq!(register(json!(unknown)).await, ErrorCode::Unauthenticated);

    let created = owner.call("machine.create", json!({ "name": "a" })).await;
    let reissued = owner
        .call(
            "machine.reissueKey",
            json!({ "machineId": created["machineId"] }),
        )
        .await;
    assert_eq!(
        register(created["registrationKey"].clone()).await,
        ErrorCode::Expired,
        "replaced"
    );
    test.clock
        .advance(Duration::from_millis(REGISTRATION_KEY_LIFE_MS));
    assert_eq!(
        register(reissued["registrationKey"].clone()).await,
        ErrorCode::Expired
    );
    let wrong = json!({ "machineId": created["machineId"], "secret": "oms_x", "wireVersion": 1 });
    assert_eq!(
        anybody.refused("machine.connect", wrong).await,
        ErrorCode::Unauthenticated
    );
}

#[tokio::test]
async fn a_newer_connection_fences_the_older_one() {
    let test = TestHub::start().await;
    let old = test.connected().await;
    let chat = test.chat(&old).await;
    let turn = test.turn(&old, &chat).await;
    let new = test.connect(&old.id, &old.secret).await;
    assert_eq!(new.epoch, old.epoch + 1);
    assert_eq!(
        old.caller.refused("machine.heartbeat", json!({})).await,
        ErrorCode::StaleEpoch
    );
    let end = json!({ "turnId": turn, "outcome": "completed", "answer": { "parts": [], "hash": hash_of_nothing() } });
    assert_eq!(
        old.caller
            .refused("worker.chat.writeMessage", end.clone())
            .await,
        ErrorCode::StaleEpoch
    );
    new.caller.call("worker.chat.writeMessage", end).await;
    let wrong =
        json!({ "machineId": old.id, "secret": format!("{}x", old.secret), "wireVersion": 1 });
    assert_eq!(
        test.anybody().refused("machine.connect", wrong).await,
        ErrorCode::Unauthenticated
    );
    new.caller.call("machine.heartbeat", json!({})).await;
    let ancient = json!({ "machineId": old.id, "secret": old.secret, "wireVersion": 0 });
    assert_eq!(
        test.anybody().refused("machine.connect", ancient).await,
        ErrorCode::UpgradeRequired
    );
}

#[tokio::test]
async fn a_key_makes_a_call_happen_once() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let owner = test.owner();
    let args = json!({ "machineId": machine.id, "directory": "a" });
    let once = owner.with("idempotency-key", &key());
    let repeated = join_all((0..20).map(|_| once.post("/v1/worker.register", args.clone()))).await;
    for answer in &repeated {
        assert_eq!(
            (answer.status, &answer.body),
            (StatusCode::OK, &repeated[0].body)
        );
    }
    let chat = json!({ "workerId": repeated[0].json()["id"] });
    let once = owner.with("idempotency-key", &key());
    let first = once
        .post("/v1/worker.chat.startSession", chat.clone())
        .await;
    let second = once
        .post("/v1/worker.chat.startSession", chat.clone())
        .await;
    assert_eq!(first.body, second.body);
    let other = once
        .post(
            "/v1/worker.chat.startSession",
            json!({ "workerId": repeated[0].json()["id"], "title": "b" }),
        )
        .await;
    assert_eq!(
        (other.status, other.error().code),
        (StatusCode::CONFLICT, ErrorCode::Conflict)
    );
    let elsewhere = once
        .post(
            "/v1/machine.rename",
            json!({ "machineId": machine.id, "name": "b" }),
        )
        .await;
    assert_eq!(elsewhere.error().code, ErrorCode::Conflict);
    let view = owner
        .call("machine.view", json!({ "machineId": machine.id }))
        .await;
    assert_eq!(view["chats"].as_array().map(Vec::len), Some(1));

    let without = owner
        .post("/v1/worker.chat.startSession", chat.clone())
        .await;
    assert_eq!(without.error().code, ErrorCode::Invalid);
    let malformed = owner
        .with("idempotency-key", "1")
        .post("/v1/worker.chat.startSession", chat)
        .await;
    assert_eq!(malformed.error().code, ErrorCode::Invalid);
    assert!(
        malformed.error().message.contains("idk_"),
        "{}",
        malformed.body
    );
}

#[tokio::test]
async fn a_refused_call_leaves_its_key_unused() {
    let test = TestHub::start().await;
    let owner = test.owner().with("idempotency-key", &key());
    let empty = owner
        .post("/v1/machine.create", json!({ "name": " " }))
        .await;
    assert_eq!(empty.error().code, ErrorCode::Invalid);
    let machines = owner.call("machine.list", json!({})).await;
    assert_eq!(machines["machines"], json!([]));
    assert_eq!(
        owner
            .post("/v1/machine.create", json!({ "name": "a" }))
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn bad_input_is_refused_with_a_reason() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let chat = test.chat(&machine).await;
    let owner = test.owner().with("idempotency-key", &key());
    let post = |body: String| {
        let owner = owner.clone();
        async move {
            let answer = owner
                .send(Method::POST, "/v1/worker.chat.sendMessage", body)
                .await;
            (answer.status.as_u16(), answer.error().code)
        }
    };
    let message = |text: &str| json!({ "chatSessionId": chat, "message": text }).to_string();
    let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(post("{".to_owned()).await, (400, ErrorCode::Invalid));
    assert_eq!(post("\u{0}".to_owned()).await, (400, ErrorCode::Invalid));
    assert_eq!(post(deep(65)).await, (400, ErrorCode::Invalid));
    assert_eq!(post(deep(100_000)).await, (400, ErrorCode::Invalid));
    assert_eq!(post("[]".to_owned()).await, (400, ErrorCode::Invalid));
    assert_eq!(
        post("{\"chatSessionId\":\"mch_1\",\"message\":\"\"}".to_owned()).await,
        (400, ErrorCode::Invalid)
    );
    assert_eq!(post(message(" ")).await, (400, ErrorCode::Invalid));
    assert_eq!(
        post(message(&"x".repeat(MESSAGE_MAX_BYTES + 1))).await,
        (413, ErrorCode::TooLarge)
    );
    assert_eq!(
        post(message(&"x".repeat(CALL_MAX_BYTES))).await,
        (413, ErrorCode::TooLarge)
    );
    assert_eq!(
        post(message(&"x".repeat(9 << 20))).await,
        (413, ErrorCode::TooLarge)
    );

    let largest = "x".repeat(MESSAGE_MAX_BYTES);
    owner
        .call(
            "worker.chat.sendMessage",
            json!({ "chatSessionId": chat, "message": largest }),
        )
        .await;
    let newer = json!({ "chatSessionId": chat, "message": "m", "fromTheFuture": { "a": [1] } });
    owner.call("worker.chat.sendMessage", newer).await;

    let path = "/v1/worker.chat.sendMessage";
    let too_deep = owner.send(Method::POST, path, deep(65)).await.error();
    assert!(
        too_deep.message.contains("nests deeper than 64"),
        "{too_deep}"
    );
    let deep_enough = owner.send(Method::POST, path, deep(64)).await.error();
    assert!(deep_enough.message.contains("do not fit"), "{deep_enough}");

    let anybody = test.anybody();
    assert_eq!(
        anybody.post("/v1/no.such", json!({})).await.error().code,
        ErrorCode::NotFound
    );
    let wrong_method = anybody.get("/v1/machine.list").await;
    assert_eq!(
        (wrong_method.status, wrong_method.error().code),
        (StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Invalid)
    );
}

#[tokio::test]
async fn a_message_of_eight_megabytes_fits_and_no_more() {
    let test = TestHub::start().await;
    let machine = test.connected().await;
    let chat = test.chat(&machine).await;
    let turn = test.turn(&machine, &chat).await;
    let end = |bytes: usize| {
        let part = json!({ "id": "p", "kind": "reasoning", "text": "x".repeat(bytes) });
        json!({ "turnId": turn, "outcome": "completed", "answer": { "parts": [part], "hash": hash_of_nothing() } })
    };
    let too_large = machine
        .caller
        .try_call("worker.chat.writeMessage", end(9 << 20))
        .await;
    assert_eq!(
        (too_large.status, too_large.error().code),
        (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge)
    );
    let large = machine
        .caller
        .try_call("worker.chat.writeMessage", end(8_000_000))
        .await;
    assert_ne!(
        large.status,
        StatusCode::PAYLOAD_TOO_LARGE,
        "{}",
        large.body
    );
}

#[tokio::test]
async fn five_hundred_machines_come_back_at_once() {
    let test = TestHub::start().await;
    let machines = join_all((0..500).map(|_| test.machine())).await;
    let test = test.restart().await;
    let connected = join_all(machines.iter().map(|(id, secret)| test.connect(id, secret))).await;
    assert!(connected.iter().all(|machine| machine.epoch == 1));
}
