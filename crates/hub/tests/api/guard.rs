//! The choke point before all routes.

use hyper::{Method, StatusCode};
use protocol::ErrorCode;
use serde_json::json;

use crate::support::TestHub;

#[tokio::test]
async fn a_strangers_name_for_this_computer_gets_nothing() {
    let test = TestHub::start_with(|config| config.allowed_hosts.push("hub.lan".to_owned())).await;
    for path in [
        "/",
        "/v1/health",
        "/v1/machine.list",
        "/v1/watch",
        "/v1/streams/turn/x",
        "/openapi.json",
        "/v1/auth/me",
    ] {
        let answer = test.owner().with("host", "evil.example:80").get(path).await;
        assert_eq!(
            (answer.status, answer.error().code),
            (StatusCode::FORBIDDEN, ErrorCode::Forbidden),
            "{path}"
        );
        assert!(
            answer.error().message.contains("--allow-host evil.example"),
            "{}",
            answer.body
        );
    }
    for host in ["localhost:1", "127.0.0.1", "[::1]:9", "hub.lan"] {
        assert_eq!(
            test.anybody()
                .with("host", host)
                .get("/v1/health")
                .await
                .status,
            StatusCode::OK,
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_strangers_page_can_write_nothing() {
    let test = TestHub::start().await;
    let browser = test.browser().await;
    let own = format!("http://{}", test.hub.addr());
    let rename = |caller: crate::support::Caller| async move {
        caller
            .try_call("machine.create", json!({ "name": "a" }))
            .await
    };
    assert_eq!(
        rename(browser.with("origin", &own)).await.status,
        StatusCode::OK
    );
    for origin in [
        "http://evil.example",
        "null",
        "http://localhost:1",
        "https://127.0.0.1",
    ] {
        let answer = rename(browser.with("origin", origin)).await;
        assert_eq!(
            (answer.status, answer.error().code),
            (StatusCode::FORBIDDEN, ErrorCode::Forbidden),
            "{origin}"
        );
    }
    let without = test.cookie_only(&browser);
    let answer = rename(without.clone()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(
        answer.error().message.contains("X-Orchestrator"),
        "{}",
        answer.body
    );
    assert_eq!(
        without.get("/v1/auth/me").await.status,
        StatusCode::OK,
        "reading is safe"
    );
    let preflight = browser
        .with("origin", "http://evil.example")
        .with("access-control-request-method", "POST")
        .send(Method::OPTIONS, "/v1/machine.create", "")
        .await;
    assert!(
        !preflight
            .headers
            .contains_key("access-control-allow-origin")
    );
    assert!(!preflight.status.is_success());
}

#[tokio::test]
async fn every_answer_is_hardened() {
    let test = TestHub::start().await;
    for path in [
        "/",
        "/v1/health",
        "/v1/machine.list",
        "/v1/nothing",
        "/v1/auth/me",
        "/v1/streams/turn/x",
        "/openapi.json",
    ] {
        let answer = test.anybody().get(path).await;
        let header = |name: &str| {
            answer
                .headers
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(
            header("x-content-type-options").as_deref(),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            header("referrer-policy").as_deref(),
            Some("no-referrer"),
            "{path}"
        );
        assert_eq!(header("x-frame-options").as_deref(), Some("DENY"), "{path}");
        assert!(
            header("content-security-policy")
                .is_some_and(|policy| policy.contains("frame-ancestors 'none'")),
            "{path}"
        );
        assert!(header("cache-control").is_some(), "{path}");
        assert_eq!(header("access-control-allow-origin"), None, "{path}");
    }
}
