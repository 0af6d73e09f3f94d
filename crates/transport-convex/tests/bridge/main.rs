//! The transport, and real agents on it, against the bridge: the real functions of `convex/` behind a double of
//! Convex's sync protocol (`tests/convex-bridge`), with the faults that a network has.

#![allow(clippy::unwrap_used)]

mod agents;
mod double;
mod faults;
mod support;

use futures::StreamExt;
use protocol::ErrorCode;
use protocol::secret::Secret;
use std::sync::Arc;
use transport::{Transport, TransportError};

use support::{Bridge, Options, call};

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_the_suite() {
    let bridge = Bridge::start().await;
    transport::suite::run(bridge.transport(), bridge.owner()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_the_suite_where_errors_are_kept_from_clients() {
    let bridge = Bridge::with(Options {
        errors: "production",
        ..Options::default()
    })
    .await;
    transport::suite::run(bridge.transport(), bridge.owner()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_lacks_a_function_is_told_with_what_to_run() {
    for (errors, code) in [
        ("development", ErrorCode::NotFound),
        ("production", ErrorCode::Unavailable),
    ] {
        let bridge = Bridge::with(Options {
            errors,
            functions: Some("fixtures/functions"),
        })
        .await;
        let transport = bridge.transport();
        let query = call("machine.list", serde_json::json!({}), Some(bridge.owner()));
        let refused = transport.call(query.clone()).await.unwrap_err();
        let mutation = call(
            "machine.create",
            serde_json::json!({ "name": "box" }),
            Some(bridge.owner()),
        );
        let mut watch = transport.watch("machine.list", query.args, query.credential);
        let watched = watch.next().await.unwrap().unwrap_err();
        for error in [
            refused,
            transport.call(mutation).await.unwrap_err(),
            watched,
        ] {
            let refusal = error.refusal().unwrap();
            assert_eq!(refusal.code, code, "{refusal}");
            assert!(refusal.message.contains("npx convex deploy"), "{refusal}");
            assert!(refusal.message.contains(&bridge.url), "{refusal}");
        }
        assert!(watch.next().await.is_none());
    }
}

/// The deployment closes the connection on such a token, again and again, and the client never gives up: the
/// transport has to find out and say so.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_deployment_does_not_take_is_a_refusal() {
    let bridge = Bridge::start().await;
    let transport = bridge.transport();
    let stranger = support::Signer::new();
    let forged = Secret::new(format!("{}AAAA", bridge.owner().expose()));
    for (token, told) in [
        (stranger.token(3_600), "No auth provider found"),
        (forged, "Could not decode token"),
    ] {
        let query = call("machine.list", serde_json::json!({}), Some(token));
        let mut watch =
            transport.watch("machine.list", query.args.clone(), query.credential.clone());
        let mutation = call(
            "machine.create",
            serde_json::json!({ "name": "box" }),
            query.credential.clone(),
        );
        for error in [
            transport.call(query).await.unwrap_err(),
            transport.call(mutation).await.unwrap_err(),
            watch.next().await.unwrap().unwrap_err(),
        ] {
            let refusal = error.refusal().unwrap_or_else(|| panic!("{error}"));
            assert_eq!(refusal.code, ErrorCode::Unauthenticated);
            assert!(refusal.message.contains(told), "{refusal}");
            assert!(refusal.message.contains("ORCHESTRATOR_AUTH"), "{refusal}");
        }
    }
    // Nobody else suffers.
    let good = call("machine.list", serde_json::json!({}), Some(bridge.owner()));
    transport.call(good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_past_its_time_is_a_refusal() {
    let bridge = Bridge::start().await;
    let past = bridge.signer.token(-10);
    let query = call("machine.list", serde_json::json!({}), Some(past));
    let error = bridge.transport().call(query).await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.code, ErrorCode::Unauthenticated);
    assert!(refusal.message.contains("past its time"), "{refusal}");
}

#[tokio::test]
async fn a_deployment_that_is_not_there_is_lost_with_the_reason() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("convex+http://{}", listener.local_addr().unwrap());
    drop(listener);
    let transport: Arc<dyn Transport> =
        Arc::new(transport_convex::ConvexTransport::new(&address).unwrap());
    let query = call("machine.list", serde_json::json!({}), None);
    let mut watch = transport.watch("machine.list", serde_json::json!({}), None);
    for error in [
        transport.call(query).await.unwrap_err(),
        watch.next().await.unwrap().unwrap_err(),
    ] {
        assert!(
            matches!(&error, TransportError::Lost(why) if why.contains("refused")),
            "{error}"
        );
    }
}
