//! A reader of one turn's stream, as the page is one: it reads live, comes again when it is cut off, and
//! remembers all that it has seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use protocol::ids::TurnId;
use protocol::state::TurnState;
use protocol::transcript::Transcript;
use protocol::wire::{Chunk, Part, PartBody};
use tokio::task::JoinHandle;
use transport::TransportError;

use crate::Failure;
use crate::person::{ChatShown, Person, Shown};

/// The pause before a stream is read again.
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// How often a finished turn's chunks are read before that has failed.
const TRIES: u32 = 100;

/// What was seen of a turn.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) chunks: BTreeMap<u64, Chunk>,
    /// When something new came.
    pub(crate) arrivals: Vec<Instant>,
    /// What should not have been.
    pub(crate) wrong: Vec<String>,
}

impl Seen {
    fn note(&mut self, chunk: Chunk) {
        match self.chunks.get(&chunk.seq) {
            // A new connection of the machine may bring again what had arrived.
            Some(known) if *known == chunk => {}
            Some(known) => self.wrong.push(format!(
                "chunk {} was {known:?} and is now {chunk:?}",
                chunk.seq
            )),
            None if chunk.seq != self.chunks.len() as u64 => self.wrong.push(format!(
                "chunk {} comes where {} should",
                chunk.seq,
                self.chunks.len()
            )),
            None => {
                self.chunks.insert(chunk.seq, chunk);
                self.arrivals.push(Instant::now());
            }
        }
    }

    /// The text that these chunks make.
    pub(crate) fn text(&self) -> String {
        let mut transcript = Transcript::default();
        for chunk in self.chunks.values() {
            transcript.apply(chunk);
        }
        text(transcript.parts())
    }
}

/// The answer's text.
pub(crate) fn text(parts: &[Part]) -> String {
    parts
        .iter()
        .filter_map(|part| match &part.body {
            PartBody::Text { text } => Some(text.as_str()),
            PartBody::Reasoning { .. }
            | PartBody::Tool(_)
            | PartBody::Notice { .. }
            | PartBody::Unknown => None,
        })
        .collect()
}

/// A reader at work.
#[derive(Debug)]
pub(crate) struct Reader {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Reader {
    pub(crate) fn start(person: Person, chat: Shown<ChatShown>, turn: TurnId) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(follow(person, chat, turn, Arc::clone(&seen)));
        Self { seen, task }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(person: Person, mut chat: Shown<ChatShown>, turn: TurnId, seen: Arc<Mutex<Seen>>) {
    let is_begun = |shown: &ChatShown| {
        let mut turns = shown.view.iter().flat_map(|view| &view.turns);
        turns.any(|known| known.id == turn && known.state != TurnState::Queued)
    };
    if chat.shown.wait_for(is_begun).await.is_err() {
        return;
    }
    loop {
        let mut chunks = person.chunks(&turn, true);
        while let Some(Ok(page)) = chunks.next().await {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            page.into_iter().for_each(|chunk| seen.note(chunk));
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// Reads all that there is of a turn.
pub(crate) async fn read_again(person: &Person, turn: &TurnId) -> Result<Seen, Failure> {
    let mut last = None;
    for _ in 0..TRIES {
        let mut seen = Seen::default();
        let mut chunks = person.chunks(turn, false);
        let mut lost = None;
        while let Some(page) = chunks.next().await {
            match page {
                Ok(page) => page.into_iter().for_each(|chunk| seen.note(chunk)),
                // A turn that never began has no stream.
                Err(TransportError::Refused(error))
                    if error.code == protocol::ErrorCode::NotFound => {}
                Err(error) => lost = Some(error),
            }
        }
        match lost {
            None => return Ok(seen),
            error => last = error,
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
    Err(format!("the chunks of {turn} can't be read: {last:?}").into())
}
