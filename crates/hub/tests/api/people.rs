//! Signing in and out.

use std::time::Duration;

use futures::future::join_all;
use hyper::StatusCode;
use protocol::ErrorCode;
use serde_json::{Value, json};

use crate::support::{Answer, TestHub, text};

async fn sign_in(test: &TestHub, body: Value) -> Answer {
    test.anybody().post("/v1/auth/sign-in", body).await
}

#[tokio::test]
async fn a_link_signs_in_once() {
    let test = TestHub::start().await;
    let token = test.link_token().await;
    let answers = join_all((0..20).map(|_| sign_in(&test, json!({ "token": token })))).await;
    let won: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::OK)
        .collect();
    assert_eq!(won.len(), 1);
    assert!(
        answers
            .iter()
            .filter(|answer| answer.status != StatusCode::OK)
            .all(|answer| answer.error().code == ErrorCode::Expired)
    );
    let cookie = won[0].headers["set-cookie"].to_str().expect("text");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    let me = test
        .cookie(&won[0].cookie())
        .get("/v1/auth/me")
        .await
        .json();
    assert_eq!(
        (&me["person"]["name"], &me["hasPassword"]),
        (&json!("Owner"), &json!(false))
    );
    assert_eq!(
        sign_in(&test, json!({ "token": "opl_x" }))
            .await
            .error()
            .code,
        ErrorCode::Unauthenticated
    );
    assert_eq!(
        sign_in(&test, json!({})).await.error().code,
        ErrorCode::Invalid
    );
}

#[tokio::test]
async fn the_cookie_is_for_tls_only_where_there_is_tls() {
    let test = TestHub::start_with(|config| {
        config.public_url = Some("https://hub.example.org".to_owned())
    })
    .await;
    let link = test.hub.sign_in_link().await.expect("a link");
    assert!(
        link.expose()
            .starts_with("https://hub.example.org/sign-in#token=opl_")
    );
    let token = test.link_token().await;
    let proxied = test
        .anybody()
        .with("host", "hub.example.org")
        .with("origin", "https://hub.example.org");
    let answer = proxied
        .post("/v1/auth/sign-in", json!({ "token": token }))
        .await;
    let cookie = answer.headers["set-cookie"].to_str().expect("text");
    assert!(
        cookie.starts_with("__Host-orchestrator_session=") && cookie.contains("; Secure"),
        "{cookie}"
    );
    let me = proxied
        .with("cookie", &answer.cookie())
        .get("/v1/auth/me")
        .await;
    assert_eq!(me.status, StatusCode::OK, "{}", me.body);
}

#[tokio::test]
async fn links_and_sign_ins_end_with_time() {
    let test = TestHub::start().await;
    let made = test.owner().post("/v1/auth/link", Value::Null).await.json();
    let short = text(&made["url"])
        .split_once("#token=")
        .expect("a token")
        .1
        .to_owned();
    let (long, browser) = (test.link_token().await, test.browser().await);
    test.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(
        sign_in(&test, json!({ "token": short })).await.error().code,
        ErrorCode::Expired
    );
    test.clock.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(
        sign_in(&test, json!({ "token": long })).await.error().code,
        ErrorCode::Expired
    );

    // Used within thirty days, again and again, it lasts.
    for _ in 0..3 {
        test.clock.advance(Duration::from_secs(20 * 24 * 60 * 60));
        assert_eq!(browser.get("/v1/auth/me").await.status, StatusCode::OK);
    }
    test.clock.advance(Duration::from_secs(30 * 24 * 60 * 60));
    assert_eq!(
        browser.get("/v1/auth/me").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        test.owner().get("/v1/auth/me").await.status,
        StatusCode::OK,
        "the local token stays"
    );
}

#[tokio::test]
async fn the_link_of_an_earlier_process_is_void() {
    let test = TestHub::start().await;
    let token = test.link_token().await;
    let test = test.restart().await;
    assert_eq!(
        sign_in(&test, json!({ "token": token })).await.error().code,
        ErrorCode::Expired
    );
}

