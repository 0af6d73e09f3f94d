//! A bounded pool of read-only connections.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{ReadError, panic_text};

/// How long a read waits for a free connection before it is refused.
const READ_QUEUE_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Readers {
    pool: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    size: usize,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let size = connections.len();
        Self {
            pool: Arc::new(Mutex::new(connections)),
            permits: Arc::new(Semaphore::new(size)),
            size,
        }
    }

    pub(super) async fn read<T, F>(&self, query: F) -> Result<T, ReadError>
    where
        F: FnOnce(&Connection) -> T + Send + 'static,
        T: Send + 'static,
    {
        let permit =
            tokio::time::timeout(READ_QUEUE_WAIT, Arc::clone(&self.permits).acquire_owned())
                .await
                .map_err(|_| ReadError::Busy)?
                .map_err(|_| ReadError::Closed)?;
        let pool = Arc::clone(&self.pool);
        // The permit goes with the work, so that a dropped future does not free a connection still in use.
        tokio::task::spawn_blocking(move || run(&pool, permit, query))
            .await
            .unwrap_or_else(|error| {
                Err(ReadError::Panicked {
                    message: error.to_string(),
                })
            })
    }

    /// Waits for running reads, then closes the connections.
    pub(super) async fn close(&self) {
        let all = u32::try_from(self.size).unwrap_or(u32::MAX);
        if let Ok(permits) = self.permits.acquire_many(all).await {
            self.permits.close();
            drop(permits);
            take(&self.pool, |pool| pool.clear());
        }
    }
}

fn run<T>(
    pool: &Mutex<Vec<Connection>>,
    permit: OwnedSemaphorePermit,
    query: impl FnOnce(&Connection) -> T,
) -> Result<T, ReadError> {
    let Some(connection) = take(pool, Vec::pop) else {
        return Err(ReadError::Closed);
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // One snapshot for all statements of the query.
        let transaction = connection.unchecked_transaction()?;
        let result = query(&connection);
        transaction.finish()?;
        Ok(result)
    }));
    take(pool, |pool| pool.push(connection));
    drop(permit);
    outcome.unwrap_or_else(|panic| {
        Err(ReadError::Panicked {
            message: panic_text(&*panic),
        })
    })
}

fn take<R>(pool: &Mutex<Vec<Connection>>, act: impl FnOnce(&mut Vec<Connection>) -> R) -> R {
    act(&mut pool.lock().unwrap_or_else(PoisonError::into_inner))
}
