//! The streams from within the backend's own transactions, and their fences.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    body::Body,
    http::{Method, StatusCode},
    response::Response,
};
use bytes::Bytes;
use hub::{
    store::{Transaction, WriteError},
    streams::{
        Access, AccessRequest, Append, Create, Grant, Lifetime, Payload, Producer, ReadFrom,
        StreamError, StreamLimits,
    },
};
use protocol::{CallError, ErrorCode};
use rusqlite::OptionalExtension as _;

use crate::support::{Event, Hub, header};

fn payload(text: &'static str) -> Option<Payload> {
    Some(
        Payload::new(
            "text/plain",
            Bytes::from_static(text.as_bytes()),
            &StreamLimits::default(),
        )
        .expect("valid"),
    )
}

fn text_stream() -> Create {
    Create {
        content_type: Some("text/plain".to_owned()),
        ..Create::default()
    }
}

fn put_row(transaction: &Transaction<'_>, key: &str, value: &str) -> rusqlite::Result<usize> {
    transaction.execute(
        "INSERT OR REPLACE INTO rows (key, value) VALUES (?1, ?2)",
        (key, value.as_bytes()),
    )
}

#[tokio::test]
async fn rows_and_appends_stand_or_fall_together() {
    let hub = Hub::start();
    hub.create("chat", "text/plain").await;
    let mut reader = hub.sse("chat", "-1").await;
    assert!(matches!(
        reader.next().await,
        Some(Event::Control {
            up_to_date: true,
            ..
        })
    ));

    let streams = hub.streams.clone();
    let failed = hub.streams.store().write(move |transaction| {
        put_row(transaction, "turn", "lost").map_err(StreamError::from)?;
        streams.append(
            transaction,
            "chat",
            Append {
                payload: payload("lost"),
                ..Append::default()
            },
        )?;
        Err::<(), _>(StreamError::NotFound)
    });
    assert!(matches!(
        failed.await,
        Err(WriteError::Job(StreamError::NotFound))
    ));

    let streams = hub.streams.clone();
    let appended = hub.streams.store().write(move |transaction| {
        put_row(transaction, "turn", "kept").map_err(StreamError::from)?;
        streams.append(
            transaction,
            "chat",
            Append {
                payload: payload("kept"),
                ..Append::default()
            },
        )
    });
    assert_eq!(appended.await.expect("appends").tail.position(), 4);
    assert_eq!(
        reader.until_up_to_date().await.0,
        "kept",
        "what was undone was never seen"
    );
    assert_eq!(hub.text("chat").await, "kept");
    let row: Vec<u8> = hub
        .streams
        .store()
        .read(|connection| {
            connection.query_row("SELECT value FROM rows WHERE key = 'turn'", [], |row| {
                row.get(0)
            })
        })
        .await
        .expect("reads")
        .expect("is there");
    assert_eq!(row, b"kept");
}

#[tokio::test]
async fn the_typed_interface_says_what_http_says() {
    let hub = Hub::start();
    let streams = &hub.streams;
    let path = || "chat".to_owned();
    assert!(
        streams
            .create_durably(path(), text_stream(), None)
            .await
            .expect("creates")
            .fresh
    );
    assert!(
        !streams
            .create_durably(path(), text_stream(), None)
            .await
            .expect("exists")
            .fresh
    );
    let other = Create {
        lifetime: Lifetime::Idle { ttl_s: 5 },
        ..text_stream()
    };
    assert!(matches!(
        streams.create_durably(path(), other, None).await,
        Err(StreamError::Exists)
    ));

    let append = |seq, text| Append {
        payload: payload(text),
        producer: Some(Producer {
            id: "p".to_owned(),
            epoch: 1,
            seq,
        }),
        ..Append::default()
    };
    assert!(
        !streams
            .append_durably(path(), append(0, "a"), None)
            .await
            .expect("appends")
            .duplicate
    );
    assert!(
        streams
            .append_durably(path(), append(0, "a"), None)
            .await
            .expect("repeats")
            .duplicate
    );
    let gap = streams.append_durably(path(), append(2, "c"), None).await;
    assert!(matches!(
        gap,
        Err(StreamError::Gap {
            expected: 1,
            received: 2
        })
    ));
    let page = streams
        .read_durably(path(), ReadFrom::Start)
        .await
        .expect("reads");
    assert_eq!(
        (page.body(), page.is_up_to_date()),
        (Bytes::from_static(b"a"), true)
    );

    let close = Append {
        close: true,
        ..Append::default()
    };
    assert!(
        streams
            .append_durably(path(), close.clone(), None)
            .await
            .expect("closes")
            .closed
    );
    assert!(
        streams
            .append_durably(path(), close, None)
            .await
            .expect("is closed")
            .duplicate
    );
    let late = streams.append_durably(path(), append(1, "b"), None).await;
    assert!(matches!(late, Err(StreamError::Closed { tail }) if tail.position() == 1));
    streams.delete_durably(path(), None).await.expect("deletes");
    assert!(matches!(
        streams.read_durably(path(), ReadFrom::Start).await,
        Err(StreamError::NotFound)
    ));
}