#[tokio::test]
async fn a_password_signs_in_and_failures_slow_down() {
    let test = TestHub::start().await;
    let browser = test.browser().await;
    let other_browser = test.browser().await;
    let password = |password: &str, current: Option<&str>| {
        let body = json!({ "password": password, "current": current });
        let browser = browser.clone();
        async move { browser.post("/v1/auth/password", body).await }
    };
    assert_eq!(
        sign_in(&test, json!({ "password": "" })).await.error().code,
        ErrorCode::Unauthenticated,
        "none is set"
    );
    assert_eq!(
        password("1234567", None).await.error().code,
        ErrorCode::Invalid
    );
    assert_eq!(
        password(&"x".repeat(1_025), None).await.error().code,
        ErrorCode::TooLarge
    );
    assert_eq!(password("correct horse", None).await.status, StatusCode::OK);
    assert_eq!(
        other_browser.get("/v1/auth/me").await.status,
        StatusCode::UNAUTHORIZED,
        "ended by the change"
    );
    assert_eq!(
        browser.get("/v1/auth/me").await.json()["hasPassword"],
        json!(true)
    );

    let right = sign_in(&test, json!({ "password": "correct horse" })).await;
    assert_eq!(right.status, StatusCode::OK, "{}", right.body);
    assert_eq!(
        password("battery staple", Some("wrong")).await.error().code,
        ErrorCode::Forbidden
    );
    assert_eq!(
        password("battery staple", Some("correct horse"))
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        test.owner()
            .post("/v1/auth/password", json!({ "password": "correct horse" }))
            .await
            .status,
        StatusCode::OK
    );

    // At the same time, so that trying in parallel helps nobody.
    let wrong = join_all((0..12).map(|_| sign_in(&test, json!({ "password": "wrong one" })))).await;
    let count = |code| {
        wrong
            .iter()
            .filter(|answer| answer.error().code == code)
            .count()
    };
    assert_eq!(
        (
            count(ErrorCode::Unauthenticated),
            count(ErrorCode::RateLimited)
        ),
        (5, 7)
    );
    let refused = sign_in(&test, json!({ "password": "correct horse" })).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.error().retry_after_ms, Some(1_000));
    assert_eq!(refused.headers["retry-after"], "1");
    test.clock.advance(Duration::from_secs(1));
    let again = sign_in(&test, json!({ "password": "wrong one" })).await;
    assert_eq!(again.error().code, ErrorCode::Unauthenticated);
    let refused = sign_in(&test, json!({ "password": "correct horse" })).await;
    assert_eq!(refused.error().retry_after_ms, Some(2_000), "twice as long");
    test.clock.advance(Duration::from_secs(2));
    assert_eq!(
        sign_in(&test, json!({ "password": "correct horse" }))
            .await
            .status,
        StatusCode::OK
    );
    let forgiven =
        join_all((0..5).map(|_| sign_in(&test, json!({ "password": "wrong one" })))).await;
    assert!(
        forgiven
            .iter()
            .all(|answer| answer.error().code == ErrorCode::Unauthenticated)
    );
    assert_eq!(
        test.browser().await.get("/v1/auth/me").await.status,
        StatusCode::OK,
        "a link still works"
    );
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let test = TestHub::start().await;
    let browser = test.browser().await;
    let made = browser
        .post("/v1/auth/token", json!({ "name": "my script" }))
        .await
        .json();
    let script = test.bearer(&text(&made["token"]));
    script.call("machine.create", json!({ "name": "a" })).await;
    let list = browser.get("/v1/auth/sign-ins").await.json();
    let mut kinds: Vec<_> = list["signIns"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|known| text(&known["kind"]))
        .collect();
    kinds.sort();
    assert_eq!(kinds, ["browser", "local", "token"]);
    assert!(!list.to_string().contains(&text(&made["token"])));
    assert_eq!(
        browser
            .post("/v1/auth/revoke", json!({ "id": made["id"] }))
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        script.refused("machine.list", json!({})).await,
        ErrorCode::Unauthenticated
    );
    assert_eq!(
        browser
            .post("/v1/auth/revoke", json!({ "id": made["id"] }))
            .await
            .error()
            .code,
        ErrorCode::NotFound
    );

    let signed_out = browser.post("/v1/auth/sign-out", Value::Null).await;
    assert_eq!(signed_out.status, StatusCode::OK);
    assert!(
        signed_out.headers["set-cookie"]
            .to_str()
            .expect("text")
            .contains("Max-Age=0")
    );
    assert_eq!(
        browser.get("/v1/auth/me").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        browser.post("/v1/auth/sign-out", Value::Null).await.status,
        StatusCode::OK
    );
    // A cookie's secret is no token, and the other way round.
    let token = test
        .owner()
        .header("authorization")
        .trim_start_matches("Bearer ")
        .to_owned();
    let as_cookie = format!("orchestrator_session_{}={token}", test.hub.addr().port());
    let refused = test.cookie(&as_cookie).get("/v1/auth/me").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let cookie = test.browser().await;
    let secret = cookie
        .header("cookie")
        .split_once('=')
        .expect("a value")
        .1
        .to_owned();
    assert_eq!(
        test.bearer(&secret).get("/v1/auth/me").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[cfg(unix)]
#[tokio::test]
async fn the_owners_token_is_for_its_owner_and_is_made_anew_when_it_is_gone() {
    use std::os::unix::fs::PermissionsExt as _;
    let test = TestHub::start().await;
    let path = test.hub.owner_token_path();
    assert_eq!(
        std::fs::metadata(&path)
            .expect("the file")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    let before = std::fs::read_to_string(&path).expect("the token");
    let test = test.restart().await;
    assert_eq!(std::fs::read_to_string(&path).expect("the token"), before);
    std::fs::remove_file(&path).expect("removes");
    let test = test.restart().await;
    assert_ne!(std::fs::read_to_string(&path).expect("the token"), before);
    assert_eq!(test.owner().get("/v1/auth/me").await.status, StatusCode::OK);
    assert_eq!(
        test.bearer(before.trim()).get("/v1/auth/me").await.status,
        StatusCode::UNAUTHORIZED
    );
}
