//! A hub's streams in a temporary directory, and what it takes to talk to them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    body::{Body, BodyDataStream, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
    response::Response,
};
use bytes::Bytes;
use futures::StreamExt as _;
use hub::{
    store::{Store, StoreOptions},
    streams::{Access, OpenAccess, StreamLimits, Streams, router},
};
use tempfile::TempDir;
use tower::ServiceExt as _;

pub(crate) const BASE: &str = "/v1/streams";

pub(crate) struct Hub {
    pub(crate) streams: Streams,
    pub(crate) app: Router,
    clock: Arc<AtomicU64>,
    directory: TempDir,
}

impl Hub {
    pub(crate) fn start() -> Self {
        Self::with(StreamLimits::default(), StoreOptions::default(), OpenAccess)
    }

    pub(crate) fn with_limits(limits: StreamLimits) -> Self {
        Self::with(limits, StoreOptions::default(), OpenAccess)
    }

    pub(crate) fn with_access(access: impl Access) -> Self {
        Self::with(StreamLimits::default(), StoreOptions::default(), access)
    }

    pub(crate) fn with(limits: StreamLimits, options: StoreOptions, access: impl Access) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open_with(directory.path().join("hub.db"), &options).expect("opens");
        Self::over(store, limits, access, directory)
    }

    fn over(store: Store, limits: StreamLimits, access: impl Access, directory: TempDir) -> Self {
        let clock = Arc::new(AtomicU64::new(1_800_000_000_000));
        let time = Arc::clone(&clock);
        let streams =
            Streams::start_with_clock(store, limits, Arc::new(move || time.load(Ordering::SeqCst)));
        let app = Router::new().nest(BASE, router(streams.clone(), Arc::new(access)));
        Self {
            streams,
            app,
            clock,
            directory,
        }
    }

    /// As after a restart of the process.
    pub(crate) async fn restart(self) -> Self {
        self.streams.store().close().await;
        let path = self.streams.store().path().to_owned();
        Self::over(
            Store::open(path).expect("reopens"),
            StreamLimits::default(),
            OpenAccess,
            self.directory,
        )
    }

    pub(crate) fn pass_ms(&self, ms: u64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{BASE}/{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.app
            .clone()
            .oneshot(request.body(body.into()).expect("a request"))
            .await
            .expect("always answers")
    }

    pub(crate) async fn create(&self, path: &str, content_type: &str) {
        let response = self
            .call(
                Method::PUT,
                path,
                &[("content-type", content_type)],
                Body::empty(),
            )
            .await;
        assert_eq!(response.status(), StatusCode::CREATED);
    }

    pub(crate) async fn append(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<Body>,
    ) -> Response {
        self.call(Method::POST, path, &[("content-type", content_type)], body)
            .await
    }

    pub(crate) async fn append_as(
        &self,
        path: &str,
        producer: &str,
        epoch: u64,
        seq: u64,
        body: &'static str,
    ) -> Response {
        let (epoch, seq) = (epoch.to_string(), seq.to_string());
        let headers = [
            ("content-type", "text/plain"),
            ("producer-id", producer),
            ("producer-epoch", &epoch),
            ("producer-seq", &seq),
        ];
        self.call(Method::POST, path, &headers, body).await
    }

    pub(crate) async fn read(&self, path: &str, query: &str) -> Response {
        self.call(Method::GET, &format!("{path}?{query}"), &[], Body::empty())
            .await
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        text(self.read(path, "offset=-1").await).await
    }

    pub(crate) async fn sse(&self, path: &str, offset: &str) -> Events {
        let response = self.read(path, &format!("offset={offset}&live=sse")).await;
        assert_eq!(response.status(), StatusCode::OK);
        Events::of(response)
    }
}

pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get(name)
        .map(|value| value.to_str().expect("ASCII"))
}

pub(crate) fn next_offset(response: &Response) -> String {
    header(response.headers(), "stream-next-offset")
        .expect("an offset")
        .to_owned()
}

pub(crate) async fn bytes(response: Response) -> Bytes {
    to_bytes(response.into_body(), usize::MAX)
        .await
        .expect("a body")
}

pub(crate) async fn text(response: Response) -> String {
    String::from_utf8(bytes(response).await.to_vec()).expect("UTF-8")
}

/// One event or comment of a live read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Data(String),
    Control {
        next: String,
        up_to_date: bool,
        closed: bool,
    },
    Ping,
}

/// A live read, taken apart.
pub(crate) struct Events {
    body: BodyDataStream,
    gathered: Vec<u8>,
}

impl Events {
    pub(crate) fn of(response: Response) -> Self {
        Self {
            body: response.into_body().into_data_stream(),
            gathered: Vec::new(),
        }
    }

    /// `None` when the connection ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.gathered.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.gathered.drain(..end + 2).collect();
                return Some(parse(std::str::from_utf8(&block).expect("UTF-8")));
            }
            self.gathered
                .extend_from_slice(&self.body.next().await?.expect("readable"));
        }
    }

    /// Data until the reader is told that it is up to date, and the offset it was given last.
    pub(crate) async fn until_up_to_date(&mut self) -> (String, String) {
        let mut data = String::new();
        loop {
            match self.next().await.expect("goes on") {
                Event::Data(more) => data.push_str(&more),
                Event::Control {
                    next,
                    up_to_date: true,
                    ..
                } => return (data, next),
                Event::Control { .. } | Event::Ping => {}
            }
        }
    }
}

fn parse(block: &str) -> Event {
    let mut data = Vec::new();
    let mut name = "";
    for line in block.lines() {
        if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
        } else if let Some(value) = line.strip_prefix("event: ") {
            name = value;
        }
    }
    let data = data.join("\n");
    match name {
        "data" => Event::Data(data),
        "control" => {
            let control: serde_json::Value = serde_json::from_str(&data).expect("JSON");
            Event::Control {
                next: control["streamNextOffset"]
                    .as_str()
                    .expect("an offset")
                    .to_owned(),
                up_to_date: control["upToDate"] == true,
                closed: control["streamClosed"] == true,
            }
        }
        "" => Event::Ping,
        other => panic!("unknown event {other}"),
    }
}
