//! A turn's chunk stream: appends are mutations, reads are a query whose cursor moves now and then.

use std::time::Duration;

use futures::{StreamExt, stream};
use protocol::ids::TurnId;
use protocol::secret::Secret;
use protocol::wire::{Appended, Chunk};
use serde::Deserialize;
use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;
use transport::{Append, Call, Chunks, Transport as _, TransportError, Values};

use crate::ConvexTransport;
use crate::identity::Identity;

/// The cursor before the first chunk.
const START: &str = "-1";
/// So many appends lie between the cursor and the newest one before it moves: each of them is read, and goes over the
/// wire again, with every further one, while each move is a call. By the published prices reading costs more than
/// calls from about eight on.
const CURSOR_EVERY: usize = 8;

/// How often a live read says that somebody watches; the deployment believes it for 45 s.
const VIEWING_EVERY: Duration = Duration::from_secs(20);

pub(crate) async fn append(
    convex: &ConvexTransport,
    append: Append,
) -> Result<Appended, TransportError> {
    // As text: a value of Convex's own would cost a place in the document for every field of every chunk.
    let chunks = serde_json::to_string(&append.chunks)
        .map_err(|error| TransportError::Lost(error.to_string()))?;
    let call = Call {
        function: "worker.chat.writeChunk".to_owned(),
        args: json!({
            "turnId": append.turn_id,
            "epoch": append.epoch,
            "seq": append.seq,
            "chunks": chunks,
        }),
        key: None,
        credential: Some(append.credential),
    };
    let reply = convex.call(call).await?;
    serde_json::from_value(reply).map_err(|error| misread(&error))
}

pub(crate) fn read(
    convex: ConvexTransport,
    turn: TurnId,
    credential: Option<Secret>,
    live: bool,
) -> Chunks {
    let reader = Reader {
        convex,
        turn,
        credential,
        cursor: START.to_owned(),
    };
    if live {
        reader.follow()
    } else {
        reader.catch_up()
    }
}

/// What is there from a cursor on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    /// Each the JSON of one append's chunks.
    batches: Vec<String>,
    /// The cursor after them.
    next: String,
    /// Whether this is all there is.
    up_to_date: bool,
    /// Whether nothing will come after it.
    closed: bool,
}

impl Page {
    fn chunks(&self, from: usize) -> Result<Vec<Chunk>, TransportError> {
        let mut chunks = Vec::new();
        for batch in self.batches.get(from..).unwrap_or_default() {
            let batch: Vec<Chunk> = serde_json::from_str(batch).map_err(|error| misread(&error))?;
            chunks.extend(batch);
        }
        Ok(chunks)
    }
}

struct Reader {
    convex: ConvexTransport,
    turn: TurnId,
    credential: Option<Secret>,
    cursor: String,
}

impl Reader {
    const FUNCTION: &str = "worker.chat.chunks";

    fn args(&self) -> serde_json::Value {
        json!({ "turnId": self.turn, "after": self.cursor })
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
        let call = Call {
            function: Self::FUNCTION.to_owned(),
            args: self.args(),
            key: None,
            credential: self.credential.clone(),
        };
        let page: Page = serde_json::from_value(self.convex.call(call).await?)
            .map_err(|error| misread(&error))?;
        let stands_still = page.next == self.cursor;
        self.cursor.clone_from(&page.next);
        Ok((
            page.chunks(0)?,
            page.up_to_date || page.closed || stands_still,
        ))
    }

    /// Tells the deployment now and then that a person watches, so that the machine does not gather for long. When
    /// it can't be told the answer comes in larger pieces, and nothing else is wrong.
    fn say_viewing(&self) -> Option<AbortOnDropHandle<()>> {
        let Ok(Identity::Person(_)) = Identity::of(self.credential.as_ref()) else {
            return None;
        };
        let call = Call {
            function: "worker.chat.viewing".to_owned(),
            args: json!({ "turnId": self.turn }),
            key: None,
            credential: self.credential.clone(),
        };
        let convex = self.convex.clone();
        let say = async move {
            let mut times = tokio::time::interval(VIEWING_EVERY);
            times.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                times.tick().await;
                if let Err(error) = convex.call(call.clone()).await {
                    tracing::debug!(%error, "the deployment was not told that somebody watches");
                }
            }
        };
        Some(AbortOnDropHandle::new(tokio::spawn(say)))
    }

    /// All there is and then what comes, until nothing will.
    fn follow(self) -> Chunks {
        let following = Following {
            _viewing: self.say_viewing(),
            reader: self,
            pages: None,
            seen: 0,
            ended: false,
        };
        stream::unfold(following, |mut following| async move {
            let next = following.next().await?;
            following.ended |= next.is_err();
            Some((next, following))
        })
        .boxed()
    }
}

/// A live read.
struct Following {
    reader: Reader,
    /// Says that somebody watches, for as long as this lives.
    _viewing: Option<AbortOnDropHandle<()>>,
    /// The page at the cursor, as it grows.
    pages: Option<Values>,
    /// How many of its batches were passed on.
    seen: usize,
    ended: bool,
}

impl Following {
    async fn next(&mut self) -> Option<Result<Vec<Chunk>, TransportError>> {
        while !self.ended {
            let reader = &self.reader;
            let pages = self.pages.get_or_insert_with(|| {
                reader
                    .convex
                    .watch(Reader::FUNCTION, reader.args(), reader.credential.clone())
            });
            let page = match pages.next().await? {
                Ok(page) => page,
                Err(error) => return Some(Err(error)),
            };
            match serde_json::from_value::<Page>(page) {
                Ok(page) => match self.take(&page) {
                    Ok(chunks) if chunks.is_empty() => {}
                    taken => return Some(taken),
                },
                Err(error) => return Some(Err(misread(&error))),
            }
        }
        None
    }

    /// What is new on the page.
    fn take(&mut self, page: &Page) -> Result<Vec<Chunk>, TransportError> {
        let chunks = page.chunks(self.seen)?;
        self.seen = self.seen.max(page.batches.len());
        if page.closed {
            self.ended = true;
        } else if (self.seen >= CURSOR_EVERY || !page.up_to_date) && page.next != self.reader.cursor
        {
            self.reader.cursor.clone_from(&page.next);
            self.seen = 0;
            self.pages = None;
        }
        Ok(chunks)
    }
}

fn misread(error: &serde_json::Error) -> TransportError {
    TransportError::Lost(format!(
        "the deployment's answer does not read as such ({error})"
    ))
}
