//! Requests and their answers; what the conformance suite covers is left to it.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use hub::{
    store::StoreOptions,
    streams::{OpenAccess, StreamLimits},
};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::support::{Hub, bytes, header, next_offset, text};

#[tokio::test]
async fn producers_are_fenced_also_after_a_restart() {
    let hub = Hub::start();
    hub.create("chat", "text/plain").await;
    assert_eq!(
        hub.append_as("chat", "session", 3, 0, "a").await.status(),
        StatusCode::OK
    );
    let accepted = hub.append_as("chat", "session", 3, 1, "b").await;
    assert_eq!(accepted.status(), StatusCode::OK);
    assert_eq!(header(accepted.headers(), "producer-epoch"), Some("3"));
    assert_eq!(header(accepted.headers(), "producer-seq"), Some("1"));

    let hub = hub.restart().await;
    let repeated = hub.append_as("chat", "session", 3, 0, "a").await;
    assert_eq!(repeated.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        header(repeated.headers(), "producer-seq"),
        Some("1"),
        "the highest one accepted"
    );
    assert_eq!(next_offset(&repeated), next_offset(&accepted));

    let gap = hub.append_as("chat", "session", 3, 3, "d").await;
    assert_eq!(gap.status(), StatusCode::CONFLICT);
    assert_eq!(header(gap.headers(), "producer-expected-seq"), Some("2"));
    assert_eq!(header(gap.headers(), "producer-received-seq"), Some("3"));
    assert_eq!(
        hub.append_as("chat", "session", 4, 1, "x").await.status(),
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        hub.append_as("chat", "session", 4, 0, "c").await.status(),
        StatusCode::OK
    );
    let stale = hub.append_as("chat", "session", 3, 2, "x").await;
    assert_eq!(stale.status(), StatusCode::FORBIDDEN);
    assert_eq!(header(stale.headers(), "producer-epoch"), Some("4"));
    assert!(text(stale).await.contains("\"stale_epoch\""));
    assert_eq!(
        hub.text("chat").await,
        "abc",
        "each accepted append once, in order"
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whole() {
    let hub = Hub::start();
    hub.create("log", "application/octet-stream").await;
    let limit = hub.streams.limits().append_bytes;
    assert_eq!(limit, 64 * 1024);
    let append = |length: usize| hub.append("log", "application/octet-stream", vec![7_u8; length]);
    assert_eq!(append(limit).await.status(), StatusCode::NO_CONTENT);
    let refused = append(limit + 1).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text(refused).await.contains("65536 bytes"));
    // Sent in pieces, without saying how long it will be.
    let pieces = futures::stream::iter(std::iter::repeat_n(
        Ok::<_, std::convert::Infallible>(vec![7_u8; 1_000]),
        100,
    ));
    let refused = hub
        .append("log", "application/octet-stream", Body::from_stream(pieces))
        .await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(bytes(hub.read("log", "offset=-1").await).await.len(), limit);
    let created = hub
        .call(Method::PUT, "big", &[], vec![7_u8; limit + 1])
        .await;
    assert_eq!(created.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_stream_takes_no_more_than_it_may_hold() {
    let hub = Hub::with_limits(StreamLimits {
        stream_bytes: 10,
        ..StreamLimits::default()
    });
    hub.create("log", "text/plain").await;
    assert_eq!(
        hub.append("log", "text/plain", "12345678").await.status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        hub.append("log", "text/plain", "901").await.status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(
        hub.append("log", "text/plain", "90").await.status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(hub.text("log").await, "1234567890");
}

#[tokio::test]
async fn json_is_checked_before_it_is_kept() {
    let hub = Hub::start();
    hub.create("log", "application/json").await;
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let very_deep = "[".repeat(60_000);
    for bad in [
        "{\"a\":",
        "[1,]",
        "1 2",
        "[]",
        "\u{feff}1",
        &deep,
        &very_deep,
    ] {
        let refused = hub.append("log", "application/json", bad.to_owned()).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{bad:.20}");
    }
    let invalid_utf8 = hub
        .append("log", "application/json", b"\"\xff\"".to_vec())
        .await;
    assert_eq!(invalid_utf8.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        hub.append("log", "application/json", "[1,[2]]")
            .await
            .status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(hub.text("log").await, "[1,[2]]");
}

#[tokio::test]
async fn a_full_disk_is_temporary() {
    let options = StoreOptions {
        max_pages: Some(64),
        ..StoreOptions::default()
    };
    let hub = Hub::with(StreamLimits::default(), options, OpenAccess);
    hub.create("log", "text/plain").await;
    hub.create("ballast", "application/octet-stream").await;
    let mut reader = hub.sse("log", "-1").await;
    let (_, start) = reader.until_up_to_date().await;
    let ballast = || hub.append("ballast", "application/octet-stream", vec![0_u8; 16 * 1024]);
    while ballast().await.status() == StatusCode::NO_CONTENT {}
    // Small rows may still fit the pages in use; these do not.
    let long: &'static str = "0123456789".repeat(1_500).leak();
    let refused = hub.append_as("log", "p", 0, 0, long).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(header(refused.headers(), "retry-after").is_some());

    assert_eq!(
        hub.call(Method::DELETE, "ballast", &[], Body::empty())
            .await
            .status(),
        StatusCode::NO_CONTENT
    );
    // The sweeper frees the space meanwhile; the repetition is the same append, so it can't be doubled.
    while hub.append_as("log", "p", 0, 0, long).await.status() != StatusCode::OK {}
    let (data, end) = reader.until_up_to_date().await;
    assert_eq!(data, long, "once, and nothing of the refused tries");
    assert!(end > start);
}

#[tokio::test]
async fn a_recreated_stream_is_another_one() {
    let hub = Hub::start();
    hub.create("log", "text/plain").await;
    let old = next_offset(&hub.append_as("log", "p", 5, 0, "old").await);
    let etag = header(hub.read("log", "offset=-1").await.headers(), "etag")
        .expect("an etag")
        .to_owned();
    assert_eq!(
        hub.call(Method::DELETE, "log", &[], Body::empty())
            .await
            .status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        hub.read("log", "offset=-1").await.status(),
        StatusCode::NOT_FOUND
    );

    hub.create("log", "text/plain").await;
    assert_eq!(
        hub.append_as("log", "p", 0, 0, "new").await.status(),
        StatusCode::OK,
        "the producer is forgotten"
    );
    for query in ["", "&live=long-poll", "&live=sse"] {
        assert_eq!(
            hub.read("log", &format!("offset={old}{query}"))
                .await
                .status(),
            StatusCode::GONE,
            "{query}"
        );
    }
    let fresh = hub
        .call(
            Method::GET,
            "log?offset=-1",
            &[("if-none-match", &etag)],
            Body::empty(),
        )
        .await;
    assert_eq!(fresh.status(), StatusCode::OK);
    assert_eq!(text(fresh).await, "new");
}

#[tokio::test]
async fn what_is_left_out_says_so() {
    let hub = Hub::start();
    let fork = hub
        .call(
            Method::PUT,
            "fork",
            &[("stream-forked-from", "/v1/streams/a")],
            Body::empty(),
        )
        .await;
    assert_eq!(fork.status(), StatusCode::NOT_IMPLEMENTED);
    assert_eq!(
        hub.read("fork", "offset=-1").await.status(),
        StatusCode::NOT_FOUND,
        "nothing was created"
    );
    let reserved = hub
        .call(Method::PUT, "__ds/subscriptions/a", &[], Body::empty())
        .await;
    assert_eq!(reserved.status(), StatusCode::NOT_IMPLEMENTED);
    let other = hub.call(Method::PATCH, "a", &[], Body::empty()).await;
    assert_eq!(other.status(), StatusCode::METHOD_NOT_ALLOWED);
    for odd in ["a//b", "a/../b", "./a", "a%00b"] {
        assert_eq!(
            hub.call(Method::PUT, odd, &[], Body::empty())
                .await
                .status(),
            StatusCode::BAD_REQUEST,
            "{odd}"
        );
    }
}

/// A runtime per case would be slow; one for all, and a stream per case.
#[test]
fn any_appends_read_back_from_any_offset_by_any_pages() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    // Settled as often as can be, so that reads meet every mix of log and chunks.
    let limits = StreamLimits {
        read_bytes: 20,
        sweep_every: Duration::from_millis(1),
        ..StreamLimits::default()
    };
    let hub = Hub::with_limits(limits);
    let appends = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 1..20);
    let case = std::cell::Cell::new(0);
    TestRunner::new(ProptestConfig::with_cases(40))
        .run(&appends, |appends| {
            case.set(case.get() + 1);
            runtime.block_on(read_back(&hub, &format!("case-{}", case.get()), &appends));
            Ok(())
        })
        .expect("holds");
}

async fn read_back(hub: &Hub, path: &str, appends: &[Vec<u8>]) {
    hub.create(path, "application/octet-stream").await;
    let all = appends.concat();
    let mut offsets = vec![("-1".to_owned(), 0)];
    let mut written = 0;
    for append in appends {
        let response = hub
            .append(path, "application/octet-stream", append.clone())
            .await;
        written += append.len();
        offsets.push((next_offset(&response), written));
    }
    assert!(
        offsets.windows(2).all(|pair| pair[0].0 < pair[1].0),
        "{offsets:?}"
    );
    for (offset, position) in offsets {
        let (mut offset, mut read) = (offset, Vec::new());
        loop {
            let page = hub.read(path, &format!("offset={offset}")).await;
            let up_to_date = header(page.headers(), "stream-up-to-date").is_some();
            offset = next_offset(&page);
            read.extend(bytes(page).await);
            if up_to_date {
                break;
            }
        }
        assert_eq!(read, all[position..]);
    }
}

#[tokio::test]
async fn offsets_stay_what_they_were_when_the_log_is_settled() {
    let limits = StreamLimits {
        sweep_every: Duration::from_millis(1),
        ..StreamLimits::default()
    };
    let hub = Hub::with_limits(limits);
    hub.create("log", "application/json").await;
    let mut offsets = Vec::new();
    for batch in ["[1,22]", r#""a,b""#, r#"{"c":[3,4]}"#, "5"] {
        offsets.push(next_offset(
            &hub.append("log", "application/json", batch).await,
        ));
    }
    while hub
        .streams
        .store()
        .read(|connection| {
            connection.query_row("SELECT count(*) FROM stream_log", [], |row| {
                row.get::<_, i64>(0)
            })
        })
        .await
        .expect("reads")
        .expect("counts")
        > 0
    {
        tokio::task::yield_now().await;
    }
    hub.append("log", "application/json", "6").await;
    let after = [
        r#"["a,b",{"c":[3,4]},5,6]"#,
        r#"[{"c":[3,4]},5,6]"#,
        "[5,6]",
        "[6]",
    ];
    for (offset, after) in offsets.iter().zip(after) {
        assert_eq!(
            text(hub.read("log", &format!("offset={offset}")).await).await,
            after
        );
    }
    // Between two messages of one append is as good; within a message is not.
    let (stream, _) = offsets[0].split_once('_').expect("two parts");
    let at = async |position: u32| {
        hub.read("log", &format!("offset={stream}_{position:016}"))
            .await
    };
    assert_eq!(text(at(2).await).await, r#"[22,"a,b",{"c":[3,4]},5,6]"#);
    for within in [1, 3, 7, 8, 9, 17, 26] {
        assert_eq!(
            at(within).await.status(),
            StatusCode::BAD_REQUEST,
            "{within}"
        );
    }
}

#[tokio::test]
async fn a_long_log_is_settled_while_it_grows() {
    let hub = Hub::start();
    hub.create("log", "text/plain").await;
    let mut expected = String::new();
    for number in 0..1_500 {
        let line = format!("{number}\n");
        expected.push_str(&line);
        hub.append("log", "text/plain", line).await;
    }
    assert_eq!(hub.text("log").await, expected);
    let settled = hub.streams.store().read(|connection| {
        connection.query_row(
            "SELECT settled > 0 AND settled < tail FROM stream",
            [],
            |row| row.get::<_, bool>(0),
        )
    });
    assert!(
        settled.await.expect("reads").expect("is there"),
        "some in chunks, some in the log"
    );
}
