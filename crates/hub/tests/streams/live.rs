//! Live readers.

use std::time::Duration;

use async_trait::async_trait;
use axum::{
    http::{Method, StatusCode},
    response::Response,
};
use futures::future::join_all;
use hub::{
    listen::cut_stalled,
    streams::{Access, AccessRequest, Grant, StreamLimits},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use crate::support::{BASE, Event, Hub, header, next_offset, text};

#[tokio::test]
async fn many_readers_see_the_same() {
    let hub = Hub::start();
    hub.create("log", "application/json").await;
    let readers = join_all((0..50).map(|_| hub.sse("log", "-1"))).await;
    let read = readers.into_iter().map(async |mut reader| {
        let mut messages = Vec::new();
        loop {
            match reader.next().await {
                Some(Event::Data(data)) => {
                    messages.extend(
                        serde_json::from_str::<Vec<usize>>(&data).expect("an array of numbers"),
                    );
                }
                Some(Event::Control { closed: true, .. }) => {
                    return (messages, reader.next().await);
                }
                Some(Event::Control { .. } | Event::Ping) => {}
                None => panic!("ended early"),
            }
        }
    });
    let write = async {
        for number in 0..200 {
            hub.append("log", "application/json", number.to_string())
                .await;
        }
        let headers = [
            ("content-type", "application/json"),
            ("stream-closed", "true"),
        ];
        hub.call(Method::POST, "log", &headers, "[200,201]").await
    };
    let (read, closed) = tokio::join!(join_all(read), write);
    assert_eq!(closed.status(), StatusCode::NO_CONTENT);
    for (messages, after) in read {
        assert!(messages.iter().copied().eq(0..202));
        assert_eq!(after, None, "the connection ends with the stream");
    }
}

#[tokio::test]
async fn a_character_cut_in_two_arrives_whole() {
    let hub = Hub::start();
    hub.create("log", "text/plain; charset=utf-8").await;
    let text = "a€😀é";
    let mut reader = hub.sse("log", "-1").await;
    assert!(matches!(reader.next().await, Some(Event::Control { .. })));
    let (mut live, mut resumed, mut offset) = (String::new(), String::new(), "-1".to_owned());
    for byte in text.as_bytes() {
        hub.append("log", "text/plain", vec![*byte]).await;
        // A reader that comes back each time with the offset it was given.
        let (data, next) = hub.sse("log", &offset).await.until_up_to_date().await;
        resumed.push_str(&data);
        offset = next;
    }
    hub.call(Method::POST, "log", &[("stream-closed", "true")], "")
        .await;
    loop {
        match reader.next().await.expect("goes on") {
            Event::Data(data) => live.push_str(&data),
            Event::Control { closed: true, .. } => break,
            Event::Control { .. } | Event::Ping => {}
        }
    }
    assert_eq!(live, text);
    assert_eq!(resumed, text);
}

#[tokio::test]
async fn half_a_character_at_the_end_is_shown_as_such() {
    let hub = Hub::start();
    hub.create("log", "text/plain").await;
    hub.append("log", "text/plain", vec![b'a', 0xe2, 0x82])
        .await;
    hub.call(Method::POST, "log", &[("stream-closed", "true")], "")
        .await;
    let (data, _) = hub.sse("log", "-1").await.until_up_to_date().await;
    assert_eq!(data, "a\u{fffd}");
}

#[tokio::test]
async fn a_deleted_stream_ends_its_readers() {
    let hub = Hub::start();
    hub.create("log", "text/plain").await;
    let mut reader = hub.sse("log", "-1").await;
    assert!(matches!(reader.next().await, Some(Event::Control { .. })));
    hub.call(Method::DELETE, "log", &[], "").await;
    assert_eq!(reader.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_pings_and_is_renewed() {
    let hub = Hub::start();
    hub.create("log", "text/plain").await;
    let mut reader = hub.sse("log", "-1").await;
    assert!(matches!(
        reader.next().await,
        Some(Event::Control {
            up_to_date: true,
            ..
        })
    ));
    for _ in 0..3 {
        assert_eq!(reader.next().await, Some(Event::Ping));
    }
    assert_eq!(reader.next().await, None, "a minute is over");
}

#[tokio::test]
async fn readers_beyond_the_limit_are_told_to_come_back() {
    let hub = Hub::with_limits(StreamLimits {
        live_readers: 1,
        ..StreamLimits::default()
    });
    hub.create("log", "text/plain").await;
    let first = hub.sse("log", "-1").await;
    let second = hub.read("log", "offset=-1&live=sse").await;
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(header(second.headers(), "retry-after").is_some());
    drop(first);
    assert_eq!(
        hub.read("log", "offset=-1&live=sse").await.status(),
        StatusCode::OK
    );
}

/// Lets everybody in until it is cancelled.
struct Revocable(CancellationToken);

#[async_trait]
impl Access for Revocable {
    async fn check(&self, _request: AccessRequest<'_>) -> Result<Grant, Response> {
        Ok(Grant {
            fence: None,
            until: Some(self.0.clone()),
        })
    }
}

#[tokio::test]
async fn revoking_ends_live_reads() {
    let revoked = CancellationToken::new();
    let hub = Hub::with_access(Revocable(revoked.clone()));
    hub.create("log", "text/plain").await;
    let mut reader = hub.sse("log", "-1").await;
    assert!(matches!(reader.next().await, Some(Event::Control { .. })));
    let polling = hub.read("log", "offset=now&live=long-poll");
    let (after, polled, ()) = tokio::join!(reader.next(), polling, async { revoked.cancel() });
    assert_eq!(after, None);
    assert_eq!(polled.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_long_poll_is_woken_by_the_append() {
    let hub = Hub::start();
    hub.create("log", "text/plain").await;
    let tail = next_offset(&hub.read("log", "offset=now").await);
    let query = format!("offset={tail}&live=long-poll");
    let (polled, appended) = tokio::join!(
        hub.read("log", &query),
        hub.append("log", "text/plain", "news")
    );
    assert_eq!(polled.status(), StatusCode::OK);
    assert_eq!(next_offset(&polled), next_offset(&appended));
    assert_eq!(text(polled).await, "news");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_and_nobody_else_feels_it() {
    const STALL: Duration = Duration::from_millis(200);
    let hub = Hub::with_limits(StreamLimits {
        live_readers: 2,
        ..StreamLimits::default()
    });
    hub.create("log", "application/octet-stream").await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let app = hub.app.clone();
    let server = tokio::spawn(async move { axum::serve(cut_stalled(listener, STALL), app).await });

    let mut stalled = TcpStream::connect(address).await.expect("connects");
    let request = format!("GET {BASE}/log?offset=-1&live=sse HTTP/1.1\r\nhost: hub\r\n\r\n");
    stalled.write_all(request.as_bytes()).await.expect("asks");
    let mut first = [0; 16];
    stalled.read_exact(&mut first).await.expect("is answered");

    let mut other = hub.sse("log", "-1").await;
    let piece = vec![7_u8; 64 * 1024];
    // More than the sockets between take, whatever their buffers.
    const PIECES: usize = 400;
    let write = async {
        for _ in 0..PIECES {
            hub.append("log", "application/octet-stream", piece.clone())
                .await;
        }
        hub.call(Method::POST, "log", &[("stream-closed", "true")], "")
            .await;
    };
    let read = async {
        let mut bytes = 0;
        loop {
            match other.next().await.expect("goes on") {
                Event::Data(data) => {
                    bytes += data
                        .split('\n')
                        .map(|line| line.len() / 4 * 3 - line.matches('=').count())
                        .sum::<usize>()
                }
                Event::Control { closed: true, .. } => return bytes,
                Event::Control { .. } | Event::Ping => {}
            }
        }
    };
    let ((), read) = tokio::join!(write, read);
    assert_eq!(read, PIECES * piece.len());

    drop(other);
    let _third = hub.sse("log", "now").await;
    // The place of the stalled one becomes free.
    while hub.read("log", "offset=now&live=sse").await.status() != StatusCode::OK {
        tokio::task::yield_now().await;
    }
    // What the sockets held, and then the end (or a reset) instead of the rest.
    let mut rest = Vec::new();
    let _ = stalled.read_to_end(&mut rest).await;
    assert!(
        rest.len() < PIECES * piece.len(),
        "{} bytes came",
        rest.len()
    );
    server.abort();
}
