//! The backend core's rows, in SQLite.

use std::cell::Cell;

use protocol::backend::{Order, Rows, RowsError};
use rusqlite::{Connection, OptionalExtension as _, params};

/// The rows that a connection sees: those of the transaction it is in.
#[derive(Debug)]
pub(crate) struct SqliteRows<'c> {
    connection: &'c Connection,
    written: Cell<bool>,
}

impl<'c> SqliteRows<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            written: Cell::new(false),
        }
    }

    /// Whether anything was written through this.
    pub(crate) fn written(&self) -> bool {
        self.written.get()
    }
}

impl Rows for SqliteRows<'_> {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, RowsError> {
        self.connection
            .prepare_cached("SELECT value FROM rows WHERE key = ?1")
            .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
            .map_err(failed)
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), RowsError> {
        self.written.set(true);
        self.connection
            .prepare_cached(
                "INSERT INTO rows (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
            )
            .and_then(|mut statement| statement.execute(params![key, value]))
            .map(drop)
            .map_err(failed)
    }

    fn delete(&mut self, key: &str) -> Result<(), RowsError> {
        self.written.set(true);
        self.connection
            .prepare_cached("DELETE FROM rows WHERE key = ?1")
            .and_then(|mut statement| statement.execute([key]))
            .map(drop)
            .map_err(failed)
    }

    fn scan(
        &self,
        from: &str,
        to: &str,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, RowsError> {
        let sql = match order {
            Order::Ascending => {
                "SELECT key, value FROM rows WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3"
            }
            Order::Descending => {
                "SELECT key, value FROM rows WHERE key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3"
            }
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement
                    .query_map(params![from, to, limit], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })?
                    .collect()
            })
            .map_err(failed)
    }
}

fn failed(error: rusqlite::Error) -> RowsError {
    RowsError(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use protocol::backend::MemoryRows;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_rows_in_memory(
            writes in prop::collection::vec(("[a/0é\u{1}]{0,3}", prop::option::of(any::<u8>())), 0..40),
            ranges in prop::collection::vec(("[a/0é]{0,2}", "[a/0é]{0,2}", any::<bool>(), 0_usize..5), 0..10),
        ) {
            let connection = Connection::open_in_memory().unwrap();
            connection
                .execute_batch("CREATE TABLE rows (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID")
                .unwrap();
            let (mut rows, mut memory) = (SqliteRows::new(&connection), MemoryRows::default());
            let mut model = BTreeMap::new();
            for (key, value) in writes {
                match value {
                    Some(value) => {
                        rows.put(&key, &[value]).unwrap();
                        memory.put(&key, &[value]).unwrap();
                        model.insert(key, value);
                    }
                    None => {
                        rows.delete(&key).unwrap();
                        memory.delete(&key).unwrap();
                        model.remove(&key);
                    }
                }
            }
            for key in model.keys() {
                prop_assert_eq!(rows.get(key), memory.get(key));
            }
            for (from, to, ascending, limit) in ranges {
                let order = if ascending { Order::Ascending } else { Order::Descending };
                if from <= to {
                    prop_assert_eq!(rows.scan(&from, &to, order, limit), memory.scan(&from, &to, order, limit));
                }
            }
        }
    }
}
