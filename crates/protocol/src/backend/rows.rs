//! The storage that the backend core asks for: rows under keys that are kept in order. SQLite, memory and
//! the simulation each implement these four methods; everything else is built on them here.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::error::{CallError, ErrorCode};

/// The storage could not do it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("storage: {0}")]
pub struct RowsError(pub String);

impl From<RowsError> for CallError {
    fn from(error: RowsError) -> Self {
        Self::new(
            ErrorCode::Unavailable,
            format!(
                "The backend could not reach its storage ({}). Try again.",
                error.0
            ),
        )
    }
}

/// In which direction to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// Ordered rows. Whoever implements it makes all writes of one call take effect together or not at all.
pub trait Rows {
    /// The row under a key.
    ///
    /// # Errors
    /// When the storage fails.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, RowsError>;

    /// Sets the row under a key.
    ///
    /// # Errors
    /// When the storage fails.
    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), RowsError>;

    /// Deletes the row under a key, if there is one.
    ///
    /// # Errors
    /// When the storage fails.
    fn delete(&mut self, key: &str) -> Result<(), RowsError>;

    /// Up to `limit` rows with `from <= key < to`.
    ///
    /// # Errors
    /// When the storage fails.
    fn scan(
        &self,
        from: &str,
        to: &str,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, RowsError>;
}

/// Reads a row as what it is.
pub(crate) fn load<T: DeserializeOwned>(
    rows: &impl Rows,
    key: &str,
) -> Result<Option<T>, CallError> {
    rows.get(key)?.map(|bytes| decode(key, &bytes)).transpose()
}

/// Writes a row.
pub(crate) fn save<T: Serialize>(
    rows: &mut impl Rows,
    key: &str,
    value: &T,
) -> Result<(), CallError> {
    let bytes = serde_json::to_vec(value).map_err(|error| corrupt(key, &error))?;
    Ok(rows.put(key, &bytes)?)
}

/// The rows below a prefix, which ends with the separator.
pub(crate) fn below<T: DeserializeOwned>(
    rows: &impl Rows,
    prefix: &str,
    order: Order,
    limit: usize,
) -> Result<Vec<(String, T)>, CallError> {
    rows.scan(prefix, &after_all(prefix), order, limit)?
        .into_iter()
        .map(|(key, bytes)| {
            let value = decode(&key, &bytes)?;
            Ok((key[prefix.len()..].to_owned(), value))
        })
        .collect()
}

/// The smallest key after all that begin with the prefix.
/// The key that comes next after this one.
pub(crate) fn after(key: &str) -> String {
    format!("{key}\0")
}

pub(crate) fn after_all(prefix: &str) -> String {
    // Every prefix ends with '/', and '0' is the character after it.
    format!("{}0", prefix.trim_end_matches('/'))
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(bytes).map_err(|error| corrupt(key, &error))
}

fn corrupt(key: &str, error: &serde_json::Error) -> CallError {
    let table = key.split('/').next().unwrap_or_default();
    CallError::new(
        ErrorCode::Internal,
        format!("A row of the table {table} does not read as one ({error})."),
    )
}

/// Rows in memory, with an undo log, so that a refused call leaves no trace.
#[derive(Debug, Clone, Default)]
pub struct MemoryRows {
    rows: BTreeMap<String, Vec<u8>>,
    undo: Vec<(String, Option<Vec<u8>>)>,
}

impl MemoryRows {
    /// Makes everything since the last commit or rollback permanent.
    pub fn commit(&mut self) {
        self.undo.clear();
    }

    /// Takes everything since the last commit or rollback back.
    pub fn roll_back(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    /// All rows in order, for whoever compares two backends.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.rows
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()))
    }
}

impl Rows for MemoryRows {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, RowsError> {
        Ok(self.rows.get(key).cloned())
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), RowsError> {
        let before = self.rows.insert(key.to_owned(), value.to_vec());
        self.undo.push((key.to_owned(), before));
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), RowsError> {
        let before = self.rows.remove(key);
        self.undo.push((key.to_owned(), before));
        Ok(())
    }

    fn scan(
        &self,
        from: &str,
        to: &str,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, RowsError> {
        let range = self.rows.range(from.to_owned()..to.to_owned());
        let owned = |(key, value): (&String, &Vec<u8>)| (key.clone(), value.clone());
        Ok(match order {
            Order::Ascending => range.map(owned).take(limit).collect(),
            Order::Descending => range.rev().map(owned).take(limit).collect(),
        })
    }
}
