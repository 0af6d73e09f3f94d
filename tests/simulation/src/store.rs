//! The backend's disk: rows and chunk streams, written together in transactions, and kept only once they are
//! synced. What a crash finds unsynced is gone.

use std::collections::BTreeMap;

use protocol::backend::{Order, Rows, RowsError};
use protocol::ids::TurnId;
use protocol::producer::{self, Decision, ProducerState};
use protocol::wire::Chunk;
use protocol::{CallError, ErrorCode};

/// One turn's chunk stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stream {
    producer: Option<ProducerState>,
    /// Each chunk with the epoch of the connection that appended it.
    pub(crate) chunks: Vec<(u64, Chunk)>,
}

#[derive(Debug)]
enum Undo {
    Row(String, Option<Vec<u8>>),
    Appended(TurnId, usize, Option<ProducerState>),
    Stream(TurnId, Option<Stream>),
}

/// The disk and what is on it.
#[derive(Debug, Default)]
pub(crate) struct Store {
    rows: BTreeMap<String, Vec<u8>>,
    streams: BTreeMap<TurnId, Stream>,
    /// How to take back what is not synced, and where in it the open transaction begins.
    undo: Vec<Undo>,
    transaction: usize,
    /// Nothing can be written.
    pub(crate) is_full: bool,
    /// For the proof that the lease matters: every lease that is read ends then.
    pub(crate) lease_until_ms: Option<u64>,
    /// For the proof that duplicates matter: an append that comes twice is stored twice.
    pub(crate) keeps_duplicates: bool,
    /// Of every byte that was ever written, in order.
    pub(crate) digest: u64,
}

impl Store {
    /// The open transaction is whole.
    pub(crate) fn commit(&mut self) {
        self.transaction = self.undo.len();
    }

    /// The open transaction never was.
    pub(crate) fn roll_back(&mut self) {
        self.undo_down_to(self.transaction);
    }

    /// All that was committed is on disk.
    pub(crate) fn sync(&mut self) {
        self.undo.clear();
        self.transaction = 0;
    }

    /// The power goes.
    pub(crate) fn crash(&mut self) {
        self.undo_down_to(0);
        self.transaction = 0;
    }

    /// Something was committed that is not on disk.
    #[must_use]
    pub(crate) fn is_dirty(&self) -> bool {
        !self.undo.is_empty()
    }

    /// A turn's stream.
    #[must_use]
    pub(crate) fn stream(&self, turn: &TurnId) -> Option<&Stream> {
        self.streams.get(turn)
    }

    /// How many rows a table has.
    #[must_use]
    pub(crate) fn count(&self, table: &str) -> usize {
        let rows = self.rows.range(format!("{table}/")..format!("{table}0"));
        rows.count()
    }

    /// Begins a stream, if it has not begun.
    pub(crate) fn create_stream(&mut self, turn: &TurnId) {
        if !self.streams.contains_key(turn) {
            self.streams.insert(turn.clone(), Stream::default());
            self.undo.push(Undo::Stream(turn.clone(), None));
        }
    }

    /// Deletes a stream.
    pub(crate) fn delete_stream(&mut self, turn: &TurnId) {
        if let Some(before) = self.streams.remove(turn) {
            self.undo.push(Undo::Stream(turn.clone(), Some(before)));
        }
    }

    /// Appends, within the open transaction, what is new. Gives the stream's length.
    ///
    /// # Errors
    /// When the append is not the next one.
    pub(crate) fn append(
        &mut self,
        turn: &TurnId,
        epoch: u64,
        seq: u64,
        chunks: &[Chunk],
    ) -> Result<usize, CallError> {
        let Some(stream) = self.streams.get_mut(turn) else {
            return Err(CallError::not_found("stream"));
        };
        let before = Undo::Appended(turn.clone(), stream.chunks.len(), stream.producer);
        match producer::decide(stream.producer, epoch, seq) {
            Decision::Accept(next) => stream.producer = Some(next),
            Decision::Duplicate { .. } if self.keeps_duplicates => {}
            Decision::Duplicate { .. } => return Ok(stream.chunks.len()),
            refused @ (Decision::Gap { .. }
            | Decision::StaleEpoch { .. }
            | Decision::EpochMustStartAtZero) => {
                return Err(CallError::new(ErrorCode::Conflict, format!("{refused:?}")));
            }
        }
        self.undo.push(before);
        for chunk in chunks {
            mix(&mut self.digest, turn.as_str().as_bytes());
            mix(&mut self.digest, &chunk.seq.to_le_bytes());
            stream.chunks.push((epoch, chunk.clone()));
        }
        Ok(stream.chunks.len())
    }

    fn undo_down_to(&mut self, length: usize) {
        for undo in self.undo.drain(length..).rev() {
            match undo {
                Undo::Row(key, Some(before)) => {
                    self.rows.insert(key, before);
                }
                Undo::Row(key, None) => {
                    self.rows.remove(&key);
                }
                Undo::Appended(turn, length, producer) => {
                    if let Some(stream) = self.streams.get_mut(&turn) {
                        stream.chunks.truncate(length);
                        stream.producer = producer;
                    }
                }
                Undo::Stream(turn, Some(before)) => {
                    self.streams.insert(turn, before);
                }
                Undo::Stream(turn, None) => {
                    self.streams.remove(&turn);
                }
            }
        }
    }

    fn check_room(&self) -> Result<(), RowsError> {
        if self.is_full {
            return Err(RowsError("no space left on device".to_owned()));
        }
        Ok(())
    }
}

impl Rows for Store {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, RowsError> {
        let row = self.rows.get(key).cloned();
        Ok(match (row, self.lease_until_ms) {
            (Some(row), Some(until_ms)) if key.starts_with("machine.presence/") => {
                Some(with_lease(&row, until_ms))
            }
            (row, _) => row,
        })
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), RowsError> {
        self.check_room()?;
        mix(&mut self.digest, key.as_bytes());
        mix(&mut self.digest, value);
        let before = self.rows.insert(key.to_owned(), value.to_vec());
        self.undo.push(Undo::Row(key.to_owned(), before));
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), RowsError> {
        self.check_room()?;
        if let Some(before) = self.rows.remove(key) {
            mix(&mut self.digest, key.as_bytes());
            self.undo.push(Undo::Row(key.to_owned(), Some(before)));
        }
        Ok(())
    }

    fn scan(
        &self,
        from: &str,
        to: &str,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, RowsError> {
        let range = self.rows.range::<str, _>((
            std::ops::Bound::Included(from),
            std::ops::Bound::Excluded(to),
        ));
        let owned = |(key, value): (&String, &Vec<u8>)| (key.clone(), value.clone());
        Ok(match order {
            Order::Ascending => range.map(owned).take(limit).collect(),
            Order::Descending => range.rev().map(owned).take(limit).collect(),
        })
    }
}

fn with_lease(row: &[u8], until_ms: u64) -> Vec<u8> {
    let mut row: serde_json::Value = serde_json::from_slice(row).expect("rows are JSON");
    row["lease_until"] = serde_json::json!(until_ms);
    row.to_string().into_bytes()
}

/// Mixes bytes into a digest (the multiplication of FxHash).
pub(crate) fn mix(digest: &mut u64, bytes: &[u8]) {
    for piece in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..piece.len()].copy_from_slice(piece);
        let word = u64::from_le_bytes(word) ^ piece.len() as u64;
        *digest = (digest.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}
