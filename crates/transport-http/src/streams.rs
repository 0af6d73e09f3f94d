//! A turn's chunk stream, over the Durable Streams protocol.

use futures::{StreamExt, stream};
use protocol::backend::stream_path;
use protocol::ids::TurnId;
use protocol::secret::Secret;
use protocol::wire::{Chunk, ChunkOp};
use serde_json::Value;
use transport::{Append, Chunks, TransportError};

use crate::{HttpTransport, answer, authorised, events, lost, read_body, refused, within_limit};

/// The offset before the first chunk.
const START: &str = "-1";

pub(crate) async fn append(http: &HttpTransport, append: Append) -> Result<(), TransportError> {
    let request = http
        .client
        .post(http.url(&stream_path(&append.turn_id)))
        .header("Producer-Id", append.turn_id.as_str())
        .header("Producer-Epoch", append.epoch)
        .header("Producer-Seq", append.seq)
        .json(&append.chunks);
    let is_last = append
        .chunks
        .last()
        .is_some_and(|chunk| matches!(chunk.op, ChunkOp::Seal { .. }));
    let request = if is_last {
        request.header("Stream-Closed", "true")
    } else {
        request
    };
    answer(within_limit(authorised(request, Some(&append.credential))))
        .await
        .map(|_| ())
}

pub(crate) fn read(
    http: HttpTransport,
    turn: TurnId,
    credential: Option<Secret>,
    live: bool,
) -> Chunks {
    let reader = Reader {
        http,
        path: stream_path(&turn),
        credential,
        offset: START.to_owned(),
    };
    if live {
        reader.follow()
    } else {
        reader.catch_up()
    }
}

struct Reader {
    http: HttpTransport,
    path: String,
    credential: Option<Secret>,
    offset: String,
}

impl Reader {
    fn request(&self, live: Option<&str>) -> reqwest::RequestBuilder {
        let request = self
            .http
            .client
            .get(self.http.url(&self.path))
            .query(&[("offset", self.offset.as_str())]);
        match live {
            Some(mode) => request.query(&[("live", mode)]),
            None => request,
        }
    }

    /// Page by page up to the end as it is now.
    fn catch_up(self) -> Chunks {
        stream::unfold(Some(self), |reader| async move {
            let mut reader = reader?;
            match reader.page().await {
                Ok((chunks, true)) => Some((Ok(chunks), None)),
                Ok((chunks, false)) => Some((Ok(chunks), Some(reader))),
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }

    /// The next page, and whether it is the last one.
    async fn page(&mut self) -> Result<(Vec<Chunk>, bool), TransportError> {
        let request = within_limit(authorised(self.request(None), self.credential.as_ref()));
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let (next, up_to_date) = (
            header("Stream-Next-Offset"),
            header("Stream-Up-To-Date").is_some(),
        );
        let body = read_body(response).await?;
        if !status.is_success() {
            return Err(refused(status.as_u16(), &body));
        }
        let stands_still = next.as_ref() == Some(&self.offset);
        self.offset = next.ok_or_else(|| {
            TransportError::Lost("a page of the stream has no next offset".to_owned())
        })?;
        Ok((chunks(&body)?, up_to_date || stands_still))
    }

    /// All there is and then what comes, over one connection after the other: the backend ends each after a
    /// while.
    fn follow(self) -> Chunks {
        stream::unfold(
            Some((self, None::<stream::BoxStream<'static, _>>, false)),
            |state| async move {
                let (mut reader, mut source, mut progressed) = state?;
                loop {
                    let connection = source.get_or_insert_with(|| {
                        let request = reader.request(Some("sse"));
                        events::open(request, &reader.http.client, reader.credential.as_ref())
                            .boxed()
                    });
                    match connection.next().await {
                        Some(Ok(event)) if event.name == "data" => {
                            let chunks = chunks(event.data.as_bytes());
                            return Some((chunks, Some((reader, source, true))));
                        }
                        Some(Ok(event)) if event.name == "control" => {
                            progressed = true;
                            let control: Value =
                                serde_json::from_str(&event.data).unwrap_or_default();
                            if let Some(next) = control["streamNextOffset"].as_str() {
                                next.clone_into(&mut reader.offset);
                            }
                            if control["streamClosed"].as_bool() == Some(true) {
                                return None;
                            }
                        }
                        Some(Ok(_)) => {}
                        // A connection that brought something and was then ended by the backend is not an error.
                        Some(Err(TransportError::Lost(_))) | None if progressed => {
                            progressed = false;
                            source = None;
                        }
                        Some(Err(error)) => return Some((Err(error), None)),
                        None => return None,
                    }
                }
            },
        )
        .boxed()
    }
}

fn chunks(body: &[u8]) -> Result<Vec<Chunk>, TransportError> {
    serde_json::from_slice(body).map_err(|error| {
        TransportError::Lost(format!("the stream's chunks do not read as such ({error})"))
    })
}