/// Lets an append in if its producer's epoch is the one in the rows, as the hub does for a machine's.
struct ByEpoch;

#[async_trait]
impl Access for ByEpoch {
    async fn check(&self, request: AccessRequest<'_>) -> Result<Grant, Response> {
        if request.parts.headers.get("authorization").is_none() {
            let error = CallError {
                code: ErrorCode::NotFound,
                message: "no such stream".to_owned(),
                retry_after_ms: None,
            };
            return Err(hub::refusal::response(error));
        }
        let fence = |transaction: &Transaction<'_>, producer: Option<&Producer>| {
            let current: Option<Vec<u8>> = transaction
                .prepare_cached("SELECT value FROM rows WHERE key = 'epoch'")?
                .query_row([], |row| row.get(0))
                .optional()?;
            let current = current
                .and_then(|value| String::from_utf8(value).ok()?.parse().ok())
                .unwrap_or(0);
            match producer {
                Some(producer) if producer.epoch != current => {
                    Err(StreamError::StaleEpoch { current })
                }
                _ => Ok(()),
            }
        };
        Ok(Grant {
            fence: Some(Arc::new(fence)),
            until: None,
        })
    }
}

#[tokio::test]
async fn a_fence_is_asked_in_the_transaction_of_the_append() {
    let hub = Hub::with_access(ByEpoch);
    let key = ("authorization", "Bearer x");
    assert_eq!(
        hub.append_as("chat", "p", 0, 0, "x").await.status(),
        StatusCode::NOT_FOUND,
        "not let in"
    );
    let created = hub
        .call(
            Method::PUT,
            "chat",
            &[key, ("content-type", "text/plain")],
            Body::empty(),
        )
        .await;
    assert_eq!(created.status(), StatusCode::CREATED);

    let append = async |epoch: &str, body: &'static str| {
        let headers = [
            key,
            ("content-type", "text/plain"),
            ("producer-id", "p"),
            ("producer-epoch", epoch),
            ("producer-seq", "0"),
        ];
        hub.call(Method::POST, "chat", &headers, body).await
    };
    assert_eq!(append("0", "first").await.status(), StatusCode::OK);
    hub.streams
        .store()
        .write(|transaction| put_row(transaction, "epoch", "2"))
        .await
        .expect("moves on");
    for stale in ["0", "1", "3"] {
        let refused = append(stale, "zombie").await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{stale}");
        assert_eq!(header(refused.headers(), "producer-epoch"), Some("2"));
    }
    assert_eq!(append("2", " second").await.status(), StatusCode::OK);
    let all = hub
        .call(Method::GET, "chat?offset=-1", &[key], Body::empty())
        .await;
    assert_eq!(crate::support::text(all).await, "first second");
}

#[tokio::test]
async fn streams_expire_and_are_swept_away() {
    let hub = Hub::start();
    let headers = [("content-type", "text/plain"), ("stream-ttl", "10")];
    assert_eq!(
        hub.call(Method::PUT, "idle", &headers, "abc")
            .await
            .status(),
        StatusCode::CREATED
    );
    let headers = [
        ("content-type", "text/plain"),
        ("stream-expires-at", "2027-01-15T08:00:05Z"),
    ];
    assert_eq!(
        hub.call(Method::PUT, "until", &headers, "abc")
            .await
            .status(),
        StatusCode::CREATED
    );
    let head = hub.call(Method::HEAD, "until", &[], Body::empty()).await;
    assert_eq!(
        header(head.headers(), "stream-expires-at"),
        Some("2027-01-15T08:00:05Z")
    );

    hub.pass_ms(4_999);
    assert_eq!(
        hub.text("until").await,
        "abc",
        "the clock began at 2027-01-15T08:00:00Z"
    );
    assert_eq!(hub.text("idle").await, "abc");
    hub.pass_ms(1);
    assert_eq!(
        hub.read("until", "offset=-1").await.status(),
        StatusCode::NOT_FOUND
    );
    hub.pass_ms(9_998);
    assert_eq!(
        hub.call(Method::HEAD, "idle", &[], Body::empty())
            .await
            .status(),
        StatusCode::OK
    );
    hub.pass_ms(1);
    assert_eq!(
        hub.call(Method::HEAD, "idle", &[], Body::empty())
            .await
            .status(),
        StatusCode::NOT_FOUND,
        "a look is no use"
    );

    // Creating wakes the sweeper; the path is free again.
    assert_eq!(
        hub.call(Method::PUT, "idle", &[("stream-ttl", "10")], Body::empty())
            .await
            .status(),
        StatusCode::CREATED
    );
    let left = async || {
        hub.streams
            .store()
            .read(|connection| {
                let count = |table| {
                    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                        row.get::<_, i64>(0)
                    })
                };
                Ok::<_, rusqlite::Error>((
                    count("stream")?,
                    count("stream_chunk")?,
                    count("stream_garbage")?,
                ))
            })
            .await
            .expect("reads")
            .expect("counts")
    };
    while left().await != (1, 0, 0) {
        tokio::task::yield_now().await;
    }
}
